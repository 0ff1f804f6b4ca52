package queryworker

import "strings"

// The tags between which models think aloud at the beginning of a reply, where
// their server does not set that apart.
const (
	thoughtBegin = "<think>"
	thoughtEnd   = "</think>"
)

// thoughts takes them out of a reply that comes in pieces: they are no part of
// the answer, and cite nothing.
type thoughts struct {
	held  string
	phase phase
	size  int // bytes taken out
}

// phase is where in a reply the next piece stands.
type phase int

const (
	before phase = iota // nothing but blanks and the beginning of a tag has come
	within
	after // nothing but blanks has come since
	reply
)

// without returns what of a piece, and of what was held back before, belongs
// to the reply.
func (t *thoughts) without(piece string) string {
	t.held += piece
	if t.phase == before {
		start := blankless(t.held)
		rest, begins := strings.CutPrefix(start, thoughtBegin)
		switch {
		case begins:
			t.phase, t.held = within, rest
		case !strings.HasPrefix(thoughtBegin, start):
			t.phase = reply
		}
	}
	if t.phase == within {
		t.think()
	}
	if t.phase == after {
		if t.held = blankless(t.held); t.held != "" {
			t.phase = reply
		}
	}
	if t.phase != reply {
		return ""
	}
	return t.rest()
}

// think drops what is held of the thoughts, but for what may be half an end.
func (t *thoughts) think() {
	thought, rest, ends := strings.Cut(t.held, thoughtEnd)
	if ends {
		t.phase, t.held = after, rest
	} else {
		keep := min(len(t.held), len(thoughtEnd)-1)
		thought, t.held = t.held[:len(t.held)-keep], t.held[len(t.held)-keep:]
	}
	t.size += len(thought)
}

// rest returns what is held back of the reply itself.
func (t *thoughts) rest() string {
	if t.phase == within {
		return ""
	}
	held := t.held
	t.held = ""
	return held
}

func blankless(s string) string { return strings.TrimLeft(s, " \t\r\n") }
