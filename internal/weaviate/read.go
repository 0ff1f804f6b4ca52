package weaviate

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"slices"

	"github.com/weaviate/weaviate/entities/models"

	tributary "github.com/tributary-kb/tributary"
)

// readSlice is how many objects are read with one request.
const readSlice = 200

// nilID is smaller than every id: where a scan starts.
const nilID = "00000000-0000-0000-0000-000000000000"

// errNoObject is returned by Store.object where there is none.
var errNoObject = errors.New("no such object")

// Objects returns the objects with these ids, in their order, without vectors.
// An id that is not stored is simply absent; no ids, no request.
func (s *Store) Objects(ctx context.Context, kb string, ids []string) ([]tributary.Object, error) {
	var out []tributary.Object
	for slice := range slices.Chunk(ids, readSlice) {
		found, err := s.objectsByFilter(ctx, kb, slice)
		if err != nil {
			return nil, err
		}
		for _, id := range slice {
			o, ok := found[id]
			if !ok {
				// After a crash of the server the filter's index may lack what is stored.
				o, err = s.object(ctx, kb, id)
				if errors.Is(err, errNoObject) {
					continue
				}
				if err != nil {
					return nil, err
				}
				o.Vector = nil
			}
			out = append(out, o)
		}
	}
	return out, nil
}

// objectsByFilter reads many objects at once, by id.
func (s *Store) objectsByFilter(ctx context.Context, kb string, ids []string) (map[string]tributary.Object, error) {
	g := new(get)
	g.where(anyOf("id", ids))
	g.limit(len(ids))
	found, err := run[stored](ctx, s, kb, g, fields+" _additional{id}")
	if err != nil {
		return nil, err
	}
	out := make(map[string]tributary.Object, len(found))
	for _, f := range found {
		o, err := f.object()
		if err != nil {
			return nil, err
		}
		out[o.ID] = o
	}
	return out, nil
}

// object reads one object by its id alone; errNoObject if it is not stored.
func (s *Store) object(ctx context.Context, kb, id string) (tributary.Object, error) {
	class, err := className(kb)
	if err != nil {
		return tributary.Object{}, err
	}
	found, err := s.client.Data().ObjectsGetter().WithClassName(class).WithID(id).Do(ctx)
	if statusOf(err) == http.StatusNotFound {
		return tributary.Object{}, errNoObject
	}
	if err != nil {
		return tributary.Object{}, classify(ctx, fmt.Sprintf("read object %s of knowledge base %q", id, kb), err)
	}
	return decode(found[0])
}

// Count returns how many objects the collection of kb has.
func (s *Store) Count(ctx context.Context, kb string) (int, error) {
	class, err := className(kb)
	if err != nil {
		return 0, err
	}
	var data struct {
		Aggregate map[string][]struct{ Meta struct{ Count int } }
	}
	if err := s.graphql(ctx, kb, fmt.Sprintf("{Aggregate{%s{meta{count}}}}", class), &data); err != nil {
		return 0, err
	}
	groups := data.Aggregate[class]
	if len(groups) != 1 {
		return 0, fmt.Errorf("count knowledge base %q: the server answered with %d groups", kb, len(groups))
	}
	return groups[0].Meta.Count, nil
}

// Scan calls do with every object of kb, in order of id and without vectors,
// until do returns an error, which Scan returns as it is. Objects that are
// inserted or deleted meanwhile may or may not be among them.
func (s *Store) Scan(ctx context.Context, kb string, do func(tributary.Object) error) error {
	return s.scan(ctx, kb, false, do)
}

// ScanVectors is Scan with the objects' vectors, as they were inserted.
func (s *Store) ScanVectors(ctx context.Context, kb string, do func(tributary.Object) error) error {
	return s.scan(ctx, kb, true, do)
}

func (s *Store) scan(ctx context.Context, kb string, vectors bool, do func(tributary.Object) error) error {
	for after := nilID; ; {
		page, err := s.scanPage(ctx, kb, after, vectors)
		if err != nil {
			return err
		}
		for _, m := range page {
			o, err := decode(m)
			if err != nil {
				return err
			}
			if err := do(o); err != nil {
				return err
			}
		}
		if len(page) < readSlice {
			return nil
		}
		after = page[len(page)-1].ID.String()
	}
}

func (s *Store) scanPage(ctx context.Context, kb, after string, vectors bool) ([]*models.Object, error) {
	class, err := className(kb)
	if err != nil {
		return nil, err
	}
	getter := s.client.Data().ObjectsGetter().WithClassName(class).WithLimit(readSlice).WithAfter(after)
	if vectors {
		getter = getter.WithVector()
	}
	page, err := getter.Do(ctx)
	if err != nil {
		if _, missing := s.settings(ctx, kb); tributary.CodeOf(missing) == tributary.CodeNotFound {
			return nil, missing
		}
		return nil, classify(ctx, fmt.Sprintf("scan knowledge base %q", kb), err)
	}
	return page, nil
}
