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
	languageWindow     = 3 << 10
)

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
	info := whatlanggo.Detect(text)
	if !info.IsReliable() {
		return ""
	}
	return info.Lang.Iso6391()
}
