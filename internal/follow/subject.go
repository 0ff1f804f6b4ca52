package follow

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"

	"github.com/nats-io/nats.go/jetstream"

	"github.com/tributary-kb/tributary"
	"github.com/tributary-kb/tributary/ingest/source"
	"github.com/tributary-kb/tributary/internal/push"
)

// savePause is how long the state of a source whose documents come by
// themselves may be behind.
const savePause = 200 * time.Millisecond

// An intake takes documents from a subject, for the owner of the source.
type intake struct {
	*owner
	tap    *tap // nil while there is none
	msgs   chan jetstream.Msg
	failed <-chan error
	stop   func()
	built  string    // what the tap was made for
	dirty  time.Time // since when the state is not stored as it is; zero if it is
}

// consume publishes what comes on the source's subject until ctx ends, another
// owner has set its fences, or the source is removed.
func (o *owner) consume(ctx context.Context, orders <-chan order) error {
	in := &intake{owner: o, msgs: make(chan jetstream.Msg), stop: func() {}}
	defer func() { in.stop() }()
	for {
		if o.order.Removing {
			in.close()
			if err := o.Store.untap(ctx, o.kb, o.name, o.order.Location); err != nil {
				return err
			}
			return o.remove(ctx)
		}
		if !o.mine(o.order) {
			return errAnew
		}
		want := specOf(o.order.Source)
		if o.order.Paused {
			want = ""
		}
		if want != in.built {
			in.open(ctx, want)
		}
		if err := in.next(ctx, orders); err != nil {
			return err
		}
	}
}

func (in *intake) close() {
	in.stop()
	in.tap, in.failed, in.stop, in.built = nil, nil, func() {}, ""
}

// open begins to read for a description of the source, "" to read nothing.
func (in *intake) open(ctx context.Context, want string) {
	in.close()
	in.built = want
	if want == "" {
		return
	}
	t, err := in.Store.tap(ctx, in.kb, in.order.Source, in.Config)
	if err == nil {
		in.failed, in.stop, err = t.run(ctx, in.msgs)
	}
	if err != nil {
		in.stop = func() {}
		in.fail(ctx, err)
		return
	}
	in.tap = t
	s := &in.state
	s.Failures, s.Error, s.Loaded, s.Spec = 0, "", true, want
	s.Next = in.Clock.Now() // to see whether anything waits
}

// broken closes a tap that does not work. It is opened again in a while.
func (in *intake) broken(ctx context.Context, err error) {
	built := in.built
	in.close()
	in.built = built
	in.fail(ctx, err)
}

// fail notes that nothing can be taken now, and when to try again.
func (in *intake) fail(ctx context.Context, err error) {
	in.log.WarnContext(ctx, "take documents from the subject", "error", err)
	s := &in.state
	s.Failures, s.Error = s.Failures+1, err.Error()
	s.Next = in.Clock.Now().Add(backoff(s.Failures, time.Second, in.MinInterval))
	in.touch()
}

func (in *intake) touch() {
	if in.dirty.IsZero() {
		in.dirty = in.Clock.Now()
	}
}

// next waits for the next thing to do, and does it.
func (in *intake) next(ctx context.Context, orders <-chan order) error {
	var save, timer <-chan time.Time
	if !in.dirty.IsZero() {
		save = in.Clock.After(in.dirty.Add(savePause).Sub(in.Clock.Now()))
	}
	if !in.order.Paused {
		timer = in.Clock.After(in.state.Next.Sub(in.Clock.Now()))
	}
	select {
	case <-ctx.Done():
		return ctx.Err()
	case next, open := <-orders:
		if !open {
			return errRemoved
		}
		in.order = next
		return in.ask(ctx)
	case msg := <-in.msgs:
		if err := in.take(ctx, msg); err != nil {
			return err
		}
		return in.ask(ctx)
	case err := <-in.failed:
		in.broken(ctx, err)
		return nil
	case <-save:
		return in.save(ctx)
	case <-timer:
		if in.tap == nil {
			in.built = "" // to open it again
			return nil
		}
		return in.look(ctx)
	}
}

// ask looks whether a sync that was asked for is done.
func (in *intake) ask(ctx context.Context) error {
	if in.order.Sync <= in.state.Sync || in.tap == nil || in.order.Paused {
		return nil
	}
	return in.look(ctx)
}

// look finds out whether everything that was published has been taken.
func (in *intake) look(ctx context.Context) error {
	s, now := &in.state, in.Clock.Now()
	n, err := in.tap.waiting(ctx)
	if ctx.Err() != nil {
		return ctx.Err()
	}
	if err != nil {
		in.broken(ctx, err)
		return nil
	}
	s.Look, s.Next, s.Interval = now, now.Add(in.Reconcile), in.Reconcile.Seconds()
	if n == 0 {
		s.Sent = slices.Clone(in.sent)
		s.Success, s.Verified = now, now
		s.Sync, s.Full, s.Confirm = in.order.Sync, in.order.Full, in.order.Confirm
	}
	return in.save(ctx)
}

func (in *intake) save(ctx context.Context) error {
	in.dirty = time.Time{}
	s := &in.state
	s.Documents, s.Failing, s.Due = 0, len(s.Errors), s.Next
	for _, it := range in.items {
		if it.URI != "" {
			s.Documents++
		}
	}
	in.latency.note(in.owner)
	in.Metrics.gauges.set(in.owner)
	err := in.pen.remember(ctx, stateToken, s)
	if err != nil && !fatal(ctx, err) {
		in.touch()
		return nil
	}
	return err
}

// take publishes what one message asks for, and then acknowledges it. A
// message that asks for nothing that can be done is shown, and taken out of the
// way of the others.
func (in *intake) take(ctx context.Context, msg jetstream.Msg) error {
	defer working(msg, in.LeaseTTL)()
	in.touch()
	meta, err := msg.Metadata()
	if err != nil {
		return fmt.Errorf("message on %s: %w", msg.Subject(), err)
	}
	where := fmt.Sprintf("message %d on %s", meta.Sequence.Stream, msg.Subject())
	err = in.publish(ctx, msg, meta)
	outcome, _ := tributary.OutcomeOf(err)
	s := &in.state
	switch {
	case fatal(ctx, err):
		_ = msg.Nak() // to the owner that comes
		return err
	case outcome == tributary.Rejected:
		in.log.WarnContext(ctx, "a message is refused", "message", where, "error", err)
		s.refused(where + ": " + err.Error())
		if err := msg.TermWithReason(err.Error()); err != nil {
			in.fail(ctx, err)
		}
		return nil
	case err != nil:
		in.fail(ctx, err)
		_ = msg.NakWithDelay(s.Next.Sub(in.Clock.Now()))
		return nil
	}
	s.Failures, s.Error, s.Success = 0, "", in.Clock.Now()
	if meta.NumPending == 0 {
		s.Verified = s.Success
	}
	if err := msg.DoubleAck(ctx); err != nil && ctx.Err() == nil {
		in.fail(ctx, fmt.Errorf("acknowledge %s: %w", where, err)) // it comes again
	}
	return in.step("acknowledged")
}

// publish makes requests of a message. What refuses it is a Reject.
func (in *intake) publish(ctx context.Context, msg jetstream.Msg, meta *jetstream.MsgMetadata) error {
	changes, err := push.Read(push.Message{Header: msg.Headers(), Body: msg.Data()})
	if err != nil {
		return tributary.Reject(err)
	}
	var refused error
	for i, c := range changes {
		id := fmt.Sprintf("%s:%d:%d", in.tap.identity, meta.Sequence.Stream, i)
		err := in.apply(ctx, c, id, meta.Timestamp)
		if outcome, _ := tributary.OutcomeOf(err); outcome == tributary.Rejected {
			refused = errors.Join(refused, err)
			continue
		}
		if err != nil {
			return err
		}
		in.state.accepted(c.URI)
	}
	return refused
}

// apply publishes one change, and remembers it.
func (in *intake) apply(ctx context.Context, c push.Change, id string, since time.Time) error {
	it, known := in.items[c.URI]
	if known && it.Known.Tag == id {
		return nil // it came before, and only its acknowledgement was lost
	}
	if !known {
		it = &item{Listed: source.Item{URI: c.URI}}
	}
	if !known && c.Op != tributary.OpDelete {
		if limit := limitOf(in.order.Source, in.Config); len(in.items) >= limit {
			return tributary.Rejectf("%q was left out, the limit is %d (max_documents of the source, or sources.max_documents)", c.URI, limit)
		}
		it.URI = c.URI
		if err := in.pen.remember(ctx, in.token(it), it); err != nil {
			return err
		}
		in.items[c.URI] = it
		if err := in.step("intended"); err != nil {
			return err
		}
	}
	version, err := in.pen.requestAs(ctx, in.order.request(id), pushedRequest(in.kb, in.order.Source, c))
	if err != nil {
		return err
	}
	in.Metrics.request(in.kb, in.name, c.Op, len(c.Content))
	in.published(tributary.DocumentID(in.kb, c.URI), version)
	in.latency.expect(in.owner, tributary.DocumentID(in.kb, c.URI), version, since)
	if err := in.step("published"); err != nil {
		return err
	}
	if c.Op == tributary.OpDelete {
		if !known {
			return nil
		}
		if err := in.pen.forget(ctx, in.token(it)); err != nil {
			return err
		}
		delete(in.items, c.URI)
		return nil
	}
	next := *it
	next.Version, next.Known.Tag, next.Verified = version, id, in.Clock.Now()
	if err := in.pen.remember(ctx, in.token(it), next); err != nil {
		return err
	}
	*it = next
	return in.step("remembered")
}

// request is the id of a request, made of that of a message. A source that was
// removed and added again takes everything anew.
func (o order) request(id string) string {
	return fmt.Sprintf("push:%s:%d:%s", o.Name, o.Added.UnixNano(), id)
}

func limitOf(s tributary.Source, cfg Config) int {
	if s.Options.MaxDocuments > 0 {
		return s.Options.MaxDocuments
	}
	return cfg.MaxDocuments
}

// pushedRequest is what a change becomes on the stream.
func pushedRequest(kb string, s tributary.Source, c push.Change) tributary.Request {
	req := tributary.Request{
		Head: tributary.Head{KB: kb, URI: c.URI, Document: tributary.DocumentID(kb, c.URI), Lane: tributary.LaneLive},
		Op:   c.Op, Content: c.Content, Origin: c.Origin,
	}
	if c.Op == tributary.OpDelete {
		return req
	}
	req.Attributes = c.Attributes
	req.Source = s.Name
	if req.Language == "" {
		req.Language = s.Options.Language
	}
	if len(s.Options.Metadata) > 0 {
		req.Metadata = maps.Clone(c.Metadata)
		if req.Metadata == nil {
			req.Metadata = map[string]string{}
		}
		maps.Copy(req.Metadata, s.Options.Metadata)
	}
	return req
}

// refused adds to what a person is shown of messages that came to nothing.
func (s *state) refused(what string) {
	s.Errors = append([]string{what}, s.Errors...)
	s.Errors = s.Errors[:min(len(s.Errors), maxErrors)]
}

// accepted takes back what was said of a document that is well now.
func (s *state) accepted(uri string) {
	s.Errors = slices.DeleteFunc(s.Errors, func(e string) bool { return strings.Contains(e, fmt.Sprintf(": %q", uri)) })
}
