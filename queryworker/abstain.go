package queryworker

import (
	"fmt"
	"strings"
)

// unanswerable says why what was found cannot answer the question, "" if it
// may.
func (a *asking) unanswerable() string {
	if len(a.passages) == 0 {
		return "nothing was found"
	}
	if least := a.minConfidence(); a.confidence < least {
		return fmt.Sprintf("what was found has too little of what the question asks about: confidence %.2f, the least is %.2f (%s)",
			a.confidence, least, a.confidenceSetting())
	}
	return ""
}

// minConfidence is 0 for a model where ask.min_confidence is not set: it reads
// what was found and says itself when that does not answer, in other words or
// in another language than the question's too, where counting words would
// refuse.
func (w *Worker) minConfidence() float64 {
	switch _, extractive := w.generator().(*Extractive); {
	case w.Answers.MinConfidence != nil:
		return *w.Answers.MinConfidence
	case extractive:
		return w.limits().minConfidence()
	}
	return 0
}

// confidenceSetting names the setting that minConfidence comes from.
func (w *Worker) confidenceSetting() string {
	if w.Answers.MinConfidence != nil {
		return "ask.min_confidence"
	}
	return "search.min_confidence"
}

// declined reports whether all that a generator says is that there is no
// answer.
func declined(text string) bool {
	text = strings.TrimSpace(mark.ReplaceAllString(text, ""))
	return strings.TrimRight(text, ".! ") == strings.TrimRight(NoAnswer, ".")
}
