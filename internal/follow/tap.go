package follow

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/nats-io/nats.go/jetstream"

	"github.com/tributary-kb/tributary"
	"github.com/tributary-kb/tributary/ingest/source"
)

// A tap is where the messages of a subject wait until they are taken: a
// consumer of the stream that captures it.
type tap struct {
	consumer jetstream.Consumer
	stream   string
	// identity is that of the stream: another one of its name counts anew.
	identity string
}

// checkPushed reports why documents cannot come from src by themselves. For a
// subject it makes what keeps its messages, so that none is lost from now on.
func (s Sources) checkPushed(ctx context.Context, kb string, src tributary.Source) error {
	o, err := s.Store.order(ctx, kb, src.Name)
	if err == nil && o.Kind != src.Kind && (o.Kind.Pushed() || src.Kind.Pushed()) {
		return fmt.Errorf("source %q is of kind %s: remove it first, to make it a %s", src.Name, o.Kind, src.Kind)
	}
	if !src.Kind.Pushed() {
		return nil
	}
	if err := source.CheckPushed(src); err != nil {
		return err
	}
	if src.Kind == tributary.SourceSubject {
		_, err = s.Store.tap(ctx, kb, src, s.Config)
		return err
	}
	return nil
}

// Both names are unique: neither part may have an underscore.
func ownStream(kb, name string) string { return "tributary-subject_" + kb + "_" + name }
func durable(kb, name string) string   { return "tributary_" + kb + "_" + name }

// tap opens the consumer of a source, in the stream that captures its subject.
// Where there is none it makes one.
func (s *Store) tap(ctx context.Context, kb string, src tributary.Source, cfg Config) (*tap, error) {
	stream, err := s.capturing(ctx, kb, src, cfg)
	if err != nil {
		return nil, fmt.Errorf("source %q: %w", src.Name, err)
	}
	info := stream.CachedInfo()
	consumer, err := stream.CreateOrUpdateConsumer(ctx, jetstream.ConsumerConfig{
		Durable:       durable(kb, src.Name),
		Description:   "source " + src.Name + " of knowledge base " + kb,
		FilterSubject: src.Location,
		AckPolicy:     jetstream.AckExplicitPolicy,
		// Messages are taken in their order, so that an old version of a document
		// never comes after a newer one.
		MaxAckPending: 1,
		MaxDeliver:    -1,
		// The message of an owner that died waits for this long.
		AckWait: cfg.LeaseTTL,
	})
	if err != nil {
		return nil, fmt.Errorf("source %q: consumer of stream %s: %w", src.Name, info.Config.Name, err)
	}
	return &tap{consumer, info.Config.Name, fmt.Sprintf("%s@%d", info.Config.Name, info.Created.UnixNano())}, nil
}

// capturing returns the stream of a subject.
func (s *Store) capturing(ctx context.Context, kb string, src tributary.Source, cfg Config) (jetstream.Stream, error) {
	own := ownStream(kb, src.Name)
	stream, err := s.theirs(ctx, src.Location, own)
	if stream != nil || err != nil {
		return stream, err
	}
	return s.makeStream(ctx, own, src, cfg)
}

// theirs returns the stream of somebody else that captures a subject, nil if
// there is none.
func (s *Store) theirs(ctx context.Context, subject, own string) (jetstream.Stream, error) {
	found, err := s.streams(ctx, subject)
	if err != nil {
		return nil, err
	}
	found = slices.DeleteFunc(found, func(name string) bool { return name == own })
	switch {
	case len(found) == 0:
		return nil, nil //nolint:nilnil // none is no error
	case len(found) > 1:
		return nil, fmt.Errorf("subject %q: several streams capture parts of it (%s): name the subject of one", subject, strings.Join(found, ", "))
	case strings.HasPrefix(found[0], "tributary-"):
		return nil, fmt.Errorf("subject %q: another source has it (stream %s): make a stream for it yourself, which both can read", subject, found[0])
	}
	stream, err := s.js.Stream(ctx, found[0])
	if err != nil {
		return nil, fmt.Errorf("stream %s: %w", found[0], err)
	}
	if subjects := stream.CachedInfo().Config.Subjects; !slices.ContainsFunc(subjects, func(by string) bool { return covers(by, subject) }) {
		return nil, fmt.Errorf("subject %q: stream %s captures only a part of it (%s)", subject, found[0], strings.Join(subjects, ", "))
	}
	return stream, nil
}

// streams returns the names of the streams that share messages with a subject.
func (s *Store) streams(ctx context.Context, subject string) ([]string, error) {
	lister := s.js.StreamNames(ctx, jetstream.WithStreamListSubject(subject))
	var names []string
	for name := range lister.Name() {
		names = append(names, name)
	}
	if err := lister.Err(); err != nil {
		return nil, fmt.Errorf("streams of subject %q: %w", subject, err)
	}
	return names, nil
}

// makeStream makes the stream of a source, or returns the one that it has. One
// for another subject is made anew.
func (s *Store) makeStream(ctx context.Context, name string, src tributary.Source, cfg Config) (jetstream.Stream, error) {
	want := jetstream.StreamConfig{
		Name: name, Description: "what waits for source " + src.Name, Subjects: []string{src.Location},
		Retention: jetstream.WorkQueuePolicy, Discard: jetstream.DiscardNew, MaxBytes: cfg.SubjectMaxBytes,
		Storage: jetstream.FileStorage, Replicas: s.copies,
	}
	stream, err := s.js.Stream(ctx, name)
	if err == nil && !slices.Equal(stream.CachedInfo().Config.Subjects, want.Subjects) {
		if err := s.js.DeleteStream(ctx, name); err != nil {
			return nil, fmt.Errorf("stream %s: %w", name, err)
		}
	}
	stream, err = s.js.CreateOrUpdateStream(ctx, want)
	if err != nil {
		return nil, fmt.Errorf("make stream %s of at most %d bytes (sources.subject_max_bytes): %w", name, want.MaxBytes, err)
	}
	return stream, nil
}

// untap removes what the tap of a source has in JetStream, except for a stream
// of somebody else.
func (s *Store) untap(ctx context.Context, kb, name, subject string) error {
	found, err := s.streams(ctx, subject)
	if err != nil {
		return err
	}
	own := ownStream(kb, name)
	for _, stream := range found {
		if stream == own {
			continue
		}
		if err := s.js.DeleteConsumer(ctx, stream, durable(kb, name)); err != nil && !errors.Is(err, jetstream.ErrConsumerNotFound) {
			return fmt.Errorf("consumer of stream %s: %w", stream, err)
		}
	}
	if err := s.js.DeleteStream(ctx, own); err != nil && !errors.Is(err, jetstream.ErrStreamNotFound) {
		return fmt.Errorf("stream %s: %w", own, err)
	}
	return nil
}

// covers reports whether every subject of one pattern is one of another.
func covers(wide, narrow string) bool {
	w, n := strings.Split(wide, "."), strings.Split(narrow, ".")
	for i, token := range w {
		switch {
		case token == ">":
			return len(n) > i
		case i >= len(n) || n[i] == ">":
			return false
		case token != "*" && token != n[i]:
			return false
		}
	}
	return len(w) == len(n)
}

// waiting returns how many messages have not been acknowledged yet.
func (t *tap) waiting(ctx context.Context) (uint64, error) {
	info, err := t.consumer.Info(ctx)
	if err != nil {
		return 0, err
	}
	return info.NumPending + uint64(info.NumAckPending), nil
}

// run sends each message to out until stop is called, and then what ended it,
// if anything else did.
func (t *tap) run(ctx context.Context, out chan<- jetstream.Msg) (failed <-chan error, stop func(), err error) {
	iter, err := t.consumer.Messages()
	if err != nil {
		return nil, nil, fmt.Errorf("read stream %s: %w", t.stream, err)
	}
	ctx, cancel := context.WithCancel(ctx)
	ended, done := make(chan error, 1), make(chan struct{})
	go func() {
		defer close(done)
		for {
			msg, err := iter.Next()
			switch {
			case errors.Is(err, jetstream.ErrMsgIteratorClosed):
				return
			case errors.Is(err, jetstream.ErrNoHeartbeat): // the connection is away, and comes back by itself
				continue
			case err != nil:
				ended <- fmt.Errorf("read stream %s: %w", t.stream, err)
				return
			}
			select {
			case out <- msg:
			case <-ctx.Done():
				_ = msg.Nak()
				return
			}
		}
	}()
	return ended, func() { cancel(); iter.Stop(); <-done }, nil
}

// working says every third of the patience that a message is still in hand,
// until stop is called.
func working(msg jetstream.Msg, patience time.Duration) (stop func()) {
	end, done := make(chan struct{}), make(chan struct{})
	go func() {
		defer close(done)
		tick := time.NewTicker(patience / 3)
		defer tick.Stop()
		for {
			select {
			case <-end:
				return
			case <-tick.C:
				_ = msg.InProgress()
			}
		}
	}()
	return func() { close(end); <-done }
}
