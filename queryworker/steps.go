package queryworker

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"slices"
	"strings"
	"time"

	"github.com/tributary-kb/tributary"
)

const (
	// maxStepBytes bounds each text that a step may make.
	maxStepBytes = 2 << 10
	// maxQueries bounds the questions that one step may make.
	maxQueries = 4
)

// A Completer is a Generator that can also be asked for something else than an
// answer: the model behind it does the steps before a search.
type Completer interface {
	// Complete returns what the model makes of data, following instruction.
	// Data is text that others may have written.
	Complete(ctx context.Context, instruction, data string) (string, tributary.Usage, error)
}

// A step makes one thing of a question before the search.
type step struct {
	name string
	// key is the one field of the JSON object that the model is to write.
	key         string
	instruction string
	// ready says why the step cannot be done now, "" if it can.
	ready func(a *asking) string
	// use takes in what the model wrote; it returns an error if that is of no use.
	use func(a *asking, out []string) error
}

// steps are all there are, in the order in which they are done.
var steps = []step{
	{
		tributary.StepRewrite, "question",
		"Rewrite the last question so that it can be understood without the conversation: replace what refers to earlier turns by what it means. Do not answer it. If it stands alone already, repeat it.",
		func(a *asking) string {
			if len(a.history) == 0 {
				return "no earlier turn to draw on"
			}
			return ""
		},
		func(a *asking, out []string) error { a.question = out[0]; return nil },
	},
	{
		tributary.StepRoute, "sources",
		"Choose the sources and knowledge bases that may answer the question, by their descriptions. Name only those of the list, as they stand there.",
		func(a *asking) string {
			if len(a.sources())+len(a.described()) == 0 {
				return "no source that the request may use, and not one of several knowledge bases, has a description (ask.sources, ask.kbs)"
			}
			return ""
		},
		(*asking).route,
	},
	{
		tributary.StepDecompose, "questions",
		"Split the question into at most 4 simpler questions whose answers together answer it. If it is simple already, repeat it alone.",
		nil,
		func(a *asking, out []string) error { a.parts = out; return nil },
	},
	{
		tributary.StepMultiQuery, "questions",
		"Write 3 other wordings of the question, with other words for the same things.",
		nil,
		func(a *asking, out []string) error { a.wordings = out; return nil },
	},
	{
		tributary.StepHyde, "passage",
		"Write a short passage, of at most 100 words, of the kind of document that would answer the question.",
		func(a *asking) string {
			if a.EmbedQuery == nil {
				return "this worker has no embedder"
			}
			return ""
		},
		func(a *asking, out []string) error { a.passage = out[0]; return nil },
	},
}

func stepNames() []string {
	names := make([]string, len(steps))
	for i, s := range steps {
		names[i] = s.name
	}
	return names
}

func checkSteps(names []string) error {
	for _, name := range names {
		if !slices.Contains(stepNames(), name) {
			return fmt.Errorf("%q is no step: want some of %s", name, strings.Join(stepNames(), ", "))
		}
	}
	return nil
}

// prepare does the steps that the request asks for, or else the settings. A
// step that cannot be done or fails is left out, and says so; only a request
// that is over ends here.
func (a *asking) prepare(ctx context.Context) error {
	wanted, asked := a.req.Steps, a.req.Steps != nil
	if err := checkSteps(wanted); err != nil {
		return invalid("steps: %w", err)
	}
	if !asked {
		wanted = a.Answers.steps()
	}
	if a.question == "" || len(a.question) > a.limits().MaxQueryBytes {
		return nil // the search says what is wrong, before a model is asked
	}
	for _, s := range steps {
		if !slices.Contains(wanted, s.name) || !asked && s.name == tributary.StepRewrite && len(a.history) == 0 {
			continue
		}
		began := time.Now()
		done := a.do(ctx, s)
		if ctx.Err() != nil {
			return fault(ctx, "step "+s.name, ctx.Err())
		}
		done.Milliseconds = float64(time.Since(began).Microseconds()) / 1000
		a.usage = a.usage.Add(done.Usage)
		a.done = append(a.done, done)
	}
	return nil
}

// do does one step.
func (a *asking) do(ctx context.Context, s step) tributary.AskStep {
	done := tributary.AskStep{Name: s.name}
	if s.ready != nil {
		if done.Skipped = s.ready(a); done.Skipped != "" {
			return done
		}
	}
	model, ok := a.generator().(Completer)
	if !ok {
		return a.withoutModel(s, done)
	}
	text, usage, err := model.Complete(ctx, s.instruction+fmt.Sprintf("\n\nReply with one JSON object and nothing else: {%q: ...}, a text or a list of texts.", s.key), a.data(s))
	done.Usage = usage
	var out []string
	if err == nil {
		out, err = parseStep(text, s.key)
	}
	if err == nil {
		err = s.use(a, out)
	}
	if err != nil {
		done.Skipped = err.Error()
		return done
	}
	done.Output = out
	return done
}

// withoutModel rewrites by rule; nothing else works without a model.
func (a *asking) withoutModel(s step, done tributary.AskStep) tributary.AskStep {
	if s.name != tributary.StepRewrite {
		done.Skipped = "it needs a model, and answers are " + a.generator().Name() + " (generator.provider)"
		return done
	}
	question := followUp(a.question, a.history, a.Terms)
	if question == "" {
		done.Skipped = "the question does not refer to the one before, as far as a rule can tell without a model"
		return done
	}
	a.question = question
	done.Output = []string{question}
	return done
}

// data is what the step works on.
func (a *asking) data(s step) string {
	var out strings.Builder
	switch s.name {
	case tributary.StepRewrite:
		for _, turn := range a.history {
			fmt.Fprintf(&out, "Question: %s\nAnswer: %s\n\n", turn.Question, turn.Answer)
		}
	case tributary.StepRoute:
		for _, name := range a.sources() {
			fmt.Fprintf(&out, "Source %s: %s\n", name, a.Answers.descriptions()[name])
		}
		for _, kb := range a.described() {
			fmt.Fprintf(&out, "Knowledge base %s%s: %s\n", kbMark, kb, a.Answers.KBs[kb])
		}
		out.WriteString("\n")
	}
	fmt.Fprintf(&out, "Question: %s", a.question)
	return published(out.String())
}

// sources are those with a description that the request may use.
func (a *asking) sources() []string {
	var names []string
	for name := range a.Answers.descriptions() {
		if len(a.req.Filter.Sources) == 0 || slices.Contains(a.req.Filter.Sources, name) {
			names = append(names, name)
		}
	}
	slices.Sort(names)
	return names
}

// kbMark tells a knowledge base from a source of the same name.
const kbMark = "kb:"

// described are the knowledge bases with a description, where the request
// names several.
func (a *asking) described() []string {
	var kbs []string
	for _, kb := range a.req.KBs {
		if len(a.req.KBs) > 1 && a.Answers.KBs[kb] != "" && !slices.Contains(kbs, kb) {
			kbs = append(kbs, kb)
		}
	}
	return kbs
}

// route narrows the search to the sources that were chosen, and to the
// knowledge bases that were chosen or have no description to choose them by.
// Where none of a kind was chosen, that kind stays as it was.
func (a *asking) route(chosen []string) error {
	sources, described := a.sources(), a.described()
	var fromSources, fromKBs []string
	for _, name := range chosen {
		kb, marked := strings.CutPrefix(name, kbMark)
		switch {
		case slices.Contains(sources, name):
			fromSources = append(fromSources, name)
		case marked && slices.Contains(described, kb):
			fromKBs = append(fromKBs, kb)
		default:
			return fmt.Errorf("the model chose %q, which is none of the sources", name)
		}
	}
	if len(fromSources) > 0 {
		a.req.Filter.Sources = fromSources
	}
	if len(fromKBs) > 0 {
		a.req.KBs = slices.DeleteFunc(slices.Clone(a.req.KBs), func(kb string) bool {
			return slices.Contains(described, kb) && !slices.Contains(fromKBs, kb)
		})
	}
	return nil
}

// parseStep reads the one JSON object that a model was told to write, with
// this one field: a text, or a list of texts. A fence around it is no harm.
func parseStep(text, key string) ([]string, error) {
	text = strings.TrimSpace(text)
	if rest, ok := strings.CutPrefix(text, "```"); ok {
		text = strings.TrimSpace(strings.TrimSuffix(strings.TrimPrefix(rest, "json"), "```"))
	}
	decoder := json.NewDecoder(strings.NewReader(text))
	var object map[string]json.RawMessage
	if err := decoder.Decode(&object); err != nil {
		return nil, fmt.Errorf("the model did not write the JSON it was asked for: %w", err)
	}
	if _, err := decoder.Token(); !errors.Is(err, io.EOF) || len(object) != 1 || object[key] == nil {
		return nil, fmt.Errorf("the model did not write one object with the field %q alone", key)
	}
	var list []string
	if raw := object[key]; bytes.HasPrefix(raw, []byte(`"`)) {
		list = []string{""}
		if err := json.Unmarshal(raw, &list[0]); err != nil {
			return nil, fmt.Errorf("field %q: %w", key, err)
		}
	} else if err := json.Unmarshal(raw, &list); err != nil {
		return nil, fmt.Errorf("field %q is neither a text nor a list of texts", key)
	}
	var out []string
	for _, s := range list {
		if s = strings.TrimSpace(head(published(s), maxStepBytes)); s != "" && !slices.Contains(out, s) {
			out = append(out, s)
		}
	}
	if len(out) == 0 {
		return nil, fmt.Errorf("the model left %q empty", key)
	}
	return out[:min(len(out), maxQueries)], nil
}
