package ingest

import (
	"bytes"
	"math"
	"slices"
	"strings"
	"unicode"
	"unicode/utf8"

	"golang.org/x/text/unicode/norm"

	"github.com/tributary-kb/tributary"
)

func hypot(x, y float64) float64 { return math.Hypot(x, y) }
func abs(x float64) float64      { return math.Abs(x) }

// pdfGlyph is one piece of text on a page, from where its baseline starts to
// where it ends, in page units.
type pdfGlyph struct {
	text           string
	x0, y0, x1, y1 float64
	size           float64 // height of the font
}

// Distances in units of the font size that mean something to a reader.
const (
	spaceGap     = 0.18 // a gap this wide separates words
	columnGap    = -2.0 // going back this far on a line starts another piece of text
	sameLine     = 0.5  // baselines this close are one line: sub- and superscripts
	wideLeading  = 1.9  // lines this far apart are separate paragraphs, where nothing is known
	leadingRatio = 1.3  // or this much farther apart than the lines before
	sizeChange   = 1.12 // a change of size by this factor on a new line starts a paragraph
)

// pdfParagraph is a run of lines with the font size that most of it has.
type pdfParagraph struct {
	text string
	size float64
}

// pdfLayout puts glyphs together to words, lines and paragraphs, in the order
// in which they come.
type pdfLayout struct {
	done    []pdfParagraph
	current strings.Builder
	runes   map[float64]int // how many runes of the current paragraph have a size
	last    pdfGlyph
	started bool
	leading float64 // distance of the paragraph's lines, 0 on its first
}

// add places the next glyph.
func (l *pdfLayout) add(g pdfGlyph) {
	if g.text == "" || g.size <= 0 {
		return
	}
	if l.started {
		l.separate(g)
	}
	if strings.TrimSpace(g.text) != "" || l.current.Len() > 0 {
		l.current.WriteString(g.text)
	}
	if l.runes == nil {
		l.runes = make(map[float64]int)
	}
	if size := math.Round(g.size*2) / 2; len(l.runes) < 64 {
		l.runes[size] += utf8.RuneCountInString(g.text)
	}
	l.last, l.started = g, true
}

// separate writes what stands between the last glyph and g.
func (l *pdfLayout) separate(g pdfGlyph) {
	last := l.last
	dx, dy := last.x1-last.x0, last.y1-last.y0
	if n := hypot(dx, dy); n > 0 {
		dx, dy = dx/n, dy/n
	} else {
		dx, dy = 1, 0
	}
	em := max(last.size, g.size)
	along := ((g.x0-last.x1)*dx + (g.y0-last.y1)*dy) / em
	down := ((g.x0-last.x1)*dy - (g.y0-last.y1)*dx) / em
	if abs(down) < sameLine {
		switch {
		case along < columnGap:
			l.endParagraph()
		case along*em > spaceGap*min(last.size, g.size) || along < -sameLine:
			l.write(" ")
		}
		return
	}
	leading := down * em
	newSize := max(last.size, g.size) > sizeChange*min(last.size, g.size)
	farther := l.leading > 0 && leading > leadingRatio*l.leading || down > wideLeading
	if down < 0 || farther || newSize {
		l.endParagraph()
		return
	}
	if l.leading == 0 {
		l.leading = leading
	}
	l.write("\n")
}

// write adds white space unless there is some.
func (l *pdfLayout) write(space string) {
	s := l.current.String()
	switch {
	case s == "":
	case strings.HasSuffix(s, "\n"):
	case space == " " && strings.HasSuffix(s, " "):
	default:
		l.current.WriteString(space)
	}
}

func (l *pdfLayout) endParagraph() {
	text := tidyPDFText(l.current.String())
	if text != "" {
		l.done = append(l.done, pdfParagraph{text: text, size: mostCommon(l.runes)})
	}
	l.current.Reset()
	clear(l.runes)
	l.leading = 0
}

// paragraphs ends the page and returns its paragraphs.
func (l *pdfLayout) paragraphs() []pdfParagraph {
	l.endParagraph()
	return l.done
}

// mostCommon returns the size that most runes have, 0 if there are none.
func mostCommon(count map[float64]int) (size float64) {
	most := 0
	for s, n := range count {
		if n > most || n == most && s > size {
			size, most = s, n
		}
	}
	return size
}

// tidyPDFText cleans the text of one paragraph: presentation forms become the
// letters they show, words that were divided at the end of a line are joined,
// and lines lose surrounding white space.
func tidyPDFText(s string) string {
	s = cleanText(plainForms(s))
	var out []byte
	for line := range strings.SplitSeq(s, "\n") {
		line = strings.Join(strings.Fields(line), " ")
		switch {
		case line == "":
		case dividesWord(out, line):
			out = append(out[:len(out)-1], line...)
		case len(out) > 0:
			out = append(append(out, '\n'), line...)
		default:
			out = append(out, line...)
		}
	}
	return string(out)
}

// dividesWord reports whether text ends in the first part of a word that line
// goes on with.
func dividesWord(text []byte, line string) bool {
	stem, ok := bytes.CutSuffix(text, []byte("-"))
	if !ok {
		return false
	}
	before, _ := utf8.DecodeLastRune(stem)
	after, _ := utf8.DecodeRuneInString(line)
	return unicode.IsLower(before) && unicode.IsLower(after)
}

// symbolForms are code points of symbol fonts that stand in the private use
// area, and what they look like.
var symbolForms = map[rune]string{
	0xf0b7: "•", 0xf0a7: "▪", 0xf0d8: "➢", 0xf0fc: "✓", 0xf0e0: "→", 0xf06f: "○", 0xf076: "❖", 0xf02d: "–", 0xf020: " ",
}

// plainForms replaces ligatures, Arabic presentation forms and symbol-font
// code points by plain characters. Other compatibility characters, such as
// "²", mean something and stay.
func plainForms(s string) string {
	if !strings.ContainsFunc(s, isPresentationForm) {
		return s
	}
	var b strings.Builder
	for _, r := range s {
		switch {
		case !isPresentationForm(r):
			b.WriteRune(r)
		case r >= 0xe000 && r <= 0xf8ff:
			b.WriteString(symbolForms[r])
		default:
			b.WriteString(norm.NFKC.String(string(r)))
		}
	}
	return b.String()
}

func isPresentationForm(r rune) bool {
	return r >= 0xe000 && r <= 0xf8ff || r >= 0xfb00 && r <= 0xfdcf || r >= 0xfdf0 && r <= 0xfdff || r >= 0xfe70 && r <= 0xfefc
}

// pdfText is the text of a document page by page.
type pdfText struct {
	pages []pagedParagraph
}

type pagedParagraph struct {
	pdfParagraph
	page int
}

func (t *pdfText) add(page int, paragraphs []pdfParagraph) {
	for _, p := range paragraphs {
		t.pages = append(t.pages, pagedParagraph{p, page})
	}
}

func (t *pdfText) empty() bool {
	return !slices.ContainsFunc(t.pages, func(p pagedParagraph) bool {
		return strings.ContainsFunc(p.text, unicode.IsLetter) || strings.ContainsFunc(p.text, unicode.IsDigit)
	})
}

// parsed joins the paragraphs with blank lines between them.
func (t *pdfText) parsed() Parsed {
	var b strings.Builder
	levels := t.headingLevels()
	p := Parsed{Blocks: make([]tributary.Block, 0, len(t.pages))}
	for _, par := range t.pages {
		if b.Len() > 0 {
			b.WriteString("\n\n")
		}
		block := tributary.Block{Kind: tributary.BlockParagraph, Start: b.Len(), Page: par.page}
		b.WriteString(par.text)
		block.End = b.Len()
		if level := levels[par.size]; level > 0 && looksLikeHeading(par.text) {
			block.Kind, block.Level = tributary.BlockHeading, level
			block.Title = oneLine(par.text, maxTitleRunes)
		}
		p.Blocks = append(p.Blocks, block)
	}
	b.WriteByte('\n')
	p.Text = b.String()
	return p
}

// headingLevels maps the font sizes that stand out from the body's to heading
// levels, the largest first.
func (t *pdfText) headingLevels() map[float64]int {
	runes := make(map[float64]int)
	for _, p := range t.pages {
		runes[p.size] += utf8.RuneCountInString(p.text)
	}
	body := mostCommon(runes)
	var sizes []float64
	for size := range runes {
		if size > sizeChange*body {
			sizes = append(sizes, size)
		}
	}
	slices.Sort(sizes)
	slices.Reverse(sizes)
	levels := make(map[float64]int)
	for i, size := range sizes {
		levels[size] = min(i+1, 6)
	}
	return levels
}

// looksLikeHeading reports whether large text can be a heading: a few lines
// with letters in them.
func looksLikeHeading(s string) bool {
	const maxRunes, maxLines = 200, 3
	return utf8.RuneCountInString(s) <= maxRunes && strings.Count(s, "\n") < maxLines && strings.ContainsFunc(s, unicode.IsLetter)
}
