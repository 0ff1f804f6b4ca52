package queryworker

import (
	"regexp"
	"slices"
	"strconv"
	"strings"
	"unicode"

	"github.com/tributary-kb/tributary"
)

const (
	// minSupport is the Support from which a sentence counts as supported. On
	// sentences of 385 reference answers about company documents, 94 % reach it
	// against the passages they were written from, 47 % against the two
	// passages of other documents of the same company that resemble them most
	// (TestSupportIsMeasured): it marks what is plainly not there, and proves
	// nothing about what it lets through.
	minSupport = 0.7
	// factWeight is what a number or a name weighs beside another word.
	factWeight = 2
)

// trailing are marks that stand behind the sentence they belong to: "So it is. [1]".
var trailing = regexp.MustCompile(`^(?:[ \t]*\[[0-9]{1,6}\])+`)

// support scores every sentence of a checked answer against the passages that
// it cites:
//
//	sum of the weights of its terms that a cited passage has / sum of all
//
// over different terms, where a number or a name weighs factWeight and any
// other term 1. A term stands in a passage if it is in its text, title or
// headings. A number that is in none of them leaves the sentence unsupported,
// whatever its score.
//
// It compares words, not meaning: a negation, two names in each other's place
// or a sum go unnoticed, and a faithful paraphrase in other words is marked.
func (e *support) score(answer string, passages []Passage) []tributary.Sentence {
	found := answerSentences(answer)
	scored := make([]tributary.Sentence, 0, len(found))
	for i, s := range found {
		cited := s.Citations
		for j := i + 1; len(cited) == 0 && j < len(found); j++ {
			if strings.Contains(answer[found[j-1].End:found[j].Start], "\n") {
				break
			}
			cited = found[j].Citations
		}
		s.Citations = cited
		s.Support, s.Supported = e.of(mark.ReplaceAllString(answer[s.Start:s.End], " "), named(passages, cited))
		scored = append(scored, s)
	}
	return scored
}

// support splits text into terms, as [Extractive.Terms] does.
type support struct {
	terms func(text, lang string) []string
}

// answerSentences returns the sentences of an answer with what each of them
// cites itself.
func answerSentences(answer string) []tributary.Sentence {
	var found []tributary.Sentence
	for _, s := range sentences(answer) {
		if s.kind == title || s.kind == code {
			continue
		}
		start := s.start
		if at := trailing.FindString(answer[start:s.end]); at != "" && len(found) > 0 {
			last := &found[len(found)-1]
			if !strings.Contains(answer[last.End:start], "\n") {
				start += len(at)
				last.End = start
				last.Citations = marks(answer[last.Start:last.End])
			}
		}
		start += len(answer[start:s.end]) - len(strings.TrimLeft(answer[start:s.end], " \t\r\n"))
		end := start + len(strings.TrimRight(answer[start:s.end], " \t\r\n"))
		if readable(mark.ReplaceAllString(answer[start:end], "")) {
			found = append(found, tributary.Sentence{Start: start, End: end, Citations: marks(answer[start:end])})
		}
	}
	return found
}

// marks returns the numbers that text cites, in order, each once.
func marks(text string) []int {
	var cited []int
	for _, m := range mark.FindAllString(text, -1) {
		if n, err := strconv.Atoi(strings.Trim(m, "[]")); err == nil {
			cited = append(cited, n)
		}
	}
	slices.Sort(cited)
	return slices.Compact(cited)
}

func named(passages []Passage, numbers []int) []Passage {
	var some []Passage
	for _, p := range passages {
		if slices.Contains(numbers, p.N) {
			some = append(some, p)
		}
	}
	return some
}

// of scores one sentence against the passages that it cites.
func (e *support) of(sentence string, cited []Passage) (float64, bool) {
	if len(cited) == 0 {
		return 0, false
	}
	lang := cited[0].Language
	there := map[string]bool{}
	for _, p := range cited {
		for _, term := range e.split(p.Title+"\n"+strings.Join(p.Location.Heading, "\n")+"\n"+p.Text, p.Language) {
			there[term] = true
		}
	}
	facts := e.facts(sentence, lang)
	sum, all, numbersThere := 0.0, 0.0, true
	for term := range e.set(sentence, lang) {
		weight := 1.0
		if facts[term] {
			weight = factWeight
		}
		all += weight
		switch {
		case there[term]:
			sum += weight
		case isNumber(term):
			numbersThere = false
		}
	}
	if all == 0 {
		return 1, true // it says nothing
	}
	return sum / all, sum/all >= minSupport && numbersThere
}

// facts are the terms of a sentence that are numbers or names: words with a
// capital that do not begin it.
func (e *support) facts(sentence, lang string) map[string]bool {
	facts := map[string]bool{}
	for i, word := range strings.Fields(sentence) {
		capital := strings.ContainsFunc(word, unicode.IsUpper)
		if strings.ContainsFunc(word, unicode.IsDigit) || capital && i > 0 {
			for term := range e.set(word, lang) {
				facts[term] = true
			}
		}
	}
	return facts
}

func isNumber(term string) bool { return strings.ContainsFunc(term, unicode.IsDigit) }

func (e *support) split(text, lang string) []string {
	if e.terms == nil {
		return lowerWords(text, lang)
	}
	return e.terms(text, lang)
}

func (e *support) set(text, lang string) map[string]bool {
	set := map[string]bool{}
	for _, term := range e.split(text, lang) {
		set[term] = true
	}
	return set
}
