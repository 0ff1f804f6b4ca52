package tokenizer

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"unicode"
	"unicode/utf8"
)

// A splitter cuts a normalised text into words.
type splitter struct {
	// prepare changes the text before it is cut. It may reuse its memory.
	prepare func([]byte) []byte
	// next returns the first word, empty if there is none, and what follows.
	next func([]byte) (word, rest []byte)
}

func unprepared(text []byte) []byte { return text }

type splitterConfig struct {
	Pretokenizers  []json.RawMessage `json:"pretokenizers"`
	Replacement    string            `json:"replacement"`
	AddPrefixSpace *bool             `json:"add_prefix_space"`
	PrependScheme  string            `json:"prepend_scheme"`
	Split          *bool             `json:"split"`
}

func newSplitter(raw json.RawMessage) (splitter, error) {
	if absent(raw) {
		return splitter{unprepared, func(text []byte) (_, _ []byte) { return text, nil }}, nil
	}
	var c splitterConfig
	kind, err := decode("pre_tokenizer", raw, &c)
	if err != nil {
		return splitter{}, err
	}
	switch kind {
	case "BertPreTokenizer":
		return splitter{unprepared, nextBERT}, nil
	case "WhitespaceSplit":
		return splitter{unprepared, nextField}, nil
	case "Metaspace":
		return c.metaspace(false)
	case "Sequence":
		return c.sequence()
	}
	return splitter{}, fmt.Errorf("pre_tokenizer %q is not supported", kind)
}

// sequence knows the two sequences that occur: one part, and words at spaces
// that are then marked.
func (c splitterConfig) sequence() (splitter, error) {
	switch len(c.Pretokenizers) {
	case 1:
		return newSplitter(c.Pretokenizers[0])
	case 2:
		var first, second splitterConfig
		kind, err := decode("pre_tokenizer", c.Pretokenizers[0], &first)
		then, err2 := decode("pre_tokenizer", c.Pretokenizers[1], &second)
		if err := errors.Join(err, err2); err != nil {
			return splitter{}, err
		}
		if kind == "WhitespaceSplit" && then == "Metaspace" {
			return second.metaspace(true)
		}
		return splitter{}, fmt.Errorf("pre_tokenizer %s before %s is not supported", kind, then)
	}
	return splitter{}, fmt.Errorf("a sequence of %d pre_tokenizers is not supported", len(c.Pretokenizers))
}

// metaspace marks the beginnings of words as SentencePiece does. Words are
// those between any spaces if fields, else each single space begins one.
func (c splitterConfig) metaspace(fields bool) (splitter, error) {
	if c.Split != nil && !*c.Split {
		return splitter{}, fmt.Errorf("pre_tokenizer Metaspace with split false is not supported")
	}
	if c.Replacement == "" {
		return splitter{}, fmt.Errorf("pre_tokenizer Metaspace has no replacement")
	}
	mark := []byte(c.Replacement)
	begins := c.PrependScheme != "never" && (c.PrependScheme != "" || c.AddPrefixSpace == nil || *c.AddPrefixSpace)
	prepare := func(text []byte) []byte { return markSpaces(text, mark, begins) }
	if fields {
		prepare = func(text []byte) []byte { return markFields(text, mark, begins) }
	}
	return splitter{prepare, func(text []byte) (word, rest []byte) { return cutBefore(text, mark) }}, nil
}

func markSpaces(text, mark []byte, begins bool) []byte {
	out := bytes.ReplaceAll(text, []byte{' '}, mark)
	if begins && len(out) > 0 && !bytes.HasPrefix(out, mark) {
		out = slices.Concat(mark, out)
	}
	return out
}

func markFields(text, mark []byte, begins bool) []byte {
	out := make([]byte, 0, len(text)+len(text)/2)
	for _, field := range bytes.Fields(text) {
		if (begins || len(out) > 0) && !bytes.HasPrefix(field, mark) {
			out = append(out, mark...)
		}
		out = append(out, field...)
	}
	return out
}

// cutBefore returns the text up to the second beginning of a word.
func cutBefore(text, mark []byte) (word, rest []byte) {
	from := 0
	if bytes.HasPrefix(text, mark) {
		from = len(mark)
	}
	if at := bytes.Index(text[from:], mark); at >= 0 {
		return text[:from+at], text[from+at:]
	}
	return text, nil
}

// nextField cuts at space.
func nextField(text []byte) (word, rest []byte) {
	text = bytes.TrimLeftFunc(text, unicode.IsSpace)
	if end := bytes.IndexFunc(text, unicode.IsSpace); end >= 0 {
		return text[:end], text[end:]
	}
	return text, nil
}

// nextBERT cuts at space and around every punctuation mark.
func nextBERT(text []byte) (word, rest []byte) {
	from := 0
	for i := 0; i < len(text); {
		r, width := decodeRune(text[i:])
		switch {
		case space(r) && i == from:
			from = i + width
		case space(r):
			return text[from:i], text[i:]
		case punctuation(r) && i == from:
			return text[i : i+width], text[i+width:]
		case punctuation(r):
			return text[from:i], text[i:]
		}
		i += width
	}
	return text[from:], nil
}

func decodeRune(b []byte) (r rune, width int) {
	if b[0] < utf8.RuneSelf {
		return rune(b[0]), 1
	}
	return utf8.DecodeRune(b)
}

func space(r rune) bool {
	if r < utf8.RuneSelf {
		return r == ' ' || r >= '\t' && r <= '\r'
	}
	return unicode.IsSpace(r)
}

// punctuation is Unicode's and all of ASCII that is neither letter, digit,
// space nor control.
func punctuation(r rune) bool {
	if r < utf8.RuneSelf {
		return r > ' ' && r < '0' || r > '9' && r < 'A' || r > 'Z' && r < 'a' || r > 'z' && r < 0x7f
	}
	return unicode.IsPunct(r)
}
