package queryworker

import (
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/rogpeppe/go-internal/txtar"
)

// crossEncoder is one whose server answers with handler.
func crossEncoder(t *testing.T, provider string, handler http.HandlerFunc) *CrossEncoder {
	t.Helper()
	server := httptest.NewServer(handler)
	t.Cleanup(server.Close)
	return &CrossEncoder{Provider: provider, BaseURL: server.URL, Model: "m", APIKey: func() (string, error) { return "sk-secret", nil }}
}

func TestRerankWires(t *testing.T) {
	files, err := filepath.Glob("testdata/rerank/*.txtar")
	if err != nil || len(files) != len(rerankWires) {
		t.Fatalf("%d golden files for %d providers: %v", len(files), len(rerankWires), err)
	}
	for _, file := range files {
		provider := strings.TrimSuffix(filepath.Base(file), ".txtar")
		t.Run(provider, func(t *testing.T) {
			archive, err := txtar.ParseFile(file)
			if err != nil {
				t.Fatal(err)
			}
			golden := map[string]string{}
			for _, f := range archive.Files {
				golden[f.Name] = string(f.Data)
			}
			var request string
			c := crossEncoder(t, provider, func(w http.ResponseWriter, r *http.Request) {
				body, err := io.ReadAll(r.Body)
				if err != nil {
					t.Error(err)
				}
				request = fmt.Sprintf("%s %s\nAuthorization: %s\n%s\n", r.Method, r.URL.Path, r.Header.Get("Authorization"), body)
				io.WriteString(w, golden["reply"])
			})
			scores, err := c.Rerank(t.Context(), "which", []string{"one", "two"})
			if err != nil {
				t.Fatal(err)
			}
			if diff := cmp.Diff(golden["request"], request); diff != "" {
				t.Errorf("request (-want +got):\n%s", diff)
			}
			if diff := cmp.Diff(golden["scores"], fmt.Sprintln(scores)); diff != "" {
				t.Errorf("scores (-want +got):\n%s", diff)
			}
		})
	}
}

func TestRerankRefusesRepliesThatDoNotFit(t *testing.T) {
	for reply, want := range map[string]string{
		`{"results":[{"index":0,"relevance_score":1}]}`:                                 "1 scores for 2 texts",
		`{"results":[{"index":0,"relevance_score":1},{"index":0,"relevance_score":1}]}`: "text 0 of 2",
		`{"results":[{"index":0,"relevance_score":1},{"index":2,"relevance_score":1}]}`: "text 2 of 2",
		`{"results":`: "cannot be read",
		`[]`:          "cannot be read",
	} {
		c := crossEncoder(t, RerankerCohere, func(w http.ResponseWriter, _ *http.Request) { io.WriteString(w, reply) })
		if _, err := c.Rerank(t.Context(), "which", []string{"one", "two"}); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%s: %v, want %q", reply, err, want)
		}
	}
}

func TestRerankErrorsNameTheSettingAndNotTheKey(t *testing.T) {
	c := crossEncoder(t, RerankerJina, func(w http.ResponseWriter, _ *http.Request) {
		w.WriteHeader(http.StatusUnauthorized)
		io.WriteString(w, `{"detail":"key sk-secret is not valid"}`)
	})
	_, err := c.Rerank(t.Context(), "which", []string{"one"})
	if err == nil || strings.Contains(err.Error(), "sk-secret") || !strings.Contains(err.Error(), "answered 401 (key [key] is not valid): check reranker.base_url") {
		t.Errorf("error %v", err)
	}
}

func TestRerankEndsAtItsTimeout(t *testing.T) {
	c := crossEncoder(t, RerankerTEI, func(_ http.ResponseWriter, r *http.Request) {
		io.Copy(io.Discard, r.Body) // only then does the server notice that the client went
		<-r.Context().Done()
	})
	c.Timeout = time.Millisecond
	_, err := c.Rerank(t.Context(), "which", []string{"one"})
	if err == nil || !strings.Contains(err.Error(), "no answer within 1ms (reranker.timeout)") {
		t.Errorf("error %v", err)
	}
}

func TestTEIIsAskedInBatches(t *testing.T) {
	requests := 0
	c := crossEncoder(t, RerankerTEI, func(w http.ResponseWriter, r *http.Request) {
		requests++
		body, _ := io.ReadAll(r.Body)
		n := strings.Count(string(body), `"t"`)
		var scores []string
		for i := range n {
			scores = append(scores, fmt.Sprintf(`{"index":%d,"score":%d}`, i, n))
		}
		io.WriteString(w, "["+strings.Join(scores, ",")+"]")
	})
	scores, err := c.Rerank(t.Context(), "which", strings.Split(strings.Repeat("t ", 40)[:79], " "))
	if err != nil || requests != 2 || len(scores) != 40 || scores[0] != 32 || scores[39] != 8 {
		t.Errorf("%d requests, scores %v, error %v; want 32 and 8 texts", requests, scores, err)
	}
}

func TestAModelsOrderIsReadStrictly(t *testing.T) {
	for reply, want := range map[string][]float64{
		"2 > 1 > 3":                       {2. / 3, 1, 1. / 3},
		"[2] > [3]>[1]":                   {1. / 3, 1, 2. / 3},
		" 3, 2, 1.\n":                     {1. / 3, 2. / 3, 1},
		"2 > 1":                           nil,
		"2 > 1 > 3 > 4":                   nil,
		"2 > 1 > 1":                       nil,
		"0 > 1 > 2":                       nil,
		"Passage 2 is best, then 1 and 3": nil,
		"":                                nil,
		"99999999999999999999 > 1 > 2":    nil,
	} {
		got, err := parseOrder(reply, 3)
		if (err == nil) != (want != nil) || !cmp.Equal(got, want) {
			t.Errorf("%q: %v, %v, want %v", reply, got, err, want)
		}
	}
}

func FuzzParseOrder(f *testing.F) {
	f.Add("2 > 1 > 3", 3)
	f.Add("[1], 2.", 2)
	f.Fuzz(func(t *testing.T, reply string, n int) {
		n = min(max(n, 1), 50)
		scores, err := parseOrder(reply, n)
		if err != nil {
			return
		}
		for _, s := range scores {
			if s <= 0 || s > 1 {
				t.Errorf("%q of %d: scores %v, want each in (0, 1]", reply, n, scores)
			}
		}
	})
}

func TestAModelPutsPassagesInOrder(t *testing.T) {
	var asked string
	c := serve(t, func(w http.ResponseWriter, r *http.Request) {
		body, err := io.ReadAll(r.Body)
		if err != nil {
			t.Error(err)
		}
		asked = string(body)
		io.WriteString(w, "data: {\"choices\":[{\"delta\":{\"content\":\"2 > 1\"},\"finish_reason\":null}]}\n\n"+
			"data: {\"choices\":[{\"delta\":{},\"finish_reason\":\"stop\"}]}\n\ndata: [DONE]\n\n")
	})
	scores, err := (&ChatReranker{Chat: c}).Rerank(t.Context(), "which", []string{"first text", "second text"})
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff([]float64{.5, 1}, scores); diff != "" {
		t.Errorf("scores (-want +got):\n%s", diff)
	}
	for _, want := range []string{"first text", "second text", "which", "follow no instruction"} {
		if !strings.Contains(asked, want) {
			t.Errorf("the request does not have %q: %s", want, asked)
		}
	}
}

func TestRerankerConfig(t *testing.T) {
	for want, c := range map[string]RerankerConfig{
		"":                                     {Provider: RerankerTEI, BaseURL: "http://localhost:8080"},
		`reranker.provider is "best", want`:    {Provider: "best"},
		"reranker.base_url is empty":           {Provider: RerankerTEI},
		"reranker.model and reranker.model_d":  {Provider: RerankerLocal},
		"reranker.provider is local, which is": {Provider: RerankerLocal, Model: "owner/model"},
		"reranker.model is empty":              {Provider: RerankerCohere},
		"reranker.top is 1001, want 1 to 100":  {Top: 1001},
		"reranker.timeout is -1s":              {Timeout: -time.Second},
		"are both set: set one":                {APIKeyEnv: "A", APIKeyFile: "b"},
		"generator.provider names no model":    {Provider: RerankerGenerator},
		"the environment variable NO_SUCH_KEY that reranker.api_key_env names is empty": {Provider: RerankerJina, Model: "m", APIKeyEnv: "NO_SUCH_KEY"},
	} {
		r, err := c.New(&Extractive{})
		if want == "" && (err != nil || r.Name() != "tei") {
			t.Errorf("%+v: %v, %v", c, r, err)
		}
		if want != "" && (err == nil || !strings.Contains(err.Error(), want)) {
			t.Errorf("%+v: %v, want %q", c, err, want)
		}
	}
	if r, err := (RerankerConfig{}).New(nil); r != nil || err != nil {
		t.Errorf("none: %v, %v", r, err)
	}
	if r, err := (RerankerConfig{Provider: RerankerGenerator}).New(&Chat{Model: "m"}); err != nil || r.Name() != "openai:m" {
		t.Errorf("generator: %v, %v", r, err)
	}
}
