package ingest

import "strconv"

// The operands of content streams and character maps are float64, pdfName,
// pdfString, []any (arrays) and map[pdfName]any (dictionaries); what is none
// of these is a pdfOperator.
type (
	pdfName     string
	pdfString   string
	pdfOperator string
)

// pdfLexer reads operands and operators from data. Malformed input makes
// strange tokens, never an error: what follows may be readable.
type pdfLexer struct {
	data []byte
	pos  int
}

// Bounds of what one token may hold.
const (
	maxLexDepth = 16
	maxLexItems = 1 << 16
)

// closer ends an array or a dictionary; it is never returned by token.
type closer byte

// token returns the next operand or operator, nil at the end.
func (l *pdfLexer) token() any { return l.read(0) }

func (l *pdfLexer) read(depth int) any {
	for l.skipSpace(); l.pos < len(l.data); l.skipSpace() {
		c := l.data[l.pos]
		switch {
		case c == '/':
			return l.name()
		case c == '(':
			return l.literal()
		case c == '<' && l.peek(1) == '<':
			l.pos += 2
			return l.dict(depth + 1)
		case c == '<':
			return l.hex()
		case c == '[':
			l.pos++
			return l.array(depth + 1)
		case c == ']' || c == '>':
			l.pos++
			if c == '>' && l.peek(0) == '>' {
				l.pos++
			}
			if depth > 0 {
				return closer(c)
			}
		case c == ')' || c == '{' || c == '}':
			l.pos++
		default:
			return l.word()
		}
	}
	return nil
}

func (l *pdfLexer) peek(n int) byte {
	if l.pos+n < len(l.data) {
		return l.data[l.pos+n]
	}
	return 0
}

func (l *pdfLexer) skipSpace() {
	for l.pos < len(l.data) {
		switch c := l.data[l.pos]; {
		case isPDFSpace(c):
			l.pos++
		case c == '%':
			for l.pos < len(l.data) && l.data[l.pos] != '\n' && l.data[l.pos] != '\r' {
				l.pos++
			}
		default:
			return
		}
	}
}

func isPDFSpace(c byte) bool {
	return c == ' ' || c == '\n' || c == '\r' || c == '\t' || c == '\f' || c == 0
}

func isPDFDelimiter(c byte) bool {
	switch c {
	case '(', ')', '<', '>', '[', ']', '{', '}', '/', '%':
		return true
	}
	return false
}

// word reads a number or an operator.
func (l *pdfLexer) word() any {
	start := l.pos
	for l.pos < len(l.data) && !isPDFSpace(l.data[l.pos]) && !isPDFDelimiter(l.data[l.pos]) {
		l.pos++
	}
	s := string(l.data[start:l.pos])
	if c := s[0]; c >= '0' && c <= '9' || c == '-' || c == '+' || c == '.' {
		if f, ok := parseNumber(s); ok {
			return f
		}
	}
	return pdfOperator(s)
}

// parseNumber reads a number as PDF viewers do: "--5" is -5 and whatever
// stands behind a second point or sign is ignored.
func parseNumber(s string) (float64, bool) {
	if f, err := strconv.ParseFloat(s, 64); err == nil {
		return clampNumber(f), true
	}
	for len(s) > 1 && (s[0] == '-' || s[0] == '+') && (s[1] == '-' || s[1] == '+') {
		s = s[1:]
	}
	end, points := 0, 0
	for end < len(s) {
		c := s[end]
		if c == '.' {
			points++
		}
		if points > 1 || c != '.' && (c < '0' || c > '9') && (end > 0 || c != '-' && c != '+') {
			break
		}
		end++
	}
	f, err := strconv.ParseFloat(s[:end], 64)
	return clampNumber(f), err == nil
}

// clampNumber keeps coordinates where arithmetic on them stays finite.
func clampNumber(f float64) float64 {
	const limit = 1e9
	if f != f {
		return 0
	}
	return min(max(f, -limit), limit)
}

func (l *pdfLexer) name() any {
	l.pos++
	var out []byte
	for l.pos < len(l.data) && !isPDFSpace(l.data[l.pos]) && !isPDFDelimiter(l.data[l.pos]) {
		c := l.data[l.pos]
		if c == '#' {
			if hi, lo := unhex(l.peek(1)), unhex(l.peek(2)); hi >= 0 && lo >= 0 {
				c = byte(hi<<4 | lo)
				l.pos += 2
			}
		}
		out = append(out, c)
		l.pos++
	}
	return pdfName(out)
}

func (l *pdfLexer) hex() any {
	l.pos++
	start := l.pos
	for l.pos < len(l.data) && l.data[l.pos] != '>' {
		l.pos++
	}
	digits := l.data[start:l.pos]
	l.pos = min(l.pos+1, len(l.data))
	return pdfString(hexDecode(append(digits[:len(digits):len(digits)], '>')))
}

func (l *pdfLexer) literal() any {
	var out []byte
	depth := 0
	for ; l.pos < len(l.data); l.pos++ {
		c := l.data[l.pos]
		switch c {
		case '\\':
			out = l.escape(out)
			continue
		case '(':
			if depth++; depth == 1 {
				continue
			}
		case ')':
			if depth--; depth == 0 {
				l.pos++
				return pdfString(out)
			}
		}
		out = append(out, c)
	}
	return pdfString(out)
}

// escape appends what the escape at pos stands for and moves to its last byte.
func (l *pdfLexer) escape(out []byte) []byte {
	l.pos++
	switch c := l.peek(0); c {
	case 'n':
		return append(out, '\n')
	case 'r':
		return append(out, '\r')
	case 't':
		return append(out, '\t')
	case 'b':
		return append(out, '\b')
	case 'f':
		return append(out, '\f')
	case '\r':
		if l.peek(1) == '\n' {
			l.pos++
		}
		return out
	case '\n':
		return out
	case '0', '1', '2', '3', '4', '5', '6', '7':
		n := int(c - '0')
		for i := 0; i < 2 && l.peek(1) >= '0' && l.peek(1) <= '7'; i++ {
			l.pos++
			n = n*8 + int(l.peek(0)-'0')
		}
		return append(out, byte(n))
	default:
		return append(out, c)
	}
}

func (l *pdfLexer) array(depth int) any {
	var items []any
	for depth <= maxLexDepth && len(items) < maxLexItems {
		item := l.read(depth)
		if item == nil {
			break
		}
		if _, end := item.(closer); end {
			break
		}
		items = append(items, item)
	}
	return items
}

func (l *pdfLexer) dict(depth int) any {
	dict := make(map[pdfName]any)
	for depth <= maxLexDepth && len(dict) < maxLexItems {
		key, ok := l.read(depth).(pdfName)
		if !ok {
			break // the end, or no dictionary any more
		}
		value := l.read(depth)
		if _, end := value.(closer); end || value == nil {
			break
		}
		dict[key] = value
	}
	return dict
}
