package queryworker

import (
	"regexp"
	"strings"
	"unicode"
	"unicode/utf8"
)

// maxSentenceBytes is where text without full stops is cut.
const maxSentenceBytes = 600

// kind is what a sentence was taken from.
type kind int

const (
	prose kind = iota
	item       // of a list
	row        // of a table
	code       // a line of it
	title      // a heading
)

// sentence is a part of a passage that can be quoted by itself.
type sentence struct {
	kind kind
	// start and end are its half-open byte range in the passage.
	start, end int
	// text is what clean makes of that range; of a table row, its cells, each
	// after the head of its column.
	text string
}

// sentences splits a passage of plain text or Markdown. The result is in
// order, does not overlap and leaves out what has neither letter nor digit;
// it is empty for a passage without any.
func sentences(passage string) []sentence {
	s := splitter{text: passage}
	for at := 0; at < len(passage); {
		end := len(passage)
		if n := strings.IndexByte(passage[at:], '\n'); n >= 0 {
			end = at + n
		}
		s.line(at, end)
		at = end + 1
	}
	s.flush()
	return s.out
}

// splitter goes through the lines of a passage.
type splitter struct {
	text string
	out  []sentence

	open       bool // a paragraph or list item that may go on
	kind       kind
	start, end int

	fence string   // what closes the code that is open, "" outside code
	head  []string // cells of the table's head
	above []string // cells of the row above, while it may turn out to be a head
}

var (
	listMarker = regexp.MustCompile(`^(?:[-*+•◦▪–]|\d{1,3}[.)])[ \t]+(?:\[[ xX]\][ \t]+)?`)
	headMarker = regexp.MustCompile(`^#{1,6}(?:[ \t]+|$)`)
	rule       = regexp.MustCompile(`^(?:=+|-{2,}|(?:[-*_][ \t]*){3,})$`)
	tableRule  = regexp.MustCompile(`^\|?[ \t]*:?-+:?[ \t]*(?:\|[ \t]*:?-*:?[ \t]*)*\|?$`)
)

// line takes in text[start:end], a line without its newline.
func (s *splitter) line(start, end int) {
	line := strings.TrimRight(s.text[start:end], " \t\r")
	end = start + len(line)
	inner := strings.TrimLeft(line, " \t")
	if s.fence != "" {
		s.codeLine(end-len(inner), end)
		return
	}
	inner = strings.TrimLeft(line, " \t>")
	start = end - len(inner)
	if !strings.HasPrefix(inner, "|") {
		s.head, s.above = nil, nil
	}
	switch {
	case inner == "":
		s.flush()
	case strings.HasPrefix(inner, "```") || strings.HasPrefix(inner, "~~~"):
		s.flush()
		s.fence = inner[:runOf(inner, inner[0])]
	case rule.MatchString(inner):
		s.underline(inner)
	case headMarker.MatchString(inner):
		s.flush()
		s.add(title, start+len(headMarker.FindString(inner)), end)
	case strings.HasPrefix(inner, "|"):
		s.flush()
		s.tableRow(start, end)
	case listMarker.MatchString(inner):
		s.flush()
		s.begin(item, start+len(listMarker.FindString(inner)), end)
	case s.open:
		s.end = end
	default:
		s.begin(prose, start, end)
	}
}

func (s *splitter) begin(k kind, start, end int) {
	s.open, s.kind, s.start, s.end = true, k, start, end
}

// underline takes in a line of dashes, equal signs or the like: the single
// line of text above the first two is a heading; otherwise it separates.
func (s *splitter) underline(rule string) {
	one := strings.Trim(rule, "=") == "" || strings.Trim(rule, "-") == ""
	if s.open && s.kind == prose && one && !strings.Contains(s.text[s.start:s.end], "\n") {
		s.kind = title
	}
	s.flush()
}

func (s *splitter) codeLine(start, end int) {
	line := s.text[start:end]
	if strings.HasPrefix(line, s.fence) && strings.Trim(line, s.fence[:1]) == "" {
		s.fence = ""
		return
	}
	if readable(line) {
		s.out = append(s.out, sentence{kind: code, start: start, end: end, text: quoteCode(line)})
	}
}

func (s *splitter) tableRow(start, end int) {
	line := s.text[start:end]
	if tableRule.MatchString(line) {
		if s.above != nil { // the row above was the head, and is no answer by itself
			s.head, s.above = s.above, nil
			s.out = s.out[:len(s.out)-1]
		}
		return
	}
	cells := splitRow(line)
	text := joinRow(s.head, cells)
	s.above = nil
	if readable(text) {
		s.out = append(s.out, sentence{kind: row, start: start, end: end, text: text})
		if s.head == nil {
			s.above = cells
		}
	}
}

// splitRow returns the cleaned cells of a table row.
func splitRow(line string) []string {
	line = strings.TrimSuffix(strings.TrimPrefix(line, "|"), "|")
	var cells []string
	cell := 0
	for i := 0; i < len(line); i++ {
		switch line[i] {
		case '\\':
			i++
		case '|':
			cells = append(cells, clean(line[cell:i]))
			cell = i + 1
		}
	}
	return append(cells, clean(line[cell:]))
}

// joinRow writes "Head: cell; Head: cell", and without heads "cell; cell".
// Empty cells are left out.
func joinRow(head, cells []string) string {
	var parts []string
	for i, cell := range cells {
		switch {
		case cell == "":
		case i < len(head) && head[i] != "":
			parts = append(parts, strings.TrimSuffix(head[i], ":")+": "+cell)
		default:
			parts = append(parts, cell)
		}
	}
	return strings.Join(parts, "; ")
}

// flush ends the paragraph or list item that is open.
func (s *splitter) flush() {
	if !s.open {
		return
	}
	s.open = false
	if s.kind == title {
		s.add(title, s.start, s.end)
		return
	}
	for at := s.start; at < s.end; {
		end := at + sentenceEnd(s.text[at:s.end])
		s.add(s.kind, at, end)
		at = end
	}
}

func (s *splitter) add(k kind, start, end int) {
	if text := clean(s.text[start:end]); readable(text) {
		s.out = append(s.out, sentence{kind: k, start: start, end: end, text: text})
	}
}

func readable(s string) bool {
	return strings.ContainsFunc(s, func(r rune) bool { return unicode.IsLetter(r) || unicode.IsDigit(r) })
}

// sentenceEnd returns the length of the first sentence of text, with the white
// space that follows it: at least 1, and about maxSentenceBytes at most, unless
// it is code.
func sentenceEnd(text string) int {
	if window := 4 * maxSentenceBytes; len(text) > window {
		for window > 0 && !utf8.RuneStart(text[window]) {
			window--
		}
		text = text[:window]
	}
	spans := codeSpans(text)
	lastBlank := 0
	for i, r := range text {
		if i > maxSentenceBytes && !inside(spans, i) {
			if lastBlank > 0 {
				return lastBlank
			}
			return i
		}
		after := i + utf8.RuneLen(r)
		if r == utf8.RuneError {
			_, size := utf8.DecodeRuneInString(text[i:])
			after = i + size
		}
		switch {
		case inside(spans, i):
		case r == ' ' || r == '\n' || r == '\t':
			lastBlank = after
		case strings.ContainsRune("。！？", r):
			return afterClosers(text, after)
		case strings.ContainsRune(".!?…", r):
			if end, ok := boundary(text, i, after); ok {
				return end
			}
		}
	}
	return len(text)
}

const closers = "\"'”’»)]*_`」』"

// afterClosers skips the quotes and brackets that end with the sentence, and
// white space.
func afterClosers(text string, i int) int {
	rest := strings.TrimLeft(text[i:], closers)
	return len(text) - len(strings.TrimLeft(rest, " \t\r\n"))
}

// boundary reports whether the mark text[i:after] ends a sentence, and where
// the next one starts.
func boundary(text string, i, after int) (int, bool) {
	rest := strings.TrimLeft(text[after:], closers)
	next := strings.TrimLeft(rest, " \t\r\n")
	if next == "" {
		return len(text), true
	}
	if len(next) == len(rest) { // no white space: a number, a name, an address
		return 0, false
	}
	if r, _ := utf8.DecodeRuneInString(strings.TrimLeft(next, "\"'“‘«([*_`>")); unicode.IsLower(r) {
		return 0, false
	}
	if text[i] == '.' && abbreviated(text[:i], next) {
		return 0, false
	}
	return len(text) - len(next), true
}

var (
	// abbreviations never end a sentence.
	abbreviations = words("e.g i.e cf vs approx ca mr mrs ms dr prof al z.b d.h u.a bzw")
	// counted do not, before a number.
	counted = words("no nr fig sec eq art vol p pp jan feb aug sept oct nov dec")
)

func words(list string) map[string]bool {
	set := map[string]bool{}
	for word := range strings.FieldsSeq(list) {
		set[word] = true
	}
	return set
}

// abbreviated reports whether the full stop between before and next ends an
// abbreviation or an initial and not a sentence.
func abbreviated(before, next string) bool {
	word := before[strings.LastIndexAny(before, " \t\n([\"'*_")+1:]
	if r, size := utf8.DecodeRuneInString(word); size == len(word) && unicode.IsUpper(r) {
		return true
	}
	word = strings.ToLower(word)
	return abbreviations[word] || counted[word] && next[0] >= '0' && next[0] <= '9'
}
