package queryworker

import (
	"unicode/utf8"

	"github.com/tributary-kb/tributary"
)

// passageOverhead is what a passage costs beside its text and title, in tokens.
const passageOverhead = 60

// pack numbers the hits and keeps, best first, those that fit together into
// budget tokens; 0 means all. The best one is shortened if it does not fit by
// itself. Numbers are those of the rank, so a number may be absent.
func pack(hits []tributary.Hit, budget int) []Passage {
	var packed []Passage
	left := budget
	for _, h := range hits {
		cost := passageOverhead + tokens(h.Title) + tokens(h.Text)
		if budget > 0 && cost > left {
			if len(packed) > 0 {
				continue
			}
			h.Text = shorten(h.Text, max(left-(cost-tokens(h.Text)), 1))
			cost = left
		}
		left -= cost
		packed = append(packed, Passage{N: h.Rank, Hit: h})
	}
	return packed
}

// tokens estimates how many tokens a model makes of s: a third of its ASCII
// bytes and every other rune. English prose has fewer, so a packed prompt
// errs on the small side.
func tokens(s string) int {
	ascii, other := 0, 0
	for _, r := range s {
		if r < utf8.RuneSelf {
			ascii++
		} else {
			other++
		}
	}
	return (ascii+2)/3 + other
}

// shorten cuts s, between runes, to at most n tokens.
func shorten(s string, n int) string {
	thirds := 0
	for i, r := range s {
		if r < utf8.RuneSelf {
			thirds++
		} else {
			thirds += 3
		}
		if thirds > 3*n {
			return s[:i]
		}
	}
	return s
}
