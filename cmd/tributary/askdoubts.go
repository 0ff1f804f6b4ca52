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
	if len(answer.Sentences) > 0 {
		a.printf("\n%s\n", a.out.paint(bold, "Support"))
	}
	for _, s := range answer.Sentences {
		a.printIndented(fmt.Sprintf("%.2f ", s.Support), sentenceOf(answer, s))
	}
	a.printf("\n%.2f s%s\n", answer.Seconds, tokensOf(answer.Usage))
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
