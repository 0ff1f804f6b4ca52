package ingest

import (
	"strings"
	"unicode"
	"unicode/utf8"

	"golang.org/x/text/unicode/norm"
)

// cleanText makes text what Parsed.Text promises: valid UTF-8 in normal form
// C, "\n" line ends, and no control characters but tabs. Soft hyphens and byte
// order marks, which nobody sees and which split words in the index, go too.
func cleanText(s string) string {
	s = strings.ToValidUTF8(s, "\uFFFD")
	if isClean(s) {
		return s
	}
	var b strings.Builder
	b.Grow(len(s))
	for i, r := range s {
		switch {
		case r == '\r':
			if i+1 == len(s) || s[i+1] != '\n' {
				b.WriteByte('\n')
			}
		case r == '\f' || r == '\v' || r == 0x85 || r == 0x2028 || r == 0x2029:
			b.WriteByte('\n')
		case r == '\t' || r == '\n':
			b.WriteRune(r)
		case unicode.IsControl(r) || isInvisible(r):
		default:
			b.WriteRune(r)
		}
	}
	return norm.NFC.String(b.String())
}

// isClean reports whether s is printable ASCII with tabs and line feeds.
func isClean(s string) bool {
	for i := range len(s) {
		if c := s[i]; c >= 0x7f || c < ' ' && c != '\n' && c != '\t' {
			return false
		}
	}
	return true
}

// isInvisible reports whether r is a code point that must not be in text:
// soft hyphen, byte order mark, noncharacters.
func isInvisible(r rune) bool {
	return r == 0xad || r == 0xfeff || r&0xfffe == 0xfffe || r >= 0xfdd0 && r <= 0xfdef
}

// maxTitleRunes bounds titles: longer ones are a page that went wrong.
const maxTitleRunes = 300

// oneLine joins the words of s with single spaces and cuts it to at most
// limit runes.
func oneLine(s string, limit int) string {
	const perRune = 16 // bytes of input looked at for each rune kept
	if len(s) > limit*perRune {
		s = strings.ToValidUTF8(s[:limit*perRune], "")
	}
	s = strings.Join(strings.Fields(s), " ")
	if utf8.RuneCountInString(s) <= limit {
		return s
	}
	runes := []rune(s)
	return strings.TrimSpace(string(runes[:limit-1])) + "…"
}

// Bounds of metadata: what a document says about itself must not outweigh it.
const (
	maxMetadataRunes = 500
	maxMetadataKeys  = 32
)

// cleanMetadata returns m without empty values, with values on one line; nil
// if nothing is left.
func cleanMetadata(m map[string]string) map[string]string {
	out := make(map[string]string, len(m))
	for k, v := range m {
		if v = oneLine(cleanText(v), maxMetadataRunes); v != "" && len(out) < maxMetadataKeys {
			out[k] = v
		}
	}
	if len(out) == 0 {
		return nil
	}
	return out
}
