// Package tokenizer cuts texts into the numbered tokens that a model was
// trained on, as the model's tokenizer.json says: the form of Hugging Face's
// tokenizers, from which its results do not differ. WordPiece,
// Unigram and BPE models are understood; what else a file may ask for is
// refused by name.
package tokenizer

import (
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"strings"
	"sync"
)

// MaxFileBytes is the largest tokenizer.json that is read; that of XLM-R, with
// a quarter of a million tokens, has 17 MB.
const MaxFileBytes = 128 << 20

// A Tokenizer turns texts into the IDs of tokens. It is safe for concurrent
// use.
type Tokenizer struct {
	raw       []added // looked for in the text as it is
	clean     []added // looked for in the normalised text
	normalise normaliser
	split     splitter
	model     model
	single    template
	pair      template
	size      int
	scratch   sync.Pool // of *[]byte
}

// A model cuts a word into tokens.
type model interface {
	// append appends the word's tokens to ids. The word is not empty.
	append(ids []int32, word []byte) []int32
	// unknown is the token of what the model does not know, -1 if it has none.
	unknown() int32
	size() int // one more than the highest ID
}

// The form of tokenizer.json. What concerns training and padding is left out;
// how long an input may be is for the caller to say.
type file struct {
	AddedTokens   []added         `json:"added_tokens"`
	Normalizer    json.RawMessage `json:"normalizer"`
	PreTokenizer  json.RawMessage `json:"pre_tokenizer"`
	PostProcessor json.RawMessage `json:"post_processor"`
	Model         json.RawMessage `json:"model"`
}

// Open reads the file at path.
func Open(path string) (*Tokenizer, error) {
	info, err := os.Stat(path)
	if err != nil {
		return nil, err
	}
	if info.Size() > MaxFileBytes {
		return nil, fmt.Errorf("read %s: it has %d bytes, more than %d", path, info.Size(), MaxFileBytes)
	}
	data, err := os.ReadFile(path)
	if err != nil {
		return nil, err
	}
	t, err := New(data)
	if err != nil {
		return nil, fmt.Errorf("read %s: %w", path, err)
	}
	return t, nil
}

// New reads the text of a tokenizer.json.
func New(data []byte) (*Tokenizer, error) {
	var f file
	if err := json.Unmarshal(data, &f); err != nil {
		return nil, err
	}
	t := &Tokenizer{scratch: sync.Pool{New: func() any { return new([]byte) }}}
	var err error
	if t.normalise, err = newNormaliser(f.Normalizer); err != nil {
		return nil, err
	}
	if t.split, err = newSplitter(f.PreTokenizer); err != nil {
		return nil, err
	}
	if t.model, err = newModel(f.Model); err != nil {
		return nil, err
	}
	if t.single, t.pair, err = newTemplates(f.PostProcessor); err != nil {
		return nil, err
	}
	t.size = t.model.size()
	return t, t.add(f.AddedTokens)
}

// add takes the tokens that are found before all others.
func (t *Tokenizer) add(tokens []added) error {
	for _, a := range tokens {
		if a.Content == "" || a.ID < 0 {
			return fmt.Errorf("added token %q has ID %d", a.Content, a.ID)
		}
		t.size = max(t.size, int(a.ID)+1)
		if a.Normalized {
			a.Content = string(t.normalise.append(nil, a.Content))
			t.clean = append(t.clean, a)
		} else {
			t.raw = append(t.raw, a)
		}
	}
	return nil
}

// typed is what every part of the file has.
type typed struct {
	Type string `json:"type"`
}

// absent reports whether a part of the file is missing or null.
func absent(raw json.RawMessage) bool { return len(raw) == 0 || string(raw) == "null" }

// decode reads a part and its type.
func decode(part string, raw json.RawMessage, into any) (kind string, err error) {
	var t typed
	if err := json.Unmarshal(raw, &t); err != nil {
		return "", fmt.Errorf("%s: %w", part, err)
	}
	if err := json.Unmarshal(raw, into); err != nil {
		return "", fmt.Errorf("%s %s: %w", part, t.Type, err)
	}
	return t.Type, nil
}

func newModel(raw json.RawMessage) (model, error) {
	if absent(raw) {
		return nil, errors.New("there is no model")
	}
	var kind struct {
		typed
		Merges json.RawMessage `json:"merges"`
		Prefix *string         `json:"continuing_subword_prefix"`
		Vocab  json.RawMessage `json:"vocab"`
	}
	if _, err := decode("model", raw, &kind); err != nil {
		return nil, err
	}
	switch {
	case kind.Type == "WordPiece", kind.Type == "" && kind.Prefix != nil && absent(kind.Merges):
		return newWordPiece(raw)
	case kind.Type == "Unigram", kind.Type == "" && strings.HasPrefix(string(kind.Vocab), "["):
		return newUnigram(raw)
	case kind.Type == "BPE", kind.Type == "" && !absent(kind.Merges):
		return newBPE(raw)
	}
	return nil, fmt.Errorf("model %q is not supported, only WordPiece, Unigram and BPE are", kind.Type)
}

// Size is one more than the highest ID there is: how many rows a model needs.
func (t *Tokenizer) Size() int { return t.size }

// Unknown is the ID of the token for what is not known, -1 if there is none.
func (t *Tokenizer) Unknown() int32 { return t.model.unknown() }

// Append appends the IDs of the text's tokens to ids, without those that a
// model wants around a text; see Single. An empty text has none.
func (t *Tokenizer) Append(ids []int32, text string) []int32 {
	if len(t.raw) == 0 {
		return t.appendPlain(ids, text)
	}
	divide(text, t.raw,
		func(part string) { ids = t.appendPlain(ids, part) },
		func(id int32) { ids = append(ids, id) })
	return ids
}

// appendPlain appends what holds none of the raw added tokens.
func (t *Tokenizer) appendPlain(ids []int32, text string) []int32 {
	scratch := t.scratch.Get().(*[]byte)
	defer t.scratch.Put(scratch)
	*scratch = t.normalise.append((*scratch)[:0], text)
	if len(t.clean) == 0 {
		return t.appendClean(ids, scratch)
	}
	divide(string(*scratch), t.clean,
		func(part string) {
			*scratch = append((*scratch)[:0], part...)
			ids = t.appendClean(ids, scratch)
		},
		func(id int32) { ids = append(ids, id) })
	return ids
}

// appendClean appends what is normalised and holds no added token. It may
// replace the text by another buffer.
func (t *Tokenizer) appendClean(ids []int32, text *[]byte) []int32 {
	if t.split.cut != nil {
		return t.appendCut(ids, *text)
	}
	*text = t.split.prepare(*text)
	var word []byte
	for rest := *text; ; {
		if word, rest = t.split.next(rest); len(word) == 0 {
			return ids
		}
		ids = t.model.append(ids, word)
	}
}

func (t *Tokenizer) appendCut(ids []int32, text []byte) []int32 {
	if len(text) > 0 {
		t.split.cut(text, func(word []byte) { ids = t.model.append(ids, word) })
	}
	return ids
}
