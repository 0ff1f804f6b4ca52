package weaviate

import (
	"context"
	"slices"
	"strings"
	"sync"

	"github.com/weaviate/weaviate-go-client/v4/weaviate/filters"
	"golang.org/x/sync/errgroup"

	tributary "github.com/tributary-kb/tributary"
)

const (
	// auditParallel bounds the queries that an audit has under way.
	auditParallel = 4
	// auditTerms is how many terms of an object an audit looks for. The index
	// takes all terms of an object in one step.
	auditTerms = 16
)

// Unindexed returns the ids of those objects that are stored but are missing
// from an index: that of the vectors, of the keywords or of a filter. Such
// objects are left behind by inserts that were cut off; remove them and insert
// them anew under other ids. That an object is in the vector index does not
// mean that the approximate search reaches it: among very many texts that are
// nearly the same it may leave some out, and no repair changes that. Objects that are not stored are left out, and so
// is any check for which an object lacks the fields: with only ID and Vector
// set, the vector is what is checked, besides the filter by id.
//
// The result is in the order of objects, nil if all is well.
func (s *Store) Unindexed(ctx context.Context, kb string, objects []tributary.Object) ([]string, error) {
	found := newTally(objects)
	for slice := range slices.Chunk(objects, readSlice) {
		for _, p := range filterProperties {
			if err := s.auditFilter(ctx, kb, p, slice, found); err != nil {
				return nil, err
			}
		}
		if err := s.auditVectors(ctx, kb, slice, found); err != nil {
			return nil, err
		}
	}
	if err := s.auditSearches(ctx, kb, objects, found); err != nil {
		return nil, err
	}
	var out []string
	for _, o := range objects {
		if !found.missing(o.ID) {
			continue
		}
		there, err := s.has(ctx, kb, o.ID)
		if err != nil {
			return nil, err
		}
		if there {
			out = append(out, o.ID)
		}
	}
	return out, nil
}

// A tally notes which objects a check did not find.
type tally struct {
	mu   sync.Mutex
	lost map[string]bool
}

func newTally(objects []tributary.Object) *tally {
	return &tally{lost: make(map[string]bool, len(objects))}
}

func (t *tally) lose(id string) {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.lost[id] = true
}

func (t *tally) missing(id string) bool {
	t.mu.Lock()
	defer t.mu.Unlock()
	return t.lost[id]
}

// filterProperties are the indexes behind filters, with the value that an
// object has in each; an object without a value is not looked for.
var filterProperties = []filterProperty{
	{"id", func(o tributary.Object) string { return o.ID }},
	{"document", func(o tributary.Object) string { return o.Document }},
	{"uri", func(o tributary.Object) string { return strings.TrimSpace(o.URI) }},
	{"source", func(o tributary.Object) string { return o.Source }},
	{"content_type", func(o tributary.Object) string { return o.ContentType }},
	{"language", func(o tributary.Object) string { return o.Language }},
	{"changed", func(o tributary.Object) string {
		if o.Changed.IsZero() {
			return ""
		}
		return o.Changed.String()
	}},
}

type filterProperty struct {
	name  string
	value func(tributary.Object) string
}

// auditFilter asks for the objects by id and by their values of a property,
// all at once.
func (s *Store) auditFilter(ctx context.Context, kb string, p filterProperty, objects []tributary.Object, t *tally) error {
	var ids, values []string
	for _, o := range objects {
		if v := p.value(o); v != "" {
			ids, values = append(ids, o.ID), append(values, v)
		}
	}
	if len(ids) == 0 {
		return nil
	}
	conditions := []*filters.WhereBuilder{anyOf("id", ids)}
	switch p.name {
	case "id":
	case "changed": // any date: what has none is not in this index
		conditions = append(conditions, where(filters.GreaterThanEqual, p.name).WithValueDate(minDate))
	default:
		slices.Sort(values)
		conditions = append(conditions, anyOf(p.name, slices.Compact(values)))
	}
	g := new(get)
	g.where(all(conditions))
	return s.loseUnseen(ctx, kb, g, ids, t)
}

// auditVectors asks for the objects by id and by a vector, all at once. Among
// so few the server compares every vector of its index that the filter lets
// through, and not only those that its graph leads to.
func (s *Store) auditVectors(ctx context.Context, kb string, objects []tributary.Object, t *tally) error {
	var ids []string
	var vector tributary.Vector
	for _, o := range objects {
		if o.Vector != nil && !t.missing(o.ID) {
			ids, vector = append(ids, o.ID), o.Vector
		}
	}
	if len(ids) == 0 {
		return nil
	}
	g := new(get)
	g.nearVector(vector)
	g.where(anyOf("id", ids))
	return s.loseUnseen(ctx, kb, g, ids, t)
}

// loseUnseen runs g for as many objects as ids names, and notes those that it
// does not return.
func (s *Store) loseUnseen(ctx context.Context, kb string, g *get, ids []string, t *tally) error {
	g.limit(len(ids))
	hits, err := run[stored](ctx, s, kb, g, "_additional{id}")
	if err != nil {
		return err
	}
	found := make(map[string]bool, len(hits))
	for _, h := range hits {
		found[h.Additional.ID] = true
	}
	for _, id := range ids {
		if !found[id] {
			t.lose(id)
		}
	}
	return nil
}

// auditSearches looks for each object by its keywords.
func (s *Store) auditSearches(ctx context.Context, kb string, objects []tributary.Object, t *tally) error {
	group, ctx := errgroup.WithContext(ctx)
	group.SetLimit(auditParallel)
	for _, o := range objects {
		if t.missing(o.ID) {
			continue // lost already
		}
		group.Go(func() error {
			ok, err := s.foundByTerms(ctx, kb, o)
			if err == nil && !ok {
				t.lose(o.ID)
			}
			return err
		})
	}
	return group.Wait()
}

func (s *Store) foundByTerms(ctx context.Context, kb string, o tributary.Object) (bool, error) {
	words := strings.Fields(terms(o))
	if len(words) == 0 {
		return true, nil
	}
	g := new(get)
	g.bm25(strings.Join(words[:min(len(words), auditTerms)], " "))
	g.where(equal("id", o.ID))
	g.limit(1)
	hits, err := run[stored](ctx, s, kb, g, "_additional{id}")
	return len(hits) > 0, err
}
