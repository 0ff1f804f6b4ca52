package main

import (
	"bytes"
	"context"
	"encoding/json"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/tributary-kb/tributary/internal/config"
	"github.com/tributary-kb/tributary/internal/eval"
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
`,
	"qrels.tsv": "query-id\tcorpus-id\tscore\nq1\tsky\t1\nq2\tcrane\t1\nq3\tferry/1\t1\n",
	"answers.jsonl": `{"_id": "q1", "answers": ["vermilion"]}
{"_id": "q2", "answers": ["The old crane lifts forty tonnes."]}
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
	if left := s.contents(); len(left) > 0 {
		t.Errorf("--purge left %v", left)
	}
}

func TestEvalRefusesWhatItCannotMeasure(t *testing.T) {
	dir := t.TempDir()
	for name, text := range harbour {
		fatal(t, os.WriteFile(filepath.Join(dir, name), []byte(text), 0o600))
	}
	for name, tt := range map[string]struct {
		dir  string
		f    evalFlags
		want string
	}{
		"no collection":     {t.TempDir(), evalFlags{search: "{}"}, "corpus.jsonl"},
		"an unknown field":  {dir, evalFlags{search: `{"alfa": 0}`}, "alfa"},
		"two comparisons":   {dir, evalFlags{search: "{}", against: "{}", baseline: "x"}, "set one"},
		"no such baseline":  {dir, evalFlags{search: "{}", baseline: filepath.Join(dir, "none")}, "none"},
		"a strange one":     {dir, evalFlags{search: "{}", baseline: filepath.Join(dir, "qrels.tsv")}, "not a report"},
		"a negative number": {dir, evalFlags{search: "{}", limit: -1}, "--limit"},
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
