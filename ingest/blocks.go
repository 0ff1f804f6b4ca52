package ingest

import (
	"html"
	"strings"
	"unicode"

	"github.com/tributary-kb/tributary"
)

// splitMarkdown finds the blocks of Markdown text line by line. It knows no
// inline syntax and never backtracks further than one line, so its time is
// linear in the text whatever the text is; full CommonMark parsers are not.
// Text that is no Markdown comes out as paragraphs.
func splitMarkdown(text string) []tributary.Block {
	s := &splitter{text: text}
	for s.pos < len(s.text) {
		l := s.lineAt(s.pos)
		if l.blank() {
			s.pos = l.next
			continue
		}
		s.block(l)
	}
	return s.blocks
}

// splitParagraphs finds the paragraphs of text without markup: runs of lines
// that are not blank.
func splitParagraphs(text string) []tributary.Block {
	s := &splitter{text: text}
	for s.pos < len(s.text) {
		first := s.lineAt(s.pos)
		if first.blank() {
			s.pos = first.next
			continue
		}
		last := first
		for l, ok := s.after(first); ok && !l.blank(); l, ok = s.after(l) {
			last = l
		}
		s.add(tributary.BlockParagraph, first.bodyStart, last)
	}
	return s.blocks
}

// line is one line of the text: [start, end) without its line feed, and where
// the next one starts. body is the line without surrounding white space.
type line struct {
	start, bodyStart, end, next int
	indent                      int // columns of white space, tabs to multiples of four
	body                        string
}

func (l line) blank() bool { return l.body == "" }

// splitter walks over text; pos is always the start of a line.
type splitter struct {
	text   string
	pos    int
	blocks []tributary.Block
}

func (s *splitter) lineAt(pos int) line {
	l := line{start: pos, end: len(s.text), next: len(s.text)}
	if i := strings.IndexByte(s.text[pos:], '\n'); i >= 0 {
		l.end, l.next = pos+i, pos+i+1
	}
	raw := s.text[l.start:l.end]
	i := 0
	for ; i < len(raw) && (raw[i] == ' ' || raw[i] == '\t'); i++ {
		if raw[i] == '\t' {
			l.indent += 4 - l.indent%4
		} else {
			l.indent++
		}
	}
	left := strings.TrimLeftFunc(raw[i:], unicode.IsSpace)
	l.bodyStart = l.end - len(left)
	l.body = strings.TrimRightFunc(left, unicode.IsSpace)
	return l
}

// after returns the line behind l; ok is false at the end of the text.
func (s *splitter) after(l line) (next line, ok bool) {
	if l.next >= len(s.text) {
		return line{}, false
	}
	return s.lineAt(l.next), true
}

// add appends the block that ends with the line last and moves behind it.
func (s *splitter) add(kind tributary.BlockKind, start int, last line) *tributary.Block {
	s.blocks = append(s.blocks, tributary.Block{Kind: kind, Start: start, End: last.bodyStart + len(last.body)})
	s.pos = last.next
	return &s.blocks[len(s.blocks)-1]
}

// block takes the block that starts with the line l, which is not blank.
func (s *splitter) block(l line) {
	switch {
	case l.indent >= 4:
		s.indentedCode(l)
	case fenceOf(l) != "":
		s.add(tributary.BlockCode, l.bodyStart, s.fenceEnd(l, -1))
	case atxLevel(l) > 0:
		level := atxLevel(l)
		b := s.add(tributary.BlockHeading, l.bodyStart, l)
		b.Level, b.Title = level, plainTitle(strings.Trim(l.body[level:], " \t"))
	case isThematicBreak(l):
		s.add(tributary.BlockParagraph, l.bodyStart, l)
	case l.body[0] == '>':
		s.quote(l)
	case markerWidth(l.body) > 0:
		s.list(l)
	case s.startsTable(l):
		s.table(l)
	default:
		s.paragraph(l)
	}
}

func (s *splitter) indentedCode(first line) {
	last := first
	for l, ok := s.after(first); ok; l, ok = s.after(l) {
		if l.blank() {
			continue
		}
		if l.indent < 4 {
			break
		}
		last = l
	}
	s.add(tributary.BlockCode, first.start, last)
}

// fenceEnd returns the last line of the code block whose fence opens with
// first. Inside a list item it also ends before a line that is not indented
// at all; minIndent is then 1, else -1.
func (s *splitter) fenceEnd(first line, minIndent int) line {
	fence := fenceOf(first)
	last := first
	for l, ok := s.after(first); ok; l, ok = s.after(l) {
		if !l.blank() && l.indent < minIndent {
			break
		}
		if l.blank() {
			continue
		}
		last = l
		if l.indent < 4 && len(l.body) >= len(fence) && strings.Trim(l.body, fence[:1]) == "" {
			break
		}
	}
	return last
}

func (s *splitter) quote(first line) {
	last := first
	for l, ok := s.after(first); ok; l, ok = s.after(l) {
		if l.blank() || l.body[0] != '>' && (s.interrupts(l) || last.body == ">") {
			break
		}
		last = l
	}
	s.add(tributary.BlockQuote, first.bodyStart, last)
}

// list takes a whole list with everything nested in it.
func (s *splitter) list(first line) {
	content := first.indent + markerWidth(first.body)
	last, afterBlank := first, false
	for l, ok := s.after(first); ok; l, ok = s.after(l) {
		if l.blank() {
			afterBlank = true
			continue
		}
		if !s.continuesList(l, content, afterBlank) {
			break
		}
		if fenceOf(l) != "" {
			l = s.fenceEnd(l, 1)
		}
		last, afterBlank = l, false
	}
	s.add(tributary.BlockList, first.bodyStart, last)
}

// continuesList reports whether l belongs to a list whose items' content
// stands at column content.
func (s *splitter) continuesList(l line, content int, afterBlank bool) bool {
	if l.indent >= content {
		return true
	}
	if isThematicBreak(l) {
		return false
	}
	if markerWidth(l.body) > 0 {
		return true
	}
	return !afterBlank && !s.interrupts(l)
}

func (s *splitter) table(first line) {
	last, _ := s.after(first) // the delimiter row
	for l, ok := s.after(last); ok; l, ok = s.after(l) {
		if l.blank() || s.interrupts(l) {
			break
		}
		last = l
	}
	s.add(tributary.BlockTable, first.bodyStart, last)
}

func (s *splitter) paragraph(first line) {
	last := first
	for l, ok := s.after(first); ok; l, ok = s.after(l) {
		if l.blank() {
			break
		}
		if level := setextLevel(l); level > 0 {
			b := s.add(tributary.BlockHeading, first.bodyStart, l)
			b.Level, b.Title = level, plainTitle(s.text[first.bodyStart:last.end])
			return
		}
		if s.interrupts(l) || interruptingMarker(l.body) || s.startsTable(l) {
			break
		}
		last = l
	}
	s.add(tributary.BlockParagraph, first.bodyStart, last)
}

// interrupts reports whether l starts a block of its own even directly below
// the text of another.
func (s *splitter) interrupts(l line) bool {
	return l.indent < 4 && (fenceOf(l) != "" || atxLevel(l) > 0 || isThematicBreak(l) || l.body[0] == '>')
}

// fenceOf returns the opening run of a code fence, "" if l opens none.
func fenceOf(l line) string {
	if len(l.body) < 3 || l.body[0] != '`' && l.body[0] != '~' {
		return ""
	}
	n := len(l.body) - len(strings.TrimLeft(l.body, l.body[:1]))
	if n < 3 || l.body[0] == '`' && strings.IndexByte(l.body[n:], '`') >= 0 {
		return ""
	}
	return l.body[:n]
}

// atxLevel returns the level of a "# heading", 0 if l is none.
func atxLevel(l line) int {
	n := 0
	for n < len(l.body) && l.body[n] == '#' {
		n++
	}
	if n == 0 || n > 6 || n < len(l.body) && l.body[n] != ' ' && l.body[n] != '\t' {
		return 0
	}
	return n
}

// setextLevel returns the level that an underline gives the text above it, 0
// if l is no underline.
func setextLevel(l line) int {
	if l.indent >= 4 {
		return 0
	}
	switch {
	case strings.Trim(l.body, "=") == "":
		return 1
	case len(l.body) >= 2 && strings.Trim(l.body, "-") == "":
		return 2
	}
	return 0
}

// isThematicBreak reports whether l is a rule such as "---" or "* * *".
func isThematicBreak(l line) bool {
	mark, n := l.body[0], 0
	if mark != '-' && mark != '*' && mark != '_' {
		return false
	}
	for i := range len(l.body) {
		switch l.body[i] {
		case mark:
			n++
		case ' ', '\t':
		default:
			return false
		}
	}
	return n >= 3
}

// markerWidth returns how many columns a list marker and the space behind it
// take, 0 if body does not start with one.
func markerWidth(body string) int {
	n := 0
	switch c := body[0]; {
	case c == '-' || c == '*' || c == '+':
		n = 1
	case c >= '0' && c <= '9':
		for n < len(body) && n < 9 && body[n] >= '0' && body[n] <= '9' {
			n++
		}
		if n == len(body) || body[n] != '.' && body[n] != ')' {
			return 0
		}
		n++
	default:
		return 0
	}
	if n < len(body) && body[n] != ' ' && body[n] != '\t' {
		return 0
	}
	return n + 1
}

// interruptingMarker reports whether body starts a list even directly below
// a paragraph's text: any bullet with text, but of numbers only 1, since a
// sentence may wrap before "1984."
func interruptingMarker(body string) bool {
	w := markerWidth(body)
	if w == 0 || w >= len(body) {
		return false
	}
	return body[0] < '0' || body[0] > '9' || strings.HasPrefix(body, "1.") || strings.HasPrefix(body, "1)")
}

// startsTable reports whether l is the header row of a table: the line below
// it is a delimiter row.
func (s *splitter) startsTable(l line) bool {
	if strings.IndexByte(l.body, '|') < 0 {
		return false
	}
	next, ok := s.after(l)
	return ok && isDelimiterRow(next.body)
}

func isDelimiterRow(body string) bool {
	dashes := false
	for i := range len(body) {
		switch body[i] {
		case '-':
			dashes = true
		case '|', ':', ' ', '\t':
		default:
			return false
		}
	}
	return dashes && strings.IndexByte(body, '|') >= 0
}

// plainTitle returns a heading's text without its Markdown: closing marks,
// attributes, emphasis, code ticks, link targets, tags, escapes.
func plainTitle(s string) string {
	const window = 4 * maxTitleRunes
	if len(s) > window {
		s = strings.ToValidUTF8(s[:window], "")
	}
	if trimmed := strings.TrimRight(s, "#"); trimmed == "" || strings.HasSuffix(trimmed, " ") {
		s = strings.TrimRight(trimmed, " \t")
	}
	if i := strings.LastIndex(s, "{#"); i >= 0 && strings.HasSuffix(s, "}") {
		s = s[:i]
	}
	var b strings.Builder
	for i := 0; i < len(s); {
		i += plainSpan(&b, s, i)
	}
	return oneLine(html.UnescapeString(b.String()), maxTitleRunes)
}

// plainSpan writes what is to be read of the markup at s[i:] and returns how
// many bytes it took.
func plainSpan(b *strings.Builder, s string, i int) int {
	rest := s[i:]
	switch c := rest[0]; {
	case c == '\\' && len(rest) > 1 && isASCIIPunct(rest[1]):
		b.WriteByte(rest[1])
		return 2
	case c == '*' || c == '`' || c == '[':
		return 1
	case c == '!' && strings.HasPrefix(rest, "!["):
		return 2
	case c == '~' && strings.HasPrefix(rest, "~~"):
		return 2
	case c == '_' && (i == 0 || i+1 == len(s) || !isWordByte(s[i-1]) || !isWordByte(s[i+1])):
		return 1
	case c == ']':
		return 1 + linkTarget(rest[1:])
	case c == '<' && len(rest) > 1 && (isWordByte(rest[1]) || rest[1] == '/'):
		if end := strings.IndexByte(rest, '>'); end > 0 {
			return end + 1
		}
	}
	b.WriteByte(rest[0])
	return 1
}

// linkTarget returns the length of "(url)" or "[ref]" at the start of s.
func linkTarget(s string) int {
	for _, pair := range []string{"()", "[]"} {
		if s != "" && s[0] == pair[0] {
			if end := strings.IndexByte(s, pair[1]); end > 0 {
				return end + 1
			}
		}
	}
	return 0
}

func isASCIIPunct(c byte) bool {
	return c > ' ' && c < 0x7f && !isWordByte(c)
}

func isWordByte(c byte) bool {
	return c >= '0' && c <= '9' || c >= 'A' && c <= 'Z' || c >= 'a' && c <= 'z' || c >= 0x80
}
