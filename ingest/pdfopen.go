package ingest

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"regexp"
	"slices"
	"strconv"
	"strings"

	"github.com/ledongthuc/pdf"
)

// maxObjectNumber bounds the cross-reference table, which is allocated before
// anything else of the file is looked at.
const maxObjectNumber = 8 << 20

var errEncrypted = errors.New("the PDF is encrypted and needs a password, or uses an encryption that is not supported")

// openPDF opens a file as it is, or with a cross-reference table of our own
// where its own is broken, hostile, or leads to no pages.
func openPDF(content []byte) (*pdfDocument, error) {
	prepared, err := repairEnds(content)
	if err != nil {
		return nil, err
	}
	if !hasHugeNumbers(prepared) {
		doc, err := readPDF(prepared)
		if err == nil || errors.Is(err, errEncrypted) {
			return doc, err
		}
	}
	return rebuildPDF(content)
}

// readPDF opens prepared content and finds its pages.
func readPDF(content []byte) (*pdfDocument, error) {
	// While the table is read nothing needs more than a few passes over the
	// file; a chain of tables that leads in a circle does.
	source := &budgetReader{data: content, left: 16*int64(len(content)) + 4<<20}
	var reader *pdf.Reader
	err := guard(func() {
		var err error
		if reader, err = pdf.NewReader(source, int64(len(content))); err != nil {
			panic(err)
		}
	})
	if err != nil {
		if errors.Is(err, pdf.ErrInvalidPassword) || strings.Contains(err.Error(), "encryption") {
			return nil, errEncrypted
		}
		return nil, fmt.Errorf("open the PDF: %w", err)
	}
	source.left = unlimited
	doc := &pdfDocument{reader: reader, content: content, fonts: make(map[string]*pdfFont)}
	err = guard(func() {
		doc.encrypted = !reader.Trailer().Key("Encrypt").IsNull()
		doc.pages = findPages(reader.Trailer().Key("Root").Key("Pages"))
	})
	if err != nil {
		return nil, fmt.Errorf("find the pages of the PDF: %w", err)
	}
	if len(doc.pages) == 0 {
		return nil, errors.New("the PDF has no pages")
	}
	return doc, nil
}

const unlimited = int64(-1)

// budgetReader reads data and fails once left bytes have been read.
type budgetReader struct {
	data []byte
	left int64 // unlimited for no limit
}

// ReadAt implements io.ReaderAt. An offset outside the data is an error, as
// the library passes on what the file says.
func (r *budgetReader) ReadAt(p []byte, off int64) (int, error) {
	if off < 0 || off >= int64(len(r.data)) {
		return 0, io.EOF
	}
	n := copy(p, r.data[off:])
	if r.left != unlimited {
		if r.left -= int64(n) + 1; r.left < 0 {
			r.left = 0
			return 0, errors.New("the cross-reference tables lead in a circle")
		}
	}
	if n < len(p) {
		return n, io.EOF
	}
	return n, nil
}

// repairEnds returns a copy of content that starts with a header and ends
// with an end mark that the library accepts: real files carry junk on both
// sides, other versions and other line ends.
func repairEnds(content []byte) ([]byte, error) {
	start := bytes.Index(content[:min(len(content), 1024)], []byte("%PDF-"))
	if start < 0 || len(content)-start < 32 {
		return nil, errors.New("the PDF has no header")
	}
	fixed := bytes.Clone(content[start:])
	copy(fixed, "%PDF-1.7\n")
	if end := bytes.LastIndex(fixed, []byte("%%EOF")); end >= 0 {
		fixed = fixed[:end]
	}
	// The library looks for "startxref" within the last hundred bytes.
	fixed = bytes.TrimRight(fixed, "\x00\t\n\f\r ")
	return append(fixed, "\n%%EOF\n"...), nil
}

// hasHugeNumbers reports whether a number that the library would allocate for
// is beyond reason. A failed allocation cannot be recovered from.
func hasHugeNumbers(content []byte) bool {
	for _, limit := range []struct {
		key string
		max int64
	}{{"/Size", maxObjectNumber}, {"/Columns", 1 << 20}, {"/Index", maxObjectNumber}, {"/W", 1 << 16}} {
		if keyExceeds(content, limit.key, limit.max) {
			return true
		}
	}
	return xrefExceeds(content, maxObjectNumber)
}

// keyExceeds reports whether key is somewhere followed by a number, or an
// array with one, above limit.
func keyExceeds(content []byte, key string, limit int64) bool {
	for {
		i := bytes.Index(content, []byte(key))
		if i < 0 {
			return false
		}
		content = content[i+len(key):]
		rest := bytes.TrimLeft(content, "\x00\t\n\f\r ")
		array := len(rest) > 0 && rest[0] == '['
		if array {
			rest = rest[1:]
		}
		for range 64 { // far more entries than such arrays have
			n, tail, ok := leadingInt(rest)
			if !ok {
				break
			}
			if n > limit {
				return true
			}
			if rest = tail; !array {
				break
			}
		}
	}
}

// xrefExceeds reports whether a section of a cross-reference table numbers
// objects above limit.
func xrefExceeds(content []byte, limit int64) bool {
	const entry = 20 // bytes of a table's entry
	for {
		i := bytes.Index(content, []byte("xref"))
		if i < 0 {
			return false
		}
		content = content[i+len("xref"):]
		rest := content
		for {
			first, tail, ok := leadingInt(rest)
			if !ok {
				break
			}
			count, tail, ok := leadingInt(tail)
			if !ok {
				break
			}
			if first > limit || count > limit || first+count > limit {
				return true
			}
			tail = bytes.TrimLeft(tail, "\t\n\r ")
			rest = tail[min(int64(len(tail)), count*entry):]
		}
	}
}

// leadingInt reads an integer at the start of b, behind white space. Numbers
// too long to be a number of anything count as the largest there is.
func leadingInt(b []byte) (n int64, rest []byte, ok bool) {
	b = bytes.TrimLeft(b, "\x00\t\n\f\r ")
	i := 0
	for i < len(b) && b[i] >= '0' && b[i] <= '9' {
		i++
	}
	if i == 0 {
		return 0, b, false
	}
	n, err := strconv.ParseInt(string(b[:min(i, 32)]), 10, 64)
	if err != nil {
		n = 1 << 62
	}
	return n, b[i:], true
}

// rebuildPDF opens content with a cross-reference table made by looking for
// the objects themselves.
func rebuildPDF(content []byte) (*pdfDocument, error) {
	prepared, err := repairEnds(content)
	if err != nil {
		return nil, err
	}
	table, err := scanObjects(prepared)
	if err != nil {
		return nil, err
	}
	// The members of object streams are found by reading those streams, which
	// may be encrypted; so the library opens the file once just for that.
	if len(table.containers) > 0 {
		if first, err := readWithTable(prepared, table); err == nil || !errors.Is(err, errEncrypted) {
			if first != nil {
				_ = guard(func() { table.addMembers(first) })
			}
		}
	}
	doc, err := readWithTable(prepared, table)
	if err != nil {
		return nil, err
	}
	_ = guard(func() { doc.pages = findPages(doc.reader.Trailer().Key("Root").Key("Pages")) })
	if len(doc.pages) == 0 {
		_ = guard(func() { doc.pages = loosePages(doc.reader.Trailer().Key(pagesKey)) })
	}
	if len(doc.pages) == 0 {
		return nil, errors.New("the PDF is damaged: no pages can be found in it")
	}
	return doc, nil
}

// objectTable is what a cross-reference table says, found by looking.
type objectTable struct {
	entries    map[uint32]tableEntry
	containers []uint32 // object streams
	pages      []uint32 // objects that say they are pages, in file order
	root       string   // reference of the catalog, "1 0 R"
	extra      string   // the trailer's encryption entries, as they stand
}

// tableEntry places one object: at an offset, or as a member of a stream.
type tableEntry struct {
	offset    uint32
	gen       uint16
	container uint32 // 0 if the object stands on its own
}

var (
	rootRef    = regexp.MustCompile(`/Root\s+(\d{1,7}\s+\d{1,5}\s+R)`)
	catalogKey = regexp.MustCompile(`/Type\s*/Catalog\b`)
	pageKey    = regexp.MustCompile(`/Type\s*/Page\b`)
	encryptRef = regexp.MustCompile(`/Encrypt\s+\d{1,7}\s+\d{1,5}\s+R`)
	fileID     = regexp.MustCompile(`/ID\s*\[\s*(?:<[0-9a-fA-F\s]*>|\((?:[^()\\]|\\.)*\))`)
)

// maxRebuiltObject bounds object numbers where the table is ours.
const maxRebuiltObject = 1 << 20

// scanObjects looks for "12 0 obj". The last definition of a number counts,
// as it does where files are updated by appending.
func scanObjects(content []byte) (*objectTable, error) {
	table := &objectTable{entries: make(map[uint32]tableEntry)}
	for i := 0; ; {
		j := bytes.Index(content[i:], []byte("obj"))
		if j < 0 {
			break
		}
		at := i + j
		i = at + len("obj")
		if number, gen, start, ok := objectHeader(content, at); ok {
			table.entries[number] = tableEntry{offset: uint32(start), gen: gen}
			table.classify(number, gen, content[i:min(len(content), i+4096)])
		}
	}
	if roots := rootRef.FindAllSubmatch(content, -1); len(roots) > 0 {
		table.root = string(roots[len(roots)-1][1])
	}
	if len(table.entries) == 0 || table.root == "" {
		return nil, errors.New("the PDF is damaged: it has no catalog")
	}
	if ref := encryptRef.Find(content); ref != nil {
		table.extra = string(ref)
		if id := fileID.Find(content); id != nil {
			table.extra += string(id) + "]"
		}
	}
	return table, nil
}

// classify remembers an object that says in its first bytes that it is one of
// those that lead to others.
func (t *objectTable) classify(number uint32, gen uint16, head []byte) {
	if end := bytes.Index(head, []byte("endobj")); end >= 0 {
		head = head[:end]
	}
	switch {
	case bytes.Contains(head, []byte("/ObjStm")):
		t.containers = append(t.containers, number)
	case pageKey.Match(head):
		t.pages = append(t.pages, number)
	case catalogKey.Match(head):
		t.root = fmt.Sprintf("%d %d R", number, gen)
	}
}

// objectHeader reads the two numbers in front of an "obj" at position at.
func objectHeader(content []byte, at int) (number uint32, gen uint16, start int, ok bool) {
	gens, i := intBefore(content, at)
	numbers, start := intBefore(content, i)
	if gens == "" || numbers == "" || i == at {
		return 0, 0, 0, false
	}
	n, err := strconv.ParseUint(numbers, 10, 32)
	if err != nil || n == 0 || n > maxRebuiltObject {
		return 0, 0, 0, false
	}
	g, err := strconv.ParseUint(gens, 10, 16)
	if err != nil {
		return 0, 0, 0, false
	}
	return uint32(n), uint16(g), start, true
}

// intBefore reads the integer that ends in front of position end, and white
// space between them, which must be there.
func intBefore(content []byte, end int) (digits string, start int) {
	const longest = 10
	i := end
	for i > 0 && isPDFSpace(content[i-1]) && end-i < 16 {
		i--
	}
	j := i
	for j > 0 && content[j-1] >= '0' && content[j-1] <= '9' && i-j <= longest {
		j--
	}
	if i == end || i-j > longest {
		return "", end
	}
	return string(content[j:i]), j
}

// Entries of our trailer that lead to the object streams and to the pages.
const (
	containersKey = "TributaryObjectStreams"
	pagesKey      = "TributaryPages"
)

// addMembers enters the members of the object streams that doc leads to.
// Objects that stand on their own take precedence.
func (t *objectTable) addMembers(doc *pdfDocument) {
	list := doc.reader.Trailer().Key(containersKey)
	for i, container := range t.containers {
		_ = guard(func() { // a broken stream keeps its members to itself
			stream := list.Index(i)
			n, first := stream.Key("N").Int64(), stream.Key("First").Int64()
			data := doc.stream(stream)
			rest := data[:min(int64(len(data)), max(first, 0))]
			for range min(n, maxRebuiltObject) {
				number, tail, ok := leadingInt(rest)
				if !ok {
					return
				}
				_, tail, _ = leadingInt(tail)
				rest = tail
				if _, known := t.entries[uint32(number)]; !known && number <= maxRebuiltObject {
					t.entries[uint32(number)] = tableEntry{container: container}
				}
			}
		})
	}
}

// readWithTable opens content with t in place of its own table.
func readWithTable(content []byte, t *objectTable) (*pdfDocument, error) {
	whole := t.appendTo(content)
	source := &budgetReader{data: whole, left: unlimited}
	var doc *pdfDocument
	err := guard(func() {
		reader, err := pdf.NewReader(source, int64(len(whole)))
		if err != nil {
			panic(err)
		}
		doc = &pdfDocument{reader: reader, content: whole, fonts: make(map[string]*pdfFont), rebuilt: true}
		doc.encrypted = t.extra != ""
	})
	switch {
	case err != nil && (errors.Is(err, pdf.ErrInvalidPassword) || t.extra != ""):
		return nil, errEncrypted
	case err != nil:
		return nil, fmt.Errorf("the PDF is damaged: %w", err)
	}
	return doc, nil
}

// appendTo returns content with the table behind it, as a cross-reference
// stream: that form can place members of object streams as well.
func (t *objectTable) appendTo(content []byte) []byte {
	last := uint32(0)
	for n := range t.entries {
		last = max(last, n)
	}
	self := last + 1
	const width = 1 + 4 + 2
	data := make([]byte, width*(int(self)+1))
	put := func(n uint32, kind byte, field2 uint32, field3 uint16) {
		e := data[width*int(n):]
		e[0] = kind
		binary.BigEndian.PutUint32(e[1:], field2)
		binary.BigEndian.PutUint16(e[5:], field3)
	}
	for n, e := range t.entries {
		if e.container != 0 {
			put(n, 2, e.container, 0)
		} else {
			put(n, 1, e.offset, e.gen)
		}
	}
	whole := append(slices.Clip(content), '\n')
	at := len(whole)
	put(self, 1, uint32(at), 0)
	whole = fmt.Appendf(whole, "%d 0 obj\n<</Type/XRef/Size %d/W[1 4 2]/Root %s%s", self, self+1, t.root, t.extra)
	whole = t.appendReferences(whole, containersKey, t.containers)
	whole = t.appendReferences(whole, pagesKey, t.pages)
	whole = fmt.Appendf(whole, "/Length %d>>\nstream\n", len(data))
	whole = append(whole, data...)
	return fmt.Appendf(whole, "\nendstream\nendobj\nstartxref\n%d\n%%%%EOF\n", at)
}

func (t *objectTable) appendReferences(to []byte, key string, numbers []uint32) []byte {
	to = fmt.Appendf(to, "/%s[", key)
	for _, n := range numbers {
		to = fmt.Appendf(to, "%d %d R ", n, t.entries[n].gen)
	}
	return append(to, ']')
}
