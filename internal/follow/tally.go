package follow

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/nats-io/nats.go/jetstream"
)

// A tally sums up what all workers take for one webhook, for its status. It is
// kept by the owner of the source, which publishes nothing itself.
type tally struct {
	*owner
	documents map[string]bool // by the last token of their keys
	dirty     time.Time       // since when the state is not stored as it is; zero if it is
}

// keepTally keeps the tally until ctx ends, another owner has set its fences,
// or the source is removed.
func (o *owner) keepTally(ctx context.Context, orders <-chan order) error {
	if o.order.Removing {
		return o.remove(ctx)
	}
	w, err := o.Store.items.Watch(ctx, sourceKey(o.kb, o.name)+".*")
	if err != nil {
		return fmt.Errorf("watch the documents of source %q: %w", o.name, err)
	}
	defer func() { _ = w.Stop() }()
	o.latency.fromAcceptance(o)
	t := &tally{owner: o, documents: map[string]bool{}, dirty: o.Clock.Now()}
	for {
		if err := t.next(ctx, orders, w.Updates()); err != nil {
			return err
		}
		if t.order.Removing { // behind a new fence, that what is under way does not pass
			fresh, err := o.newOwner(ctx, o.kb, o.name)
			if err != nil {
				return err
			}
			return fresh.remove(ctx)
		}
	}
}

func (t *tally) next(ctx context.Context, orders <-chan order, updates <-chan jetstream.KeyValueEntry) error {
	var save <-chan time.Time
	if !t.dirty.IsZero() {
		save = t.Clock.After(t.dirty.Add(savePause).Sub(t.Clock.Now()))
	}
	select {
	case <-ctx.Done():
		return ctx.Err()
	case next, open := <-orders:
		if !open {
			return errRemoved
		}
		t.order = next
		return t.save(ctx)
	case entry, open := <-updates:
		if !open {
			return errors.New("the watch ended early")
		}
		if entry != nil {
			t.count(entry)
		}
		return nil
	case <-save:
		return t.save(ctx)
	}
}

// count takes in one value of what is remembered.
func (t *tally) count(entry jetstream.KeyValueEntry) {
	token, put := lastToken(entry.Key()), entry.Operation() == jetstream.KeyValuePut
	s := &t.state
	var err error
	switch token {
	case stateToken, fenceToken:
		return
	case refusedToken:
		var r refusal
		if put {
			err = decode(entry, &r)
		}
		if what := r.At.Format(time.RFC3339Nano) + " " + r.Reason; put && err == nil && !slices.Contains(s.Errors, what) {
			s.refused(what)
		}
	default:
		var it item
		if put {
			err = decode(entry, &it)
		}
		delete(t.documents, token)
		if it.URI != "" {
			t.documents[token] = true
		}
		if it.Verified.After(s.Success) {
			s.Success = it.Verified
		}
	}
	if err != nil {
		t.log.Warn("read what is remembered", "error", err)
	}
	if t.dirty.IsZero() {
		t.dirty = t.Clock.Now()
	}
}

func (t *tally) save(ctx context.Context) error {
	t.dirty = time.Time{}
	s := &t.state
	s.Documents, s.Failing, s.Loaded, s.Spec = len(t.documents), len(s.Errors), true, specOf(t.order.Source)
	s.Sync, s.Full, s.Confirm = t.order.Sync, t.order.Full, t.order.Confirm
	t.latency.note(t.owner)
	t.Metrics.gauges.set(t.owner)
	err := t.pen.remember(ctx, stateToken, s)
	if err != nil && !fatal(ctx, err) {
		t.dirty = t.Clock.Now()
		return nil
	}
	return err
}
