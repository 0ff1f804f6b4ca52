package chunker

import (
	"unicode"
	"unicode/utf8"

	"github.com/tributary-kb/tributary"
)

// A splitter divides blocks into units of at most piece tokens, each block no
// further than it has to.
type splitter struct {
	text  string
	count func(string) int
	piece int
	push  func(unit) error
	end   int // of the unit before
}

// A cutter returns the length in bytes of the first part of s, which is not
// empty; it looks at little more than that part.
type cutter struct {
	next  func(s string) int
	level level // of the boundaries between the parts
}

var (
	lines     = cutter{lineEnd, levelLine}
	sentences = cutter{sentenceEnd, levelSentence}
	words     = cutter{wordEnd, levelWord}
	runes     = cutter{runesEnd, levelRune}

	proseCutters = []cutter{sentences, words, runes}
	listCutters  = []cutter{lines, sentences, words, runes}
	codeCutters  = []cutter{lines, words, runes}
)

// cuttersFor lists how blocks of a kind are divided, from coarse to fine.
func cuttersFor(kind tributary.BlockKind) []cutter {
	switch kind {
	case tributary.BlockList:
		return listCutters
	case tributary.BlockCode, tributary.BlockTable:
		return codeCutters
	}
	return proseCutters
}

// block pushes the units of b, which is of the section with this number.
func (s *splitter) block(b tributary.Block, section int, before level) error {
	u := unit{start: b.Start, end: b.End, before: before, section: section, heading: b.Kind == tributary.BlockHeading}
	return s.divide(u, cuttersFor(b.Kind))
}

// divide pushes u, or its parts if it has more than piece tokens.
func (s *splitter) divide(u unit, cutters []cutter) error {
	u.tokens = s.count(s.text[u.start:u.end])
	if u.tokens <= s.piece || len(cutters) == 0 {
		u.gap = s.count(s.text[s.end:u.start])
		s.end = u.end
		return s.push(u)
	}
	part := u
	for at := u.start; at < u.end; {
		next := at + cutters[0].next(s.text[at:u.end])
		if part.start, part.end = trim(s.text, at, next); part.start < part.end {
			if err := s.divide(part, cutters[1:]); err != nil {
				return err
			}
			part.before = cutters[0].level
		}
		at = next
	}
	return nil
}

// lineEnd returns the length of the first line of s, with its end.
func lineEnd(s string) int {
	for i := range len(s) {
		if s[i] == '\n' {
			return i + 1
		}
	}
	return len(s)
}

// wordEnd returns the length of the first word of s with the white space
// before it. East Asian punctuation ends a word, too.
func wordEnd(s string) int {
	word := false
	for i, r := range s {
		switch {
		case unicode.IsSpace(r):
			if word {
				return i
			}
		case word && isWideMark(r):
			return i + utf8.RuneLen(r)
		default:
			word = true
		}
	}
	return len(s)
}

// wordBefore returns the start of the last word of text[floor:end], or end if
// there is none that starts at or behind floor.
func wordBefore(text string, floor, end int) int {
	i := end
	for word := false; i > 0; {
		r, size := utf8.DecodeLastRuneInString(text[:i])
		if unicode.IsSpace(r) {
			if word {
				return i
			}
		} else {
			word = true
		}
		if i -= size; i < floor {
			return end
		}
	}
	return i
}

// isWideMark reports whether r is full-width punctuation after which a line
// may be broken.
func isWideMark(r rune) bool {
	switch r {
	case '、', '，', '；', '：', '。', '！', '？', '」', '』', '）', '】', '》':
		return true
	}
	return false
}

// runesEnd returns the length of the first ten characters of s, with the
// marks and joiners that belong to the last of them.
func runesEnd(s string) int {
	const characters, most = 10, 40
	n := 0
	joined := false
	for i, r := range s {
		if n >= most || n >= characters && !joined && !joins(r) {
			return i
		}
		joined = r == zeroWidthJoiner
		n++
	}
	return len(s)
}

const zeroWidthJoiner = '\u200d'

// joins reports whether r belongs to the character before it.
func joins(r rune) bool {
	return r >= utf8.RuneSelf && (r == zeroWidthJoiner || unicode.Is(unicode.M, r) || 0x1f3fb <= r && r <= 0x1f3ff)
}
