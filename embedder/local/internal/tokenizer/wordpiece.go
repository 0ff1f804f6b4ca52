package tokenizer

import (
	"encoding/json"
	"fmt"
	"strings"
	"unicode/utf8"
)

// wordPiece takes the longest token that a word begins with, then the longest
// that continues it, and so on. A word that does not come out even is unknown.
type wordPiece struct {
	begin     map[string]int32
	continued map[string]int32 // without the prefix
	longest   int              // bytes of the longest token
	maxRunes  int              // longer words are unknown
	unknownID int32
	ids       int
}

func newWordPiece(raw json.RawMessage) (model, error) {
	c := struct {
		Unknown  string           `json:"unk_token"`
		Prefix   string           `json:"continuing_subword_prefix"`
		MaxRunes int              `json:"max_input_chars_per_word"`
		Vocab    map[string]int32 `json:"vocab"`
	}{Unknown: "[UNK]", Prefix: "##", MaxRunes: 100}
	if _, err := decode("model", raw, &c); err != nil {
		return nil, err
	}
	unknown, ok := c.Vocab[c.Unknown]
	if !ok {
		return nil, fmt.Errorf("model WordPiece: the vocabulary of %d tokens lacks unk_token %q", len(c.Vocab), c.Unknown)
	}
	w := &wordPiece{begin: c.Vocab, continued: make(map[string]int32), maxRunes: c.MaxRunes, unknownID: unknown}
	for token, id := range c.Vocab {
		if id < 0 {
			return nil, fmt.Errorf("model WordPiece: token %q has ID %d", token, id)
		}
		if rest, ok := strings.CutPrefix(token, c.Prefix); ok {
			w.continued[rest] = id
		}
		w.longest = max(w.longest, len(token))
		w.ids = max(w.ids, int(id)+1)
	}
	return w, nil
}

func (w *wordPiece) unknown() int32 { return w.unknownID }
func (w *wordPiece) size() int      { return w.ids }

func (w *wordPiece) append(ids []int32, word []byte) []int32 {
	if len(word) > w.maxRunes && utf8.RuneCount(word) > w.maxRunes {
		return append(ids, w.unknownID)
	}
	known := len(ids)
	for tokens := w.begin; len(word) > 0; tokens = w.continued {
		end := min(len(word), w.longest)
		id, ok := tokens[string(word[:end])]
		for !ok && end > 0 {
			end--
			for end > 0 && end < len(word) && !utf8.RuneStart(word[end]) {
				end--
			}
			id, ok = tokens[string(word[:end])]
		}
		if !ok || end == 0 {
			return append(ids[:known], w.unknownID)
		}
		ids, word = append(ids, id), word[end:]
	}
	return ids
}
