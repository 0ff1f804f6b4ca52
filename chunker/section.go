package chunker

import (
	"strings"
	"unicode/utf8"

	"github.com/tributary-kb/tributary"
)

// A section is a heading with the blocks up to the next heading, or the blocks
// before the first one.
type section struct {
	path     []string // titles of the headings, outermost first, its own included
	level    int      // of its heading, 0 for the blocks before the first one
	from, to int      // blocks [from, to)
	body     bool     // it has more than its heading
	small    bool     // less than half of the target
}

// sections divides the blocks.
func (w *writer) sections() []section {
	var (
		all   []section
		above outline
	)
	for i := 0; i < len(w.blocks); {
		s := section{from: i}
		if b := w.blocks[i]; b.Kind == tributary.BlockHeading {
			s.level = above.enter(b, w.doc.Text)
			i++
		}
		s.path = above.titles()
		for i < len(w.blocks) && w.blocks[i].Kind != tributary.BlockHeading {
			s.body = true
			i++
		}
		s.to = i
		s.small = w.smaller(s, w.cfg.TargetTokens/2)
		all = append(all, s)
	}
	return all
}

// smaller reports whether s has less than limit tokens. It stops counting as
// soon as that is known; a block of many bytes is not counted at all.
func (w *writer) smaller(s section, limit int) bool {
	const bytesPerToken = 64 // more than any prose has
	tokens := 0
	for _, b := range w.blocks[s.from:s.to] {
		if b.End-b.Start > limit*bytesPerToken {
			return false
		}
		if tokens += w.count(w.doc.Text[b.Start:b.End]); tokens >= limit {
			return false
		}
	}
	return true
}

// runs groups sections that are packed together; all others stand alone.
func runs(all []section) [][]section {
	var groups [][]section
	for from := 0; from < len(all); {
		to := from + 1
		for to < len(all) && together(all[to-1], all[to]) {
			to++
		}
		groups = append(groups, all[from:to])
		from = to
	}
	return groups
}

// together reports whether a chunk may span two consecutive sections and still
// make sense: the second is not further up than the first, and either both are
// small or the first is only a heading.
func together(a, b section) bool {
	return b.level >= a.level && (!a.body || a.small && b.small)
}

// heading returns the headings that all of the units stand below; units that
// are headings themselves count only where there is nothing else.
func heading(sections []section, units []unit) []string {
	var (
		path   []string
		before []string
		found  bool
		last   = -1
	)
	for _, u := range units {
		if u.section == last || u.heading {
			continue
		}
		last = u.section
		if path = sections[last].path; found {
			path = common(before, path)
		}
		before, found = path, true
	}
	if !found {
		path = sections[units[0].section].path
		for _, u := range units[1:] {
			path = common(path, sections[u.section].path)
		}
	}
	return path
}

// common returns the common beginning of a and b.
func common(a, b []string) []string {
	n := 0
	for n < len(a) && n < len(b) && a[n] == b[n] {
		n++
	}
	if n == 0 {
		return nil
	}
	return a[:n:n]
}

// An outline is the headings above a place in the document.
type outline []tributary.Block

// enter opens the section of heading b and returns its level, 1 to 6.
func (o *outline) enter(b tributary.Block, text string) int {
	b.Level = min(max(b.Level, 1), 6)
	for len(*o) > 0 && (*o)[len(*o)-1].Level >= b.Level {
		*o = (*o)[:len(*o)-1]
	}
	if b.Title == "" {
		b.Title = strings.TrimLeft(text[b.Start:b.End], "# \t")
	}
	b.Title = title(b.Title)
	*o = append(*o, b)
	return b.Level
}

// titles returns the outline's titles as a new slice, without empty ones.
func (o outline) titles() []string {
	var path []string
	for _, b := range o {
		if b.Title != "" {
			path = append(path, b.Title)
		}
	}
	return path
}

// maxTitleBytes keeps a paragraph that was taken for a heading from being
// repeated in full with every chunk below it.
const maxTitleBytes = 256

// title returns s on one line and cut to maxTitleBytes.
func title(s string) string {
	if len(s) > 4*maxTitleBytes {
		s = s[:runeStart(s, 4*maxTitleBytes)]
	}
	s = strings.Join(strings.Fields(s), " ")
	if len(s) > maxTitleBytes {
		s = strings.TrimSpace(s[:runeStart(s, maxTitleBytes)])
	}
	return s
}

// runeStart returns the start of the character that offset i of s is in.
func runeStart(s string, i int) int {
	for i > 0 && i < len(s) && !utf8.RuneStart(s[i]) {
		i--
	}
	return i
}
