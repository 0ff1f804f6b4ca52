package tokenizer

import (
	"fmt"
	"regexp"
	"strings"
	"unicode/utf8"
)

// An expression is a regular expression of a tokenizer.json, which was written
// for Oniguruma: classes are of Unicode, and one look ahead is used by all.
type expression struct {
	*regexp.Regexp
	spaces int // the group of spaces whose last belongs to the next word, 0 if none
}

// What Oniguruma and Rust understand by \s and \w.
const (
	spaceClass = `\t\n\v\f\r \x{85}\x{a0}\x{1680}\x{2000}-\x{200a}\x{2028}\x{2029}\x{202f}\x{205f}\x{3000}`
	wordClass  = `\p{L}\p{M}\p{Nd}\p{Nl}\p{Pc}\x{200c}\x{200d}\x{24b6}-\x{24e9}\x{1f130}-\x{1f149}\x{1f150}-\x{1f169}\x{1f170}-\x{1f189}`
)

var classes = map[byte]string{'s': spaceClass, 'w': wordClass, 'd': `\p{Nd}`}

// aheadOfWord matches spaces but for the one before a word. Go has no look
// ahead: the group is shortened once it is found.
const aheadOfWord, anySpaces = `\s+(?!\S)|\s+`, `(?P<spaces>\s+)`

// compile translates an expression for Go. What would mean something else
// there is refused.
func compile(pattern string) (expression, error) {
	t := translation{rest: strings.Replace(pattern, aheadOfWord, anySpaces, 1)}
	for t.rest != "" {
		if wrong := t.step(); wrong != "" {
			return expression{}, fmt.Errorf("regular expression %q: %s is not supported here", pattern, wrong)
		}
	}
	re, err := regexp.Compile(t.out.String())
	if err != nil {
		return expression{}, fmt.Errorf("regular expression %q: %w", pattern, err)
	}
	return expression{re, max(0, re.SubexpIndex("spaces"))}, nil
}

// A translation of an expression is under way.
type translation struct {
	out     strings.Builder
	rest    string
	inClass bool // between brackets
}

// step translates the next character, or returns what cannot be.
func (t *translation) step() (wrong string) {
	c := t.rest[0]
	switch {
	case c == '\\' && len(t.rest) > 1:
		return t.escape()
	case !t.inClass && (c == '^' || c == '$'), t.inClass && (c == '[' || strings.HasPrefix(t.rest, "&&")):
		return string(rune(c))
	case c == '[':
		t.inClass = true
		if strings.HasPrefix(t.rest, "[^") {
			t.take(1)
		}
	case c == ']':
		t.inClass = false
	}
	t.take(1)
	return ""
}

// escape translates a backslash and what follows it.
func (t *translation) escape() (wrong string) {
	c := t.rest[1]
	class, known := classes[c|0x20]
	negated := c < 'a'
	switch {
	case !known && strings.IndexByte("bBAzZGhHXRKN", c) >= 0, known && negated && t.inClass:
		return t.rest[:2]
	case !known:
		t.take(2)
		return ""
	case t.inClass:
		t.out.WriteString(class)
	case negated:
		t.out.WriteString("[^" + class + "]")
	default:
		t.out.WriteString("[" + class + "]")
	}
	t.rest = t.rest[2:]
	return ""
}

// take copies the next n bytes.
func (t *translation) take(n int) {
	t.out.WriteString(t.rest[:n])
	t.rest = t.rest[n:]
}

// find returns where the first match is that is not empty; both are the end of
// text if there is none.
func (e expression) find(text []byte) (from, to int) {
	at := 0
	for at < len(text) {
		m := e.FindSubmatchIndex(text[at:])
		if m == nil {
			break
		}
		from, to = at+m[0], at+m[1]
		if from == to {
			_, width := utf8.DecodeRune(text[to:])
			at = to + max(1, width)
			continue
		}
		if e.spaces > 0 && m[2*e.spaces] >= 0 && to < len(text) {
			_, width := utf8.DecodeLastRune(text[from:to])
			if to-width > from {
				to -= width
			}
		}
		return from, to
	}
	return len(text), len(text)
}

// each calls do for the matches and for what lies between them, in order.
func (e expression) each(text []byte, do func(part []byte, match bool)) {
	for len(text) > 0 {
		from, to := e.find(text)
		if from > 0 {
			do(text[:from], false)
		}
		if from < to {
			do(text[from:to], true)
		}
		text = text[to:]
	}
}

// isolate emits all parts.
func (e expression) isolate(piece []byte, emit func([]byte)) {
	e.each(piece, func(part []byte, _ bool) { emit(part) })
}

// only emits the parts that match, or those that do not.
func (e expression) only(match bool) cutter {
	return func(piece []byte, emit func([]byte)) {
		e.each(piece, func(part []byte, matches bool) {
			if matches == match {
				emit(part)
			}
		})
	}
}
