package queryworker

import "strings"

// maxHeld bounds the text that a guard keeps back.
const maxHeld = 4 << 10

// guard passes the pieces of an answer on as they come, without links: a
// client that renders while it reads would call the server of an image before
// the whole answer was checked. It keeps back what may yet become a link, so
// text comes in words and a link or a piece of code at once.
type guard struct {
	allowed []string
	emit    func(delta string) error
	// whole says that no link is spread over two pieces.
	whole bool
	held  string
}

func (g *guard) write(delta string) error {
	g.held += delta
	end := safeEnd(g.held)
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
	text, _ := unlink(plainMarks(g.held[:end], func(int) bool { return false }), g.allowed)
	g.held = g.held[end:]
	if text == "" {
		return nil
	}
	return g.emit(text)
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
