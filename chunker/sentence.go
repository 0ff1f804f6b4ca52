package chunker

import (
	"strings"
	"unicode"
	"unicode/utf8"
)

// sentenceEnd returns the length of the first sentence of s with the closing
// quotes and brackets behind its end. A blank line ends a sentence, too.
func sentenceEnd(s string) int {
	for i := 0; i < len(s); {
		c := s[i]
		if c < utf8.RuneSelf {
			switch c {
			case '.', '!', '?':
				end, ok := endsAt(s, i)
				if ok {
					return end
				}
				i = end
			case '\n':
				if i++; blankLine(s[i:]) {
					return i
				}
			default:
				i++
			}
			continue
		}
		r, size := utf8.DecodeRuneInString(s[i:])
		i += size
		switch r {
		case '。', '！', '？', '｡', '।', '။': // no space follows
			return closers(s, i)
		case '…', '؟', '۔':
			if end := closers(s, i); end == len(s) || spaceAt(s, end) {
				return end
			}
		}
	}
	return len(s)
}

// endsAt returns whether the marks at i end a sentence, and where it ends; if
// they do not, where to read on.
func endsAt(s string, i int) (end int, ok bool) {
	end = i + 1
	for end < len(s) && strings.IndexByte(".!?", s[end]) >= 0 {
		end++
	}
	single := end == i+1 && s[i] == '.'
	end = closers(s, end)
	switch {
	case end == len(s):
		return end, true
	case !spaceAt(s, end):
		return end, false
	}
	return end, !single || !abbreviated(s, i) && !continues(s[end:])
}

// closers skips the quotes and brackets that close at i.
func closers(s string, i int) int {
	for i < len(s) {
		r, size := utf8.DecodeRuneInString(s[i:])
		if !strings.ContainsRune("\"')]}*_`\u2019\u201d»」』）】》", r) {
			break
		}
		i += size
	}
	return i
}

// continues reports whether the text behind a full stop goes on with a
// lower-case letter.
func continues(s string) bool {
	for _, r := range s {
		if !unicode.IsSpace(r) {
			return unicode.IsLower(r)
		}
	}
	return false
}

// abbreviated reports whether the full stop at i belongs to an abbreviation,
// an initial or the number of a list item.
func abbreviated(s string, i int) bool {
	const longest = 8
	start := i
	for start > 0 && i-start <= longest && !spaceAt(s, start-1) && strings.IndexByte("([\"'", s[start-1]) < 0 {
		start--
	}
	word := s[start:i]
	switch {
	case len(word) == 1 && 'A' <= word[0] && word[0] <= 'Z' && word != "I":
		return true
	case start == 0 && len(word) <= 3 && strings.Trim(word, "0123456789") == "":
		return true
	}
	return abbreviations[strings.ToLower(word)]
}

// blankLine reports whether s starts with a line of nothing but blanks.
func blankLine(s string) bool {
	const longest = 256 // no need to look through a page of blanks each time
	for i := 0; i < len(s) && i < longest; i++ {
		switch s[i] {
		case '\n':
			return true
		case ' ', '\t', '\r':
		default:
			return false
		}
	}
	return false
}

// spaceAt reports whether white space starts at offset i, or ends there if it
// is the last byte of a wide one.
func spaceAt(s string, i int) bool {
	if s[i] < utf8.RuneSelf {
		return s[i] == ' ' || '\t' <= s[i] && s[i] <= '\r'
	}
	r, _ := utf8.DecodeRuneInString(s[runeStart(s, i):])
	return unicode.IsSpace(r)
}

// abbreviations after which a sentence rarely ends, in lower case and without
// the last full stop: English, and the common ones of neighbours.
var abbreviations = func() map[string]bool {
	set := map[string]bool{}
	for _, w := range strings.Fields(`mr mrs ms dr prof rev hon sr jr st mt vs e.g i.e eg ie cf viz al
		approx ca c fig figs eq eqs sec ch vol nos nr p pp ed eds dept univ inc ltd co corp
		u.s u.k u.n a.m p.m ph.d gen sgt capt lt gov sen rep pres
		jan feb mar apr jun jul aug sep sept oct nov dec
		z.b d.h u.a bzw usw vgl abb hrsg evtl ggf p.ex env sra srta dra ud uds núm pág`) {
		set[w] = true
	}
	return set
}()
