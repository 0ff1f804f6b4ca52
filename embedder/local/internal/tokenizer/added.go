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

// A found token is text[from:to], and what it takes along; the next is looked
// for behind end.
type found struct {
	from, to, end int
	id            int32
}

// find returns the first of the tokens in text[at:], the longest of those that
// begin there. Without any, it is the end of the text, and ID -1.
func find(text string, at int, tokens []added) found {
	best, from := added{ID: -1}, len(text)
	for _, a := range tokens {
		i := a.index(text, at)
		if i >= 0 && (i < from || i == from && len(a.Content) > len(best.Content)) {
			from, best = i, a
		}
	}
	to := from + len(best.Content)
	f := found{from, to, to, best.ID}
	if best.LStrip {
		f.from = len(strings.TrimRightFunc(text[:from], unicode.IsSpace))
	}
	if best.RStrip {
		f.to = len(text) - len(strings.TrimLeftFunc(text[to:], unicode.IsSpace))
	}
	return f
}

// divide calls plain for what lies between the tokens, and token for each of
// them, in order.
func divide(text string, tokens []added, plain func(string), token func(id int32)) {
	for done, at := 0, 0; ; {
		f := find(text, at, tokens)
		if f.from > done {
			plain(text[done:f.from])
		}
		if f.id < 0 {
			return
		}
		token(f.id)
		done, at = max(done, f.to), f.end
	}
}

// index returns where the token first stands in text[from:], -1 for nowhere.
func (a added) index(text string, from int) int {
	for {
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
