package queryworker

import (
	"fmt"
	"strings"
)

// defaultMinConfidence is the confidence below which the extractive generator
// is not asked. Of 385 questions about company documents 0.5 % fall below it;
// asked of another company's documents, 89 % do (TestAbstentionIsMeasured).
const defaultMinConfidence = 0.4

// unanswerable says why what was found cannot answer the question, "" if it
// may.
func (a *asking) unanswerable() string {
	if len(a.passages) == 0 {
		return "nothing was found"
	}
	if c, least := confidence(a.question, a.passages, a.Terms), a.minConfidence(); c < least {
		return fmt.Sprintf("the best passage has %.2f of what the question asks about, the least is %.2f (ask.min_confidence)", c, least)
	}
	return ""
}

// minConfidence is 0 for a model where nothing is set: it reads what was found
// and says itself when that does not answer, in other words or in another
// language than the question's too, where counting words would refuse.
func (w *Worker) minConfidence() float64 {
	switch _, extractive := w.generator().(*Extractive); {
	case w.Answers.MinConfidence != nil:
		return *w.Answers.MinConfidence
	case extractive:
		return defaultMinConfidence
	}
	return 0
}

// confidence is the share, 0 to 1, of what a question asks about that stands
// in the one passage that has most of it: of its different terms, numbers and
// names counted twice, as [support] counts them.
func confidence(question string, passages []Passage, terms func(text, lang string) []string) float64 {
	e, most := &support{terms: terms}, 0.0
	for i := range passages {
		share, _ := e.of(question, passages[i:i+1])
		most = max(most, share)
	}
	return most
}

// declined reports whether all that a generator says is that there is no
// answer.
func declined(text string) bool {
	text = strings.TrimSpace(mark.ReplaceAllString(text, ""))
	return strings.TrimRight(text, ".! ") == strings.TrimRight(NoAnswer, ".")
}
