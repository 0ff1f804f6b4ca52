package main

import (
	"bytes"
	"encoding/json"
	"fmt"
	"regexp"
	"strings"
	"unicode/utf8"
)

// escapes are whole terminal control sequences: CSI, and OSC with its text.
// The bounds keep an unfinished one from swallowing what follows.
var escapes = regexp.MustCompile("(?:\x1b\\[|\u009b)[0-?]{0,64}[ -/]{0,8}[@-~]|(?:\x1b\\]|\u009d)[^\x07\x1b\n\u009c]{0,256}(?:\x07|\x1b\\\\|\u009c)")

// clean makes text from a document or server harmless for a terminal: without
// control sequences, control characters other than newline and tab, and
// characters that reorder what is read. Invalid UTF-8 becomes U+FFFD.
func clean(s string) string {
	s = strings.ToValidUTF8(s, "\ufffd")
	if strings.IndexFunc(s, harmful) < 0 {
		return s
	}
	s = strings.ReplaceAll(s, "\r\n", "\n")
	s = escapes.ReplaceAllString(s, "")
	return strings.Map(func(r rune) rune {
		if harmful(r) {
			return -1
		}
		return r
	}, s)
}

// cleanLine is clean for what must stay on one line: every run of white space
// becomes one space.
func cleanLine(s string) string { return strings.Join(strings.Fields(clean(s)), " ") }

// harmful reports whether r may move the cursor, change the terminal's state,
// or reorder the text around it.
func harmful(r rune) bool {
	switch {
	case r == '\n' || r == '\t':
		return false
	case r < ' ' || r >= 0x7f && r <= 0x9f:
		return true
	}
	return r == 0x200e || r == 0x200f || r >= 0x202a && r <= 0x202e || r >= 0x2066 && r <= 0x2069
}

// printJSON writes v as one line of JSON. Characters that could control a
// terminal are escaped, which leaves the value the same.
func (a *app) printJSON(v any) error {
	var buf bytes.Buffer
	enc := json.NewEncoder(&buf)
	enc.SetEscapeHTML(false)
	if err := enc.Encode(v); err != nil {
		return fmt.Errorf("encode the result: %w", err)
	}
	if _, err := a.out.Write(escapeHarmful(buf.Bytes())); err != nil {
		return fmt.Errorf("write the result: %w", err)
	}
	return nil
}

// escapeHarmful writes the harmful characters of encoded JSON, which can only
// stand within strings, as \u escapes.
func escapeHarmful(data []byte) []byte {
	if bytes.IndexFunc(data, harmful) < 0 {
		return data
	}
	out := make([]byte, 0, len(data)+16)
	for len(data) > 0 {
		r, size := utf8.DecodeRune(data)
		if harmful(r) {
			out = fmt.Appendf(out, `\u%04x`, r)
		} else {
			out = append(out, data[:size]...)
		}
		data = data[size:]
	}
	return out
}
