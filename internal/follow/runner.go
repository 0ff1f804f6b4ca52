package follow

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"strings"
	"sync"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"

	"github.com/tributary-kb/tributary"
	"github.com/tributary-kb/tributary/ingest/source"
)

// A Runner follows sources: all that no other Runner follows.
type Runner struct {
	Config
	Store *Store
	NC    *nats.Conn
	Blobs jetstream.ObjectStore
	Stage string // whose input the requests are
	ID    string // names this worker, unlike any other
	Host  string // the name of this machine, as SourceOptions.Host
	// New makes the follower of a source. A kind that it refuses fails until
	// its description changes.
	New func(kb string, s tributary.Source) (source.Follower, error)
	// Forget throws away what followers of a source left on this machine; nil
	// where they leave nothing.
	Forget  func(kb, name string) error
	Log     *slog.Logger
	Metrics *Metrics
	Clock   Clock // nil means the system's

	latency *latencies
	crash   func(step string) error // of tests
}

// Run follows sources until ctx ends. It returns an error only if the orders
// cannot be read.
func (r *Runner) Run(ctx context.Context) error {
	if r.Clock == nil {
		r.Clock = systemClock{}
	}
	r.SetDefaults()
	r.latency = newLatencies(func(o *owner, s float64) {
		r.Metrics.searchable.WithLabelValues(o.kb, o.name).Observe(s)
	})
	events, err := r.NC.Subscribe("tributary.*.events.*", r.latency.committed)
	if err != nil {
		return fmt.Errorf("listen to commits: %w", err)
	}
	defer func() { _ = events.Unsubscribe() }()
	w, err := r.Store.orders.WatchAll(ctx)
	if err != nil {
		return fmt.Errorf("watch the sources: %w", err)
	}
	defer func() { _ = w.Stop() }()
	return r.dispatch(ctx, w.Updates())
}

// dispatch passes each order to the goroutine of its source.
func (r *Runner) dispatch(ctx context.Context, updates <-chan jetstream.KeyValueEntry) error {
	watched := ctx // the updates end with it, which its children may hear of later
	ctx, cancel := context.WithCancel(ctx)
	var wg sync.WaitGroup
	defer wg.Wait()
	defer cancel()
	boxes := map[string]chan order{}
	for {
		select {
		case <-ctx.Done():
			return nil
		case entry, open := <-updates:
			if !open {
				if watched.Err() != nil {
					return nil
				}
				return errors.New("watch the sources: the watch ended early")
			}
			if entry == nil {
				continue
			}
			r.deliver(ctx, &wg, boxes, entry)
		}
	}
}

func (r *Runner) deliver(ctx context.Context, wg *sync.WaitGroup, boxes map[string]chan order, entry jetstream.KeyValueEntry) {
	key := entry.Key()
	box, known := boxes[key]
	if entry.Operation() != jetstream.KeyValuePut {
		if known {
			close(box)
			delete(boxes, key)
		}
		return
	}
	var o order
	if err := decode(entry, &o); err != nil {
		r.Log.ErrorContext(ctx, "read the description of a source", "key", key, "error", err)
		return
	}
	o.rev = entry.Revision()
	if !known {
		box = make(chan order, 1)
		boxes[key] = box
		wg.Go(func() { r.serve(ctx, key, box) })
	}
	select { // only the newest counts
	case <-box:
	default:
	}
	box <- o
}

// serve waits for the lease of one source and follows it, again and again.
func (r *Runner) serve(ctx context.Context, key string, box <-chan order) {
	var o order
	kb, _, _ := strings.Cut(key, ".")
	for ctx.Err() == nil {
		for o.Name == "" || !r.mine(o) {
			var open bool
			select {
			case <-ctx.Done():
				return
			case o, open = <-box:
				if !open {
					return
				}
			}
		}
		var err error
		o, err = r.own(ctx, kb, o, box)
		if errors.Is(err, errRemoved) {
			return
		}
		if err != nil && !errors.Is(err, errTaken) && !errors.Is(err, errAnew) && ctx.Err() == nil {
			r.Log.WarnContext(ctx, "the source was given up", "kb", kb, "source", o.Name, "error", err)
		}
		select {
		case <-ctx.Done():
			return
		case <-time.After(r.LeaseTTL / 10):
		}
	}
}

// mine reports whether this worker may follow the source.
func (r *Runner) mine(o order) bool {
	return o.Removing || o.Options.Host == "" || o.Options.Host == r.Host
}

// own follows a source while this worker has its lease, and returns its newest
// order.
func (r *Runner) own(ctx context.Context, kb string, o order, box <-chan order) (order, error) {
	key := sourceKey(kb, o.Name)
	l, err := r.Store.acquire(ctx, key, r.ID, r.LeaseTTL)
	if errors.Is(err, errTaken) {
		wait, cancel := context.WithTimeout(ctx, 10*r.LeaseTTL) // in case that the marker was missed
		defer cancel()
		if err := r.Store.free(wait, key); err != nil && wait.Err() == nil {
			return o, err
		}
		return o, errTaken
	}
	if err != nil {
		return o, err
	}
	held, lost := context.WithCancel(ctx)
	var wg sync.WaitGroup
	wg.Go(func() { l.keep(held, lost) })
	defer func() {
		lost()
		wg.Wait()
		l.release(context.WithoutCancel(ctx))
	}()
	own, err := r.newOwner(held, kb, o.Name)
	if err != nil {
		return o, err
	}
	defer r.latency.forget(own)
	defer r.Metrics.gauges.forget(own)
	if !own.state.Look.IsZero() { // its age is known before the first look of this worker
		r.Metrics.gauges.set(own)
	}
	switch own.order.Kind {
	case tributary.SourceSubject:
		err = own.consume(held, box)
	case tributary.SourceWebhook:
		err = own.keepTally(held, box)
	default:
		err = own.follow(held, box)
	}
	return own.order, err
}
