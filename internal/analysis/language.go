package analysis

import (
	"hash/maphash"
	"strings"
	"sync/atomic"
	"unicode"
	"unicode/utf8"

	"github.com/kljensen/snowball/english"
	"github.com/kljensen/snowball/french"
	"github.com/kljensen/snowball/hungarian"
	"github.com/kljensen/snowball/norwegian"
	"github.com/kljensen/snowball/russian"
	"github.com/kljensen/snowball/spanish"
	"github.com/kljensen/snowball/swedish"
	"golang.org/x/text/unicode/norm"
)

// A language knows the stop words and the stems of one knowledge base's words.
type language struct {
	latin, cyrillic rules
	cache           [cacheSize]atomic.Pointer[cached]
}

// rules are those of one script. Both functions take a lower-case word and
// may be nil. foldFirst is set where the stemmer wants plain letters; the
// others need the diacritics to recognise suffixes.
type rules struct {
	stem      func(word string, stemStopWords bool) string
	stop      func(word string) bool
	foldFirst bool
}

// cacheSize is the number of words whose terms are remembered for each
// language: about 2 MB when full, and nine of ten words of running text.
const cacheSize = 1 << 14

type cached struct {
	word, term string
	stop       bool
}

var seed = maphash.MakeSeed()

var (
	englishRules = rules{stem: english.Stem, stop: englishStop, foldFirst: true}
	russianRules = rules{stem: russian.Stem, stop: russian.IsStopWord}

	languages = map[string]*language{
		"":   {latin: englishRules, cyrillic: russianRules},
		"fr": {latin: rules{stem: french.Stem, stop: frenchStop}, cyrillic: russianRules},
		"es": {latin: rules{stem: spanish.Stem, stop: spanish.IsStopWord}, cyrillic: russianRules},
		"sv": {latin: rules{stem: swedish.Stem, stop: swedish.IsStopWord}, cyrillic: russianRules},
		"no": {latin: rules{stem: norwegian.Stem, stop: norwegian.IsStopWord}, cyrillic: russianRules},
		"hu": {latin: rules{stem: hungarian.Stem, stop: hungarian.IsStopWord}, cyrillic: russianRules},
	}
	unstemmed = &language{}
)

// languageOf returns the rules for an ISO 639-1 code, which may carry a
// region. Languages without a stemmer are folded only.
func languageOf(code string) *language {
	code, _, _ = strings.Cut(strings.ToLower(code), "-")
	switch code {
	case "en", "ru":
		code = ""
	case "nb", "nn":
		code = "no"
	}
	if l, ok := languages[code]; ok {
		return l
	}
	return unstemmed
}

// term returns the term of a lower-case word and whether it is a stop word.
func (l *language) term(word []byte) (term string, stop bool) {
	slot := &l.cache[maphash.Bytes(seed, word)%cacheSize]
	if c := slot.Load(); c != nil && c.word == string(word) {
		return c.term, c.stop
	}
	c := &cached{word: string(word)}
	c.term, c.stop = l.analyse(c.word)
	if len(word) <= maxCachedBytes {
		slot.Store(c)
	}
	return c.term, c.stop
}

// maxCachedBytes keeps rare monsters out of the cache.
const maxCachedBytes = 32

// analyse is term without the cache.
func (l *language) analyse(word string) (term string, stop bool) {
	r := l.rules(word)
	if r.foldFirst {
		word = fold(word)
	}
	if r.stop != nil && r.stop(word) {
		return fold(word), true
	}
	if r.stem != nil && stemmable(word) {
		word = r.stem(word, true)
	}
	return fold(word), false
}

// rules returns those of the script that word starts in.
func (l *language) rules(word string) rules {
	r, _ := utf8.DecodeRuneInString(word)
	switch {
	case r < utf8.RuneSelf, unicode.Is(unicode.Latin, r):
		return l.latin
	case unicode.Is(unicode.Cyrillic, r):
		return l.cyrillic
	}
	return rules{}
}

// stemmable reports whether word may be a word of a language: a code with
// digits is not, nor is anything longer than the longest words are.
func stemmable(word string) bool {
	return len(word) > 2 && len(word) <= 64 && !strings.ContainsAny(word, "0123456789")
}

// fold takes the diacritics off letters of scripts in which writers leave
// them out, and spells ligatures out. In other scripts marks are part of the
// word, and й is not и.
func fold(word string) string {
	if ascii(word) {
		return word
	}
	if r, _ := utf8.DecodeRuneInString(word); r >= utf8.RuneSelf && !unicode.In(r, foldedScripts...) {
		return strings.ReplaceAll(word, "ё", "е")
	}
	var b strings.Builder
	for _, r := range norm.NFD.String(word) {
		switch plain, ok := spelled[r]; {
		case unicode.Is(unicode.Mn, r):
		case ok:
			b.WriteString(plain)
		default:
			b.WriteRune(r)
		}
	}
	return norm.NFKC.String(b.String())
}

var foldedScripts = []*unicode.RangeTable{unicode.Latin, unicode.Greek, unicode.Arabic, unicode.Hebrew}

// spelled holds the letters that do not decompose into a letter and a mark,
// and the Arabic sign that only stretches a word.
var spelled = map[rune]string{
	'ß': "ss", 'æ': "ae", 'œ': "oe", 'ø': "o", 'đ': "d", 'ð': "d", 'þ': "th",
	'ł': "l", 'ħ': "h", 'ı': "i", 'ŋ': "ng", 'ς': "σ", '\u0640': "",
}

// frenchStop adds the plural article, which Snowball's list lacks.
func frenchStop(word string) bool { return word == "les" || french.IsStopWord(word) }

// englishStop reports whether word is one of the 33 stop words of Lucene's
// English analyser.
func englishStop(word string) bool { return englishStops[word] }

var englishStops = func() map[string]bool {
	stops := map[string]bool{}
	for _, w := range strings.Fields(`a an and are as at be but by for if in into is it no not of on or
		such that the their then there these they this to was will with`) {
		stops[w] = true
	}
	return stops
}()
