package follow

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"sync"
	"time"

	"github.com/nats-io/nats.go/jetstream"

	"github.com/tributary-kb/tributary"
	"github.com/tributary-kb/tributary/ingest/source"
)

// errRemoved ends the following of a source that is no more.
var errRemoved = errors.New("the source was removed")

// errAnew ends an owner whose source is to be taken up anew, by whom it concerns
// now and as it is ordered now.
var errAnew = errors.New("there are other orders for the source")

// An owner follows one source for as long as its fences hold. One goroutine
// runs it; mu is for the loads that a look runs at the same time.
type owner struct {
	*Runner
	kb, name string
	log      *slog.Logger
	pen      *pen
	follower source.Follower
	order    order

	mu    sync.Mutex
	state state
	items map[string]*item // by the URI of the listing
	ranks ranks            // of the listing that is under way; nil before its first page here
	sent  []tributary.At   // what was published last, at most maxSent
}

// maxSent is how many of the versions that were published last are told to who
// waits for a look: they may be on their way.
const maxSent = 100

// published notes a version for those who wait for a look.
func (o *owner) published(document string, version uint64) {
	o.mu.Lock()
	defer o.mu.Unlock()
	o.sent = append(o.sent, tributary.At{Document: document, Version: version})
	o.sent = o.sent[max(0, len(o.sent)-maxSent):]
}

// newOwner takes a source over: fences first, then it reads what is wanted and
// what is remembered. It returns errRemoved if the source is no more.
func (r *Runner) newOwner(ctx context.Context, kb, name string) (*owner, error) {
	p, err := r.Store.takeOver(ctx, r.Blobs, r.Stage, kb, name, r.ID)
	if err != nil {
		return nil, err
	}
	own := &owner{Runner: r, kb: kb, name: name, log: r.Log.With("kb", kb, "source", name), pen: p}
	own.order, err = r.Store.order(ctx, kb, name)
	if tributary.CodeOf(err) == tributary.CodeNotFound {
		return nil, errRemoved
	}
	if err != nil {
		return nil, err
	}
	if own.state, err = r.Store.state(ctx, kb, name); err != nil {
		return nil, err
	}
	own.sent = own.state.Sent
	if own.items, err = r.Store.remembered(ctx, kb, name); err != nil {
		return nil, err
	}
	return own, nil
}

// follow looks at the source when it is due, until ctx ends, another owner has
// set its fences, or the source is removed.
func (o *owner) follow(ctx context.Context, orders <-chan order) error {
	ctx, cancel := context.WithCancel(ctx)
	changed, stop := make(chan report, 64), func() {}
	defer func() { cancel(); stop() }()
	built := ""
	for {
		if o.order.Removing {
			stop()
			return o.remove(ctx)
		}
		if !o.mine(o.order) {
			return errAnew
		}
		if spec := specOf(o.order.Source); spec != built {
			stop()
			stop = o.build(ctx, changed)
			built = spec
		}
		err := o.next(ctx, orders, changed)
		if err != nil {
			return err
		}
	}
}

// build makes the follower of the source as it is described now, and listens
// to it if changes can be heard of. The caller calls stop, once or more.
func (o *owner) build(ctx context.Context, changed chan<- report) (stop func()) {
	f, err := o.New(o.kb, o.order.Source)
	if err != nil {
		f = broken{tributary.Reject(err)}
	}
	o.follower = f
	if l, ok := o.listens(); ok {
		e := &ear{owner: o, source: o.order.Source, listener: l, changed: changed}
		return beside(ctx, e.run)
	}
	o.hearFrom(ctx, heard{})
	if w, ok := f.(source.Watcher); ok {
		return beside(ctx, func(ctx context.Context) { o.watch(ctx, w, changed) })
	}
	return func() {}
}

// beside runs f in a goroutine until stop is called, which waits for it.
func beside(ctx context.Context, f func(context.Context)) (stop func()) {
	ctx, cancel := context.WithCancel(ctx)
	done := make(chan struct{})
	go func() {
		defer close(done)
		f(ctx)
	}()
	return func() { cancel(); <-done }
}

// watch listens until ctx ends. A folder may be replaced, or the kernel be short
// of watches, for a while.
func (o *owner) watch(ctx context.Context, w source.Watcher, changed chan<- report) {
	for {
		err := guard(func() error {
			return w.Watch(ctx, func(uris ...string) {
				select {
				case changed <- report{uris: uris}:
				case <-ctx.Done():
				}
			})
		})
		if ctx.Err() != nil {
			return
		}
		o.log.WarnContext(ctx, "changes are only found by looking, until they can be heard of again", "error", err)
		select {
		case <-ctx.Done():
			return
		case <-o.Clock.After(o.Reconcile):
		}
	}
}

// next waits for the next thing to do, and does it. It returns an error only
// if the source cannot be followed by this owner any more.
func (o *owner) next(ctx context.Context, orders <-chan order, changed <-chan report) error {
	due, ok := o.due()
	var timer <-chan time.Time
	if ok {
		timer = o.Clock.After(due.Sub(o.Clock.Now()))
	}
	if o.order.Paused {
		changed = nil
	}
	select {
	case <-ctx.Done():
		return ctx.Err()
	case next, open := <-orders:
		if !open {
			return errRemoved
		}
		o.order = next
		return nil
	case first := <-changed:
		return o.attend(ctx, orders, func(ctx context.Context) error { return o.hear(ctx, waiting(changed, first)) })
	case <-timer:
		return o.attend(ctx, orders, o.look)
	}
}

// attend runs a visit, which may take hours. Orders that make it pointless end
// it as a crash would: what it did is remembered, and the rest is found again.
func (o *owner) attend(ctx context.Context, orders <-chan order, visit func(context.Context) error) error {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	done := make(chan error, 1)
	go func() { done <- visit(ctx) }()
	newest := o.order
	for {
		select {
		case err := <-done:
			o.order = newest
			return err
		case next, open := <-orders:
			if open && !next.Paused && !next.Removing && specOf(next.Source) == specOf(newest.Source) {
				newest = next
				continue
			}
			cancel()
			<-done //nolint:errcheck // the visit was given up
			if !open {
				return errRemoved
			}
			o.order = next
			return errAnew
		}
	}
}

// due returns when to look next; false means not before the order changes.
func (o *owner) due() (time.Time, bool) {
	now := o.Clock.Now()
	switch {
	case o.order.Paused:
		return now, false
	case o.order.Sync > o.state.Sync:
		return now, true
	case o.state.Failures > 0:
		return o.state.Next, true
	case o.asked():
		return now, true
	}
	return o.earliest(), true
}

// asked reports whether something else than the time asks for a listing.
func (o *owner) asked() bool {
	return o.order.Sync > o.state.Sync || o.order.Full > o.state.Full || o.order.Confirm > o.state.Confirm ||
		o.state.Spec != specOf(o.order.Source)
}

// earliest is when the listing or an item is due.
func (o *owner) earliest() time.Time {
	due := o.state.Next
	if !due.After(o.Clock.Now()) {
		return due
	}
	for _, it := range o.items {
		if !it.Next.IsZero() && it.Next.Before(due) {
			due = it.Next
		}
	}
	return due
}

// remove deletes the documents, if that was asked for, and then what is
// remembered. A worker that takes over in between goes on with the rest.
func (o *owner) remove(ctx context.Context) error {
	var others map[string]bool
	if o.order.Purge {
		var err error
		if others, err = o.Store.elsewhere(ctx, o.kb, o.name); err != nil {
			return err
		}
	}
	for uri, it := range o.items {
		if o.order.Purge && it.URI != "" && !others[it.URI] {
			if err := o.publishDelete(ctx, it.URI, tributary.LaneBulk); err != nil {
				return err
			}
		}
		if err := o.pen.forget(ctx, o.token(it)); err != nil {
			return err
		}
		if err := o.step("removed an item"); err != nil {
			return err
		}
		delete(o.items, uri)
	}
	if subject := o.order.Options.Notifications; subject != "" {
		if err := o.Store.untap(ctx, o.kb, o.name, subject); err != nil {
			return err
		}
	}
	o.hearFrom(ctx, heard{})
	for _, token := range []string{stateToken, refusedToken} {
		if err := o.pen.forget(ctx, token); err != nil {
			return err
		}
	}
	if err := o.Store.orders.Delete(ctx, sourceKey(o.kb, o.name), jetstream.LastRevision(o.order.rev)); err != nil {
		return fmt.Errorf("forget source %q: %w", o.name, err)
	}
	if o.Forget != nil {
		if err := o.Forget(o.kb, o.name); err != nil {
			o.log.WarnContext(ctx, "throw away what a removed source left on this machine", "error", err)
		}
	}
	return errRemoved
}

func (o *owner) publishDelete(ctx context.Context, uri string, lane tributary.Lane) error {
	head := o.head(uri, lane)
	version, err := o.pen.request(ctx, tributary.Request{Head: head, Op: tributary.OpDelete})
	if err == nil {
		o.Metrics.request(o.kb, o.name, tributary.OpDelete, 0)
		o.published(head.Document, version)
	}
	return err
}

func (o *owner) head(uri string, lane tributary.Lane) tributary.Head {
	return tributary.Head{KB: o.kb, URI: uri, Document: tributary.DocumentID(o.kb, uri), Lane: lane}
}

// token is the last part of an item's key.
func (o *owner) token(it *item) string { return tributary.DocumentID(o.kb, it.Listed.URI) }

// step is where a test may end an owner as a crash would.
func (o *owner) step(what string) error {
	if o.crash == nil {
		return nil
	}
	return o.crash(what)
}

// specOf tells two descriptions of a source apart.
func specOf(s tributary.Source) string {
	data, err := json.Marshal(s)
	if err != nil {
		panic(fmt.Sprintf("follow: description of a source: %v", err)) // strings, numbers and maps of them always marshal
	}
	return tributary.Hash(data)
}

// broken is the follower of a source that cannot be followed as described.
type broken struct{ err error }

func (b broken) List(context.Context, json.RawMessage, func(source.Item) error) (source.Listing, error) {
	return source.Listing{}, b.err
}

func (b broken) Load(context.Context, source.Item, source.Known) (source.Loaded, error) {
	return source.Loaded{}, b.err
}

// guard turns a panic into an error: it costs one look, not the process.
func guard(f func() error) (err error) {
	defer func() {
		if p := recover(); p != nil {
			err = fmt.Errorf("panic: %v", p)
		}
	}()
	return f()
}
