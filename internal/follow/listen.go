package follow

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"

	"github.com/tributary-kb/tributary"
	"github.com/tributary-kb/tributary/ingest/source"
)

// A report is what an owner is told without looking at the source: which items
// may have changed, or without any of them and all else, that anything may have.
type report struct {
	uris    []string
	refused string          // why a message said nothing, or none can be heard
	heard   *heard          // where messages are heard from now on
	done    func(err error) // is told what acting upon it came to; nil if nobody waits
}

// anything reports whether the items that may have changed are not named.
func (r report) anything() bool { return len(r.uris) == 0 && r.refused == "" && r.heard == nil }

// heard says where a source hears of changes. It is remembered: what waits in
// a consumer is not lost while no worker follows the source.
type heard struct {
	Subject string `json:"subject,omitempty"`
	Stream  string `json:"stream,omitempty"` // "" if the messages are kept nowhere
	// Consumer is its identity: another one of its name has missed something.
	Consumer string `json:"consumer,omitempty"`
}

// seamless reports whether nothing was missed between before and now.
func (now heard) seamless(before heard) bool { return now.Stream != "" && now == before }

const (
	// maxUnheard is how many messages are in hand at once.
	maxUnheard = 256
	// unheardWait is after how long a message comes again that nobody has
	// acknowledged. A listing may keep it waiting longer, which does no harm.
	unheardWait = 30 * time.Second
	// subscribeTimeout is how long the server may take to know of a subscription.
	subscribeTimeout = 10 * time.Second
)

// listens reports whether the source hears of changes by messages.
func (o *owner) listens() (source.Listener, bool) {
	l, ok := o.follower.(source.Listener)
	return l, ok && o.order.Options.Notifications != ""
}

// An ear hears the messages of one source, beside the goroutine that owns it.
type ear struct {
	*owner
	source   tributary.Source
	listener source.Listener
	changed  chan<- report
}

// run hears messages until ctx ends. What is missed in between a listing finds.
func (e *ear) run(ctx context.Context) {
	for failures := 1; ; failures++ {
		err := guard(func() error { return e.hear(ctx) })
		if ctx.Err() != nil {
			return
		}
		e.log.WarnContext(ctx, "notifications are not heard, changes are found by listing", "error", err)
		e.tell(ctx, report{refused: fmt.Sprintf("notifications are not heard: %v", err)})
		select {
		case <-ctx.Done():
			return
		case <-time.After(backoff(failures, time.Second, e.MinInterval)):
		}
	}
}

func (e *ear) tell(ctx context.Context, r report) {
	select {
	case e.changed <- r:
	case <-ctx.Done():
	}
}

// hear hears messages from the stream that captures the subject, or from the
// subject itself. It returns why it cannot go on.
func (e *ear) hear(ctx context.Context) error {
	stream, err := e.Store.theirs(ctx, e.source.Options.Notifications, "")
	switch {
	case err != nil:
		return err
	case stream == nil:
		return e.subject(ctx)
	}
	return e.stream(ctx, stream)
}

// stream reads a durable consumer.
func (e *ear) stream(ctx context.Context, stream jetstream.Stream) error {
	info := stream.CachedInfo()
	consumer, err := stream.CreateOrUpdateConsumer(ctx, jetstream.ConsumerConfig{
		Durable:       durable(e.kb, e.name),
		Description:   "notifications for source " + e.name + " of knowledge base " + e.kb,
		FilterSubject: e.source.Options.Notifications,
		DeliverPolicy: jetstream.DeliverNewPolicy, // what came before is in the listing
		AckPolicy:     jetstream.AckExplicitPolicy,
		MaxAckPending: maxUnheard,
		MaxDeliver:    -1,
		AckWait:       unheardWait,
	})
	if err != nil {
		return fmt.Errorf("consumer of stream %s: %w", info.Config.Name, err)
	}
	t := tap{consumer: consumer, stream: info.Config.Name}
	at := consumer.CachedInfo()
	e.tell(ctx, report{heard: &heard{
		Subject:  e.source.Options.Notifications,
		Stream:   t.stream,
		Consumer: fmt.Sprintf("%d@%d", at.Created.UnixNano(), info.Created.UnixNano()),
	}})
	msgs := make(chan jetstream.Msg)
	failed, stop, err := t.run(ctx, msgs)
	if err != nil {
		return err
	}
	defer stop()
	for {
		select {
		case <-ctx.Done():
			return ctx.Err()
		case err := <-failed:
			return err
		case msg := <-msgs:
			e.take(ctx, msg.Subject(), msg.Data(), func(err error) { settle(msg, err) })
		}
	}
}

// settle tells the stream what came of a message. It is done with where trying
// again helps nobody: the status of the source says what was refused.
func settle(msg jetstream.Msg, err error) {
	outcome, after := tributary.OutcomeOf(err)
	switch {
	case err == nil, outcome == tributary.Rejected:
		_ = msg.Ack() // or it comes again, and is looked at again
	case errors.Is(err, errFenced), errors.Is(err, errAbandon), errors.Is(err, context.Canceled):
		_ = msg.Nak() // to the owner that comes
	default:
		_ = msg.NakWithDelay(max(after, time.Second))
	}
}

// subject subscribes to the subject, whose messages nobody keeps. Where some
// may have been missed, anything may have changed.
func (e *ear) subject(ctx context.Context) error {
	sub, err := e.NC.SubscribeSync(e.source.Options.Notifications)
	if err != nil {
		return fmt.Errorf("subscribe to %q: %w", e.source.Options.Notifications, err)
	}
	defer func() { _ = sub.Unsubscribe() }()
	if err := e.NC.FlushTimeout(subscribeTimeout); err != nil {
		return fmt.Errorf("subscribe to %q: %w", e.source.Options.Notifications, err)
	}
	again := e.NC.StatusChanged(nats.CONNECTED)
	e.tell(ctx, report{heard: &heard{Subject: e.source.Options.Notifications}})
	done := make(chan struct{})
	go func() {
		defer close(done)
		for range again {
			e.tell(ctx, report{})
		}
	}()
	defer func() { e.NC.RemoveStatusListener(again); <-done }()
	for {
		msg, err := sub.NextMsgWithContext(ctx)
		switch {
		case errors.Is(err, nats.ErrSlowConsumer):
			e.tell(ctx, report{})
		case err != nil:
			return fmt.Errorf("read %q: %w", e.source.Options.Notifications, err)
		default:
			e.take(ctx, msg.Subject, msg.Data, nil)
		}
	}
}

// take reads one message and passes on what it says. What says nothing of the
// source's items is done with at once.
func (e *ear) take(ctx context.Context, subject string, data []byte, done func(error)) {
	if done == nil {
		done = func(error) {}
	}
	var uris []string
	err := guard(func() (err error) { uris, err = e.listener.Heard(data); return err })
	switch {
	case err != nil:
		e.Metrics.notification(e.kb, e.name, "refused")
		e.log.WarnContext(ctx, "a notification is refused", "subject", subject, "error", err)
		done(nil)
		e.tell(ctx, report{refused: fmt.Sprintf("a message on %s was refused: %v", subject, err)})
	case len(uris) == 0:
		e.Metrics.notification(e.kb, e.name, "foreign")
		done(nil)
	default:
		e.Metrics.notification(e.kb, e.name, "taken")
		e.tell(ctx, report{uris: uris, done: done})
	}
}

// hearFrom notes where the source hears of changes now. In a stream where it
// did before its consumer is removed: it would keep messages for nobody.
func (o *owner) hearFrom(ctx context.Context, now heard) {
	before := o.state.Heard
	o.state.Heard = now
	if before.Stream == "" || before.Stream == now.Stream {
		return
	}
	err := o.Store.js.DeleteConsumer(ctx, before.Stream, durable(o.kb, o.name))
	if err != nil && !errors.Is(err, jetstream.ErrConsumerNotFound) && !errors.Is(err, jetstream.ErrStreamNotFound) {
		o.log.WarnContext(ctx, "remove the consumer of a stream that is not read any more", "stream", before.Stream, "error", err)
	}
}

// A batch is the reports that an owner acts upon together.
type batch struct {
	uris     []string
	anything bool
	refused  string
	heard    *heard
	done     []func(error)
}

// waiting adds to a report those that wait already.
func waiting(changed <-chan report, first report) batch {
	var b batch
	for r := first; ; {
		b.uris = append(b.uris, r.uris...)
		b.anything = b.anything || r.anything()
		b.refused = cmp.Or(r.refused, b.refused)
		b.heard = cmp.Or(r.heard, b.heard)
		if r.done != nil {
			b.done = append(b.done, r.done)
		}
		select {
		case r = <-changed:
		default:
			return b
		}
	}
}
