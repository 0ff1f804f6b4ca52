package queryworker

import (
	"context"
	"fmt"
	"strings"
	"time"

	"github.com/tributary-kb/tributary"
)

// defaultPassages is how many passages an answer is made from.
const defaultPassages = 6

// NoAnswer is the answer where the documents do not answer. It cites nothing.
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
	History  []tributary.Turn // what was said before, oldest first
	Passages []Passage        // in order of rank, never empty when a Worker asks
	// Instructions are wishes of who asks for the form of the answer.
	Instructions string
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
// Answer.Answer is checked: it is what was written without the numbers that
// name no passage, with "[1, 2]" written "[1][2]" and "【1】" written "[1]", and
// without links that lead to no cited document. So are the deltas, apart from
// links to passages that the answer does not cite in the end, and from what
// only the whole text shows. Each of its sentences is
// scored against what it cites. A client shows the deltas while they come and
// replaces them by the Answer in the end. Where nothing fits the answer is
// NoAnswer and no model is asked. Ask returns emit's error as it is, and
// otherwise the errors of [Worker.Search] and of the generator.
func (w *Worker) Ask(ctx context.Context, kb string, req tributary.AskRequest, emit func(tributary.AskEvent) error) error {
	a := &asking{
		Worker: w, kb: kb, req: req, emit: emit, began: time.Now(), question: strings.TrimSpace(req.Question),
		demand: newDemand(req.MaxAgeS),
	}
	for _, before := range []func(context.Context) error{a.recall, a.bound, a.prepare, a.find} {
		if err := before(ctx); err != nil {
			return err
		}
	}
	if len(a.passages) == 0 {
		if err := a.demand.unmet(); err != nil {
			return err
		}
	}
	if a.reason = a.unanswerable(); a.reason != "" {
		a.text = NoAnswer
		if err := emit(tributary.AskEvent{Delta: NoAnswer}); err != nil {
			return err
		}
	} else if err := a.write(ctx); err != nil {
		return err
	}
	answer := a.answer()
	if err := a.remember(ctx, answer.Answer); err != nil {
		return err
	}
	return emit(tributary.AskEvent{Answer: &answer})
}

// asking is the state of one request.
type asking struct {
	*Worker
	kb       string
	req      tributary.AskRequest
	emit     func(tributary.AskEvent) error
	began    time.Time
	question string // as it is searched for and answered
	history  []tributary.Turn
	budget   int // what the passages of the prompt may have together, in tokens; 0 means no bound
	done     []tributary.AskStep
	parts    []string // of the question, each searched for
	wordings []string // of the question
	passage  string   // that might answer it
	passages []Passage
	// confidence is the best of the searches; notes and searches are what they
	// said.
	confidence float64
	notes      []string
	demand     *demand
	searches   []tributary.AskSearch
	text       string // as the generator wrote it
	cached     bool
	usage      tributary.Usage
	reason     string // why there is no answer, "" if there is one
}

// write finds the text in the cache, or lets the generator write it.
func (a *asking) write(ctx context.Context) error {
	p := Prompt{Question: a.question, History: a.history, Passages: a.passages, Instructions: strings.TrimSpace(a.req.Instructions)}
	name := a.generator().Name()
	if !a.req.NoCache {
		a.text = a.Cache.get(a.kb, name, p)
	}
	if a.cached = a.text != ""; a.cached {
		g := guard{passages: a.passages}
		if err := a.emit(tributary.AskEvent{Delta: g.checked(a.text)}); err != nil {
			return err
		}
	} else {
		if err := a.generate(ctx, p); err != nil {
			return err
		}
		a.Cache.put(a.kb, name, p, a.text)
	}
	if declined(a.text) {
		a.reason = "the passages found do not answer the question, says " + name
	}
	return nil
}

// generate lets the generator write, and passes its words on.
func (a *asking) generate(ctx context.Context, p Prompt) error {
	generator := a.generator()
	var text strings.Builder
	var emitErr error
	_, sentences := generator.(*Extractive) // it writes whole ones
	g := guard{passages: a.passages, whole: sentences, emit: func(delta string) error {
		emitErr = a.emit(tributary.AskEvent{Delta: delta})
		return emitErr
	}}
	usage, err := generator.Generate(ctx, p, func(delta string) error {
		text.WriteString(delta)
		return g.write(delta)
	})
	a.text, a.usage = text.String(), a.usage.Add(usage)
	if err == nil && emitErr == nil && strings.TrimSpace(a.text) == "" {
		return tributary.Errorf(tributary.CodeUnavailable, "answer with %s: it wrote nothing", generator.Name())
	}
	if err == nil && emitErr == nil {
		err = g.flush()
	}
	if emitErr != nil {
		return emitErr
	}
	if err != nil {
		return fault(ctx, fmt.Sprintf("answer with %s", generator.Name()), err)
	}
	return nil
}

// answer checks what was written.
func (a *asking) answer() tributary.Answer {
	answer := tributary.Answer{Answer: NoAnswer, Citations: []tributary.Citation{}, NoAnswer: true, Reason: a.reason}
	if a.reason == "" {
		answer = check(a.text, a.passages)
		a.judge(&answer)
	}
	answer.Steps, answer.Cached, answer.Usage = a.done, a.cached, a.usage
	answer.Confidence, answer.Notes, answer.Explain = a.confidence, append(a.notes, a.demand.notes()...), a.explain()
	answer.TooOld, answer.StaleSources = len(a.demand.tooOld), a.demand.stale
	answer.Generator = a.generator().Name()
	answer.Seconds = time.Since(a.began).Seconds()
	return answer
}

// explain tells how the answer came about, nil if nobody asked.
func (a *asking) explain() *tributary.AskExplain {
	if !a.req.Explain {
		return nil
	}
	e := &tributary.AskExplain{Searches: a.searches, Passages: []tributary.Hit{}}
	for _, p := range a.passages {
		p.Rank = p.N
		e.Passages = append(e.Passages, p.Hit)
	}
	return e
}

// judge scores the sentences of an answer.
func (a *asking) judge(answer *tributary.Answer) {
	answer.Sentences = (&support{terms: a.Terms}).score(answer.Answer, a.passages)
	for _, s := range answer.Sentences {
		if !s.Supported {
			answer.Unsupported++
		}
	}
}
