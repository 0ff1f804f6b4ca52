package ingest

import (
	"slices"
	"unicode/utf8"
)

// characterMap is what a ToUnicode stream says.
type characterMap struct {
	chars  map[uint32]string
	ranges []charRange // sorted by first
}

// charRange maps first..last to consecutive characters from text on.
type charRange struct {
	first, last uint32
	text        string
}

// maxMapEntries bounds a map; more cannot be told apart by two bytes.
const maxMapEntries = 1 << 17

// parseCharacterMap reads the bfchar and bfrange sections of a ToUnicode
// stream and skips everything else.
func parseCharacterMap(data []byte) *characterMap {
	m := &characterMap{chars: make(map[uint32]string)}
	lexer := &pdfLexer{data: data}
	var args []any
	for token := lexer.token(); token != nil; token = lexer.token() {
		op, ok := token.(pdfOperator)
		if !ok {
			if len(args) < 3*maxMapEntries {
				args = append(args, token)
			}
			continue
		}
		switch op {
		case "beginbfchar", "beginbfrange":
			args = args[:0]
		case "endbfchar":
			m.addChars(args)
			args = args[:0]
		case "endbfrange":
			m.addRanges(args)
			args = args[:0]
		}
	}
	slices.SortStableFunc(m.ranges, func(a, b charRange) int {
		return int(int64(a.first) - int64(b.first))
	})
	return m
}

func (m *characterMap) addChars(args []any) {
	for ; len(args) >= 2 && len(m.chars) < maxMapEntries; args = args[2:] {
		code, ok1 := args[0].(pdfString)
		text, ok2 := args[1].(pdfString)
		if ok1 && ok2 {
			m.chars[codeOf(code)] = decodeUTF16(string(text))
		}
	}
}

func (m *characterMap) addRanges(args []any) {
	for ; len(args) >= 3 && len(m.ranges) < maxMapEntries; args = args[3:] {
		first, ok1 := args[0].(pdfString)
		last, ok2 := args[1].(pdfString)
		if !ok1 || !ok2 {
			continue
		}
		switch to := args[2].(type) {
		case pdfString:
			m.ranges = append(m.ranges, charRange{codeOf(first), codeOf(last), decodeUTF16(string(to))})
		case []any:
			for i, item := range to {
				if text, ok := item.(pdfString); ok && len(m.chars) < maxMapEntries {
					m.chars[codeOf(first)+uint32(i)] = decodeUTF16(string(text))
				}
			}
		}
	}
}

func codeOf(s pdfString) uint32 {
	code := uint32(0)
	for i := range len(s) {
		code = code<<8 | uint32(s[i])
	}
	return code
}

// lookup returns the text of a code; ok is false if the map has none.
func (m *characterMap) lookup(code uint32) (text string, ok bool) {
	if text, ok = m.chars[code]; ok {
		return text, true
	}
	i, exact := slices.BinarySearchFunc(m.ranges, code, func(r charRange, code uint32) int {
		return int(int64(r.first) - int64(code))
	})
	if !exact {
		i--
	}
	if i < 0 || code > m.ranges[i].last || m.ranges[i].text == "" {
		return "", false
	}
	r := m.ranges[i]
	last, size := utf8.DecodeLastRuneInString(r.text)
	return r.text[:len(r.text)-size] + string(last+rune(code-r.first)), true
}
