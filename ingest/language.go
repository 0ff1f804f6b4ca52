package ingest

import (
	"strings"
	"unicode"

	"github.com/abadojack/whatlanggo"
	"golang.org/x/text/language"
)

// languageCode returns the ISO 639-1 code of a language tag such as "en-GB",
// "" if the tag is malformed or its language has no two-letter code.
func languageCode(tag string) string {
	tag = strings.TrimSpace(tag)
	if len(tag) < 2 || len(tag) > 35 {
		return ""
	}
	t, err := language.Parse(strings.ReplaceAll(tag, "_", "-"))
	if err != nil {
		return ""
	}
	base, confidence := t.Base()
	if code := base.String(); confidence != language.No && len(code) == 2 && t != language.Und {
		return code
	}
	return ""
}

// Detection needs this many letters to be worth anything, and gains nothing
// from more than the window.
const (
	minLanguageLetters = 200
	languageWindow     = 1 << 10
)

// candidates are the languages that detection tells apart in scripts that
// several share: those written by many, since every further one costs time and
// is mistaken for another now and then. Languages with a script of their own
// are known by it.
var candidates = whatlanggo.Options{Whitelist: map[whatlanggo.Lang]bool{
	whatlanggo.Eng: true, whatlanggo.Deu: true, whatlanggo.Fra: true, whatlanggo.Spa: true, whatlanggo.Por: true,
	whatlanggo.Ita: true, whatlanggo.Nld: true, whatlanggo.Swe: true, whatlanggo.Dan: true, whatlanggo.Nob: true,
	whatlanggo.Fin: true, whatlanggo.Pol: true, whatlanggo.Ces: true, whatlanggo.Hun: true, whatlanggo.Ron: true,
	whatlanggo.Tur: true, whatlanggo.Vie: true, whatlanggo.Ind: true,
	whatlanggo.Rus: true, whatlanggo.Ukr: true, whatlanggo.Bul: true, whatlanggo.Srp: true, whatlanggo.Bel: true,
	whatlanggo.Arb: true, whatlanggo.Pes: true, whatlanggo.Urd: true, whatlanggo.Heb: true, whatlanggo.Ydd: true,
	whatlanggo.Hin: true, whatlanggo.Mar: true, whatlanggo.Nep: true, whatlanggo.Amh: true,
}}

// detectLanguage guesses the language of text, "" unless the guess is
// reliable and the text long enough to tell.
func detectLanguage(text string) string {
	if len(text) > languageWindow {
		text = strings.ToValidUTF8(text[:languageWindow], "")
	}
	letters := 0
	for _, r := range text {
		if unicode.IsLetter(r) {
			letters++
		}
	}
	if letters < minLanguageLetters {
		return ""
	}
	info := whatlanggo.DetectWithOptions(text, candidates)
	if !info.IsReliable() {
		return ""
	}
	return info.Lang.Iso6391()
}
