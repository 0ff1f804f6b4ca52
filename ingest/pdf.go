package ingest

import (
	"context"
	"errors"
	"fmt"
	"strings"

	"github.com/ledongthuc/pdf"

	"github.com/tributary-kb/tributary"
)

// Budgets of one PDF file. They are far above what documents need and low
// enough that a file that exceeds them costs seconds, not minutes.
const (
	maxStreamBytes = 64 << 20  // decoded size of one stream
	maxTotalBytes  = 512 << 20 // decoded size of all streams
	maxOperators   = 20_000_000
	maxFormDepth   = 8
	maxAnnotations = 2000
)

// parsePDF returns the text of the pages in the order in which they draw it.
// Blocks carry their page; text that stands out by its size is a heading.
//
// The library reads the objects of the file; everything above that, from the
// page tree to the fonts, is walked here with limits of its own.
func parsePDF(ctx context.Context, cfg *Config, in Input) (Parsed, error) {
	doc, err := openPDF(in.Content)
	if err != nil {
		return Parsed{}, tributary.Rejectf("%s: %w", nameOf(in), err)
	}
	text, err := doc.extract(ctx, cfg)
	if err == nil && text.empty() && !doc.rebuilt {
		// The cross-reference table may lead to the wrong objects.
		if again, rebuildErr := rebuildPDF(in.Content); rebuildErr == nil {
			doc = again
			text, err = doc.extract(ctx, cfg)
		}
	}
	switch {
	case ctx.Err() != nil:
		return Parsed{}, fmt.Errorf("parse %s: %w", nameOf(in), ctx.Err())
	case err != nil:
		return Parsed{}, tributary.Rejectf("%s: %w", nameOf(in), err)
	case text.empty():
		return Parsed{}, tributary.Rejectf("%s has no text on its %d pages; pages that are pictures need text recognition, which is not supported",
			nameOf(in), len(doc.pages))
	}
	p := text.parsed()
	doc.describe(&p)
	return p, nil
}

// pdfDocument is an open file. It is used by one goroutine.
type pdfDocument struct {
	reader    *pdf.Reader
	content   []byte // what the reader reads
	encrypted bool
	rebuilt   bool // the cross-reference table is ours
	pages     []pdfPage
	fonts     map[string]*pdfFont
	decoded   int64 // bytes of streams decoded so far
	operators int
}

var (
	errTooMuchData = errors.New("the PDF's streams expand beyond the limit of 512 MiB")
	errTooManyOps  = fmt.Errorf("the PDF's pages have more drawing operators than the limit of %d", maxOperators)
)

// extract returns the text of all pages. A page that is broken keeps the text
// before the fault.
func (d *pdfDocument) extract(ctx context.Context, cfg *Config) (*pdfText, error) {
	if len(d.pages) > cfg.MaxPages {
		return nil, fmt.Errorf("the PDF has %d pages or more, the limit is %d (ingest.max_pages)", len(d.pages), cfg.MaxPages)
	}
	text := &pdfText{}
	size := 0
	for i, page := range d.pages {
		if err := ctx.Err(); err != nil {
			return nil, err
		}
		layout := &pdfLayout{}
		if err := guard(func() { d.drawPage(page, layout) }); errors.Is(err, errTooMuchData) || errors.Is(err, errTooManyOps) {
			return nil, err
		}
		paragraphs := layout.paragraphs()
		for _, p := range paragraphs {
			size += len(p.text)
		}
		if int64(size) > cfg.MaxTextBytes {
			return nil, fmt.Errorf("the PDF yields more than %d bytes of text (ingest.max_text_bytes)", cfg.MaxTextBytes)
		}
		text.add(i+1, paragraphs)
	}
	return text, nil
}

// drawPage runs the page's content and then that of its form fields.
func (d *pdfDocument) drawPage(page pdfPage, layout *pdfLayout) {
	content := d.pageContent(page.value.Key("Contents"))
	d.draw(content, page.resources, identity, layout)
	annots := page.value.Key("Annots")
	for i := range min(annots.Len(), maxAnnotations) {
		// One broken annotation does not cost the others.
		err := guard(func() { d.drawField(annots.Index(i), page.resources, layout) })
		if errors.Is(err, errTooMuchData) || errors.Is(err, errTooManyOps) {
			panic(err)
		}
	}
}

// pageContent joins the content streams of a page.
func (d *pdfDocument) pageContent(v pdf.Value) []byte {
	if v.Kind() != pdf.Array {
		return d.stream(v)
	}
	var all []byte
	for i := range v.Len() {
		all = append(append(all, d.stream(v.Index(i))...), '\n')
		if len(all) > maxStreamBytes {
			break
		}
	}
	return all
}

// drawField draws the appearance of a form field or text box.
func (d *pdfDocument) drawField(annot pdf.Value, resources pdf.Value, layout *pdfLayout) {
	const hidden = 1 << 1
	subtype := annot.Key("Subtype").Name()
	if subtype != "Widget" && subtype != "FreeText" || annot.Key("F").Int64()&hidden != 0 {
		return
	}
	look := annot.Key("AP").Key("N")
	if look.Kind() == pdf.Dict {
		look = look.Key(annot.Key("AS").Name())
	}
	if look.Kind() != pdf.Stream {
		return
	}
	rect := annot.Key("Rect")
	at := matrix{1, 0, 0, 1, rect.Index(0).Float64(), rect.Index(1).Float64()}
	if own := look.Key("Resources"); own.Kind() == pdf.Dict {
		resources = own
	}
	d.draw(d.stream(look), resources, at, layout)
}

// describe copies the document information to p.
func (d *pdfDocument) describe(p *Parsed) {
	_ = guard(func() { // a broken dictionary describes nothing
		info := d.reader.Trailer().Key("Info")
		if title := usableTitle(info.Key("Title").Text()); title != "" {
			p.Title = title
		}
		p.Metadata = map[string]string{
			"author":      info.Key("Author").Text(),
			"description": info.Key("Subject").Text(),
			"tags":        info.Key("Keywords").Text(),
		}
		p.Language = d.reader.Trailer().Key("Root").Key("Lang").Text()
	})
}

// usableTitle drops what programs write in place of a title.
func usableTitle(s string) string {
	s = strings.TrimSpace(cleanText(s))
	s = strings.TrimPrefix(s, "Microsoft Word - ")
	s = strings.TrimPrefix(s, "Microsoft PowerPoint - ")
	lower := strings.ToLower(s)
	if lower == "untitled" || lower == "title" || strings.HasPrefix(lower, "untitled document") {
		return ""
	}
	for _, ext := range []string{".doc", ".docx", ".tex", ".dvi", ".pdf", ".ppt", ".pptx", ".odt", ".indd", ".qxd", ".html", ".md"} {
		if strings.HasSuffix(lower, ext) && !strings.Contains(s, " ") {
			return ""
		}
	}
	return s
}

// guard runs f and returns its panic as an error: the library panics on
// malformed objects, wherever they are touched.
func guard(f func()) (err error) {
	defer func() {
		switch x := recover().(type) {
		case nil:
		case error:
			err = x
		default:
			err = fmt.Errorf("%v", x)
		}
	}()
	f()
	return nil
}
