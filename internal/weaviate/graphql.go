package weaviate

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"strings"

	"github.com/weaviate/weaviate-go-client/v4/weaviate/filters"
	"github.com/weaviate/weaviate/entities/models"

	tributary "github.com/tributary-kb/tributary"
)

// maxResults is how many objects the server returns or deletes at most for
// one request (its QUERY_MAXIMUM_RESULTS).
const maxResults = 10_000

// quote writes s as a GraphQL string. GraphQL knows fewer escapes than Go, by
// whose rules the client quotes: all that it needs is to escape the quote, the
// backslash and the control characters below space. Invalid UTF-8 becomes
// U+FFFD.
func quote(b *strings.Builder, s string) {
	b.WriteByte('"')
	for _, r := range s {
		switch {
		case r == '"' || r == '\\':
			b.WriteByte('\\')
			b.WriteRune(r)
		case r < ' ':
			fmt.Fprintf(b, `\u%04x`, r)
		default:
			b.WriteRune(r)
		}
	}
	b.WriteByte('"')
}

// A get is one GraphQL query for objects of a collection.
type get struct {
	b    strings.Builder
	args int
}

func (g *get) arg(name string) *strings.Builder {
	if g.args > 0 {
		g.b.WriteString(", ")
	}
	g.args++
	g.b.WriteString(name)
	g.b.WriteString(": ")
	return &g.b
}

func (g *get) limit(n int) { fmt.Fprintf(g.arg("limit"), "%d", n) }

// where adds the filter; nil adds nothing.
func (g *get) where(w *filters.WhereBuilder) {
	if w != nil {
		writeWhere(g.arg("where"), w.Build())
	}
}

func (g *get) bm25(terms string) {
	b := g.arg("bm25")
	b.WriteString("{query: ")
	quote(b, terms)
	b.WriteString(`, properties: ["terms"]}`)
}

func (g *get) nearVector(v tributary.Vector) {
	b := g.arg("nearVector")
	b.WriteString("{vector: ")
	writeVector(b, v)
	b.WriteString("}")
}

func (g *get) hybrid(terms string, v tributary.Vector, alpha float64) {
	b := g.arg("hybrid")
	b.WriteString("{query: ")
	quote(b, terms)
	b.WriteString(", vector: ")
	writeVector(b, v)
	fmt.Fprintf(b, `, alpha: %g, properties: ["terms"], fusionType: relativeScoreFusion}`, alpha)
}

func writeVector(b *strings.Builder, v tributary.Vector) {
	b.WriteByte('[')
	for i, x := range v {
		if i > 0 {
			b.WriteByte(',')
		}
		fmt.Fprintf(b, "%g", x)
	}
	b.WriteByte(']')
}

func writeWhere(b *strings.Builder, w *models.WhereFilter) {
	fmt.Fprintf(b, "{operator: %s", w.Operator)
	if len(w.Path) > 0 {
		b.WriteString(", path: ")
		quoteList(b, w.Path)
	}
	if w.ValueText != nil {
		b.WriteString(", valueText: ")
		quote(b, *w.ValueText)
	}
	if len(w.ValueTextArray) > 0 {
		b.WriteString(", valueText: ")
		quoteList(b, w.ValueTextArray)
	}
	if w.ValueDate != nil {
		b.WriteString(", valueDate: ")
		quote(b, *w.ValueDate)
	}
	if len(w.Operands) > 0 {
		b.WriteString(", operands: [")
		for _, o := range w.Operands {
			writeWhere(b, o)
		}
		b.WriteByte(']')
	}
	b.WriteByte('}')
}

func quoteList(b *strings.Builder, values []string) {
	b.WriteByte('[')
	for i, v := range values {
		if i > 0 {
			b.WriteByte(',')
		}
		quote(b, v)
	}
	b.WriteByte(']')
}

// run asks the server for the objects of kb that g describes, with the given
// selection of fields.
func run[T any](ctx context.Context, s *Store, kb string, g *get, selection string) ([]T, error) {
	class, err := className(kb)
	if err != nil {
		return nil, err
	}
	query := fmt.Sprintf("{Get{%s(%s){%s}}}", class, g.b.String(), selection)
	var data struct{ Get map[string][]T }
	if err := s.graphql(ctx, kb, query, &data); err != nil {
		return nil, err
	}
	return data.Get[class], nil
}

// graphql runs query against the collection of kb and decodes its data.
func (s *Store) graphql(ctx context.Context, kb, query string, data any) error {
	act := fmt.Sprintf("query knowledge base %q", kb)
	response, err := s.client.GraphQL().Raw().WithQuery(query).Do(ctx)
	if err == nil {
		err = graphqlErrors(response)
	}
	if err != nil {
		if isUnknownClass(err) {
			return s.unknownClass(ctx, kb, act, err)
		}
		return classify(ctx, act, err)
	}
	raw, err := json.Marshal(response.Data)
	if err != nil {
		return fmt.Errorf("%s: %w", act, err)
	}
	if err := json.Unmarshal(raw, data); err != nil {
		return fmt.Errorf("%s: %w", act, err)
	}
	return nil
}

func graphqlErrors(response *models.GraphQLResponse) error {
	var errs []error
	for _, e := range response.Errors {
		if e != nil {
			errs = append(errs, errors.New(e.Message))
		}
	}
	return errors.Join(errs...)
}

// isUnknownClass recognises what the server says to a query for a collection
// that it does not have, or while it has none at all.
func isUnknownClass(err error) bool {
	text := cause(err).Error()
	return strings.Contains(text, `Cannot query field "`+classPrefix) || strings.Contains(text, "no graphql provider present")
}

// unknownClass tells a collection that does not exist from one that was
// created a moment ago, about which GraphQL does not know yet.
func (s *Store) unknownClass(ctx context.Context, kb, act string, err error) error {
	if _, missing := s.settings(ctx, kb); missing != nil {
		return missing
	}
	return away(ctx, act, cause(err))
}
