package queryworker

import (
	"slices"
	"strings"
)

// maxHeld bounds the text that a guard keeps back.
const maxHeld = 4 << 10

// guard passes the pieces of an answer on as they come, without links: a
// client that renders while it reads would call the server of an image before
// the whole answer was checked. It keeps back what may yet become a link or a
// citation, so text comes in words and a link or a piece of code at once.
// Citations are checked as well: not every client takes the whole answer in
// place of the pieces.
type guard struct {
	passages []Passage
	emit     func(delta string) error
	// whole says that no link is spread over two pieces.
	whole bool
	held  string
}

func (g *guard) write(delta string) error {
	g.held += delta
	end := len(strings.TrimRight(g.held[:safeEnd(g.held)], " \t")) // blanks go with a citation that goes
	if g.whole || end == 0 && len(g.held) > maxHeld {
		end = len(g.held)
	}
	return g.pass(end)
}

// flush passes on what is left.
func (g *guard) flush() error { return g.pass(len(g.held)) }

func (g *guard) pass(end int) error {
	if end == 0 {
		return nil
	}
	text := g.checked(g.held[:end])
	g.held = g.held[end:]
	if text == "" {
		return nil
	}
	return g.emit(text)
}

// checked does to a piece what check does to the whole.
func (g *guard) checked(text string) string {
	text = plainMarks(text, g.knows)
	for range maxUnlink {
		next, _ := unlink(replaceMarks(text, g.knows), uris(g.passages))
		if next == text {
			break
		}
		text = next
	}
	return text
}

func (g *guard) knows(n int) bool {
	return slices.ContainsFunc(g.passages, func(p Passage) bool { return p.N == n })
}

// safeEnd returns how much of text cannot become part of a link by what
// follows: it ends behind white space, and no bracket or code is open in it.
func safeEnd(text string) int {
	end := 0
	square, round, angle := 0, 0, false
	for i := 0; i < len(text); i++ {
		switch text[i] {
		case '`':
			n := runOf(text[i:], '`')
			over := closing(text, i+n, n)
			if over == 0 {
				return end
			}
			i = over - 1
		case '[':
			square++
		case ']':
			square = max(square-1, 0)
		case "【"[0]: // and of its counterpart
			if strings.HasPrefix(text[i:], "【") {
				square++
			} else if strings.HasPrefix(text[i:], "】") {
				square = max(square-1, 0)
			}
		case '(':
			if i > 0 && text[i-1] == ']' {
				round++
			}
		case ')':
			round = max(round-1, 0)
		case '<':
			angle = i+1 == len(text) || strings.ContainsRune("/!", rune(text[i+1])) || text[i+1]|0x20 >= 'a' && text[i+1]|0x20 <= 'z'
		case '>':
			angle = false
		case ' ', '\n', '\t':
			if square == 0 && round == 0 && !angle && !strings.HasSuffix(text[:i], "]:") {
				end = i + 1
			}
		}
	}
	return end
}
