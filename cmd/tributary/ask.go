package main

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"

	"github.com/tributary-kb/tributary"
)

// askPassages is how many passages an answer is written from.
const askPassages = 6

func newAsk(a *app) *cobra.Command {
	var f askFlags
	cmd := &cobra.Command{
		Use:     "ask QUESTION",
		GroupID: groupUse,
		Short:   "Answer a question from the documents, with citations",
		Long: `Ask answers a question from the passages that fit it best. Numbers in
brackets refer to the citations below the answer. On a terminal the answer
appears while it is written.

Without a configured model the answer consists of sentences copied from the
passages, and says so. To have a model write it, set generator.provider in the
configuration.

Each sentence is compared with the passages it cites; those that they do not
carry are listed below the answer. Links that lead to no cited document are
taken out.

--conversation keeps question and answer under an id of your choice, so that
the next question may refer to them ("and what about dogs?"). The system
forgets it after a while, or with --forget.

The passages are searched for as ` + "`tributary search`" + ` does, with its flags and its
terms in the question (source:docs, lang:en, ...).

--steps does more with the question before the search, at the price of asking
the model once for each: rewrite, route, decompose, multi_query, hyde.

With --json the answer is one object: answer, citations, generator, sentences,
and what was done.`,
		Example: `  tributary ask "What happens to documents that are refused?"
  tributary ask -k 4 --uri-prefix https://docs.example.com/ "How do I upgrade?"
  tributary ask --conversation trip-4c1f09ae "May I bring my cat?"
  tributary ask --conversation trip-4c1f09ae "and what about dogs?"`,
		Args:              usage(cobra.ArbitraryArgs),
		ValidArgsFunction: noFiles,
		RunE: func(cmd *cobra.Command, args []string) error {
			if f.forget {
				return a.forget(cmd.Context(), args, &f)
			}
			return a.ask(cmd.Context(), strings.Join(args, " "), &f)
		},
	}
	f.add(cmd.Flags())
	return cmd
}

// askFlags are the flags of ask.
type askFlags struct {
	queryFlags
	rankFlags
	conversation    string
	instructions    string
	steps           []string
	noCache, forget bool
}

func (f *askFlags) add(flags *pflag.FlagSet) {
	f.queryFlags.add(flags, askPassages, "`NUMBER` of passages to answer from", 5*time.Minute)
	flags.StringVar(&f.conversation, "conversation", "", "go on with the conversation of this `ID`, or begin it: 8 to 64 letters, digits, '-' and '_'")
	flags.StringVar(&f.instructions, "instructions", "", "tell the model what the answer should be like: `TEXT`")
	flags.StringSliceVar(&f.steps, "steps", nil, "`STEPS` before the search (default: what ask.steps says; \"none\": none)")
	flags.BoolVar(&f.noCache, "no-cache", false, "have the answer written anew")
	flags.BoolVar(&f.forget, "forget", false, "forget the conversation instead of asking")
	f.rankFlags.add(flags, "tell what was searched and found, and how far each sentence is supported")
}

// askOptions are what the flags say beside the search.
func (f *askFlags) askOptions() (tributary.AskOptions, error) {
	o := tributary.AskOptions{Conversation: f.conversation, Instructions: f.instructions, NoCache: f.noCache, Steps: f.steps}
	if len(f.steps) == 1 && f.steps[0] == "none" {
		o.Steps = []string{}
	}
	if f.conversation != "" {
		if err := tributary.CheckConversation(f.conversation); err != nil {
			return o, usagef("--conversation: %v", err)
		}
	}
	return o, nil
}

func (a *app) forget(ctx context.Context, args []string, f *askFlags) error {
	if len(args) > 0 || f.conversation == "" {
		return usagef("--forget takes --conversation and no question")
	}
	if _, err := f.askOptions(); err != nil {
		return err
	}
	return a.session(ctx, f.timeout, func(ctx context.Context, c client) error {
		_, err := c.Forget(ctx, tributary.ForgetRequest{Conversation: f.conversation})
		return err
	})
}

func (a *app) ask(ctx context.Context, question string, f *askFlags) error {
	s, err := f.searchRequest(question)
	if err != nil {
		return err
	}
	options, err := f.askOptions()
	if err != nil {
		return err
	}
	request := tributary.AskRequest{
		Question: s.Query, K: s.K, Filter: s.Filter, Alpha: s.Alpha, AtLeast: s.AtLeast,
		AskOptions: options, SearchOptions: f.rankFlags.options(),
	}
	return a.session(ctx, f.timeout, func(ctx context.Context, c client) error {
		answer, streamed, err := a.askStreaming(ctx, c, request)
		if err != nil {
			return err
		}
		for _, note := range answer.Notes {
			a.warnf("note: %s", cleanLine(note))
		}
		if a.json {
			if answer.Citations == nil {
				answer.Citations = []tributary.Citation{}
			}
			return a.printJSON(answer)
		}
		if !streamed {
			a.printf("%s\n", strings.Join(wrap(clean(answer.Answer), a.out.width), "\n"))
		}
		a.printCitations(answer)
		a.printDoubts(answer)
		if f.explain {
			a.printExplanation(answer)
		}
		a.printf("\n%s\n", a.out.paint(dim, writtenBy(answer)))
		return nil
	})
}

// askStreaming asks, prints the answer while it comes if somebody watches,
// and returns it whole.
func (a *app) askStreaming(ctx context.Context, c client, r tributary.AskRequest) (answer tributary.Answer, streamed bool, err error) {
	watched := a.out.tty && !a.json
	complete := false
	err = c.Ask(ctx, r, func(e tributary.AskEvent) error {
		if watched && e.Delta != "" {
			streamed = true
			a.printf("%s", clean(e.Delta))
		}
		if e.Answer != nil {
			answer, complete = *e.Answer, true
		}
		return nil
	})
	if streamed {
		a.printf("\n")
	}
	if err == nil && !complete {
		err = errors.New("the answer broke off before its end")
	}
	return answer, streamed, err
}

func (a *app) printCitations(answer tributary.Answer) {
	if len(answer.Citations) > 0 {
		a.printf("\n")
	}
	for _, c := range answer.Citations {
		a.printCitation(c)
	}
}

func (a *app) printCitation(c tributary.Citation) {
	line := a.out.paint(cyan, cleanLine(c.URI))
	if title := cleanLine(c.Title); title != "" {
		line = a.out.paint(bold, title) + "  " + line
	}
	if place := location(c.Location); place != "" {
		line += "  " + a.out.paint(yellow, place)
	}
	if !c.Verified.IsZero() {
		line += "  " + a.out.paint(dim, "verified "+when(c.Verified))
	}
	a.printf("[%d] %s\n", c.N, line)
}

func writtenBy(answer tributary.Answer) string {
	switch {
	case answer.NoAnswer && answer.Reason != "":
		return fmt.Sprintf("(no answer: %s)", cleanLine(answer.Reason))
	case answer.Generator == "extractive":
		return "(extractive: sentences copied from the passages, no model was asked)"
	case answer.Cached:
		return fmt.Sprintf("(written by %s, for the same question and passages before)", cleanLine(answer.Generator))
	}
	return fmt.Sprintf("(written by %s)", cleanLine(answer.Generator))
}
