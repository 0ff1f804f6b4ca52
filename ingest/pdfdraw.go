package ingest

import (
	"bytes"
	"unicode/utf16"

	"github.com/ledongthuc/pdf"
)

// matrix is a PDF transformation: x' = a·x + c·y + e, y' = b·x + d·y + f.
type matrix [6]float64

var identity = matrix{1, 0, 0, 1, 0, 0}

// times returns the transformation that applies m and then n.
func (m matrix) times(n matrix) matrix {
	r := matrix{
		m[0]*n[0] + m[1]*n[2], m[0]*n[1] + m[1]*n[3],
		m[2]*n[0] + m[3]*n[2], m[2]*n[1] + m[3]*n[3],
		m[4]*n[0] + m[5]*n[2] + n[4], m[4]*n[1] + m[5]*n[3] + n[5],
	}
	for i := range r {
		r[i] = clampNumber(r[i])
	}
	return r
}

func (m matrix) apply(x, y float64) (float64, float64) {
	return m[0]*x + m[2]*y + m[4], m[1]*x + m[3]*y + m[5]
}

// graphicsState is what q and Q save and restore, as far as text needs it.
type graphicsState struct {
	ctm                 matrix
	font                *pdfFont
	size, leading, rise float64
	charSpace           float64
	wordSpace           float64
	scale               float64 // horizontal, 1 for 100 %
}

const maxStateDepth = 256

// pdfCanvas interprets one content stream.
type pdfCanvas struct {
	doc       *pdfDocument
	resources pdf.Value
	layout    *pdfLayout
	form      string              // the form that is drawn, in printed form, "" for a page
	outer     *pdfCanvas          // what draws the form, nil for a page
	fonts     map[string]*pdfFont // by resource name

	graphicsState
	saved       []graphicsState
	text, line  matrix
	replacement []*string // ActualText of the open marked content, nil where none
}

// draw interprets content and adds its text to layout.
func (d *pdfDocument) draw(content []byte, resources pdf.Value, ctm matrix, layout *pdfLayout) {
	(&pdfCanvas{doc: d, layout: layout}).draw(content, resources, ctm)
}

// draw interprets content with a fresh state.
func (c *pdfCanvas) draw(content []byte, resources pdf.Value, ctm matrix) {
	c.resources, c.fonts = resources, make(map[string]*pdfFont)
	c.graphicsState = graphicsState{ctm: ctm, scale: 1}
	c.text, c.line = identity, identity
	lexer := &pdfLexer{data: content}
	var args []any
	for {
		switch token := lexer.token().(type) {
		case nil:
			return
		case pdfOperator:
			if c.doc.operators++; c.doc.operators > maxOperators {
				panic(errTooManyOps)
			}
			if token == "BI" {
				skipInlineImage(lexer)
			} else {
				c.operate(string(token), args)
			}
			args = args[:0]
		default:
			const maxOperands = 64
			if len(args) < maxOperands {
				args = append(args, token)
			}
		}
	}
}

// skipInlineImage moves behind the EI that ends an image's data.
func skipInlineImage(l *pdfLexer) {
	for {
		i := bytes.Index(l.data[l.pos:], []byte("EI"))
		if i < 0 {
			l.pos = len(l.data)
			return
		}
		l.pos += i + 2
		if before := l.data[l.pos-3]; isPDFSpace(before) && (l.pos == len(l.data) || isPDFSpace(l.data[l.pos])) {
			return
		}
	}
}

func (c *pdfCanvas) operate(op string, args []any) {
	switch op {
	case "q":
		if len(c.saved) < maxStateDepth {
			c.saved = append(c.saved, c.graphicsState)
		}
	case "Q":
		if n := len(c.saved); n > 0 {
			c.graphicsState, c.saved = c.saved[n-1], c.saved[:n-1]
		}
	case "cm":
		c.ctm = matrixOf(args).times(c.ctm)
	case "Do":
		c.drawForm(nameArg(args, 0))
	case "BMC", "BDC":
		c.beginMarked(args)
	case "EMC":
		c.endMarked()
	default:
		c.operateText(op, args)
	}
}

func (c *pdfCanvas) operateText(op string, args []any) {
	switch op {
	case "BT":
		c.text, c.line = identity, identity
	case "Tf":
		c.font, c.size = c.fontNamed(nameArg(args, 0)), number(args, 1)
	case "Tc":
		c.charSpace = number(args, 0)
	case "Tw":
		c.wordSpace = number(args, 0)
	case "Tz":
		c.scale = number(args, 0) / 100
	case "TL":
		c.leading = number(args, 0)
	case "Ts":
		c.rise = number(args, 0)
	case "Td":
		c.move(number(args, 0), number(args, 1))
	case "TD":
		c.leading = -number(args, 1)
		c.move(number(args, 0), number(args, 1))
	case "Tm":
		c.line = matrixOf(args)
		c.text = c.line
	case "T*":
		c.move(0, -c.leading)
	case "Tj":
		c.show(stringArg(args, 0))
	case "'":
		c.move(0, -c.leading)
		c.show(stringArg(args, 0))
	case "\"":
		c.wordSpace, c.charSpace = number(args, 0), number(args, 1)
		c.move(0, -c.leading)
		c.show(stringArg(args, 2))
	case "TJ":
		c.showAdjusted(args)
	}
}

func (c *pdfCanvas) move(x, y float64) {
	c.line = matrix{1, 0, 0, 1, x, y}.times(c.line)
	c.text = c.line
}

func (c *pdfCanvas) advance(x float64) {
	c.text = matrix{1, 0, 0, 1, x, 0}.times(c.text)
}

func (c *pdfCanvas) showAdjusted(args []any) {
	if len(args) == 0 {
		return
	}
	items, _ := args[0].([]any)
	for _, item := range items {
		switch item := item.(type) {
		case pdfString:
			c.show(string(item))
		case float64:
			c.advance(-item / 1000 * c.size * c.scale)
		}
	}
}

// show places the glyphs of s.
func (c *pdfCanvas) show(s string) {
	font := c.font
	if font == nil {
		font = fallbackFont
	}
	for len(s) > 0 {
		g := font.next(s)
		s = s[g.bytes:]
		toPage := c.text.times(c.ctm)
		x0, y0 := toPage.apply(0, c.rise)
		width := g.width / 1000 * c.size * c.scale
		x1, y1 := toPage.apply(width, c.rise)
		_, up := matrix{toPage[0], toPage[1], toPage[2], toPage[3]}.apply(0, 1)
		across, _ := matrix{toPage[0], toPage[1], toPage[2], toPage[3]}.apply(0, 1)
		c.place(pdfGlyph{text: g.text, x0: x0, y0: y0, x1: x1, y1: y1, size: hypot(across, up) * abs(c.size)})
		if g.isSpace {
			width += c.wordSpace * c.scale
		}
		c.advance(width + c.charSpace*c.scale)
	}
}

// place adds a glyph to the page, or the text that the file gives in place of
// the marked content it is part of.
func (c *pdfCanvas) place(g pdfGlyph) {
	for _, text := range c.replacement {
		if text != nil {
			g.text, *text = *text, ""
			break
		}
	}
	c.layout.add(g)
}

func (c *pdfCanvas) beginMarked(args []any) {
	if len(c.replacement) >= maxStateDepth {
		return
	}
	var replacement *string
	if len(args) > 1 {
		if dict, ok := args[1].(map[pdfName]any); ok {
			if s, ok := dict["ActualText"].(pdfString); ok {
				text := pdfTextString(string(s))
				replacement = &text
			}
		}
	}
	c.replacement = append(c.replacement, replacement)
}

func (c *pdfCanvas) endMarked() {
	if n := len(c.replacement); n > 0 {
		c.replacement = c.replacement[:n-1]
	}
}

// drawForm draws a form XObject; images and names that lead nowhere draw
// nothing.
func (c *pdfCanvas) drawForm(name string) {
	form := c.resources.Key("XObject").Key(name)
	if form.Kind() != pdf.Stream || form.Key("Subtype").Name() != "Form" || !c.mayDraw(form.String()) {
		return
	}
	ctm := c.ctm
	if m := form.Key("Matrix"); m.Len() == 6 {
		var own matrix
		for i := range own {
			own[i] = clampNumber(m.Index(i).Float64())
		}
		ctm = own.times(ctm)
	}
	resources := c.resources
	if own := form.Key("Resources"); own.Kind() == pdf.Dict {
		resources = own
	}
	inner := &pdfCanvas{doc: c.doc, layout: c.layout, form: form.String(), outer: c}
	inner.draw(c.doc.stream(form), resources, ctm)
}

// mayDraw reports whether a form may be drawn here: not within itself, and
// not too deep.
func (c *pdfCanvas) mayDraw(form string) bool {
	depth := 0
	for ; c != nil; c = c.outer {
		if depth++; depth > maxFormDepth || c.form == form {
			return false
		}
	}
	return true
}

// fontNamed returns the font that the resources call name. Names mean
// different fonts on different pages, so they are looked up anew for each
// content stream.
func (c *pdfCanvas) fontNamed(name string) *pdfFont {
	font, known := c.fonts[name]
	if !known {
		font = c.doc.font(c.resources.Key("Font").Key(name))
		c.fonts[name] = font
	}
	return font
}

func number(args []any, i int) float64 {
	if i < len(args) {
		f, _ := args[i].(float64)
		return f
	}
	return 0
}

func nameArg(args []any, i int) string {
	if i < len(args) {
		n, _ := args[i].(pdfName)
		return string(n)
	}
	return ""
}

func stringArg(args []any, i int) string {
	if i < len(args) {
		s, _ := args[i].(pdfString)
		return string(s)
	}
	return ""
}

func matrixOf(args []any) matrix {
	if len(args) < 6 {
		return identity
	}
	var m matrix
	for i := range m {
		m[i] = number(args, i)
	}
	return m
}

// pdfTextString decodes a text string: UTF-16 or UTF-8 with a mark, else
// Latin letters.
func pdfTextString(s string) string {
	switch {
	case len(s) >= 2 && s[0] == 0xfe && s[1] == 0xff:
		return decodeUTF16(s[2:])
	case len(s) >= 3 && s[:3] == "\xef\xbb\xbf":
		return s[3:]
	}
	runes := make([]rune, len(s))
	for i := range len(s) {
		runes[i] = winAnsi[s[i]]
	}
	return string(runes)
}

// decodeUTF16 decodes big-endian UTF-16; an odd last byte is dropped.
func decodeUTF16(s string) string {
	units := make([]uint16, len(s)/2)
	for i := range units {
		units[i] = uint16(s[2*i])<<8 | uint16(s[2*i+1])
	}
	return string(utf16.Decode(units))
}
