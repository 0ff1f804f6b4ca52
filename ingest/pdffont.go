package ingest

import (
	"strings"

	"github.com/ledongthuc/pdf"
	"golang.org/x/text/encoding"
	"golang.org/x/text/encoding/japanese"
	"golang.org/x/text/encoding/korean"
	"golang.org/x/text/encoding/simplifiedchinese"
	"golang.org/x/text/encoding/traditionalchinese"
)

// pdfFont turns the bytes of shown strings into text and widths.
type pdfFont struct {
	toUnicode *characterMap // nil if the font has none
	simple    bool          // one byte per character
	text      [256]string   // of a simple font without toUnicode
	widths    [256]float64  // of a simple font, in thousandths of the size

	// Composite fonts only.
	utf16     bool              // codes are UTF-16
	charset   encoding.Encoding // codes are in this charset, nil if not
	cidWidths map[uint32]float64
	cidWidth  float64 // of characters that are not in cidWidths
}

// shownChar is one character of a shown string.
type shownChar struct {
	bytes   int    // of the string that it takes, at least 1
	text    string // "" if nobody knows what it shows
	width   float64
	isSpace bool // the single byte 32, to which word spacing applies
}

// fallbackFont stands in where a page shows text without a readable font.
var fallbackFont = &pdfFont{simple: true, text: latinText(&winAnsi), widths: standardWidths("Helvetica")}

// next decodes the character that s starts with; s is not empty.
func (f *pdfFont) next(s string) shownChar {
	if f.simple {
		c := shownChar{bytes: 1, width: f.widths[s[0]], isSpace: s[0] == ' '}
		if text, ok := f.mapped(uint32(s[0])); ok {
			c.text = text
		} else {
			c.text = f.text[s[0]]
		}
		return c
	}
	n := min(f.codeLength(s), len(s))
	code := uint32(0)
	for i := range n {
		code = code<<8 | uint32(s[i])
	}
	c := shownChar{bytes: n, width: f.cidWidth, isSpace: n == 1 && s[0] == ' '}
	if w, ok := f.cidWidths[code]; ok {
		c.width = w
	}
	text, ok := f.mapped(code)
	switch {
	case ok:
		c.text = text
	case f.utf16:
		c.text = decodeUTF16(s[:n])
	case f.charset != nil:
		c.text, _ = f.charset.NewDecoder().String(s[:n])
	}
	return c
}

// mapped returns what the ToUnicode map says; ok is false where it says
// nothing of use.
func (f *pdfFont) mapped(code uint32) (string, bool) {
	if f.toUnicode == nil {
		return "", false
	}
	text, ok := f.toUnicode.lookup(code)
	return text, ok && strings.Trim(text, "\x00\uFFFD") != ""
}

// codeLength returns how many bytes the next code of a composite font takes.
func (f *pdfFont) codeLength(s string) int {
	if f.charset == nil {
		if f.utf16 && len(s) >= 4 && s[0] >= 0xd8 && s[0] < 0xdc {
			return 4
		}
		return 2
	}
	halfWidth := f.charset == japanese.ShiftJIS && s[0] >= 0xa0 && s[0] < 0xe0
	if s[0] < 0x81 || halfWidth {
		return 1
	}
	return 2
}

// font returns the font that v describes. Fonts are kept by their printed
// form, which names every object they are made of.
func (d *pdfDocument) font(v pdf.Value) *pdfFont {
	if v.Kind() != pdf.Dict {
		return fallbackFont
	}
	key := v.String()
	if f, ok := d.fonts[key]; ok {
		return f
	}
	f := &pdfFont{simple: true, text: fallbackFont.text, widths: fallbackFont.widths}
	d.fonts[key] = f
	// What can be read of a broken font is used.
	_ = guard(func() {
		if m := v.Key("ToUnicode"); m.Kind() == pdf.Stream {
			f.toUnicode = parseCharacterMap(d.stream(m))
		}
	})
	_ = guard(func() {
		if v.Key("Subtype").Name() == "Type0" {
			f.loadComposite(v)
		} else {
			d.loadSimple(f, v)
		}
	})
	return f
}

func (f *pdfFont) loadComposite(v pdf.Value) {
	f.simple, f.cidWidth = false, 1000
	name := v.Key("Encoding").Name()
	f.utf16 = strings.Contains(name, "UCS2") || strings.Contains(name, "UTF16")
	f.charset = cmapCharset(name)
	descendant := v.Key("DescendantFonts").Index(0)
	if dw := descendant.Key("DW"); !dw.IsNull() {
		f.cidWidth = clampNumber(dw.Float64())
	}
	f.cidWidths = cidWidths(descendant.Key("W"))
}

// cmapCharset returns the charset that a predefined character map encodes,
// nil for those of other kinds.
func cmapCharset(name string) encoding.Encoding {
	switch {
	case strings.HasPrefix(name, "Uni") || strings.HasPrefix(name, "Identity"):
		return nil
	case strings.Contains(name, "RKSJ"):
		return japanese.ShiftJIS
	case strings.HasPrefix(name, "EUC-"):
		return japanese.EUCJP
	case strings.HasPrefix(name, "GB"):
		return simplifiedchinese.GB18030
	case strings.Contains(name, "B5") || strings.HasPrefix(name, "HKscs"):
		return traditionalchinese.Big5
	case strings.HasPrefix(name, "KSC"):
		return korean.EUCKR
	}
	return nil
}

// cidWidths reads a W array: "first [w w w]" and "first last w".
func cidWidths(w pdf.Value) map[uint32]float64 {
	const maxWidths = 1 << 17
	widths := make(map[uint32]float64)
	for i := 0; i+1 < w.Len() && len(widths) < maxWidths; {
		first, second := w.Index(i).Int64(), w.Index(i+1)
		if second.Kind() == pdf.Array {
			for j := range second.Len() {
				widths[uint32(first)+uint32(j)] = clampNumber(second.Index(j).Float64())
			}
			i += 2
			continue
		}
		width := clampNumber(w.Index(i + 2).Float64())
		for code := first; code <= second.Int64() && code < 1<<16 && code >= 0; code++ {
			widths[uint32(code)] = width
		}
		i += 3
	}
	return widths
}

func (d *pdfDocument) loadSimple(f *pdfFont, v pdf.Value) {
	name := v.Key("BaseFont").Name()
	f.widths = standardWidths(name)
	descriptor := v.Key("FontDescriptor")
	if widths := v.Key("Widths"); widths.Kind() == pdf.Array {
		f.loadWidths(v, widths, descriptor.Key("MissingWidth").Float64())
	}
	f.text = latinText(d.baseEncoding(v, name))
	differences := v.Key("Encoding").Key("Differences")
	code := 0
	for i := range min(differences.Len(), 1024) {
		switch item := differences.Index(i); item.Kind() {
		case pdf.Integer:
			code = int(item.Int64())
		case pdf.Name:
			if code >= 0 && code < 256 {
				f.text[code] = glyphText(item.Name())
			}
			code++
		}
	}
	if v.Key("Encoding").IsNull() {
		d.builtinEncoding(f, descriptor)
	}
}

func (f *pdfFont) loadWidths(v, widths pdf.Value, missing float64) {
	scale := 1.0
	if v.Key("Subtype").Name() == "Type3" {
		if m := v.Key("FontMatrix"); m.Len() == 6 {
			scale = 1000 * abs(m.Index(0).Float64())
		}
	}
	first := int(v.Key("FirstChar").Int64())
	for i := range f.widths {
		f.widths[i] = missing
		if n := i - first; n >= 0 && n < widths.Len() {
			f.widths[i] = clampNumber(widths.Index(n).Float64() * scale)
		}
	}
}

// baseEncoding is the table that a simple font's Differences differ from.
func (d *pdfDocument) baseEncoding(v pdf.Value, name string) *[256]rune {
	if strings.Contains(name, "Symbol") && v.Key("Encoding").Kind() != pdf.Name {
		return &symbolEncoding
	}
	named := v.Key("Encoding").Name()
	if named == "" {
		named = v.Key("Encoding").Key("BaseEncoding").Name()
	}
	switch {
	case named == "WinAnsiEncoding":
		return &winAnsi
	case named == "MacRomanEncoding":
		return &macRoman
	case v.Key("Subtype").Name() == "TrueType":
		return &winAnsi
	}
	return &standardEncoding
}

// builtinEncoding reads the encoding of an embedded Type 1 font from the
// clear text that its program starts with.
func (d *pdfDocument) builtinEncoding(f *pdfFont, descriptor pdf.Value) {
	program := string(d.stream(descriptor.Key("FontFile")))
	program, _, _ = strings.Cut(program, "eexec")
	_, program, ok := strings.Cut(program, "/Encoding")
	if !ok {
		return
	}
	lexer := &pdfLexer{data: []byte(program)}
	code := -1.0
	for token := lexer.token(); token != nil; token = lexer.token() {
		switch token := token.(type) {
		case float64:
			code = token
		case pdfName:
			if code >= 0 && code < 256 {
				f.text[int(code)] = glyphText(string(token))
			}
		case pdfOperator:
			if token == "def" || token == "readonly" {
				return
			}
		}
	}
}
