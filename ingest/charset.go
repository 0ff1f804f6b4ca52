package ingest

import (
	"bytes"
	"mime"
	"regexp"
	"strings"
	"unicode/utf8"

	"github.com/gogs/chardet"
	"golang.org/x/text/encoding"
	"golang.org/x/text/encoding/charmap"
	"golang.org/x/text/encoding/htmlindex"
	"golang.org/x/text/encoding/unicode"
	"golang.org/x/text/encoding/unicode/utf32"
)

// metaWindow is how far into a page a charset declaration is looked for. The
// 1,024 bytes that browsers prescan miss it on many real pages.
const metaWindow = 256 << 10

var metaCharset = regexp.MustCompile(`(?i)<meta\s[^>]{0,512}?charset\s*=\s*["']?\s*([a-z0-9_:.-]{2,40})`)

// decode returns content as UTF-8. It believes, in this order: a byte order
// mark, the declared charset, the page's own meta element (html only), valid
// UTF-8, a statistical detector, windows-1252. A claim that the bytes plainly
// contradict is not believed. Bytes that cannot be decoded become
// U+FFFD. The result may hold control characters; see cleanText.
func decode(content []byte, contentType string, html bool) string {
	if charset := bomCharset(content); charset != "" {
		return decodeAs(content, charset)
	}
	_, params, _ := mime.ParseMediaType(contentType)
	claims := []string{params["charset"]}
	if html {
		if m := metaCharset.FindSubmatch(content[:min(len(content), metaWindow)]); m != nil {
			claims = append(claims, string(m[1]))
		}
	}
	for _, claim := range claims {
		if believable(claim, content) {
			return decodeAs(content, claim)
		}
	}
	if charset := utf16Charset(content); charset != "" {
		return decodeAs(content, charset)
	}
	if utf8.Valid(content) || mostlyUTF8(content) {
		return strings.ToValidUTF8(string(content), "\uFFFD")
	}
	return decodeAs(content, detectCharset(content))
}

// believable reports whether a claimed charset is known and not plainly
// wrong. A meta element that was read as ASCII cannot be right about UTF-16.
func believable(claim string, content []byte) bool {
	enc, err := htmlindex.Get(claim)
	if err != nil {
		return false
	}
	name, _ := htmlindex.Name(enc)
	switch name {
	case "utf-8":
		return utf8.Valid(content) || mostlyUTF8(content)
	case "utf-16be", "utf-16le":
		return utf16Charset(content) != ""
	}
	return name != "replacement" && !surelyUTF8(content)
}

// surelyUTF8 reports whether content has so many letters of UTF-8 that it can
// hardly be anything else: in older charsets such bytes stand alone, or pair
// up by other rules.
func surelyUTF8(content []byte) bool {
	const enough = 8
	valid, invalid := countUTF8(content)
	return valid >= enough && invalid == 0
}

func decodeAs(content []byte, charset string) string {
	enc := encodingOf(charset)
	decoded, err := enc.NewDecoder().Bytes(content)
	if err != nil {
		decoded, _ = charmap.Windows1252.NewDecoder().Bytes(content)
	}
	return strings.ToValidUTF8(string(decoded), "\uFFFD")
}

func encodingOf(charset string) encoding.Encoding {
	switch charset {
	case "utf-32le":
		return utf32.UTF32(utf32.LittleEndian, utf32.UseBOM)
	case "utf-32be":
		return utf32.UTF32(utf32.BigEndian, utf32.UseBOM)
	case "utf-8":
		return unicode.UTF8BOM
	}
	enc, err := htmlindex.Get(charset)
	if err != nil {
		return charmap.Windows1252
	}
	return enc
}

// bomCharset names the charset of a byte order mark, "" if there is none.
func bomCharset(content []byte) string {
	marks := []struct{ mark, charset string }{
		{"\xef\xbb\xbf", "utf-8"},
		{"\xff\xfe\x00\x00", "utf-32le"},
		{"\x00\x00\xfe\xff", "utf-32be"},
		{"\xff\xfe", "utf-16le"},
		{"\xfe\xff", "utf-16be"},
	}
	for _, m := range marks {
		if bytes.HasPrefix(content, []byte(m.mark)) {
			return m.charset
		}
	}
	return ""
}

// utf16Charset recognises UTF-16 without a mark by its Latin letters, digits
// and spaces, which have a zero byte on one side; "" if content does not look
// like it.
func utf16Charset(content []byte) string {
	head := content[:min(len(content), 4096)]
	if len(head) < 8 || len(content)%2 != 0 {
		return ""
	}
	var latin [2]int // pairs whose first, second byte is the zero
	other := 0       // pairs with a zero that are no Latin text
	for i := 0; i+1 < len(head); i += 2 {
		switch a, b := head[i], head[i+1]; {
		case a == 0 && isASCIIText(b):
			latin[0]++
		case b == 0 && isASCIIText(a):
			latin[1]++
		case a == 0 || b == 0:
			other++
		}
	}
	pairs := len(head) / 2
	switch {
	case other*50 > pairs:
		return ""
	case latin[1]*5 > pairs*2 && latin[0]*20 < pairs:
		return "utf-16le"
	case latin[0]*5 > pairs*2 && latin[1]*20 < pairs:
		return "utf-16be"
	}
	return ""
}

func isASCIIText(c byte) bool { return c >= ' ' && c < 0x7f || c == '\t' || c == '\n' || c == '\r' }

// mostlyUTF8 reports whether content is UTF-8 with a few broken bytes, such
// as a page that was cut in the middle of a letter.
func mostlyUTF8(content []byte) bool {
	valid, invalid := countUTF8(content)
	return valid > 0 && invalid*10 <= valid
}

// countUTF8 counts letters beyond ASCII, and bytes that belong to none.
func countUTF8(content []byte) (valid, invalid int) {
	for len(content) > 0 {
		if content[0] < utf8.RuneSelf {
			content = content[1:]
			continue
		}
		r, size := utf8.DecodeRune(content)
		if r == utf8.RuneError && size == 1 {
			invalid++
		} else {
			valid++
		}
		content = content[size:]
	}
	return valid, invalid
}

// detectorWindow bounds the statistical detector's work.
const detectorWindow = 64 << 10

// minDetectorConfidence is below what the detector reports for text of more
// than a few words in its own language.
const minDetectorConfidence = 20

func detectCharset(content []byte) string {
	result, err := chardet.NewTextDetector().DetectBest(content[:min(len(content), detectorWindow)])
	if err != nil || result.Confidence < minDetectorConfidence {
		return "windows-1252"
	}
	charset := strings.ToLower(result.Charset)
	switch charset {
	case "utf-8", "utf-16be", "utf-16le", "utf-32be", "utf-32le":
		return "windows-1252" // checked before and ruled out
	case "gb-18030":
		return "gb18030"
	}
	return charset
}
