package ingest

import (
	"bytes"
	"compress/flate"
	"encoding/ascii85"
	"io"
	"strconv"
	"strings"

	"github.com/ledongthuc/pdf"
)

// stream returns the decoded bytes of a stream, nil if v is none. Of a stream
// that is damaged it returns what comes before the damage. It panics with
// errTooMuchData once the document has used up its budget.
//
// The library's own reader knows two filters and one predictor, and gives up
// on damaged data. It is used only for encrypted files, whose key it keeps to
// itself.
func (d *pdfDocument) stream(v pdf.Value) []byte {
	if v.Kind() != pdf.Stream {
		return nil
	}
	var data []byte
	if raw, ok := d.rawStream(v); ok {
		data = decodeFilters(raw, v)
	} else {
		data, _ = io.ReadAll(io.LimitReader(v.Reader(), maxStreamBytes))
	}
	if d.decoded += int64(len(data)); d.decoded > maxTotalBytes {
		panic(errTooMuchData)
	}
	return data
}

// rawStream returns the bytes of a stream as they stand in the file; ok is
// false if they are encrypted. The library tells the offset of a stream only
// in its printed form.
func (d *pdfDocument) rawStream(v pdf.Value) (raw []byte, ok bool) {
	if d.encrypted {
		return nil, false
	}
	printed := v.String()
	offset, err := strconv.Atoi(printed[strings.LastIndexByte(printed, '@')+1:])
	if err != nil || offset < 0 || offset > len(d.content) {
		return nil, false
	}
	rest := d.content[offset:]
	length := v.Key("Length").Int64()
	if length > 0 && length <= int64(len(rest)) {
		tail := bytes.TrimLeft(rest[length:min(int64(len(rest)), length+32)], "\x00\t\n\f\r ")
		if bytes.HasPrefix(tail, []byte("endstream")) {
			return rest[:length], true
		}
	}
	if end := bytes.Index(rest, []byte("endstream")); end >= 0 {
		return rest[:end], true
	}
	return rest, true
}

// decodeFilters undoes the filters of a stream. A filter that is not known,
// such as an image's, leaves nothing.
func decodeFilters(data []byte, v pdf.Value) []byte {
	filters, params := v.Key("Filter"), v.Key("DecodeParms")
	if filters.Kind() == pdf.Name {
		return decodeFilter(filters.Name(), data, params)
	}
	const maxFilters = 8
	for i := range min(filters.Len(), maxFilters) {
		data = decodeFilter(filters.Index(i).Name(), data, params.Index(i))
	}
	return data
}

func decodeFilter(name string, data []byte, params pdf.Value) []byte {
	switch name {
	case "FlateDecode", "Fl":
		return undoPredictor(inflate(data), params)
	case "LZWDecode", "LZW":
		early := params.Key("EarlyChange")
		return undoPredictor(lzwDecode(data, early.IsNull() || early.Int64() != 0), params)
	case "ASCIIHexDecode", "AHx":
		return hexDecode(data)
	case "ASCII85Decode", "A85":
		return ascii85Decode(data)
	case "RunLengthDecode", "RL":
		return runLengthDecode(data)
	case "Crypt":
		return data
	}
	return nil
}

// inflate decompresses zlib data and does not mind a missing or wrong
// checksum.
func inflate(data []byte) []byte {
	if len(data) < 2 {
		return nil
	}
	if out, _ := io.ReadAll(io.LimitReader(flate.NewReader(bytes.NewReader(data[2:])), maxStreamBytes)); len(out) > 0 {
		return out
	}
	// Some files put a line end in front of the data.
	trimmed := bytes.TrimLeft(data, "\r\n")
	if len(trimmed) == len(data) || len(trimmed) < 2 {
		return nil
	}
	out, _ := io.ReadAll(io.LimitReader(flate.NewReader(bytes.NewReader(trimmed[2:])), maxStreamBytes))
	return out
}

// Codes of LZW that are no data.
const (
	lzwClear = 256
	lzwEnd   = 257
	lzwFirst = 258 // the first code that a table entry may have
)

// lzwTable holds what the codes of an LZW stream stand for. Every entry is a
// stretch of the output: the bytes of one code and the first of the next.
type lzwTable struct {
	out      []byte
	entries  [4096]lzwEntry
	next     int // the code that the next entry gets
	previous lzwEntry
}

type lzwEntry struct{ start, end int }

func (t *lzwTable) clear() { t.next, t.previous = lzwFirst, lzwEntry{-1, -1} }

// put appends what code stands for; it returns false for a code that cannot
// be.
func (t *lzwTable) put(code int) bool {
	start := len(t.out)
	switch known := t.previous.start >= 0; {
	case code < lzwClear:
		t.out = append(t.out, byte(code))
	case code >= lzwFirst && code < t.next:
		t.out = append(t.out, t.out[t.entries[code].start:t.entries[code].end]...)
	case code == t.next && known:
		t.out = append(append(t.out, t.out[t.previous.start:t.previous.end]...), t.out[t.previous.start])
	default:
		return false
	}
	if t.previous.start >= 0 && t.next < len(t.entries) {
		t.entries[t.next] = lzwEntry{t.previous.start, t.previous.end + 1}
		t.next++
	}
	t.previous = lzwEntry{start, len(t.out)}
	return len(t.out) <= maxStreamBytes
}

// lzwDecode undoes the LZW of PDF and TIFF: codes of 9 to 12 bits, high bits
// first, which grow one code early unless told otherwise.
func lzwDecode(data []byte, earlyChange bool) []byte {
	early := 0
	if earlyChange {
		early = 1
	}
	t := &lzwTable{}
	t.clear()
	width := 9
	var bits uint64
	have := 0
	for _, b := range data {
		bits, have = bits<<8|uint64(b), have+8
		if have < width {
			continue
		}
		have -= width
		switch code := int(bits >> have & (1<<width - 1)); {
		case code == lzwClear:
			t.clear()
			width = 9
		case code == lzwEnd || !t.put(code):
			return t.out
		case t.next+early >= 1<<width && width < 12:
			width++
		}
	}
	return t.out
}

func hexDecode(data []byte) []byte {
	var out []byte
	high := -1
	for _, c := range data {
		n := unhex(c)
		switch {
		case c == '>':
			if high >= 0 {
				out = append(out, byte(high<<4))
			}
			return out
		case n < 0:
		case high < 0:
			high = n
		default:
			out = append(out, byte(high<<4|n))
			high = -1
		}
	}
	return out
}

// unhex returns the value of a hexadecimal digit, -1 if c is none.
func unhex(c byte) int {
	switch {
	case c >= '0' && c <= '9':
		return int(c - '0')
	case c >= 'a' && c <= 'f':
		return int(c-'a') + 10
	case c >= 'A' && c <= 'F':
		return int(c-'A') + 10
	}
	return -1
}

func ascii85Decode(data []byte) []byte {
	data = bytes.TrimPrefix(bytes.TrimSpace(data), []byte("<~"))
	if i := bytes.IndexByte(data, '~'); i >= 0 {
		data = data[:i]
	}
	out, _ := io.ReadAll(io.LimitReader(ascii85.NewDecoder(bytes.NewReader(data)), maxStreamBytes))
	return out
}

func runLengthDecode(data []byte) []byte {
	var out []byte
	for len(data) > 1 && len(out) < maxStreamBytes {
		n := int(data[0])
		switch {
		case n == 128:
			return out
		case n < 128:
			take := min(n+1, len(data)-1)
			out = append(out, data[1:1+take]...)
			data = data[1+take:]
		default:
			out = append(out, bytes.Repeat(data[1:2], 257-n)...)
			data = data[2:]
		}
	}
	return out
}

// undoPredictor reverses the PNG predictors; others leave data as it is.
func undoPredictor(data []byte, params pdf.Value) []byte {
	if params.Key("Predictor").Int64() < 10 {
		return data
	}
	value := func(key string, fallback, limit int64) int {
		if v := params.Key(key); v.Kind() == pdf.Integer {
			return int(min(max(v.Int64(), 1), limit))
		}
		return int(fallback)
	}
	bits := value("Colors", 1, 32) * value("BitsPerComponent", 8, 16)
	pixel, row := (bits+7)/8, (bits*value("Columns", 1, 1<<16)+7)/8
	out := make([]byte, 0, len(data))
	above := make([]byte, row)
	for len(data) > 1 {
		line := make([]byte, row)
		n := copy(line, data[1:])
		unfilter(data[0], line, above, pixel)
		out = append(out, line[:n]...)
		data = data[1+n:]
		above = line
	}
	return out
}

// unfilter reverses one of the five PNG filters in place.
func unfilter(filter byte, line, above []byte, pixel int) {
	for i := range line {
		var left, corner byte
		if i >= pixel {
			left, corner = line[i-pixel], above[i-pixel]
		}
		switch filter {
		case 1:
			line[i] += left
		case 2:
			line[i] += above[i]
		case 3:
			line[i] += byte((int(left) + int(above[i])) / 2)
		case 4:
			line[i] += paeth(left, above[i], corner)
		}
	}
}

func paeth(a, b, c byte) byte {
	p := int(a) + int(b) - int(c)
	pa, pb, pc := distance(p, int(a)), distance(p, int(b)), distance(p, int(c))
	switch {
	case pa <= pb && pa <= pc:
		return a
	case pb <= pc:
		return b
	}
	return c
}

func distance(a, b int) int { return max(a-b, b-a) }
