package weaviate

import (
	"context"
	"errors"
	"fmt"
	"sync"

	"github.com/weaviate/weaviate/entities/models"

	tributary "github.com/tributary-kb/tributary"
)

// A batch ends at maxBatchObjects or maxBatchBytes, whichever comes first.
// Larger batches are no cheaper and take longer to answer.
const (
	maxBatchObjects = 300
	maxBatchBytes   = 8 << 20
)

// Insert stores objects, which must have ids that were never used before and
// vectors of the collection's dimension. It returns nil once the server has
// acknowledged all of them; they are found from then on. No objects, no
// request. Objects that cannot be stored are refused before any is sent.
//
// An error leaves the outcome unknown: each object may be stored and found,
// stored and not found, or not stored. Above all, a batch that is cut off may
// leave objects that are stored but missing from the vector index, and sending
// them again under the same ids reports success and leaves them missing for
// good. So do not send the same ids again: write the objects under new ids and
// remove the old ones with [Store.Sweep]. See
// docs/adr/0001-chunk-ids-per-attempt.md.
//
// The error names each object that was refused. It is a *MismatchError if the
// collection has another schema.
func (s *Store) Insert(ctx context.Context, kb string, objects []tributary.Object) error {
	if len(objects) == 0 {
		return nil
	}
	class, err := className(kb)
	if err != nil {
		return err
	}
	// The server would make up a collection of its own for objects that have
	// none, so look each time; it costs a thousandth of what the batch does.
	settings, err := s.settings(ctx, kb)
	if err != nil {
		return err
	}
	if want := (Collection{settings.Embedder, settings.Dimension}).settings(); settings != want {
		return &MismatchError{KB: kb, Stored: settings, Configured: want}
	}
	encoded, err := encodeAll(class, objects, settings.Dimension)
	if err != nil {
		return fmt.Errorf("insert into knowledge base %q: %w", kb, err)
	}
	return s.insertBatches(ctx, fmt.Sprintf("insert into knowledge base %q", kb), batches(encoded))
}

func encodeAll(class string, objects []tributary.Object, dim int) ([]*models.Object, error) {
	var errs []error
	seen := make(map[string]bool, len(objects))
	out := make([]*models.Object, 0, len(objects))
	for _, o := range objects {
		err := check(o, dim)
		if err == nil && seen[o.ID] {
			err = errors.New("the id occurs twice")
		}
		var m *models.Object
		if err == nil {
			m, err = encode(class, o)
		}
		if err != nil {
			errs = append(errs, objectError(o.ID, o.URI, err))
			continue
		}
		seen[o.ID] = true
		out = append(out, m)
	}
	return out, errors.Join(errs...)
}

func objectError(id, uri string, err error) error {
	return fmt.Errorf("object %s of %q: %w", id, uri, err)
}

// batches cuts objects into pieces that keep to the bounds. An object that is
// above maxBatchBytes by itself makes a batch of its own.
func batches(objects []*models.Object) [][]*models.Object {
	var out [][]*models.Object
	start, size := 0, 0
	for i, o := range objects {
		n := sizeOf(o)
		if i > start && (i-start == maxBatchObjects || size+n > maxBatchBytes) {
			out = append(out, objects[start:i])
			start, size = i, 0
		}
		size += n
	}
	if start < len(objects) {
		out = append(out, objects[start:])
	}
	return out
}

// sizeOf estimates the bytes of o on the wire.
func sizeOf(o *models.Object) int {
	n := 4 * len(o.Vector)
	for name, value := range o.Properties.(map[string]any) { // made by encode
		n += len(name) + 16
		switch v := value.(type) {
		case string:
			n += len(v)
		case []string:
			for _, s := range v {
				n += len(s)
			}
		}
	}
	return n
}

// insertBatches sends the batches, some at a time. After a failure it starts
// no further one, but lets those under way end: cutting them off is what does
// harm.
func (s *Store) insertBatches(ctx context.Context, act string, batches [][]*models.Object) error {
	var (
		wg   sync.WaitGroup
		mu   sync.Mutex
		errs []error
	)
	note := func(err error) (failed bool) {
		mu.Lock()
		defer mu.Unlock()
		if err != nil {
			errs = append(errs, err)
		}
		return len(errs) > 0
	}
	for _, batch := range batches {
		release, err := s.acquire(ctx, act, len(batch))
		if note(err) {
			if err == nil {
				release()
			}
			break
		}
		wg.Go(func() {
			defer release()
			note(s.insertBatch(ctx, act, batch))
		})
	}
	wg.Wait()
	if ctx.Err() != nil && len(errs) > 0 {
		return errs[0] // the others say the same
	}
	return errors.Join(errs...)
}

// acquire waits for leave to send a batch of n objects.
func (s *Store) acquire(ctx context.Context, act string, n int) (release func(), err error) {
	var small chan struct{} // never ready
	if n <= smallBatch {
		small = s.small
	}
	select {
	case small <- struct{}{}:
		return func() { <-small }, nil
	case s.slots <- struct{}{}:
		return func() { <-s.slots }, nil
	case <-ctx.Done():
		return nil, away(ctx, act, ctx.Err())
	}
}

// maxReported is how many refused objects of a batch an error names.
const maxReported = 3

func (s *Store) insertBatch(ctx context.Context, act string, batch []*models.Object) error {
	results, err := s.client.Batch().ObjectsBatcher().WithObjects(batch...).Do(ctx)
	if err != nil {
		return classify(ctx, act, err)
	}
	var errs []error
	for i, r := range results {
		if r.Result == nil || r.Result.Errors == nil {
			continue
		}
		for _, e := range r.Result.Errors.Error {
			uri, _ := batch[i].Properties.(map[string]any)["uri"].(string)
			errs = append(errs, objectError(batch[i].ID.String(), uri, errors.New(e.Message)))
		}
	}
	if len(errs) == 0 {
		return nil
	}
	if more := len(errs) - maxReported; more > 0 {
		errs = append(errs[:maxReported], fmt.Errorf("and %d more", more))
	}
	return classify(ctx, act, errors.Join(errs...))
}
