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
	// twinDistance is the cosine distance up to which two vectors count as the
	// same; float32 components do not come closer.
	twinDistance = 1e-5
)

// vectorLimits are the numbers of neighbours among which an object is looked
// for by its own vector, one after the other: the first finds nearly all, the
// second makes the search wider, and the third is for texts that occur very
// often.
var vectorLimits = []int{10, 500, maxResults}

// Unindexed returns the ids of those objects that are stored but that a query
// does not find: by their own vector, by their keywords or by a filter. Such
// objects are left behind by inserts that were cut off; remove them and insert
// them anew under other ids. Objects that are not stored are left out, and so
// is any check for which an object lacks the fields: with only ID and Vector
// set, the vector is what is checked, besides the filter by id.
//
// The result is in the order of objects, nil if all is well. An object that
// has 10,000 others with the same vector counts as found by it.
func (s *Store) Unindexed(ctx context.Context, kb string, objects []tributary.Object) ([]string, error) {
	found := newTally(objects)
	for slice := range slices.Chunk(objects, readSlice) {
		for _, p := range filterProperties {
			if err := s.auditFilter(ctx, kb, p, slice, found); err != nil {
				return nil, err
			}
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

// auditSearches looks for each object by its keywords and its vector.
func (s *Store) auditSearches(ctx context.Context, kb string, objects []tributary.Object, t *tally) error {
	group, ctx := errgroup.WithContext(ctx)
	group.SetLimit(auditParallel)
	for _, o := range objects {
		if t.missing(o.ID) {
			continue // lost already
		}
		group.Go(func() error {
			ok, err := s.foundByTerms(ctx, kb, o)
			if ok && err == nil {
				ok, err = s.foundByVector(ctx, kb, o)
			}
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

// A neighbour is an object that lies near a vector.
type neighbour struct {
	Additional struct {
		ID       string
		Distance float64 // cosine, 0 to 2
	} `json:"_additional"`
}

func (s *Store) foundByVector(ctx context.Context, kb string, o tributary.Object) (bool, error) {
	if o.Vector == nil {
		return true, nil
	}
	for i, limit := range vectorLimits {
		g := new(get)
		g.nearVector(o.Vector)
		g.limit(limit)
		near, err := run[neighbour](ctx, s, kb, g, "_additional{id distance}")
		if err != nil {
			return false, err
		}
		if slices.ContainsFunc(near, func(n neighbour) bool { return n.Additional.ID == o.ID }) {
			return true, nil
		}
		if len(near) < limit && i == len(vectorLimits)-1 {
			return false, nil // that was everything that can be reached
		}
		if i > 0 && len(near) == limit && near[limit-1].Additional.Distance > twinDistance {
			return false, nil // others are further off, so it would have been there
		}
	}
	return true, nil
}
