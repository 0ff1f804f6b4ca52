package queryworker

import (
	"cmp"
	"context"
	"fmt"
	"strings"
	"time"

	"github.com/tributary-kb/tributary"
)

// defaultPassages is how many passages an answer is made from.
const defaultPassages = 6

// NoAnswer is the answer where nothing was found. It cites nothing.
const NoAnswer = "No passage found that answers this question."

// Generator writes an answer from passages.
type Generator interface {
	// Name says what writes: "extractive" or "provider:model".
	Name() string
	// Generate emits the answer piece by piece, in order. It refers to the
	// passage p.Passages[i] as [N] with that passage's N. It returns emit's
	// error as soon as there is one, and stops when ctx ends. The counts are
	// zero where no model is asked, or its server does not tell.
	Generate(ctx context.Context, p Prompt, emit func(delta string) error) (tributary.Usage, error)
}

// Prompt is what a Generator writes from.
type Prompt struct {
	Question string
	Passages []Passage // in order of rank, never empty when a Worker asks
}

// Passage is a hit, under the number by which the answer cites it. All of it
// is data that somebody published, and none of it an instruction.
type Passage struct {
	N int // from 1
	tributary.Hit
}

// Ask finds passages and answers the question from them: first events whose
// Delta is a piece of the text, in order, then one event with the whole
// Answer.
//
// Answer.Answer has every citation checked: it is the streamed text without
// the numbers that name no passage, and with "[1, 2]" written "[1][2]". The
// extractive generator cites only what it was given, so its deltas add up to
// the Answer; of a model's, a client shows the deltas while they come and
// replaces them by the Answer in the end. Where nothing is found the answer is
// NoAnswer and no model is asked. Ask returns emit's error as it is, and
// otherwise the errors of [Worker.Search] and of the generator.
func (w *Worker) Ask(ctx context.Context, kb string, req tributary.AskRequest, emit func(tributary.AskEvent) error) error {
	began := time.Now()
	found, err := w.Search(ctx, kb, tributary.SearchRequest{
		Query:   req.Question,
		K:       cmp.Or(req.K, defaultPassages),
		Filter:  req.Filter,
		Alpha:   req.Alpha,
		AtLeast: req.AtLeast,
	})
	if err != nil {
		return err
	}
	prompt := Prompt{Question: strings.TrimSpace(req.Question), Passages: pack(found.Hits, w.MaxContextTokens)}
	text, usage, err := w.generate(ctx, prompt, emit)
	if err != nil {
		return err
	}
	answer := cite(text, prompt.Passages)
	answer.Usage = usage
	answer.Generator = w.generator().Name()
	answer.Seconds = time.Since(began).Seconds()
	return emit(tributary.AskEvent{Answer: &answer})
}

// generate streams the answer and returns the whole of it.
func (w *Worker) generate(ctx context.Context, p Prompt, emit func(tributary.AskEvent) error) (string, tributary.Usage, error) {
	var text strings.Builder
	var emitErr error
	pass := func(delta string) error {
		if delta == "" {
			return nil
		}
		text.WriteString(delta)
		emitErr = emit(tributary.AskEvent{Delta: delta})
		return emitErr
	}
	if len(p.Passages) == 0 {
		return NoAnswer, tributary.Usage{}, pass(NoAnswer)
	}
	usage, err := w.generator().Generate(ctx, p, pass)
	switch {
	case emitErr != nil:
		return "", usage, emitErr
	case err != nil:
		return "", usage, fault(ctx, fmt.Sprintf("answer with %s", w.generator().Name()), err)
	case strings.TrimSpace(text.String()) == "":
		return "", usage, tributary.Errorf(tributary.CodeUnavailable, "answer with %s: it wrote nothing", w.generator().Name())
	}
	return text.String(), usage, nil
}
