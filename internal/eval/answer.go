package eval

import (
	"slices"
	"strings"
	"unicode"
)

// An AnswerResult is how an answer compares with its references.
type AnswerResult struct {
	Abstained bool `json:"abstained"` // the system said that it has no answer
	Reference bool `json:"reference"` // there is one to compare with
	// The best over the references, 0 to 1; 0 where there is none.
	Exact  float64 `json:"exact"`
	F1     float64 `json:"f1"`
	RougeL float64 `json:"rouge_l"`
	// CitationPrecision is the share of the cited documents that are relevant,
	// CitationRecall that of the relevant documents that are cited.
	CitationPrecision float64 `json:"citation_precision"`
	CitationRecall    float64 `json:"citation_recall"`
	// Opinion is a judge's, nil without one. No metric counts it.
	Opinion *Opinion `json:"judge,omitempty"`
}

// JudgeAnswer compares an answer with references, and the documents that it
// cites with the relevant ones.
func JudgeAnswer(answer string, references, cited []string, relevant Judgements) AnswerResult {
	r := AnswerResult{Reference: len(references) > 0}
	for _, ref := range references {
		r.Exact = max(r.Exact, ExactMatch(answer, ref))
		r.F1 = max(r.F1, TokenF1(answer, ref))
		r.RougeL = max(r.RougeL, RougeL(answer, ref))
	}
	hits := 0
	cited = distinct(cited)
	for _, document := range cited {
		if relevant[document] > 0 {
			hits++
		}
	}
	if len(cited) > 0 {
		r.CitationPrecision = float64(hits) / float64(len(cited))
	}
	if n := relevant.Relevant(); n > 0 {
		r.CitationRecall = float64(hits) / float64(n)
	}
	return r
}

// ExactMatch is 1 if both texts have the same words, as SQuAD's evaluation
// normalises them: lower case, without punctuation and articles (Rajpurkar et
// al. 2016).
func ExactMatch(answer, reference string) float64 {
	return share(slices.Equal(answerWords(answer), answerWords(reference)))
}

// TokenF1 is the harmonic mean of precision and recall of the words, with
// repetition, as SQuAD's evaluation has it.
func TokenF1(answer, reference string) float64 {
	a, b := answerWords(answer), answerWords(reference)
	counts := map[string]int{}
	for _, w := range b {
		counts[w]++
	}
	common := 0
	for _, w := range a {
		if counts[w] > 0 {
			counts[w]--
			common++
		}
	}
	return harmonic(common, len(a), len(b))
}

// RougeL is the F-measure, with beta 1, of the longest common subsequence of
// words (Lin 2004).
func RougeL(answer, reference string) float64 {
	a, b := answerWords(answer), answerWords(reference)
	row := make([]int, len(b)+1)
	for _, w := range a {
		diagonal := 0
		for j, v := range b {
			above := row[j+1]
			if w == v {
				row[j+1] = diagonal + 1
			} else {
				row[j+1] = max(above, row[j])
			}
			diagonal = above
		}
	}
	return harmonic(row[len(b)], len(a), len(b))
}

func harmonic(common, a, b int) float64 {
	if a == 0 && b == 0 {
		return 1
	}
	return 2 * float64(common) / float64(a+b)
}

// answerWords are the words of a text without articles, punctuation and marks
// of citation such as [1].
func answerWords(text string) []string {
	words := strings.FieldsFunc(strings.ToLower(withoutMarks(text)), func(r rune) bool {
		return !unicode.IsLetter(r) && !unicode.IsDigit(r)
	})
	return slices.DeleteFunc(words, func(w string) bool { return w == "a" || w == "an" || w == "the" })
}

// withoutMarks takes out "[" digits "]".
func withoutMarks(text string) string {
	var b strings.Builder
	for {
		before, rest, found := strings.Cut(text, "[")
		b.WriteString(before)
		if !found {
			return b.String()
		}
		inside, after, closed := strings.Cut(rest, "]")
		if closed && inside != "" && strings.Trim(inside, "0123456789") == "" {
			text = after
			continue
		}
		b.WriteString("[")
		text = rest
	}
}
