package tokenizer

import (
	"bytes"
	"encoding/base64"
	"encoding/binary"
	"fmt"
	"unicode/utf8"

	"github.com/rivo/uniseg"
)

// A charmap is SentencePiece's table of replacements: four bytes with the
// length of a double-array trie (as darts-clone writes it, a uint32 a unit),
// the trie, and the replacements, each ended by a zero byte. The trie maps
// a text to where its replacement begins.
type charmap struct {
	units        []uint32
	replacements []byte
}

func newCharmap(encoded string) (normaliser, error) {
	blob, err := base64.StdEncoding.DecodeString(encoded)
	if err != nil {
		return nil, fmt.Errorf("normalizer Precompiled: %w", err)
	}
	if len(blob) == 0 {
		return mapping(identity), nil
	}
	if len(blob) < 4 || int64(binary.LittleEndian.Uint32(blob)) > int64(len(blob)-4) {
		return nil, fmt.Errorf("normalizer Precompiled: a table of %d bytes is cut off", len(blob))
	}
	n := binary.LittleEndian.Uint32(blob)
	m := charmap{replacements: blob[4+n:], units: make([]uint32, n/4)}
	for i := range m.units {
		m.units[i] = binary.LittleEndian.Uint32(blob[4+4*i:])
	}
	return m, nil
}

// append replaces graphemes that the table has, if they are short, and else
// their characters.
func (m charmap) append(out []byte, text string) []byte {
	for state := -1; text != ""; {
		var grapheme string
		grapheme, text, _, state = uniseg.FirstGraphemeClusterInString(text, state)
		if len(grapheme) < 6 {
			if replacement, ok := m.replace(grapheme); ok {
				out = append(out, replacement...)
				continue
			}
		}
		for i, r := range grapheme {
			char := grapheme[i : i+max(1, utf8.RuneLen(r))]
			if replacement, ok := m.replace(char); ok {
				out = append(out, replacement...)
			} else {
				out = append(out, char...)
			}
		}
	}
	return out
}

// replace returns the replacement of the shortest beginning of text that has
// one.
func (m charmap) replace(text string) ([]byte, bool) {
	at, ok := m.find(text)
	if !ok || at > len(m.replacements) {
		return nil, false
	}
	end := bytes.IndexByte(m.replacements[at:], 0)
	if end < 0 {
		return nil, false
	}
	return m.replacements[at : at+end], true
}

// find walks the trie. A unit has, from the lowest bit: the byte by which it
// is reached (8), whether a value hangs on it (bit 8), whether the offset is
// to be multiplied by 256 (bit 9), the offset to its children (22). A value is
// a unit of its own, in the lower 31 bits.
func (m charmap) find(text string) (value int, ok bool) {
	if len(m.units) == 0 {
		return 0, false
	}
	at := offset(m.units[0])
	for i := range len(text) {
		if text[i] == 0 {
			return 0, false
		}
		at ^= uint32(text[i])
		if at >= uint32(len(m.units)) || m.units[at]&(1<<31|0xff) != uint32(text[i]) {
			return 0, false
		}
		unit := m.units[at]
		at ^= offset(unit)
		if unit>>8&1 == 1 && at < uint32(len(m.units)) {
			return int(m.units[at] &^ (1 << 31)), true
		}
	}
	return 0, false
}

func offset(unit uint32) uint32 { return unit >> 10 << (unit >> 9 & 1 << 3) }
