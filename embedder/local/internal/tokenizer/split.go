package tokenizer

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"regexp"
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
	// cut, if set, does the work of both.
	cut cutter
}

// A cutter cuts a piece, which is not empty, into smaller ones. What is emitted
// may be overwritten later.
type cutter func(piece []byte, emit func([]byte))

func unprepared(text []byte) []byte { return text }

type splitterConfig struct {
	Pretokenizers  []json.RawMessage `json:"pretokenizers"`
	Replacement    string            `json:"replacement"`
	AddPrefixSpace *bool             `json:"add_prefix_space"`
	PrependScheme  string            `json:"prepend_scheme"`
	Split          *bool             `json:"split"`
	UseRegex       *bool             `json:"use_regex"`
	Pattern        pattern           `json:"pattern"`
	Behavior       string            `json:"behavior"`
	Invert         bool              `json:"invert"`
	Individual     bool              `json:"individual_digits"`
}

func newSplitter(raw json.RawMessage) (splitter, error) {
	if absent(raw) {
		return splitter{prepare: unprepared, next: func(text []byte) (_, _ []byte) { return text, nil }}, nil
	}
	var c splitterConfig
	kind, err := decode("pre_tokenizer", raw, &c)
	if err != nil {
		return splitter{}, err
	}
	switch kind {
	case "BertPreTokenizer":
		return splitter{prepare: unprepared, next: nextBERT}, nil
	case "WhitespaceSplit":
		return splitter{prepare: unprepared, next: nextField}, nil
	case "Metaspace":
		return c.metaspace(false)
	case "Sequence":
		return c.sequence()
	}
	cut, err := c.cutter(kind)
	return splitter{cut: cut}, err
}

// cutter returns what can follow another.
func (c splitterConfig) cutter(kind string) (cutter, error) {
	switch kind {
	case "ByteLevel":
		return c.byteLevel()
	case "Split":
		return c.pattern()
	case "Digits":
		digits := `\p{N}+`
		if c.Individual {
			digits = `\p{N}`
		}
		e, err := compile(digits)
		return e.isolate, err
	case "Whitespace":
		e, err := compile(`\w+|[^\w\s]+`)
		return e.only(true), err
	case "BertPreTokenizer":
		return words(nextBERT), nil
	case "WhitespaceSplit":
		return words(nextField), nil
	}
	return nil, fmt.Errorf("pre_tokenizer %q is not supported", kind)
}

func words(next func([]byte) (word, rest []byte)) cutter {
	return func(piece []byte, emit func([]byte)) {
		for {
			var word []byte
			if word, piece = next(piece); len(word) == 0 {
				return
			}
			emit(word)
		}
	}
}

// pattern cuts at the matches of a pattern.
func (c splitterConfig) pattern() (cutter, error) {
	var source string
	switch {
	case c.Pattern.Regex != nil:
		source = *c.Pattern.Regex
	case c.Pattern.String != nil:
		source = regexp.QuoteMeta(*c.Pattern.String)
	default:
		return nil, fmt.Errorf("pre_tokenizer Split has no pattern")
	}
	e, err := compile(source)
	if err != nil {
		return nil, fmt.Errorf("pre_tokenizer Split: %w", err)
	}
	switch c.Behavior {
	case "Isolated":
		return e.isolate, nil
	case "Removed":
		return e.only(c.Invert), nil
	}
	return nil, fmt.Errorf("pre_tokenizer Split with behavior %q is not supported", c.Behavior)
}

// sequence lets each cut what the one before left. Marks at words are known in
// the one place where they occur, behind words at spaces.
func (c splitterConfig) sequence() (splitter, error) {
	if len(c.Pretokenizers) == 1 {
		return newSplitter(c.Pretokenizers[0])
	}
	var all []cutter
	before := ""
	for i, raw := range c.Pretokenizers {
		var part splitterConfig
		kind, err := decode("pre_tokenizer", raw, &part)
		if err != nil {
			return splitter{}, err
		}
		if kind == "Metaspace" && before == "WhitespaceSplit" && i == 1 && len(c.Pretokenizers) == 2 {
			return part.metaspace(true)
		}
		cut, err := part.cutter(kind)
		if err != nil {
			return splitter{}, fmt.Errorf("in a sequence of %d: %w", len(c.Pretokenizers), err)
		}
		all, before = append(all, cut), kind
	}
	if len(all) == 0 {
		return splitter{}, errors.New("a sequence of 0 pre_tokenizers is not supported")
	}
	return splitter{cut: chain(all)}, nil
}

func chain(all []cutter) cutter {
	if len(all) == 1 {
		return all[0]
	}
	rest := chain(all[1:])
	return func(piece []byte, emit func([]byte)) {
		all[0](piece, func(part []byte) { rest(part, emit) })
	}
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
	return splitter{prepare: prepare, next: func(text []byte) (word, rest []byte) { return cutBefore(text, mark) }}, nil
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
