package tokenizer

import (
	"encoding/json"
	"fmt"
	"strings"
	"unicode"
	"unicode/utf8"

	"golang.org/x/text/unicode/norm"
)

// A normaliser evens out how a text may be written. It appends the result.
type normaliser interface {
	append(out []byte, text string) []byte
}

// A mapping is a normaliser that takes no care of memory.
type mapping func(string) string

func (m mapping) append(out []byte, text string) []byte { return append(out, m(text)...) }

func identity(s string) string { return s }

// normaliserConfig has the fields of all kinds.
type normaliserConfig struct {
	Normalizers []json.RawMessage `json:"normalizers"`
	bert
	Left    bool    `json:"strip_left"`
	Right   bool    `json:"strip_right"`
	Pattern pattern `json:"pattern"`
	Content string  `json:"content"`
	Prepend string  `json:"prepend"`
	Charmap string  `json:"precompiled_charsmap"`
}

// A pattern is a text or a regular expression.
type pattern struct {
	String *string `json:"String"`
	Regex  *string `json:"Regex"`
}

func newNormaliser(raw json.RawMessage) (normaliser, error) {
	if absent(raw) {
		return mapping(identity), nil
	}
	c := normaliserConfig{bert: bert{Clean: true, Chinese: true, Lowercase: true}}
	kind, err := decode("normalizer", raw, &c)
	if err != nil {
		return nil, err
	}
	if form, ok := forms[kind]; ok {
		return mapping(form.String), nil
	}
	switch kind {
	case "BertNormalizer":
		return c.bert, nil
	case "Lowercase":
		return mapping(lower), nil
	case "StripAccents":
		return mapping(func(s string) string { return stripMarks(s, unicode.M) }), nil
	case "Strip":
		return c.strip(), nil
	case "Prepend":
		return c.prepend(), nil
	case "Replace":
		return c.replace()
	case "Precompiled":
		return newCharmap(c.Charmap)
	case "Sequence":
		return c.sequence()
	}
	return nil, fmt.Errorf("normalizer %q is not supported", kind)
}

var forms = map[string]norm.Form{"NFC": norm.NFC, "NFD": norm.NFD, "NFKC": norm.NFKC, "NFKD": norm.NFKD}

func (c normaliserConfig) strip() mapping {
	return func(s string) string {
		if c.Left {
			s = strings.TrimLeftFunc(s, unicode.IsSpace)
		}
		if c.Right {
			s = strings.TrimRightFunc(s, unicode.IsSpace)
		}
		return s
	}
}

func (c normaliserConfig) prepend() mapping {
	return func(s string) string {
		if s == "" {
			return s
		}
		return c.Prepend + s
	}
}

func (c normaliserConfig) replace() (normaliser, error) {
	if c.Pattern.String != nil {
		old := *c.Pattern.String
		return mapping(func(s string) string { return strings.ReplaceAll(s, old, c.Content) }), nil
	}
	if c.Pattern.Regex == nil {
		return nil, fmt.Errorf("normalizer Replace has no pattern")
	}
	re, err := compile(*c.Pattern.Regex)
	if err != nil {
		return nil, fmt.Errorf("normalizer Replace: %w", err)
	}
	return mapping(func(s string) string { return re.ReplaceAllLiteralString(s, c.Content) }), nil
}

func (c normaliserConfig) sequence() (normaliser, error) {
	var all []normaliser
	for _, raw := range c.Normalizers {
		n, err := newNormaliser(raw)
		if err != nil {
			return nil, err
		}
		all = append(all, n)
	}
	if len(all) == 1 {
		return all[0], nil
	}
	return mapping(func(s string) string {
		for _, n := range all {
			s = string(n.append(nil, s))
		}
		return s
	}), nil
}

// bert is the normaliser of BERT.
type bert struct {
	Clean     bool  `json:"clean_text"`           // no control characters, one kind of space
	Chinese   bool  `json:"handle_chinese_chars"` // ideographs are words
	Accents   *bool `json:"strip_accents"`        // are taken away; null: if Lowercase
	Lowercase bool  `json:"lowercase"`
}

func (b bert) append(out []byte, text string) []byte {
	from := len(out)
	for i := range len(text) {
		c := text[i]
		if c >= utf8.RuneSelf {
			return b.appendUnicode(out[:from], text)
		}
		switch {
		case b.Clean && (c == ' ' || c >= '\t' && c <= '\r'):
			if c == '\v' || c == '\f' {
				continue // Cc, unlike tab and line ends
			}
			out = append(out, ' ')
		case b.Clean && (c < ' ' || c == 0x7f):
		case b.Lowercase && 'A' <= c && c <= 'Z':
			out = append(out, c+'a'-'A')
		default:
			out = append(out, c)
		}
	}
	return out
}

func (b bert) appendUnicode(out []byte, text string) []byte {
	var clean strings.Builder
	clean.Grow(len(text) + len(text)/2)
	for _, r := range text {
		switch {
		case b.Clean && (r == 0 || r == utf8.RuneError || control(r)):
		case b.Clean && unicode.IsSpace(r):
			clean.WriteByte(' ')
		case b.Chinese && ideograph(r):
			clean.WriteByte(' ')
			clean.WriteRune(r)
			clean.WriteByte(' ')
		default:
			clean.WriteRune(r)
		}
	}
	s := clean.String()
	if b.Accents == nil && b.Lowercase || b.Accents != nil && *b.Accents {
		s = stripMarks(norm.NFD.String(s), unicode.Mn)
	}
	if b.Lowercase {
		s = lower(s)
	}
	return append(out, s...)
}

// control reports whether r is invisible, but for tabs and line ends.
func control(r rune) bool {
	return r != '\t' && r != '\n' && r != '\r' && unicode.In(r, unicode.Cc, unicode.Cf, unicode.Co, unicode.Cs)
}

// ideograph reports whether r is in one of the blocks that BERT takes for
// Chinese.
func ideograph(r rune) bool {
	return r >= 0x3400 && (r <= 0x4DBF || r >= 0x4E00 && r <= 0x9FFF || r >= 0xF900 && r <= 0xFAFF ||
		r >= 0x20000 && r <= 0x2A6DF || r >= 0x2A700 && r <= 0x2CEAF || r >= 0x2F800 && r <= 0x2FA1F)
}

// stripMarks takes the marks of a kind away.
func stripMarks(s string, kind *unicode.RangeTable) string {
	return strings.Map(func(r rune) rune {
		if r >= 0x300 && unicode.Is(kind, r) {
			return -1
		}
		return r
	}, s)
}

// lower is unicode.ToLower with the one full mapping that differs from it.
func lower(s string) string {
	return strings.ReplaceAll(strings.Map(func(r rune) rune {
		if r == 'İ' {
			return r
		}
		return unicode.ToLower(r)
	}, s), "İ", "i̇")
}
