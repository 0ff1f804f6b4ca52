package queryworker

import (
	"slices"
	"unicode/utf8"

	"github.com/tributary-kb/tributary"
)

// passageOverhead is what a passage costs beside its text and title, in tokens.
const passageOverhead = 60

// pack numbers the hits and keeps, best first, those that fit together into
// budget tokens; 0 means all. A hit that is wider than its passages and does
// not fit is replaced by those that do; one whose text another has already is
// left out. The best one is shortened if it does not fit by itself. Numbers are
// those of the rank, so a number may be absent; the further passages of a
// replaced hit have numbers above them all.
func pack(hits []wideHit, budget int) []Passage {
	p := packer{budget: budget, left: budget}
	further := len(hits)
	for _, h := range hits {
		if p.has(h.Hit) || p.add(h.Rank, h.Hit, len(h.passages) == 0) {
			continue
		}
		for i, passage := range h.passages {
			n := h.Rank
			if i > 0 {
				further++
				n = further
			}
			p.add(n, passage, true)
		}
	}
	return p.packed
}

type packer struct {
	packed       []Passage
	budget, left int
}

// add packs h if it fits, or if it is the first and may be cut.
func (p *packer) add(n int, h tributary.Hit, cut bool) bool {
	cost := passageOverhead + tokens(h.Title) + tokens(h.Text)
	if p.budget > 0 && cost > p.left {
		if !cut || len(p.packed) > 0 {
			return false
		}
		h.Text = shorten(h.Text, max(p.left-(cost-tokens(h.Text)), 1))
		cost = p.left
	}
	p.left -= cost
	p.packed = append(p.packed, Passage{N: n, Hit: h})
	return true
}

// has says whether the text of h is part of what is packed.
func (p *packer) has(h tributary.Hit) bool {
	return slices.ContainsFunc(p.packed, func(o Passage) bool {
		return o.Document == h.Document && o.Location.Start <= h.Location.Start && h.Location.End <= o.Location.End
	})
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
