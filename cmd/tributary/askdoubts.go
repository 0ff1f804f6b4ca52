package main

import (
	"fmt"
	"strings"

	"github.com/tributary-kb/tributary"
)

// printDoubts lists what of an answer its citations do not carry, and what was
// taken out of it.
func (a *app) printDoubts(answer tributary.Answer) {
	if answer.Unsupported > 0 {
		a.printf("\n%s\n", a.out.paint(yellow, "Not supported by what it cites:"))
	}
	for _, s := range answer.Sentences {
		if !s.Supported {
			a.printIndented("? ", sentenceOf(answer, s))
		}
	}
	if len(answer.RemovedLinks) > 0 {
		a.printf("\n%s\n", a.out.paint(yellow, "Links to other than cited documents, taken out:"))
	}
	for _, link := range answer.RemovedLinks {
		a.printf("  %s\n", cleanLine(link))
	}
}

// printExplanation tells what was done for an answer.
func (a *app) printExplanation(answer tributary.Answer) {
	if len(answer.Steps) > 0 {
		a.printf("\n%s\n", a.out.paint(bold, "Before the search"))
	}
	for _, s := range answer.Steps {
		what := strings.Join(s.Output, " | ")
		if s.Skipped != "" {
			what = "skipped: " + s.Skipped
		}
		a.printf("  %s, %.0f ms%s: %s\n", s.Name, s.Milliseconds, tokensOf(s.Usage), cleanLine(what))
	}
	if answer.Explain != nil {
		a.printSearches(*answer.Explain)
	}
	if len(answer.Sentences) > 0 {
		a.printf("\n%s\n", a.out.paint(bold, "Support"))
	}
	for _, s := range answer.Sentences {
		a.printIndented(fmt.Sprintf("%.2f ", s.Support), sentenceOf(answer, s))
	}
	a.printf("\n%.2f s%s\n", answer.Seconds, tokensOf(answer.Usage))
}

// printSearches tells what was searched for an answer, and what it was
// written from.
func (a *app) printSearches(e tributary.AskExplain) {
	for _, s := range e.Searches {
		a.printf("\n%s %s\n", a.out.paint(bold, "Searched for"), cleanLine(s.Query))
		if s.Step != "" {
			a.printf("  made by %s\n", cleanLine(s.Step))
		}
		a.printf("  %d hits, confidence %.2f\n", s.Hits, s.Confidence)
		if s.Explain != nil {
			a.printExplain(s.Explain)
		}
	}
	if len(e.Passages) > 0 {
		a.printf("\n%s\n", a.out.paint(bold, "Passages"))
	}
	for _, h := range e.Passages {
		a.printf("  [%d] %s  %.3f\n", h.Rank, cleanLine(h.URI), h.Score)
		if h.Explain != nil {
			a.printf("      %s\n", a.out.paint(dim, reasons(h.Explain)))
		}
	}
}

// printIndented prints text after a mark, its further lines below its first.
func (a *app) printIndented(mark, text string) {
	for i, line := range wrap(cleanLine(text), a.out.width-2-len(mark)) {
		if i > 0 {
			mark = strings.Repeat(" ", len(mark))
		}
		a.printf("  %s%s\n", mark, line)
	}
}

// sentenceOf is the text of a sentence, "" where its place is not in the answer.
func sentenceOf(answer tributary.Answer, s tributary.Sentence) string {
	if s.Start < 0 || s.End > len(answer.Answer) || s.Start > s.End {
		return ""
	}
	return answer.Answer[s.Start:s.End]
}

func tokensOf(u tributary.Usage) string {
	if u == (tributary.Usage{}) {
		return ""
	}
	return fmt.Sprintf(", %d tokens read, %d written", u.TokensIn, u.TokensOut)
}
