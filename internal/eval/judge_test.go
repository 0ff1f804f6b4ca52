package eval

import (
	"context"
	"errors"
	"math"
	"strings"
	"testing"
	"time"
)

func TestAJudgeIsReadStrictly(t *testing.T) {
	for reply, want := range map[string]*Opinion{
		`{"correct": "yes", "grounded": "yes"}`:                         {1, 1},
		"```json\n{\"correct\": \"partly\", \"grounded\": \"no\"}\n```": {.5, 0},
		`{"correct": "no", "grounded": "yes", "why": "because"}`:        {0, 1},
		`{"correct": "maybe", "grounded": "yes"}`:                       nil,
		`{"correct": "yes", "grounded": "partly"}`:                      nil,
		`{"correct": "yes"}`:                                            nil,
		`Yes, it is correct.`:                                           nil,
		`{"correct": "yes", "grounded": "yes"} as you asked`:            nil,
		``: nil,
	} {
		j := Judge{Ask: func(context.Context, string, string) (string, error) { return reply, nil }}
		got, err := j.Judge(t.Context(), Case{})
		if want == nil && !errors.Is(err, ErrNoOpinion) || want != nil && (err != nil || got != *want) {
			t.Errorf("%q gives %+v, %v", reply, got, err)
		}
	}
}

func TestAJudgeIsToldAllThatTheAnswerStandsOn(t *testing.T) {
	told := ""
	away := errors.New("away")
	j := Judge{Ask: func(_ context.Context, rules, data string) (string, error) {
		told = rules + data
		return "", away
	}}
	if _, err := j.Judge(t.Context(), Case{Question: "Q?", Answer: "A.", References: []string{"R1", "R2"}, Passages: []string{"P1"}}); !errors.Is(err, away) {
		t.Errorf("got %v", err)
	}
	for _, want := range []string{JudgeRules, "Question: Q?", "Answer: A.", "Reference answer: R1", "Reference answer: R2", "Cited passage 1: P1"} {
		if !strings.Contains(told, want) {
			t.Errorf("the judge is not told %q", want)
		}
	}
}

// The opinion stands beside the metrics and changes none of them.
func TestAnOpinionIsReportedApart(t *testing.T) {
	set, runs := twoRuns(t)
	runs = runs[:1]
	f1 := []float64{1, .2, .1}
	for i := range runs[0].Results {
		runs[0].Results[i].Answer = &AnswerResult{Reference: true, F1: f1[i]}
	}
	before := NewReport("toy", set, runs, time.Unix(0, 0))
	runs[0].Judge, runs[0].Unread = "openai:m", 1
	runs[0].Results[0].Answer.Opinion = &Opinion{Correct: 1, Grounded: 1}
	runs[0].Results[1].Answer.Opinion = &Opinion{Correct: .5}
	runs[0].Results[2].Answer.Opinion = &Opinion{}
	after := NewReport("toy", set, runs, time.Unix(0, 0))
	for i, line := range after.Lines {
		if line.Runs[0] != before.Lines[i].Runs[0] {
			t.Errorf("%s changed from %v to %v", line.Metric, before.Lines[i].Runs[0], line.Runs[0])
		}
	}
	if len(before.Judged) != 0 || len(after.Judged) != 1 {
		t.Fatalf("judged %+v, then %+v", before.Judged, after.Judged)
	}
	// Judge: yes, yes, no. Count: yes, no, no. They agree on 2 of 3; by chance
	// they would on 2/3*1/3 + 1/3*2/3 = 4/9.
	got := after.Judged[0]
	if got.Judged != 3 || got.Correct.Mean != .5 || math.Abs(got.Agreement-2./3) > 1e-12 || math.Abs(got.Kappa-(2./3-4./9)/(5./9)) > 1e-12 {
		t.Errorf("got %+v", got)
	}
	var table, page strings.Builder
	if err := errors.Join(after.WriteTable(&table), after.WriteHTML(&page)); err != nil {
		t.Fatal(err)
	}
	for _, text := range []string{table.String(), page.String()} {
		if !strings.Contains(text, "in the opinion of openai:m (3 answers)") || !strings.Contains(text, "kappa 0.400") || !strings.Contains(text, "1 replies were no opinion") {
			t.Errorf("the opinion is not in\n%s", text)
		}
	}
}

func TestAgreementByChanceIsNone(t *testing.T) {
	for _, tt := range []struct{ agreement, a, b, want float64 }{{1, .5, .5, 1}, {.5, .5, .5, 0}, {1, 1, 1, 0}, {0, .5, .5, -1}} {
		if got := kappa(tt.agreement, tt.a, tt.b); math.Abs(got-tt.want) > 1e-12 {
			t.Errorf("kappa(%v, %v, %v) is %v, want %v", tt.agreement, tt.a, tt.b, got, tt.want)
		}
	}
}
