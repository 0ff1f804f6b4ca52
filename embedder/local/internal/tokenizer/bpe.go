package tokenizer

import (
	"encoding/json"
	"fmt"
	"strings"
	"sync"
	"unicode/utf8"
)

// bpe begins with the characters of a word, and joins again and again the two
// neighbours that were joined earliest in training.
type bpe struct {
	vocab     map[string]int32
	merges    map[[2]int32]merge
	whole     bool // words that are tokens are taken as they are
	unknownID int32
	fuse      bool    // unknown characters in a row are one token
	bytes     []int32 // the token of each byte, nil if they have none
	ids       int
	scratch   sync.Pool // of *joining
}

// A merge is what two tokens become; the lowest rank comes first.
type merge struct{ rank, id int32 }

// A joined pair is "a b" in older files, ["a", "b"] in newer ones.
type joined [2]string

// UnmarshalJSON reads both forms.
func (j *joined) UnmarshalJSON(b []byte) error {
	if b[0] == '[' {
		return json.Unmarshal(b, (*[2]string)(j))
	}
	var s string
	if err := json.Unmarshal(b, &s); err != nil {
		return err
	}
	var ok bool
	if j[0], j[1], ok = strings.Cut(s, " "); !ok {
		return fmt.Errorf("merge %q has no two parts", s)
	}
	return nil
}

func newBPE(raw json.RawMessage) (model, error) {
	var c struct {
		Vocab        map[string]int32 `json:"vocab"`
		Merges       []joined         `json:"merges"`
		Unknown      *string          `json:"unk_token"`
		Fuse         bool             `json:"fuse_unk"`
		ByteFallback bool             `json:"byte_fallback"`
		Whole        bool             `json:"ignore_merges"`
		Dropout      float64          `json:"dropout"`
		Prefix       string           `json:"continuing_subword_prefix"`
		Suffix       string           `json:"end_of_word_suffix"`
	}
	if _, err := decode("model", raw, &c); err != nil {
		return nil, err
	}
	if c.Dropout != 0 || c.Prefix != "" || c.Suffix != "" {
		return nil, fmt.Errorf("model BPE with dropout, continuing_subword_prefix or end_of_word_suffix is not supported")
	}
	b := &bpe{vocab: c.Vocab, whole: c.Whole, fuse: c.Fuse, unknownID: -1}
	b.scratch.New = func() any { return new(joining) }
	for token, id := range c.Vocab {
		if id < 0 {
			return nil, fmt.Errorf("model BPE: token %q has ID %d", token, id)
		}
		b.ids = max(b.ids, int(id)+1)
	}
	if c.Unknown != nil {
		id, ok := c.Vocab[*c.Unknown]
		if !ok {
			return nil, fmt.Errorf("model BPE: the vocabulary of %d tokens lacks unk_token %q", len(c.Vocab), *c.Unknown)
		}
		b.unknownID = id
	}
	if c.ByteFallback {
		b.bytes = byteTokens(func(name string) (int32, bool) { id, ok := c.Vocab[name]; return id, ok })
	}
	return b, b.learn(c.Merges)
}

// byteTokens returns the tokens "<0x00>" to "<0xFF>", nil if one is missing.
func byteTokens(find func(name string) (int32, bool)) []int32 {
	all := make([]int32, 256)
	for i := range all {
		id, ok := find(fmt.Sprintf("<0x%02X>", i))
		if !ok {
			return nil
		}
		all[i] = id
	}
	return all
}

// learn takes the merges in the order of training.
func (b *bpe) learn(merges []joined) error {
	b.merges = make(map[[2]int32]merge, len(merges))
	for rank, m := range merges {
		left, okLeft := b.vocab[m[0]]
		right, okRight := b.vocab[m[1]]
		id, ok := b.vocab[m[0]+m[1]]
		if !okLeft || !okRight || !ok {
			return fmt.Errorf("model BPE: merge %q of %q has a token that the vocabulary lacks", m[0], m[1])
		}
		b.merges[[2]int32{left, right}] = merge{int32(rank), id} // the last of two counts
	}
	return nil
}

func (b *bpe) unknown() int32 { return b.unknownID }
func (b *bpe) size() int      { return b.ids }

func (b *bpe) append(ids []int32, word []byte) []int32 {
	if b.whole {
		if id, ok := b.vocab[string(word)]; ok {
			return append(ids, id)
		}
	}
	j := b.scratch.Get().(*joining)
	defer b.scratch.Put(j)
	b.characters(j, word)
	b.join(j)
	for _, s := range j.symbols {
		if s.id >= 0 {
			ids = append(ids, s.id)
		}
	}
	return ids
}

// joining is the memory of one word, used again for the next.
type joining struct {
	symbols []symbol
	queue   []candidate
}

// A symbol is a token of the word, -1 once it was joined to the one before.
type symbol struct{ id, previous, next int32 }

// A candidate is a symbol that may be joined with the next.
type candidate struct {
	merge
	at int32
}

func (c candidate) before(other candidate) bool {
	return c.rank < other.rank || c.rank == other.rank && c.at < other.at
}

// characters sets the symbols to what the word begins as.
func (b *bpe) characters(j *joining, word []byte) {
	j.symbols, j.queue = j.symbols[:0], j.queue[:0]
	unknown := false // was the character before
	for len(word) > 0 {
		_, width := utf8.DecodeRune(word)
		id, ok := b.vocab[string(word[:width])]
		switch {
		case ok:
			j.add(id)
		case b.bytes != nil:
			for _, c := range word[:width] {
				j.add(b.bytes[c])
			}
			ok = true
		case b.unknownID >= 0 && (!b.fuse || !unknown):
			j.add(b.unknownID)
		}
		unknown = !ok
		word = word[width:]
	}
	if n := len(j.symbols); n > 0 {
		j.symbols[n-1].next = -1
	}
}

func (j *joining) add(id int32) {
	n := int32(len(j.symbols))
	j.symbols = append(j.symbols, symbol{id, n - 1, n + 1})
}

// join joins until nothing can be joined any more.
func (b *bpe) join(j *joining) {
	for at := range j.symbols {
		b.propose(j, int32(at))
	}
	for len(j.queue) > 0 {
		c := j.pop()
		left := &j.symbols[c.at]
		if left.id < 0 || left.next < 0 {
			continue
		}
		right := &j.symbols[left.next]
		if m, ok := b.merges[[2]int32{left.id, right.id}]; !ok || m.id != c.id {
			continue // one of the two is another by now
		}
		left.id, right.id = c.id, -1
		left.next = right.next
		if left.next >= 0 {
			j.symbols[left.next].previous = c.at
		}
		b.propose(j, left.previous)
		b.propose(j, c.at)
	}
}

// propose queues the symbol at if it can be joined with the next.
func (b *bpe) propose(j *joining, at int32) {
	if at < 0 || j.symbols[at].next < 0 {
		return
	}
	left := j.symbols[at]
	if m, ok := b.merges[[2]int32{left.id, j.symbols[left.next].id}]; ok {
		j.push(candidate{m, at})
	}
}

// push and pop keep the queue a heap. It is not container/heap since that
// allocates memory for each candidate.
func (j *joining) push(c candidate) {
	j.queue = append(j.queue, c)
	for at := len(j.queue) - 1; at > 0; {
		parent := (at - 1) / 2
		if !j.queue[at].before(j.queue[parent]) {
			return
		}
		j.queue[at], j.queue[parent] = j.queue[parent], j.queue[at]
		at = parent
	}
}

func (j *joining) pop() candidate {
	q := j.queue
	top := q[0]
	q[0] = q[len(q)-1]
	q = q[:len(q)-1]
	for at := 0; ; {
		child := 2*at + 1
		if child+1 < len(q) && q[child+1].before(q[child]) {
			child++
		}
		if child >= len(q) || !q[child].before(q[at]) {
			break
		}
		q[at], q[child] = q[child], q[at]
		at = child
	}
	j.queue = q
	return top
}
