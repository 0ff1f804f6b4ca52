package weaviate

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"slices"

	"github.com/weaviate/weaviate-go-client/v4/weaviate/filters"
)

// sweepPage is how many ids of a document are read at a time, deleteSlice how
// many are deleted with one request.
const (
	sweepPage   = 2000
	deleteSlice = 500
)

// Sweep deletes the objects of a document with a birth of at most birth whose
// ids are not in keep, and returns how many there were. It works for any
// number of objects; objects that are inserted meanwhile with a higher birth
// are safe. After an error some may be deleted already: call it again.
//
// Only ids that were read and compared here are deleted, never what a filter
// matches at that moment: the indexes behind a filter may lack objects after a
// crash of the server, and then a negated condition would take a kept object.
func (s *Store) Sweep(ctx context.Context, kb, document string, birth uint64, keep []string) (removed int, err error) {
	kept := make(map[string]bool, len(keep))
	for _, id := range keep {
		kept[id] = true
	}
	for after := ""; ; {
		page, err := s.pageOf(ctx, kb, document, after)
		if err != nil {
			return removed, err
		}
		var victims []string
		for _, o := range page {
			if o.Birth <= birth && !kept[o.Additional.ID] {
				victims = append(victims, o.Additional.ID)
			}
		}
		n, err := s.deleteIDs(ctx, kb, document, victims)
		removed += n
		if err != nil {
			return removed, err
		}
		if len(page) < sweepPage {
			return removed, nil
		}
		last := page[len(page)-1].Additional.ID
		if last <= after { // would go round for ever
			return removed, fmt.Errorf("sweep document %s: the server returned id %s after %s", document, last, after)
		}
		after = last
	}
}

// pageOf returns ids and births of the document's objects that come after the
// id, in order, at most sweepPage. (Weaviate's own cursor cannot be combined
// with a filter, and its offsets end at maxResults.)
func (s *Store) pageOf(ctx context.Context, kb, document, after string) ([]stored, error) {
	conditions := []*filters.WhereBuilder{equal("document", document)}
	if after != "" {
		conditions = append(conditions, where(filters.GreaterThan, "id").WithValueText(after))
	}
	g := new(get)
	g.where(all(conditions))
	g.arg("sort").WriteString(`[{path: ["_id"], order: asc}]`)
	g.limit(sweepPage)
	return run[stored](ctx, s, kb, g, "birth _additional{id}")
}

// deleteIDs deletes objects of a document by their ids.
func (s *Store) deleteIDs(ctx context.Context, kb, document string, ids []string) (removed int, err error) {
	for slice := range slices.Chunk(ids, deleteSlice) {
		n, err := s.deleteMatches(ctx, kb, all([]*filters.WhereBuilder{equal("document", document), anyOf("id", slice)}))
		removed += n
		if err != nil {
			return removed, fmt.Errorf("sweep document %s: %w", document, err)
		}
	}
	return removed, nil
}

// deleteMatches deletes what the filter matches. One request deletes at most
// what the server's limit allows, so it is repeated until none is left over.
func (s *Store) deleteMatches(ctx context.Context, kb string, w *filters.WhereBuilder) (removed int, err error) {
	class, err := className(kb)
	if err != nil {
		return 0, err
	}
	act := fmt.Sprintf("delete from knowledge base %q", kb)
	for {
		response, err := s.client.Batch().ObjectsBatchDeleter().WithClassName(class).WithWhere(w).Do(ctx)
		if err != nil {
			return removed, classify(ctx, act, err)
		}
		r := response.Results
		if r == nil {
			return removed, fmt.Errorf("%s: the server does not say what it did", act)
		}
		removed += int(r.Successful)
		switch {
		case r.Failed > 0:
			return removed, fmt.Errorf("%s: %d of %d objects could not be deleted", act, r.Failed, r.Matches)
		case r.Matches <= r.Successful:
			return removed, nil
		case r.Successful == 0:
			return removed, fmt.Errorf("%s: %d objects match and none was deleted", act, r.Matches)
		}
	}
}

// Remove deletes single objects, whatever indexes they are missing from, and
// reports how many there were: the repair for what [Store.Unindexed] finds and
// for orphans that no filter reaches. Ids that are not stored are no error.
func (s *Store) Remove(ctx context.Context, kb string, ids []string) (removed int, err error) {
	class, err := className(kb)
	if err != nil {
		return 0, err
	}
	if _, err := s.settings(ctx, kb); err != nil {
		return 0, err
	}
	for _, id := range ids {
		there, err := s.has(ctx, kb, id)
		if err != nil {
			return removed, err
		}
		if !there {
			continue
		}
		err = s.client.Data().Deleter().WithClassName(class).WithID(id).Do(ctx)
		if err != nil && statusOf(err) != http.StatusNotFound {
			return removed, classify(ctx, fmt.Sprintf("delete object %s of knowledge base %q", id, kb), err)
		}
		removed++
	}
	return removed, nil
}

// has reports whether an object is stored, going by the id alone and not by
// an index.
func (s *Store) has(ctx context.Context, kb, id string) (bool, error) {
	_, err := s.object(ctx, kb, id)
	if errors.Is(err, errNoObject) {
		return false, nil
	}
	return err == nil, err
}
