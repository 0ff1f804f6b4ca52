package main

import (
	"log/slog"
	"strings"
	"testing"
	"time"

	"github.com/tributary-kb/tributary/queryworker"
)

const modelOfTests = "../../embedder/local/testdata/encoder"

func TestALocalModelReranks(t *testing.T) {
	open := func(timeout time.Duration) queryworker.Reranker {
		r, err := openReranker(t.Context(), slog.New(slog.DiscardHandler), queryworker.RerankerConfig{
			Provider: queryworker.RerankerLocal, ModelDir: modelOfTests, Timeout: timeout,
		}, nil)
		if err != nil {
			t.Fatal(err)
		}
		return r
	}
	r := open(0)
	if !strings.HasPrefix(r.Name(), "local:") {
		t.Errorf("its name is %q", r.Name())
	}
	scores, err := r.Rerank(t.Context(), "where is the cat", []string{"on the mat", "a dog"})
	if err != nil || len(scores) != 2 || scores[0] == scores[1] {
		t.Errorf("got %v, %v, want two scores", scores, err)
	}
	_, err = open(time.Nanosecond).Rerank(t.Context(), "where is the cat", []string{"on the mat"})
	if err == nil || !strings.Contains(err.Error(), "took more than 1ns (reranker.timeout") {
		t.Errorf("of too little time: got %v", err)
	}
}

func TestALocalRerankerThatIsNotThereIsRefused(t *testing.T) {
	for _, c := range []struct{ dir, model, runtime, want string }{
		{"", "", "", "reranker.model and reranker.model_dir are empty"},
		{t.TempDir(), "", "", "reranker.model_dir: open cross-encoder: "},
		{t.TempDir(), "", "java", `reranker.runtime is "java"`},
		{"", "nameless", "", "reranker.model (reranker.model_dir takes a folder instead): "},
	} {
		_, err := openReranker(t.Context(), slog.New(slog.DiscardHandler), queryworker.RerankerConfig{
			Provider: queryworker.RerankerLocal, ModelDir: c.dir, Model: c.model, Runtime: c.runtime,
		}, nil)
		if err == nil || !strings.HasPrefix(err.Error(), c.want) {
			t.Errorf("got %v, want %q", err, c.want)
		}
	}
}
