package queryworker

import (
	"context"
	"fmt"
	"math"
	"slices"
	"strings"
	"unicode"

	"github.com/tributary-kb/tributary"
)

// How an extractive answer is chosen. The figures are shares of the weight of
// the question's terms; a term weighs more the fewer passages have it, and
// most where none does. They were set on 385 questions about the documents of
// two companies (1 goes without an answer, token F1 .43 against .41 where all
// terms weigh the same) beside 100 about other matters, which all go without;
// TestConfidenceTellsForeignQuestions holds what came of it.
const (
	defaultSentences = 5
	// minShare is what the best sentence must reach to be an answer at all.
	minShare = 0.2
	// minOfBest is what another sentence must add, as a share of the best one.
	minOfBest = 0.4
	// baseWeight is what a term weighs that every passage has.
	baseWeight = 0.5
	// aboveShare weighs terms that stand in the title, in a heading above, or
	// in a question before the sentence.
	aboveShare = 0.5
	// repeatShare weighs terms that a chosen sentence has already.
	repeatShare = 0.5
	// rankShare lowers a passage's sentences with each rank.
	rankShare = 0.1
	// longSentence is the number of bytes from which length counts against a
	// sentence.
	longSentence = 240
	// maxFollowing bounds the list items quoted after "the following:".
	maxFollowing = 6
)

// Extractive answers with sentences copied from the passages, each followed by
// its citation. It adds no word of its own: where no sentence fits it says
// [NoAnswer].
type Extractive struct {
	// Terms returns the words of text that count, reduced so that forms of one
	// word are equal; lang is an ISO 639-1 code or "". Nil means lower-case
	// words of letters and digits.
	Terms func(text, lang string) []string
	// Weight is the weight of a term, larger for rare ones: in six passages
	// "many" may be as rare as "bag". Nil gives all the same.
	Weight func(term string) float64
	// MaxSentences bounds the answer; 0 means 5. Items of a list that a chosen
	// sentence introduces come on top, at most 6.
	MaxSentences int
}

// Name returns "extractive".
func (e *Extractive) Name() string { return ProviderExtractive }

// Generate emits one sentence at a time, with its citation. It does not wait
// for anything, and looks at ctx between sentences.
func (e *Extractive) Generate(ctx context.Context, p Prompt, emit func(delta string) error) (tributary.Usage, error) {
	chosen := e.choose(p)
	if len(chosen) == 0 {
		return tributary.Usage{}, emit(NoAnswer)
	}
	for i, q := range chosen {
		if err := ctx.Err(); err != nil {
			return tributary.Usage{}, err
		}
		delta := fmt.Sprintf("%s [%d]", q.text, q.passage.N)
		if i > 0 {
			delta = q.separator(chosen[i-1]) + delta
		}
		if err := emit(delta); err != nil {
			return tributary.Usage{}, err
		}
	}
	return tributary.Usage{}, nil
}

// quote is a sentence of a passage, as a candidate for the answer.
type quote struct {
	sentence
	passage *Passage
	index   int // of the sentence in its passage
	rank    int // of the passage, from 0
	own     map[string]bool
	above   map[string]bool // terms of the title, headings and a question before it
	asked   *asked
	score   float64
}

// separator is what stands between q and the quote before it.
func (q *quote) separator(before *quote) string {
	switch {
	case q.kind != prose || before.kind != prose:
		return "\n"
	case q.passage.Document != before.passage.Document:
		return "\n\n"
	}
	return " "
}

// choose returns the quotes of the answer: documents in the order of their
// best sentence, and within a document as it reads. Empty means no answer.
func (e *Extractive) choose(p Prompt) []*quote {
	quotes := e.weigh(p)
	limit := e.MaxSentences
	if limit <= 0 {
		limit = defaultSentences
	}
	var chosen []*quote
	for len(chosen) < limit {
		q := best(quotes, chosen)
		if q == nil || len(chosen) == 0 && q.score < minShare || len(chosen) > 0 && q.score < minOfBest*chosen[0].score {
			break
		}
		chosen = append(chosen, q)
	}
	return inReadingOrder(withLists(chosen, quotes))
}

// asked are the terms of a question as they are in one language.
type asked struct {
	weights map[string]float64 // whose sum is 1
	terms   []string           // in order: a sum of floats depends on it
}

// weigh returns the sentences of all passages, each with the question in the
// language of its passage: the stop words of one language are rare words of
// another.
func (e *Extractive) weigh(p Prompt) []*quote {
	byLanguage := map[string]*asked{}
	frequency := map[string]int{}
	var quotes []*quote
	for rank := range p.Passages {
		passage := &p.Passages[rank]
		if byLanguage[passage.Language] == nil {
			byLanguage[passage.Language] = &asked{}
		}
		head := e.terms(passage.Title+"\n"+strings.Join(passage.Location.Heading, "\n"), passage.Language)
		all := map[string]bool{}
		merge(all, head)
		above := head
		for i, s := range sentences(passage.Text) {
			own := e.terms(s.text, passage.Language)
			merge(all, own)
			// A question is no answer, and places what follows as a heading does.
			if s.kind == title || strings.HasSuffix(s.text, "?") {
				above = union(head, own)
				continue
			}
			quotes = append(quotes, &quote{sentence: s, passage: passage, index: i, rank: rank, own: own, above: above, asked: byLanguage[passage.Language]})
		}
		for term := range all {
			frequency[term]++
		}
	}
	question := withoutAsking(p.Question)
	for lang, a := range byLanguage {
		a.weights = map[string]float64{}
		for term := range e.terms(question, lang) {
			n, df := float64(len(p.Passages)), float64(frequency[term])
			a.weights[term] = (baseWeight + math.Log(1+(n-df+0.5)/(df+0.5))) * weightIn(lang, e.Weight, term)
		}
		a.weights, a.terms = normalised(a.weights), sortedKeys(a.weights)
	}
	return quotes
}

// withoutAsking is a question without the words that make it one, or the
// question as it is where nothing else is in it.
func withoutAsking(question string) string {
	words := slices.DeleteFunc(strings.Fields(question), func(w string) bool {
		return askingWords[strings.ToLower(strings.Trim(w, ".,;:!?"))]
	})
	if len(words) == 0 {
		return question
	}
	return strings.Join(words, " ")
}

// best returns the quote that adds most to those chosen, with its score set;
// nil if none adds anything.
func best(quotes, chosen []*quote) *quote {
	covered, texts := map[string]bool{}, map[string]bool{}
	for _, q := range chosen {
		merge(covered, q.own)
		texts[q.text] = true
	}
	var found *quote
	top := 0.0
	for _, q := range quotes {
		if texts[q.text] {
			continue
		}
		if score := q.adds(covered); score > top {
			found, top = q, score
		}
	}
	if found != nil {
		found.score = top
	}
	return found
}

// adds scores q beside sentences that have the covered terms already.
func (q *quote) adds(covered map[string]bool) float64 {
	score := 0.0
	for _, term := range q.asked.terms {
		weight := q.asked.weights[term]
		if covered[term] {
			weight *= repeatShare
		}
		switch {
		case q.own[term]:
			score += weight
		case q.above[term]:
			score += aboveShare * weight
		}
	}
	score /= 1 + rankShare*float64(q.rank)
	if n := len(q.text); n > longSentence {
		score /= 1 + math.Log(float64(n)/longSentence)
	}
	return score
}

// withLists adds, for each chosen sentence that ends in a colon, the list
// items or lines of code that come right after it.
func withLists(chosen, quotes []*quote) []*quote {
	all := slices.Clone(chosen)
	for _, q := range chosen {
		if !strings.HasSuffix(q.text, ":") {
			continue
		}
		at := slices.Index(quotes, q)
		for n, next := range quotes[at+1:] {
			if n == maxFollowing || next.passage != q.passage || next.index != q.index+n+1 || next.kind != item && next.kind != code {
				break
			}
			if !slices.Contains(all, next) {
				all = append(all, next)
			}
		}
	}
	return all
}

func inReadingOrder(chosen []*quote) []*quote {
	place := map[string]int{} // of a document
	for _, q := range chosen {
		if _, ok := place[q.passage.Document]; !ok {
			place[q.passage.Document] = len(place)
		}
	}
	slices.SortStableFunc(chosen, func(a, b *quote) int {
		for _, d := range []int{
			place[a.passage.Document] - place[b.passage.Document],
			a.passage.Location.Start - b.passage.Location.Start,
			a.rank - b.rank,
		} {
			if d != 0 {
				return d
			}
		}
		return a.index - b.index
	})
	return chosen
}

func (e *Extractive) terms(text, lang string) map[string]bool {
	split := e.Terms
	if split == nil {
		split = lowerWords
	}
	set := map[string]bool{}
	for _, term := range split(text, lang) {
		set[term] = true
	}
	return set
}

func lowerWords(text, _ string) []string {
	return strings.FieldsFunc(strings.ToLower(text), func(r rune) bool {
		return !unicode.IsLetter(r) && !unicode.IsDigit(r)
	})
}

func merge(into, from map[string]bool) {
	for k := range from {
		into[k] = true
	}
}

func union(a, b map[string]bool) map[string]bool {
	all := make(map[string]bool, len(a)+len(b))
	merge(all, a)
	merge(all, b)
	return all
}

func sortedKeys(m map[string]float64) []string {
	keys := make([]string, 0, len(m))
	for k := range m {
		keys = append(keys, k)
	}
	slices.Sort(keys)
	return keys
}
