package ingest

import (
	"strconv"
	"strings"
	"unicode/utf8"

	"golang.org/x/text/encoding/charmap"
	"golang.org/x/text/unicode/norm"
)

// The base encodings of simple fonts. A zero shows nothing.
var (
	winAnsi          = charmapTable(charmap.Windows1252)
	macRoman         = charmapTable(charmap.Macintosh)
	standardEncoding = patch(asciiTable(), standardCodes)
	symbolEncoding   = patch(asciiTable(), symbolCodes)
)

// standardCodes is where Adobe's standard encoding differs from ASCII.
const standardCodes = "\x27’\x60‘\xa1¡\xa2¢\xa3£\xa4⁄\xa5¥\xa6ƒ\xa7§\xa8¤\xa9'\xaa“\xab«\xac‹\xad›\xaeﬁ\xafﬂ" +
	"\xb1–\xb2†\xb3‡\xb4·\xb6¶\xb7•\xb8‚\xb9„\xba”\xbb»\xbc…\xbd‰\xbf¿\xc1`\xc2´\xc3ˆ\xc4˜\xc5¯\xc6˘\xc7˙" +
	"\xc8¨\xca˚\xcb¸\xcd˝\xce˛\xcfˇ\xd0—\xe1Æ\xe3ª\xe8Ł\xe9Ø\xeaŒ\xebº\xf1æ\xf5ı\xf8ł\xf9ø\xfaœ\xfbß"

// symbolCodes is where the Symbol font differs from ASCII.
const symbolCodes = "AΑBΒCΧDΔEΕFΦGΓHΗIΙJϑKΚLΛMΜNΝOΟPΠQΘRΡSΣTΤUΥVςWΩXΞYΨZΖ" +
	"aαbβcχdδeεfφgγhηiιjϕkκlλmμnνoοpπqθrρsσtτuυvϖwωxξyψzζ" +
	"\xa3≤\xa5∞\xab↔\xac←\xad↑\xae→\xaf↓\xb0°\xb1±\xb3≥\xb4×\xb6∂\xb7•\xb8÷\xb9≠\xba≡\xbb≈\xbc…\xd2®\xd3©\xd4™\xd6√\xe5∑\xf2∫"

// patch changes codes of a table: pairs of the code, as a byte, and the
// character.
func patch(table [256]rune, pairs string) [256]rune {
	for len(pairs) > 1 {
		r, size := utf8.DecodeRuneInString(pairs[1:])
		table[pairs[0]] = r
		pairs = pairs[1+size:]
	}
	return table
}

func asciiTable() (table [256]rune) {
	for c := rune(' '); c <= '~'; c++ {
		table[c] = c
	}
	return table
}

func charmapTable(m *charmap.Charmap) (table [256]rune) {
	for i := range table {
		if r := m.DecodeByte(byte(i)); i >= ' ' && r != utf8.RuneError && (r < 0x7f || r >= 0xa0) {
			table[i] = r
		}
	}
	return table
}

// latinText returns a table's characters as strings.
func latinText(table *[256]rune) (text [256]string) {
	for i, r := range table {
		if r != 0 {
			text[i] = string(r)
		}
	}
	return text
}

// standardWidths returns the widths of the standard fonts for ASCII, by which
// other fonts without widths are judged too.
func standardWidths(name string) (widths [256]float64) {
	table := &helveticaWidths
	switch {
	case strings.Contains(name, "Courier") || strings.Contains(name, "Mono"):
		table = nil
	case strings.Contains(name, "Times") || strings.Contains(name, "Roman"):
		table = &timesWidths
	}
	for i := range widths {
		switch {
		case table == nil:
			widths[i] = 600
		case i >= ' ' && i <= '~':
			widths[i] = table[i-' ']
		default:
			widths[i] = 500
		}
	}
	return widths
}

var helveticaWidths = [95]float64{
	278, 278, 355, 556, 556, 889, 667, 191, 333, 333, 389, 584, 278, 333, 278, 278, 556, 556, 556,
	556, 556, 556, 556, 556, 556, 556, 278, 278, 584, 584, 584, 556, 1015, 667, 667, 722, 722, 667,
	611, 778, 722, 278, 500, 667, 556, 833, 722, 778, 667, 778, 722, 667, 611, 722, 667, 944, 667,
	667, 611, 278, 278, 278, 469, 556, 333, 556, 556, 500, 556, 556, 278, 556, 556, 222, 222, 500,
	222, 833, 556, 556, 556, 556, 333, 500, 278, 556, 500, 722, 500, 500, 500, 334, 260, 334, 584,
}

var timesWidths = [95]float64{
	250, 333, 408, 500, 500, 833, 778, 180, 333, 333, 500, 564, 250, 333, 250, 278, 500, 500, 500,
	500, 500, 500, 500, 500, 500, 500, 278, 278, 564, 564, 564, 444, 921, 722, 667, 667, 722, 611,
	556, 722, 722, 333, 389, 722, 611, 889, 722, 722, 556, 722, 667, 556, 611, 722, 722, 944, 722,
	722, 611, 333, 278, 333, 469, 500, 333, 444, 500, 444, 500, 444, 333, 500, 500, 278, 278, 500,
	278, 778, 500, 500, 500, 500, 333, 389, 278, 500, 500, 722, 500, 500, 444, 480, 200, 480, 541,
}

// glyphText returns the text that a glyph's name stands for, "" if it is not
// known. Accented letters are put together from their names.
func glyphText(name string) string {
	name, _, _ = strings.Cut(name, ".") // "a.sc", "one.oldstyle"
	if utf8.RuneCountInString(name) == 1 {
		return name
	}
	if text, ok := glyphNames[name]; ok {
		return text
	}
	if text := codedGlyph(name); text != "" {
		return text
	}
	for accent, mark := range accents {
		if letter, ok := strings.CutSuffix(name, accent); ok && letter != "" {
			if base := glyphText(letter); utf8.RuneCountInString(base) == 1 {
				return norm.NFC.String(base + mark)
			}
		}
	}
	if strings.Contains(name, "_") { // ligatures such as "f_f_i"
		var b strings.Builder
		for part := range strings.SplitSeq(name, "_") {
			if part != "" {
				b.WriteString(glyphText(part))
			}
		}
		return b.String()
	}
	return ""
}

// codedGlyph decodes names that spell out code points: "uni20AC",
// "u1F600", and the "afii10017" of Cyrillic letters.
func codedGlyph(name string) string {
	if hex, ok := strings.CutPrefix(name, "uni"); ok && len(hex) >= 4 {
		if r, err := strconv.ParseUint(hex[:4], 16, 32); err == nil {
			return string(rune(r))
		}
	}
	if hex, ok := strings.CutPrefix(name, "u"); ok && len(hex) >= 4 && len(hex) <= 6 {
		if r, err := strconv.ParseUint(hex, 16, 32); err == nil {
			return string(rune(r))
		}
	}
	number, ok := strings.CutPrefix(name, "afii")
	n, err := strconv.Atoi(number)
	if !ok || err != nil {
		return ""
	}
	return cyrillicGlyph(n)
}

// cyrillicGlyph decodes afii numbers, in which the letter io stands in its
// place in the alphabet.
func cyrillicGlyph(n int) string {
	for _, block := range []struct {
		first      int
		letter, io rune
	}{{10017, 'А', 'Ё'}, {10065, 'а', 'ё'}} {
		switch i := n - block.first; {
		case i < 0 || i > 32:
		case i < 6:
			return string(block.letter + rune(i))
		case i == 6:
			return string(block.io)
		default:
			return string(block.letter + rune(i) - 1)
		}
	}
	return ""
}

// accents maps the last part of an accented letter's name to its combining
// mark.
var accents = map[string]string{
	"grave": "\u0300", "acute": "\u0301", "circumflex": "\u0302", "tilde": "\u0303", "macron": "\u0304",
	"breve": "\u0306", "dotaccent": "\u0307", "dieresis": "\u0308", "ring": "\u030a", "hungarumlaut": "\u030b",
	"caron": "\u030c", "cedilla": "\u0327", "commaaccent": "\u0326", "ogonek": "\u0328",
}

// glyphNames maps the names that do not follow from their parts.
//
//nolint:dupword // a ligature is called what it is read as
var glyphNames = parseGlyphNames(`
exclam ! quotedbl " numbersign # dollar $ percent % ampersand & quotesingle ' parenleft ( parenright )
asterisk * plus + comma , hyphen - minus − period . slash / zero 0 one 1 two 2 three 3 four 4 five 5 six 6 seven 7 eight 8
nine 9 colon : semicolon ; less < equal = greater > question ? at @ bracketleft [ backslash \ bracketright ] asciicircum ^
underscore _ grave ` + "`" + ` braceleft { bar | braceright } asciitilde ~ exclamdown ¡ cent ¢ sterling £ currency ¤ yen ¥
brokenbar ¦ section § dieresis ¨ copyright © ordfeminine ª guillemotleft « logicalnot ¬ registered ® macron ¯ degree °
plusminus ± twosuperior ² threesuperior ³ acute ´ mu µ paragraph ¶ periodcentered · middot · cedilla ¸ onesuperior ¹
ordmasculine º guillemotright » onequarter ¼ onehalf ½ threequarters ¾ questiondown ¿ AE Æ Eth Ð multiply × Oslash Ø
Thorn Þ germandbls ß ae æ eth ð divide ÷ oslash ø thorn þ dotlessi ı OE Œ oe œ Lslash Ł lslash ł Dcroat Đ dcroat đ
florin ƒ circumflex ˆ caron ˇ breve ˘ dotaccent ˙ ring ˚ ogonek ˛ tilde ˜ hungarumlaut ˝ endash – emdash — quoteleft ‘
quoteright ’ quotesinglbase ‚ quotedblleft “ quotedblright ” quotedblbase „ dagger † daggerdbl ‡ bullet • ellipsis …
perthousand ‰ guilsinglleft ‹ guilsinglright › fraction ⁄ Euro € euro € trademark ™ partialdiff ∂ Delta Δ product ∏
summation ∑ radical √ infinity ∞ integral ∫ approxequal ≈ notequal ≠ lessequal ≤ greaterequal ≥ lozenge ◊ fi fi fl fl
ff ff ffi ffi ffl ffl Alpha Α Beta Β Gamma Γ Epsilon Ε Zeta Ζ Eta Η Theta Θ Iota Ι Kappa Κ Lambda Λ Mu Μ Nu Ν Xi Ξ
Omicron Ο Pi Π Rho Ρ Sigma Σ Tau Τ Upsilon Υ Phi Φ Chi Χ Psi Ψ Omega Ω alpha α beta β gamma γ delta δ epsilon ε
zeta ζ eta η theta θ iota ι kappa κ lambda λ nu ν xi ξ omicron ο pi π rho ρ sigma σ sigma1 ς tau τ upsilon υ phi φ
chi χ psi ψ omega ω theta1 ϑ phi1 ϕ omega1 ϖ arrowleft ← arrowright → arrowup ↑ arrowdown ↓ arrowboth ↔ element ∈
proportional ∝ equivalence ≡ similar ∼ universal ∀ existential ∃ gradient ∇ asteriskmath ∗ dotmath ⋅ checkmark ✓
visiblespace ␣ angbracketleft ⟨ angbracketright ⟩ bardbl ‖ prime ′ second ″ minute ′ 
`)

// parseGlyphNames reads pairs of a name and its text, and adds the space,
// which has no place between pairs.
func parseGlyphNames(table string) map[string]string {
	fields := strings.Fields(table)
	names := make(map[string]string, len(fields)/2)
	for i := 0; i+1 < len(fields); i += 2 {
		names[fields[i]] = fields[i+1]
	}
	names["space"], names["nbspace"] = " ", " "
	return names
}
