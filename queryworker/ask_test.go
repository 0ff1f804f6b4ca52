package queryworker

import (
	"context"
	"errors"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/tributary-kb/tributary"
)

func showOf(uri string) tributary.ShowRequest { return tributary.ShowRequest{URI: uri} }

// scripted is a generator that writes what it was given, in these pieces.
type scripted struct {
	pieces []string
	err    error
	prompt Prompt
	asked  int
}

func (s *scripted) Name() string { return "test:scripted" }

func (s *scripted) Generate(_ context.Context, p Prompt, emit func(string) error) (tributary.Usage, error) {
	s.prompt = p
	s.asked++
	for _, piece := range s.pieces {
		if err := emit(piece); err != nil {
			return tributary.Usage{}, err
		}
	}
	return tributary.Usage{TokensIn: 7, TokensOut: len(s.pieces)}, s.err
}

// ask returns the streamed text and the whole answer, and checks that the
// answer comes last and once.
func ask(t *testing.T, w *Worker, req tributary.AskRequest) (string, tributary.Answer) {
	t.Helper()
	var text strings.Builder
	var answer *tributary.Answer
	err := w.Ask(t.Context(), kb, req, func(e tributary.AskEvent) error {
		if answer != nil {
			t.Errorf("event %+v after the answer", e)
		}
		text.WriteString(e.Delta)
		answer = e.Answer
		return nil
	})
	if err != nil {
		t.Fatalf("Ask(%q): %v", req.Question, err)
	}
	if answer == nil {
		t.Fatal("no answer at the end")
	}
	answer.Seconds, answer.Usage, answer.Confidence = 0, tributary.Usage{}, 0
	return text.String(), *answer
}

func TestAskQuotesAndCites(t *testing.T) {
	m := newModel()
	m.put("leave.md", 4, "Employees get 16 weeks of leave. The office closes at six.")
	text, got := ask(t, m.worker(), tributary.AskRequest{Question: "weeks of leave"})
	want := tributary.Answer{
		Answer:    "Employees get 16 weeks of leave. [1]",
		Generator: "extractive",
		Sentences: []tributary.Sentence{{End: 36, Citations: []int{1}, Support: 1, Supported: true}},
		Citations: []tributary.Citation{{
			N: 1, URI: "leave.md", Title: "Title of leave.md", Version: 4, Document: docID("leave.md"),
			Text:     "Employees get 16 weeks of leave. The office closes at six.",
			Location: tributary.Location{Page: 1, End: 58, Chunks: 1},
		}},
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("answer (-want +got):\n%s", diff)
	}
	if text != got.Answer {
		t.Errorf("streamed %q, answered %q", text, got.Answer)
	}
}

func TestAskWithoutPassagesAsksNoModel(t *testing.T) {
	model := &scripted{pieces: []string{"made up"}}
	w := newModel().worker()
	w.Generator = model
	text, got := ask(t, w, tributary.AskRequest{Question: "weeks of leave"})
	want := tributary.Answer{Answer: NoAnswer, Generator: "test:scripted", Citations: []tributary.Citation{}, NoAnswer: true, Reason: "nothing was found"}
	if diff := cmp.Diff(want, got); diff != "" || text != NoAnswer || model.asked != 0 {
		t.Errorf("streamed %q, asked %d times, answer (-want +got):\n%s", text, model.asked, diff)
	}
}

func TestAskChecksWhatAModelCites(t *testing.T) {
	m := newModel()
	m.put("a.md", 1, "apple pie", "apple cake", "apple tart")
	w := m.worker()
	w.Generator = &scripted{pieces: []string{"Cake ", "[2, 7] and", " tart [", "9]."}}
	text, got := ask(t, w, tributary.AskRequest{Question: "apple"})
	if want := "Cake [2] and tart."; got.Answer != want || text != want {
		t.Errorf("streamed %q, answered %q, want %q", text, got.Answer, want)
	}
	if len(got.Citations) != 1 || got.Citations[0].N != 2 || got.Citations[0].Text != "apple cake" {
		t.Errorf("cited %+v, want passage 2 alone", got.Citations)
	}
}

func TestAskTakesSixPassagesUnlessToldOtherwise(t *testing.T) {
	m := newModel()
	m.put("a.md", 1, "apple 1", "apple 2", "apple 3", "apple 4", "apple 5", "apple 6", "apple 7", "apple 8")
	for k, want := range map[int]int{0: 6, 3: 3, 8: 8} {
		model := &scripted{pieces: []string{"x"}}
		w := m.worker()
		w.Generator = model
		ask(t, w, tributary.AskRequest{Question: "apple", K: k})
		if got := len(model.prompt.Passages); got != want {
			t.Errorf("with k %d the generator got %d passages, want %d", k, got, want)
		}
	}
}

func TestAskReports(t *testing.T) {
	m := newModel()
	m.put("a.md", 1, "apple")
	gone := errors.New("the reader is gone")
	tests := []struct {
		name     string
		model    *scripted
		question string
		emit     error
		code     tributary.Code
		text     string
	}{
		{"an empty question", &scripted{}, " ", nil, tributary.CodeInvalid, "empty"},
		{"a model that fails", &scripted{err: errors.New("boom")}, "apple", nil, tributary.CodeUnavailable, "answer with test:scripted: boom"},
		{"a model that writes nothing", &scripted{pieces: []string{"", " \n"}}, "apple", nil, tributary.CodeUnavailable, "wrote nothing"},
		{"a reader that is gone", &scripted{pieces: []string{"x"}}, "apple", gone, tributary.CodeInternal, "the reader is gone"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			w := m.worker()
			w.Generator = tt.model
			err := w.Ask(t.Context(), kb, tributary.AskRequest{Question: tt.question}, func(e tributary.AskEvent) error {
				if e.Answer != nil {
					t.Errorf("answered %+v", e.Answer)
				}
				return tt.emit
			})
			checkError(t, err, tt.code, tt.text)
		})
	}
}

func TestAskSaysWhenThereIsNoAnswer(t *testing.T) {
	m := newModel()
	m.put("a.md", 1, "apple pie with cinnamon")
	half := 0.5
	for _, tt := range []struct {
		name, question string
		generator      Generator
		least          *float64
		reason         string
	}{
		{"a model that says so", "apple", &scripted{pieces: []string{"No passage found that answers", " this question."}}, nil, "says test:scripted"},
		{"a model that cites beside it", "apple", &scripted{pieces: []string{NoAnswer, " [1]"}}, nil, "says test:scripted"},
		{"too little in common", "apple price in Denmark today", nil, nil, "confidence 0.10, the least is 0.50 (search.min_confidence)"},
		{"too little for a strict setting", "apple rice wine beer", &scripted{pieces: []string{"x"}}, &half, "the least is 0.50 (ask.min_confidence)"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			w := m.worker()
			w.Generator, w.Answers.MinConfidence = tt.generator, tt.least
			text, got := ask(t, w, tributary.AskRequest{Question: tt.question})
			if !got.NoAnswer || got.Answer != NoAnswer || !strings.Contains(got.Reason, tt.reason) || len(got.Citations)+len(got.Sentences) > 0 {
				t.Errorf("got %+v", got)
			}
			if !strings.HasPrefix(text, NoAnswer) {
				t.Errorf("streamed %q", text)
			}
		})
	}
}
