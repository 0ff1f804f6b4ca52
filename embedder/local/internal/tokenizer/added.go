package tokenizer

import (
	"strings"
	"unicode"
	"unicode/utf8"
)

// An added token is found as it stands, before the text is cut otherwise.
type added struct {
	ID         int32  `json:"id"`
	Content    string `json:"content"`
	SingleWord bool   `json:"single_word"` // not inside a word
	LStrip     bool   `json:"lstrip"`      // takes the space before it along
	RStrip     bool   `json:"rstrip"`      // and behind it
	Normalized bool   `json:"normalized"`  // is looked for in normalised text
}

// find returns where the first of the tokens stands in text, the longest of
// those that begin there. Without any, it is the end of the text, and ID -1.
func find(text string, tokens []added) (from, to int, id int32) {
	best := added{ID: -1}
	from = len(text)
	for _, a := range tokens {
		at := a.index(text)
		if at >= 0 && (at < from || at == from && len(a.Content) > len(best.Content)) {
			from, best = at, a
		}
	}
	to = from + len(best.Content)
	if best.LStrip {
		from = len(strings.TrimRightFunc(text[:from], unicode.IsSpace))
	}
	if best.RStrip {
		to = len(text) - len(strings.TrimLeftFunc(text[to:], unicode.IsSpace))
	}
	return from, to, best.ID
}

// index returns where the token first stands, -1 for nowhere.
func (a added) index(text string) int {
	for from := 0; ; {
		at := strings.Index(text[from:], a.Content)
		if at < 0 {
			return -1
		}
		at += from
		if !a.SingleWord || alone(text, at, at+len(a.Content)) {
			return at
		}
		from = at + 1
	}
}

// alone reports whether no letter or digit touches text[from:to].
func alone(text string, from, to int) bool {
	before, _ := utf8.DecodeLastRuneInString(text[:from])
	after, _ := utf8.DecodeRuneInString(text[to:])
	return !wordRune(before) && !wordRune(after)
}

func wordRune(r rune) bool {
	return r != utf8.RuneError && (unicode.IsLetter(r) || unicode.IsDigit(r) || r == '_')
}
