package tokenizer

import (
	"cmp"
	"encoding/json"
	"fmt"
	"math"
	"slices"
	"sort"
	"unicode/utf8"
)

// unknownPenalty is how much less an unknown character scores than the
// rarest token.
const unknownPenalty = 10

// unigram cuts a word into the tokens whose scores, which are logarithms of
// probabilities, have the highest sum.
type unigram struct {
	tokens       []scored // in the order of their texts
	unknownID    int32
	unknownScore float64
	bytes        []int32 // the token of each byte, nil if they have none
	ids          int
}

type scored struct {
	text  string
	score float64
	id    int32
}

// UnmarshalJSON reads ["text", score].
func (s *scored) UnmarshalJSON(b []byte) error {
	return json.Unmarshal(b, &[2]any{&s.text, &s.score})
}

func newUnigram(raw json.RawMessage) (model, error) {
	var c struct {
		Unknown      *int32   `json:"unk_id"`
		Vocab        []scored `json:"vocab"`
		ByteFallback bool     `json:"byte_fallback"`
	}
	if _, err := decode("model", raw, &c); err != nil {
		return nil, err
	}
	if c.Unknown == nil || *c.Unknown < 0 || int(*c.Unknown) >= len(c.Vocab) {
		return nil, fmt.Errorf("model Unigram: unk_id is not one of the %d tokens", len(c.Vocab))
	}
	u := &unigram{tokens: c.Vocab, unknownID: *c.Unknown, unknownScore: math.Inf(1), ids: len(c.Vocab)}
	for i := range u.tokens {
		u.tokens[i].id = int32(i)
		u.unknownScore = min(u.unknownScore, u.tokens[i].score)
	}
	u.unknownScore -= unknownPenalty
	slices.SortFunc(u.tokens, func(a, b scored) int { return cmp.Compare(a.text, b.text) })
	if c.ByteFallback {
		u.bytes = byteTokens(u.find)
	}
	return u, nil
}

// find returns the token with this text.
func (u *unigram) find(text string) (id int32, ok bool) {
	at, ok := slices.BinarySearchFunc(u.tokens, text, func(s scored, text string) int { return cmp.Compare(s.text, text) })
	if !ok {
		return 0, false
	}
	return u.tokens[at].id, true
}

func (u *unigram) unknown() int32 { return u.unknownID }
func (u *unigram) size() int      { return u.ids }

// A node is the best way to cut a word up to some byte.
type node struct {
	score float64
	from  int // where the last token begins, -1 if the byte is not reached
	id    int32
}

func (u *unigram) append(ids []int32, word []byte) []int32 {
	nodes := u.nodes(word)
	var back []node // the tokens from the last to the first, with their ends in score
	for end := len(word); end > 0; end = nodes[end].from {
		back = append(back, node{score: float64(end), from: nodes[end].from, id: nodes[end].id})
	}
	unknown := false // was the token before
	for _, n := range slices.Backward(back) {
		switch {
		case n.id != u.unknownID:
			ids = append(ids, n.id)
		case u.bytes != nil:
			for _, b := range word[n.from:int(n.score)] {
				ids = append(ids, u.bytes[b])
			}
		case !unknown: // unknown characters in a row are one token
			ids = append(ids, n.id)
		}
		unknown = n.id == u.unknownID
	}
	return ids
}

// nodes finds the best way to each byte at which a character ends, forward as
// Viterbi did.
func (u *unigram) nodes(word []byte) []node {
	nodes := make([]node, len(word)+1)
	for i := range nodes {
		nodes[i].from = -1
	}
	for at := 0; at < len(word); {
		_, width := utf8.DecodeRune(word[at:])
		single := false
		u.prefixes(word[at:], func(t scored) {
			reach(&nodes[at+len(t.text)], node{nodes[at].score + t.score, at, t.id})
			single = single || len(t.text) == width
		})
		if !single {
			reach(&nodes[at+width], node{nodes[at].score + u.unknownScore, at, u.unknownID})
		}
		at += width
	}
	return nodes
}

func reach(n *node, by node) {
	if n.from < 0 || by.score > n.score {
		*n = by
	}
}

// prefixes calls found for each token that the text begins with, the shortest
// first. It narrows the range of tokens byte by byte.
func (u *unigram) prefixes(text []byte, found func(scored)) {
	tokens := u.tokens
	for i, b := range text {
		low := sort.Search(len(tokens), func(k int) bool { return len(tokens[k].text) > i && tokens[k].text[i] >= b })
		high := low + sort.Search(len(tokens)-low, func(k int) bool { return tokens[low+k].text[i] > b })
		tokens = tokens[low:high]
		if len(tokens) == 0 {
			return
		}
		if len(tokens[0].text) == i+1 {
			found(tokens[0])
		}
	}
}
