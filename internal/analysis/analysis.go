// Package analysis turns text into the terms that the keyword index and the
// lexical vectors compare. Text comes in; lower-cased, folded, stemmed terms
// without white space come out.
//
// Documents and queries only meet if both were analysed alike, and a language
// detected from a query of three words is a guess. The language is therefore
// a property of the knowledge base, never of the single text: callers pass the
// same lang for documents and queries. Where it is "", words in Latin script
// are stemmed as English and words in Cyrillic script as Russian, whatever
// language they are in; a wrong stemmer applied on both sides costs little, a
// different one on each side costs the match.
package analysis

import (
	"strings"
	"unicode"
	"unicode/utf8"

	"golang.org/x/text/unicode/norm"
)

// Version names the rules of this package. It changes whenever Terms may
// return something else for the same text, and is part of the fingerprint of
// everything that is derived from terms.
const Version = "analysis/1"

// MaxTermBytes bounds the length of a term; what is longer is cut off there,
// at a rune boundary. A SHA-512 in hexadecimal still fits.
const MaxTermBytes = 128

// Terms returns the terms of text in the order in which they occur, repeated
// as often as they occur; nil if there is none. lang is an ISO 639-1 code, ""
// for the default described with the package.
//
// Words are lower-cased, NFKC-normalised, freed of diacritics and of the stop
// words of the language, and stemmed. Identifiers such as max_payload and
// JS.API yield the whole and then their parts, numbers keep their decimals and
// lose their thousands separators, and scripts that are written without spaces
// yield overlapping pairs of characters. A text that has nothing but stop
// words keeps them.
func Terms(text, lang string) []string {
	if !ascii(text) {
		text = norm.NFKC.String(strings.ToValidUTF8(text, " "))
	}
	s := scanner{text: text, lang: languageOf(lang)}
	s.terms = make([]string, 0, len(text)/8+1)
	s.scan()
	if len(s.terms) == 0 && s.stopped {
		s.keepStops = true
		s.scan()
	}
	if len(s.terms) == 0 {
		return nil
	}
	return s.terms
}

// Field returns the terms of text joined by single spaces, for a property of
// the index that is tokenised at white space only; "" if there is no term.
func Field(text, lang string) string {
	return strings.Join(Terms(text, lang), " ")
}

// A scanner cuts text into words and appends their terms.
type scanner struct {
	text      string
	lang      *language
	terms     []string
	stopped   bool // a stop word was left out
	keepStops bool
	parts     []span // of the compound that is being read
	buf       []byte // the word that is being lower-cased
}

type span struct{ start, end int }

// scan goes over the text once.
func (s *scanner) scan() {
	for i := 0; i < len(s.text); {
		class, size := classAt(s.text, i)
		switch class {
		case classLetter, classDigit:
			i = s.compound(i)
		case classPair:
			i = s.pairs(i)
		default:
			i += size
		}
	}
}

// compound reads words that are joined by connectors from i on and returns
// where it stopped.
func (s *scanner) compound(i int) int {
	start, numeric := i, true
	s.parts = s.parts[:0]
	for {
		end, digits := wordEnd(s.text, i)
		numeric = numeric && digits
		s.parts = append(s.parts, span{i, end})
		next := connected(s.text, end, digits)
		if next == 0 {
			i = end
			break
		}
		i = next
	}
	switch {
	case len(s.parts) == 1:
		return s.single(s.parts[0])
	case numeric:
		s.number(s.text[start:i])
	default:
		s.whole(s.text[start:i])
		for _, p := range s.parts {
			s.word(s.text[p.start:p.end])
		}
	}
	return i
}

// single adds a word that is not part of a compound. Clitics on either side of
// an apostrophe (the s of "queue's", the l of "l'index") are not words, and
// the sign in C++ and C# is.
func (s *scanner) single(p span) int {
	word := s.text[p.start:p.end]
	switch {
	case apostropheBefore(s.text, p.start) && enclitics[strings.ToLower(word)]:
		return p.end
	case proclitics[strings.ToLower(word)] && apostropheAfter(s.text, p.end):
		return p.end
	}
	s.word(word)
	if len(word) == 1 {
		for _, sign := range []string{"++", "#"} {
			if strings.HasPrefix(s.text[p.end:], sign) {
				s.whole(word + sign)
				return p.end + len(sign)
			}
		}
	}
	return p.end
}

// number adds a number such as 3.14 or 1,000, without thousands separators.
func (s *scanner) number(text string) {
	s.add(strings.ReplaceAll(text, ",", ""))
}

// whole adds an identifier as it stands, lower-cased and folded. One that is
// too long for a term is represented by its parts alone.
func (s *scanner) whole(text string) {
	if term := fold(strings.ToLower(text)); len(term) <= MaxTermBytes {
		s.terms = append(s.terms, term)
	}
}

// word adds the term of one word unless it is a stop word.
func (s *scanner) word(word string) {
	s.buf = appendLower(s.buf[:0], word)
	term, stop := s.lang.term(s.buf)
	if stop && !s.keepStops {
		s.stopped = true
		return
	}
	s.add(term)
}

func (s *scanner) add(term string) {
	if term = cut(term); term != "" {
		s.terms = append(s.terms, term)
	}
}

// pairs adds the overlapping pairs of a run of characters that are written
// without spaces, or the single character if the run has just one.
func (s *scanner) pairs(i int) int {
	first, prev := i, -1 // starts of the run and of the character before
	for i < len(s.text) {
		class, size := classAt(s.text, i)
		if class != classPair {
			break
		}
		if prev >= 0 {
			s.terms = append(s.terms, s.text[prev:i+size])
		}
		prev, i = i, i+size
	}
	if prev == first {
		s.terms = append(s.terms, s.text[first:i])
	}
	return i
}

// wordEnd returns where the word at i ends and whether it is all digits.
func wordEnd(text string, i int) (end int, digits bool) {
	digits = true
	for i < len(text) {
		class, size := classAt(text, i)
		if class != classLetter && class != classDigit {
			break
		}
		digits = digits && class == classDigit
		i += size
	}
	return i, digits
}

// connected returns where the next word of a compound starts if a connector
// stands at i, and 0 otherwise. Underscores and full stops connect words;
// commas connect digits.
func connected(text string, i int, digits bool) int {
	next := i
	switch {
	case i == len(text):
		return 0
	case text[i] == '_':
		for next < len(text) && text[next] == '_' {
			next++
		}
	case text[i] == '.', text[i] == ',' && digits:
		next++
	default:
		return 0
	}
	if next == len(text) {
		return 0
	}
	class, _ := classAt(text, next)
	if class == classDigit || class == classLetter && text[i] != ',' {
		return next
	}
	return 0
}

// The parts of contractions that mean nothing by themselves: after an
// apostrophe (English) and before one (French, Italian).
var (
	enclitics  = map[string]bool{"s": true, "t": true, "d": true, "m": true, "ll": true, "ve": true, "re": true}
	proclitics = map[string]bool{"l": true, "d": true, "j": true, "c": true, "m": true, "n": true, "s": true, "t": true, "qu": true}
)

func apostropheBefore(text string, i int) bool {
	return strings.HasSuffix(text[:i], "'") || strings.HasSuffix(text[:i], "\u2019")
}

func apostropheAfter(text string, i int) bool {
	rest := text[i:]
	var n int
	switch {
	case strings.HasPrefix(rest, "'"):
		n = 1
	case strings.HasPrefix(rest, "\u2019"):
		n = len("\u2019")
	default:
		return false
	}
	class, _ := classAt(rest, n)
	return class == classLetter
}

// appendLower appends word in lower case.
func appendLower(buf []byte, word string) []byte {
	for i := 0; i < len(word); {
		c := word[i]
		if c < utf8.RuneSelf {
			if 'A' <= c && c <= 'Z' {
				c += 'a' - 'A'
			}
			buf = append(buf, c)
			i++
			continue
		}
		r, size := utf8.DecodeRuneInString(word[i:])
		buf = utf8.AppendRune(buf, unicode.ToLower(r))
		i += size
	}
	return buf
}

// cut returns term cut to MaxTermBytes at a rune boundary.
func cut(term string) string {
	if len(term) <= MaxTermBytes {
		return term
	}
	end := MaxTermBytes
	for !utf8.RuneStart(term[end]) {
		end--
	}
	return term[:end]
}

func ascii(text string) bool {
	for i := range len(text) {
		if text[i] >= utf8.RuneSelf {
			return false
		}
	}
	return true
}
