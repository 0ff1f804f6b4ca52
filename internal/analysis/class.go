package analysis

import (
	"unicode"
	"unicode/utf8"
)

// A class says what a character does to the word around it.
type class uint8

const (
	classOther  class = iota // separates words
	classLetter              // letters, and the marks and signs that belong to them
	classDigit
	classPair // scripts written without spaces: indexed by pairs
)

var asciiClass = func() (table [utf8.RuneSelf]class) {
	for c := range table {
		switch {
		case '0' <= c && c <= '9':
			table[c] = classDigit
		case 'a' <= c && c <= 'z', 'A' <= c && c <= 'Z':
			table[c] = classLetter
		}
	}
	return table
}()

// pairScripts are the scripts that do not separate words by spaces, and
// Hangul, whose words carry particles that no stemmer here would take off.
var pairScripts = []*unicode.RangeTable{
	unicode.Han, unicode.Hiragana, unicode.Katakana, unicode.Hangul,
	unicode.Thai, unicode.Lao, unicode.Khmer, unicode.Myanmar,
}

// classAt classifies the character at text[i:] and returns its size in bytes;
// classOther and 0 at the end of the text.
func classAt(text string, i int) (class, int) {
	if i >= len(text) {
		return classOther, 0
	}
	if c := text[i]; c < utf8.RuneSelf {
		return asciiClass[c], 1
	}
	r, size := utf8.DecodeRuneInString(text[i:])
	return classOf(r), size
}

func classOf(r rune) class {
	switch {
	case r < 0x0e00: // before the first of the pairScripts
		return classOfAlphabetic(r)
	case r == 'ー': // lengthens the vowel before it, but belongs to no script
		return classPair
	case unicode.In(r, pairScripts...) && (unicode.IsLetter(r) || unicode.IsMark(r)):
		return classPair
	}
	return classOfAlphabetic(r)
}

func classOfAlphabetic(r rune) class {
	switch {
	case unicode.IsLetter(r), unicode.IsMark(r):
		return classLetter
	case unicode.IsDigit(r):
		return classDigit
	case unicode.IsNumber(r): // Roman numerals, fractions: no decimal point in them
		return classLetter
	}
	return classOther
}
