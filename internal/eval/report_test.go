package eval

import (
	"context"
	"encoding/json"
	"errors"
	"math"
	"strings"
	"testing"
	"time"
)

func TestAnswersAreComparedAsSQuADAndROUGEDo(t *testing.T) {
	for _, tt := range []struct {
		name              string
		answer, reference string
		exact, f1, rouge  float64
	}{
		{"the same but for case, articles, marks and citations", "The tower is 300 m high. [1][2]", "tower is 300 m high", 1, 1, 1},
		{"half of the words, in order", "blue sky", "blue sky over town", 0, 2 * 2. / 6, 2 * 2. / 6},
		{"the same words in another order", "town over sky", "sky over town", 0, 1, 2 * 1. / 6},
		{"nothing in common", "red", "blue", 0, 0, 0},
		{"no answer", "", "blue", 0, 0, 0},
		{"a word that comes twice counts twice", "blue blue", "blue", 0, 2. / 3, 2. / 3},
		{"brackets that are no citation stay", "array[i]", "array i", 1, 1, 1},
	} {
		for metric, pair := range map[string][2]float64{
			"exact match": {ExactMatch(tt.answer, tt.reference), tt.exact},
			"token F1":    {TokenF1(tt.answer, tt.reference), tt.f1},
			"ROUGE-L":     {RougeL(tt.answer, tt.reference), tt.rouge},
		} {
			if math.Abs(pair[0]-pair[1]) > 1e-12 {
				t.Errorf("%s: %s is %v, want %v", tt.name, metric, pair[0], pair[1])
			}
		}
	}
}

func TestTheBestReferenceCountsAndCitationsAreDocuments(t *testing.T) {
	got := JudgeAnswer("blue", []string{"red", "blue"}, []string{"a", "a", "x"}, Judgements{"a": 1, "b": 1, "x": 0})
	want := AnswerResult{Reference: true, Exact: 1, F1: 1, RougeL: 1, CitationPrecision: .5, CitationRecall: .5}
	if got != want {
		t.Errorf("got %+v, want %+v", got, want)
	}
	if got := JudgeAnswer("blue", nil, nil, nil); got != (AnswerResult{}) {
		t.Errorf("without references, citations and judgements: %+v", got)
	}
}

// twoRuns ranks three queries well and badly.
func twoRuns(t *testing.T) (Dataset, []Run) {
	t.Helper()
	set := Dataset{Documents: []Document{{ID: "a"}, {ID: "b"}}}
	for _, id := range []string{"q1", "q2", "q3"} {
		set.Queries = append(set.Queries, Query{ID: id, Text: id, Relevant: Judgements{"a": 1}})
	}
	asked := 0
	good := func(context.Context, string) ([]string, error) { return []string{"a", "b"}, nil }
	bad := func(context.Context, string) ([]string, error) { return []string{"b", "a"}, nil }
	runs, err := Rank(t.Context(), set, []string{"bad", "good"}, []Ranker{bad, good}, func() { asked++ })
	if err != nil || asked != 3 {
		t.Fatalf("%d steps, %v", asked, err)
	}
	return set, runs
}

func TestAReportComparesRunsQueryByQuery(t *testing.T) {
	set, runs := twoRuns(t)
	r := NewReport("toy", set, runs, time.Unix(0, 0).UTC())
	line := r.Lines[3]
	if line.Metric != "MRR@10" || line.Runs[0].Mean != .5 || line.Runs[1].Mean != 1 || line.Difference.Mean != .5 || !line.Difference.Significant() {
		t.Errorf("got %+v, difference %+v", line, line.Difference)
	}
	for _, l := range r.Lines {
		if l.Metric == "token F1" {
			t.Error("answers are reported that nobody asked for")
		}
	}
	var table, page strings.Builder
	if err := errors.Join(r.WriteTable(&table), r.WriteHTML(&page)); err != nil {
		t.Fatal(err)
	}
	if !strings.Contains(table.String(), "MRR@10      0.500 [0.500, 0.500]  1.000 [1.000, 1.000]  +0.500 [+0.500, +0.500] *") {
		t.Errorf("the table is\n%s", table.String())
	}
	if n := strings.Count(page.String(), `class="better"`); n != 3 {
		t.Errorf("the page has %d bars of queries that got better, want 3", n)
	}
	data, err := json.Marshal(r)
	if err != nil {
		t.Fatal(err)
	}
	var again Report
	if err := json.Unmarshal(data, &again); err != nil || len(again.Runs) != 2 || again.Runs[1].Results[2].MRR != 1 {
		t.Errorf("a report that was written reads as %+v, %v", again, err)
	}
}

func TestARunEndsAtTheFirstError(t *testing.T) {
	set, _ := twoRuns(t)
	away := errors.New("away")
	_, err := Rank(t.Context(), set, []string{"x"}, []Ranker{func(context.Context, string) ([]string, error) { return nil, away }}, func() {})
	if !errors.Is(err, away) || !strings.Contains(err.Error(), "query q1") {
		t.Errorf("got %v", err)
	}
}

func TestTheHTMLReportEscapesNames(t *testing.T) {
	set, runs := twoRuns(t)
	runs[0].Name = "<script>"
	var page strings.Builder
	if err := NewReport("<b>", set, runs, time.Now()).WriteHTML(&page); err != nil {
		t.Fatal(err)
	}
	if strings.Contains(page.String(), "<script>") || strings.Contains(page.String(), "<b>") {
		t.Error("a name became markup")
	}
}
