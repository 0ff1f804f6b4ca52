package chunker

import (
	"strings"
	"unicode"
	"unicode/utf8"

	"github.com/tributary-kb/tributary"
)

// cover returns blocks that are trimmed, in order, free of overlaps and on
// rune boundaries, and that cover all of text but white space. Where a parser
// left text out, or gave no blocks at all, paragraphs are made of it.
func cover(text string, blocks []tributary.Block) []tributary.Block {
	out := make([]tributary.Block, 0, len(blocks))
	at, page := 0, 0
	for _, b := range blocks {
		b.Start = runeStart(text, min(max(b.Start, at), len(text)))
		b.End = runeEnd(text, min(b.End, len(text)))
		if b.Start, b.End = trim(text, b.Start, b.End); b.Start >= b.End {
			continue
		}
		out = paragraphs(out, text, at, b.Start, page)
		out = append(out, b)
		at, page = b.End, b.Page
	}
	return paragraphs(out, text, at, len(text), page)
}

// paragraphs appends the paragraphs of text[start:end], which blank lines
// separate.
func paragraphs(out []tributary.Block, text string, start, end, page int) []tributary.Block {
	for start < end {
		next := start + paragraphEnd(text[start:end])
		if s, e := trim(text, start, next); s < e {
			out = append(out, tributary.Block{Kind: tributary.BlockParagraph, Start: s, End: e, Page: page})
		}
		start = next
	}
	return out
}

// paragraphEnd returns the offset behind the first blank line of s that has
// text before it, or the length of s.
func paragraphEnd(s string) int {
	text := false // there was some on this or an earlier line
	blank := true // there was none on this line yet
	for i := range len(s) {
		switch s[i] {
		case '\n':
			if blank && text {
				return i + 1
			}
			blank = true
		case ' ', '\t', '\r':
		default:
			text, blank = true, false
		}
	}
	return len(s)
}

// trim returns the range without the white space at both ends; start >= end
// if there is nothing else.
func trim(text string, start, end int) (int, int) {
	if start >= end {
		return start, start
	}
	s := strings.TrimLeftFunc(text[start:end], unicode.IsSpace)
	start = end - len(s)
	return start, start + len(strings.TrimRightFunc(s, unicode.IsSpace))
}

// runeEnd returns the end of the character that offset i of s is in.
func runeEnd(s string, i int) int {
	for i > 0 && i < len(s) && !utf8.RuneStart(s[i]) {
		i++
	}
	return i
}
