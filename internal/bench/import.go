package main

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/google/uuid"

	"github.com/tributary-kb/tributary"
	"github.com/tributary-kb/tributary/internal/weaviate"
)

// importKB is where the bare import writes; the system knows nothing of it.
const importKB = "import"

// An importResult is what the bare import took.
type importResult struct {
	objects int
	took    time.Duration
	spent   spent         // by the servers; the program only stands by
	client  time.Duration // CPU time of this process
	later   spent         // from then until nothing was left to do
}

func (r importResult) rate() float64 { return perSecond(r.objects, r.took) }

// objects returns everything in the index, with vectors, in the order in which
// the documents were accepted.
func (s *system) objects(ctx context.Context) ([]tributary.Object, error) {
	var all []tributary.Object
	err := s.index.ScanVectors(ctx, kb, func(o tributary.Object) error {
		all = append(all, o)
		return nil
	})
	slices.SortStableFunc(all, func(a, b tributary.Object) int { return cmp.Compare(a.Birth, b.Birth) })
	return all, err
}

// measureImport writes the objects, under fresh ids, into a Weaviate that has
// just been started, as the load did.
func (b *bench) measureImport(ctx context.Context, objects []tributary.Object) (err error) {
	s, err := b.start(ctx)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, s.stop()) }()
	if err := s.settle(ctx); err != nil {
		return err
	}
	b.say("importing %d objects", len(objects))
	dim, err := b.model.Dimension(ctx)
	if err != nil {
		return err
	}
	err = s.index.EnsureCollection(ctx, importKB, weaviate.Collection{Embedder: b.model.Fingerprint(), Dimension: dim})
	if err != nil {
		return err
	}
	for i := range objects {
		objects[i].ID = uuid.NewString()
	}
	if b.results.bare, err = s.importObjects(ctx, objects); err != nil {
		return fmt.Errorf("import: %w", err)
	}
	return nil
}

func (s *system) importObjects(ctx context.Context, objects []tributary.Object) (r importResult, err error) {
	before, err := s.spent()
	if err != nil {
		return r, err
	}
	own := ownCPU()
	began := time.Now()
	if err := s.index.Insert(ctx, importKB, objects); err != nil {
		return r, err
	}
	r.took, r.client, r.objects = time.Since(began), ownCPU()-own, len(objects)
	end, err := s.spent()
	if err != nil {
		return r, err
	}
	r.spent = end.sub(before)
	if err := s.settle(ctx); err != nil {
		return r, err
	}
	after, err := s.spent()
	r.later = after.sub(end)
	return r, err
}
