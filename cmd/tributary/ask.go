package main

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/tributary-kb/tributary"
)

// askPassages is how many passages an answer is written from.
const askPassages = 6

func newAsk(a *app) *cobra.Command {
	var q queryFlags
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

With --json the answer is one object: answer, citations, generator.`,
		Example: `  tributary ask "What happens to documents that are refused?"
  tributary ask -k 4 --uri-prefix https://docs.example.com/ "How do I upgrade?"`,
		Args:              usage(cobra.MinimumNArgs(1)),
		ValidArgsFunction: noFiles,
		RunE: func(cmd *cobra.Command, args []string) error {
			return a.ask(cmd.Context(), strings.Join(args, " "), &q)
		},
	}
	q.add(cmd.Flags(), askPassages, "`NUMBER` of passages to answer from", 5*time.Minute)
	return cmd
}

func (a *app) ask(ctx context.Context, question string, q *queryFlags) error {
	s, err := q.searchRequest(question)
	if err != nil {
		return err
	}
	request := tributary.AskRequest{Question: s.Query, K: s.K, Filter: s.Filter, Alpha: s.Alpha, AtLeast: s.AtLeast}
	return a.session(ctx, q.timeout, func(ctx context.Context, c client) error {
		answer, streamed, err := a.askStreaming(ctx, c, request)
		if err != nil {
			return err
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
	a.printf("\n%s\n", a.out.paint(dim, writtenBy(answer.Generator)))
}

func (a *app) printCitation(c tributary.Citation) {
	line := a.out.paint(cyan, cleanLine(c.URI))
	if title := cleanLine(c.Title); title != "" {
		line = a.out.paint(bold, title) + "  " + line
	}
	if place := location(c.Location); place != "" {
		line += "  " + a.out.paint(yellow, place)
	}
	a.printf("[%d] %s\n", c.N, line)
}

func writtenBy(generator string) string {
	if generator == "extractive" {
		return "(extractive: sentences copied from the passages, no model was asked)"
	}
	return fmt.Sprintf("(written by %s)", cleanLine(generator))
}
