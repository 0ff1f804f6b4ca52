package main

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/tributary-kb/tributary/internal/config"
	"github.com/tributary-kb/tributary/internal/eval"
	"github.com/tributary-kb/tributary/internal/testenv"
)

// harbour is a small collection: each query is about one document.
var harbour = map[string]string{
	"corpus.jsonl": `{"_id": "sky", "title": "Sky", "text": "The sky over the harbour is vermilion at dusk."}
{"_id": "crane", "title": "Crane", "text": "The old crane lifts forty tonnes."}
{"_id": "ferry/1", "title": "Ferry", "text": "The ferry leaves every twenty minutes."}
{"_id": "empty", "title": "Empty", "text": ""}
`,
	"queries.jsonl": `{"_id": "q1", "text": "What colour is the sky at dusk?"}
{"_id": "q2", "text": "How much does the crane lift?"}
{"_id": "q3", "text": "How often does the ferry leave?"}
{"_id": "q4", "text": "Which airline flies to Reykjavik in winter?"}
{"_id": "q5", "text": "Nobody says whether this can be answered"}
`,
	"qrels.tsv": "query-id\tcorpus-id\tscore\nq1\tsky\t1\nq2\tcrane\t1\nq3\tferry/1\t1\n",
	"answers.jsonl": `{"_id": "q1", "answers": ["vermilion"]}
{"_id": "q2", "answers": ["The old crane lifts forty tonnes."]}
{"_id": "q4", "answers": []}
`,
}

// evaluate runs `tributary eval` against s and returns what it prints.
func evaluate(t *testing.T, s *system, f evalFlags, asJSON bool) string {
	t.Helper()
	dir := filepath.Join(t.TempDir(), "harbour")
	fatal(t, os.MkdirAll(dir, 0o700))
	for name, text := range harbour {
		fatal(t, os.WriteFile(filepath.Join(dir, name), []byte(text), 0o600))
	}
	var out, err bytes.Buffer
	a := &app{
		out: newTerminal(&out, os.Getenv), err: newTerminal(&err, os.Getenv), cfg: s.cfg, json: asJSON, log: slog.New(slog.DiscardHandler),
		dial: func(context.Context, *config.Loaded) (client, func(), error) { return s.Client, func() {}, nil },
	}
	fatal(t, a.eval(t.Context(), dir, f))
	return out.String()
}

func TestEvalMeasuresACollection(t *testing.T) {
	s := newSystem(t)
	page := filepath.Join(t.TempDir(), "report.html")
	var report eval.Report
	fatal(t, json.Unmarshal([]byte(evaluate(t, s, evalFlags{search: "{}", answers: true, html: page}, true)), &report))
	metrics := map[string]float64{}
	for _, line := range report.Lines {
		metrics[line.Metric] = line.Runs[0].Mean
	}
	if metrics["nDCG@10"] != 1 || metrics["recall@100"] != 1 || metrics["citation recall"] != 1 {
		t.Errorf("a collection without traps gives %v", metrics)
	}
	unanswerable := report.Runs[0].Unanswerable
	if got, ok := metrics["abstained, unanswerable"]; !ok || got != 1 || metrics["abstained"] != 0 || len(unanswerable) != 1 || unanswerable[0].ID != "q4" || report.Queries != 3 {
		t.Errorf("with one query of %d that nothing answers: %v, %+v", report.Queries, metrics, unanswerable)
	}
	if got := report.Runs[0].Results[1].Answer; got == nil || got.F1 < .5 || !got.Reference {
		t.Errorf("the answer about the crane is judged %+v", got)
	}
	if got := report.Runs[0].Results[2].Answer; got == nil || got.Reference {
		t.Errorf("an answer without reference is judged %+v", got)
	}
	html, err := os.ReadFile(page)
	fatal(t, err)
	if !strings.Contains(string(html), "<h1>harbour</h1>") {
		t.Errorf("the page is %.200s", html)
	}
	before := filepath.Join(t.TempDir(), "before.json")
	data, err := json.Marshal(report)
	fatal(t, err)
	fatal(t, os.WriteFile(before, data, 0o600))
	table := evaluate(t, s, evalFlags{search: `{"alpha": 0}`, baseline: before, purge: true}, false)
	if !strings.Contains(table, "baseline") || !strings.Contains(table, "DIFFERENCE") || !strings.Contains(table, "+0.000 [+0.000, +0.000]") {
		t.Errorf("the comparison with itself is\n%s", table)
	}
	s.idle() // what is deleted is swept a little later
	if left := s.contents(); len(left) > 0 {
		t.Errorf("--purge left %v", left)
	}
}

// judgeServer is a chat endpoint in OpenAI's form that judges answers: it
// streams a reply in pieces, as the real ones do. Of the second answer it has no
// opinion.
func judgeServer(t *testing.T, told *[]string) string {
	t.Helper()
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		var request struct {
			Model    string
			Stream   bool
			Messages []struct{ Role, Content string }
		}
		if err := json.NewDecoder(r.Body).Decode(&request); err != nil || r.URL.Path != "/v1/chat/completions" ||
			request.Model != "strict" || !request.Stream || len(request.Messages) != 2 || r.Header.Get("Authorization") != "Bearer key" {
			t.Errorf("asked %s with %+v, %v", r.URL, request, err)
		}
		*told = append(*told, request.Messages[0].Content+request.Messages[1].Content)
		pieces := []string{`{"correct": "par`, `tly", "grounded": "yes"}`}
		if len(*told) == 2 {
			pieces = []string{"I like it."}
		}
		w.Header().Set("Content-Type", "text/event-stream")
		for i, piece := range append(pieces, "") {
			delta, finish := map[string]any{"content": piece}, any(nil)
			if i == len(pieces) {
				delta, finish = map[string]any{}, "stop"
			}
			data, err := json.Marshal(map[string]any{"id": "c", "object": "chat.completion.chunk", "created": 1, "model": "strict",
				"choices": []any{map[string]any{"index": 0, "delta": delta, "finish_reason": finish}}})
			fatal(t, err)
			fmt.Fprintf(w, "data: %s\n\n", data)
		}
		fmt.Fprint(w, `data: {"id":"c","object":"chat.completion.chunk","created":1,"model":"strict","choices":[],"usage":{"prompt_tokens":90,"completion_tokens":9,"total_tokens":99}}`+"\n\ndata: [DONE]\n\n")
	}))
	t.Cleanup(server.Close)
	return server.URL
}

func TestEvalAsksAJudge(t *testing.T) {
	var told []string
	dir := t.TempDir()
	key, file := filepath.Join(dir, "key"), filepath.Join(dir, "judge.yaml")
	fatal(t, os.WriteFile(key, []byte("key\n"), 0o600))
	fatal(t, os.WriteFile(file, []byte("generator: {provider: openai, base_url: "+judgeServer(t, &told)+", model: strict, api_key_file: "+key+"}\n"), 0o600))
	var report eval.Report
	fatal(t, json.Unmarshal([]byte(evaluate(t, newSystem(t), evalFlags{search: "{}", answers: true, judge: file}, true)), &report))
	if len(told) != 2 {
		t.Fatalf("the judge was asked %d times, want once for each answer with a reference", len(told))
	}
	for _, want := range []string{eval.JudgeRules, "What colour is the sky at dusk?", "Reference answer: vermilion", "Cited passage 1: The sky over the harbour"} {
		if !strings.Contains(told[0], want) {
			t.Errorf("the judge was not told %q: %s", want, told[0])
		}
	}
	if len(report.Judged) != 1 {
		t.Fatalf("judged %+v", report.Judged)
	}
	if j := report.Judged[0]; j.Judge != "openai:strict" || j.Judged != 1 || j.Unread != 1 || j.Correct.Mean != .5 || j.Grounded.Mean != 1 {
		t.Errorf("judged %+v", j)
	}
}

// What a judge is told stands in the documentation, word for word.
func TestDocsShowTheRulesOfTheJudge(t *testing.T) {
	page, err := os.ReadFile(filepath.Join(testenv.ProjectRoot(t), "docs", "models.md"))
	fatal(t, err)
	if !strings.Contains(string(page), "```text\n"+eval.JudgeRules+"\n```") {
		t.Error("docs/models.md shows other rules")
	}
}

func TestEvalRefusesWhatItCannotMeasure(t *testing.T) {
	dir := t.TempDir()
	for name, text := range harbour {
		fatal(t, os.WriteFile(filepath.Join(dir, name), []byte(text), 0o600))
	}
	fatal(t, os.WriteFile(filepath.Join(dir, "empty.yaml"), nil, 0o600))
	for name, tt := range map[string]struct {
		dir  string
		f    evalFlags
		want string
	}{
		"no collection":      {t.TempDir(), evalFlags{search: "{}"}, "corpus.jsonl"},
		"an unknown field":   {dir, evalFlags{search: `{"alfa": 0}`}, "alfa"},
		"two comparisons":    {dir, evalFlags{search: "{}", against: "{}", baseline: "x"}, "set one"},
		"no such baseline":   {dir, evalFlags{search: "{}", baseline: filepath.Join(dir, "none")}, "none"},
		"a strange one":      {dir, evalFlags{search: "{}", baseline: filepath.Join(dir, "qrels.tsv")}, "not a report"},
		"a judge of nothing": {dir, evalFlags{search: "{}", judge: "x"}, "--answers"},
		"no such judge":      {dir, evalFlags{search: "{}", answers: true, judge: filepath.Join(dir, "none")}, "none"},
		"a strange judge":    {dir, evalFlags{search: "{}", answers: true, judge: filepath.Join(dir, "empty.yaml")}, "want a model"},
		"a negative number":  {dir, evalFlags{search: "{}", limit: -1}, "--limit"},
	} {
		a := &app{dial: func(context.Context, *config.Loaded) (client, func(), error) {
			t.Errorf("%s: the system is asked", name)
			return nil, nil, context.Canceled
		}}
		if err := a.eval(t.Context(), tt.dir, tt.f); err == nil || !strings.Contains(err.Error(), tt.want) {
			t.Errorf("%s: got %v, want %q", name, err, tt.want)
		}
	}
}
