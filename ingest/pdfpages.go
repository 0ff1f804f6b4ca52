package ingest

import (
	"regexp"

	"github.com/ledongthuc/pdf"
)

// Bounds of the page tree. Real trees are three or four levels deep.
const (
	maxPageDepth = 40
	maxPageNodes = 200_000
)

// pdfPage is a leaf of the page tree with the resources that hold for it.
type pdfPage struct {
	value, resources pdf.Value
}

// findPages walks the page tree from its root and returns the pages in order.
// It follows no node twice, ignores the counts that the tree states, and hands
// resources down instead of asking parents for them, which may be a circle.
func findPages(root pdf.Value) []pdfPage {
	w := &pageWalk{seen: make(map[string]bool)}
	w.visit(root, pdf.Value{}, 0)
	return w.pages
}

// loosePages returns the pages among the objects of an array, for files whose
// page tree is lost.
func loosePages(objects pdf.Value) []pdfPage {
	var pages []pdfPage
	for i := range min(objects.Len(), maxPageNodes) {
		_ = guard(func() {
			if page := objects.Index(i); page.Key("Type").Name() == "Page" {
				pages = append(pages, pdfPage{value: page, resources: page.Key("Resources")})
			}
		})
	}
	return pages
}

type pageWalk struct {
	pages []pdfPage
	seen  map[string]bool // references that were followed
	nodes int
}

func (w *pageWalk) visit(node, resources pdf.Value, depth int) {
	if w.nodes++; w.nodes > maxPageNodes || depth > maxPageDepth || node.Kind() != pdf.Dict {
		return
	}
	if own := node.Key("Resources"); own.Kind() == pdf.Dict {
		resources = own
	}
	kids := node.Key("Kids")
	if kids.Kind() != pdf.Array {
		if node.Key("Type").Name() != "Pages" {
			w.pages = append(w.pages, pdfPage{value: node, resources: resources})
		}
		return
	}
	refs := references(kids)
	for i := range kids.Len() {
		if i < len(refs) {
			if w.seen[refs[i]] {
				continue
			}
			w.seen[refs[i]] = true
		}
		// A kid that cannot be read costs itself, not its siblings.
		_ = guard(func() { w.visit(kids.Index(i), resources, depth+1) })
	}
}

var reference = regexp.MustCompile(`\d+ \d+ R`)

// references returns the references that the elements of an array are, nil if
// some are not. The library resolves references silently; only the printed
// form still shows them.
func references(array pdf.Value) []string {
	refs := reference.FindAllString(array.String(), -1)
	if len(refs) != array.Len() {
		return nil
	}
	return refs
}
