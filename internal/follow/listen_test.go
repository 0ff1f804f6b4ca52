package follow

import (
	"errors"
	"fmt"
	"maps"
	"strings"
	"testing"

	"github.com/nats-io/nats.go/jetstream"

	"github.com/tributary-kb/tributary"
	"github.com/tributary-kb/tributary/internal/testenv"
)

const events = "store.events"

func notified() tributary.Source {
	return tributary.Source{Name: "docs", Kind: tributary.SourceS3, Location: "s3://docs", Options: tributary.SourceOptions{Notifications: events}}
}

// keep makes a stream that captures the notifications.
func (b *bed) keep(name string) jetstream.Stream {
	b.Helper()
	s, err := b.js.CreateOrUpdateStream(b.Context(), jetstream.StreamConfig{Name: name, Subjects: []string{"store.>"}})
	if err != nil {
		b.Fatal(err)
	}
	return s
}

// tell publishes a message as a store does, without asking who heard it.
func (b *bed) tell(message string) {
	b.Helper()
	if err := b.runner.NC.Publish(events, []byte(message)); err != nil {
		b.Fatal(err)
	}
	if err := b.runner.NC.Flush(); err != nil {
		b.Fatal(err)
	}
}

// eventually waits until the requests come to what the source has.
func (b *bed) eventually() {
	b.Helper()
	testenv.Eventually(b.T, b.Context(), func() error {
		b.script.mu.Lock()
		want := maps.Clone(b.script.docs)
		b.script.mu.Unlock()
		if got := b.index(); !maps.Equal(got, want) {
			return fmt.Errorf("the requests come to %v, the source holds %v", got, want)
		}
		return nil
	})
}

// unheard is how many messages wait or are not acknowledged.
func (b *bed) unheard(stream string) (uint64, error) {
	c, err := b.js.Consumer(b.Context(), stream, durable("kb", "docs"))
	if err != nil {
		return 0, err
	}
	info := c.CachedInfo()
	return info.NumPending + uint64(info.NumAckPending), nil
}

func (b *bed) allHeard(stream string) {
	b.Helper()
	testenv.Eventually(b.T, b.Context(), func() error {
		n, err := b.unheard(stream)
		if err == nil && n > 0 {
			err = fmt.Errorf("%d messages are not acknowledged", n)
		}
		return err
	})
}

func TestANotificationLeadsToALookAtItsItemAlone(t *testing.T) {
	b := newBedOf(t, newScript(uris(6)...), notified())
	defer b.runs("worker-1")()
	b.awaitState(func(s state) bool { return s.Loaded && s.Heard.Subject == events })
	lists, loads := b.script.listed(), b.script.loads
	b.script.set("test:02", "second")
	b.script.set("test:03", "")
	b.script.set("test:new", "new")
	b.script.set("test:05", "of this nobody told")
	b.tell("test:02 test:03 test:03 test:01 else:01")
	b.tell("bad")
	b.tell("else:02")
	b.tell("test:new test:02")
	testenv.Eventually(t, t.Context(), func() error {
		got := b.index()
		if got["test:02"] != "second" || got["test:03"] != "" || got["test:new"] != "new" {
			return fmt.Errorf("the requests come to %v", got)
		}
		return nil
	})
	if r := b.requests()["test:02"]; r.Lane != tributary.LaneLive {
		t.Errorf("lane %q", r.Lane)
	}
	if r := b.requests()["test:03"]; r.Op != tributary.OpDelete || r.Lane != tributary.LaneLive {
		t.Errorf("operation %q on lane %q, want a deletion", r.Op, r.Lane)
	}
	if b.script.listed() != lists || b.script.loads != loads+2 || b.index()["test:05"] == "of this nobody told" {
		t.Errorf("%d listings and %d loads for two changes", b.script.listed()-lists, b.script.loads-loads)
	}
	b.awaitState(func(s state) bool {
		return strings.Contains(s.Missed, "a message on store.events was refused: it is bad")
	})
	if st := b.status(); st.State != tributary.SourceActive || len(st.Notes) != 1 || !strings.Contains(st.Notes[0], "refused") {
		t.Errorf("status %+v", st)
	}
	if st := b.sync(); len(st.Notes) != 0 {
		t.Errorf("notes after a listing: %q", st.Notes)
	}
	b.eventually()
}

// What a stream captured while nobody followed the source is heard by the next
// worker, without a listing.
func TestNotificationsWaitForAWorker(t *testing.T) {
	b := newBedOf(t, newScript(uris(6)...), notified())
	b.keep("STORE")
	stop := b.runs("worker-1")
	b.awaitState(func(s state) bool { return s.Loaded && s.Heard.Stream == "STORE" })
	stop()
	lists := b.script.listed()
	b.script.set("test:01", "second")
	b.script.set("test:02", "")
	b.push(events, "test:02")
	b.push(events, "bad")
	b.push(events, "else:02")
	b.script.set("test:01", "third")
	b.push(events, "test:01")
	b.push(events, "test:01")
	defer b.runs("worker-2")()
	b.eventually()
	b.allHeard("STORE")
	if n := b.script.listed() - lists; n != 0 {
		t.Errorf("%d listings, want none", n)
	}
}

// An owner that is killed between the request and the acknowledgement leaves a
// message that comes again.
func TestANotificationIsAcknowledgedAfterItsRequest(t *testing.T) {
	b := newBedOf(t, newScript(uris(6)...), notified())
	stream := b.keep("STORE")
	b.look(b.owner())
	consumer := b.consumer(stream)
	for i, step := range []string{"loaded", "published", "remembered", "before the cursor", "after the cursor", ""} {
		b.script.set("test:01", fmt.Sprint("version ", i))
		if i == 0 {
			b.push(events, "test:01")
		}
		b.runner.crash = func(what string) error {
			if what == step {
				return errAbandon
			}
			return nil
		}
		msg, err := consumer.Next()
		if err != nil {
			t.Fatal(err)
		}
		err = b.owner().hear(t.Context(), batch{uris: []string{"test:01"}, done: []func(error){func(err error) { settle(msg, err) }}})
		if dies := step != ""; dies != errors.Is(err, errAbandon) || !dies && err != nil {
			t.Fatalf("killed at %q: %v", step, err)
		}
		if n, err := b.unheard("STORE"); step != "" && n != 1 || err != nil {
			t.Errorf("killed at %q: %d messages are left, error %v", step, n, err)
		}
	}
	b.allHeard("STORE")
	b.wantIndex()
}

func TestAStalledOwnerTakesNoNotification(t *testing.T) {
	b := newBedOf(t, newScript(uris(6)...), notified())
	stalled := b.owner()
	b.look(stalled)
	b.owner()
	told := errors.New("nothing was told")
	err := stalled.hear(t.Context(), batch{uris: []string{"test:01"}, done: []func(error){func(err error) { told = err }}})
	if !errors.Is(err, errFenced) || !errors.Is(told, errFenced) {
		t.Errorf("error %v, told %v, want errFenced", err, told)
	}
}

// One object that may not be read, or a store that is away.
func TestWhatCannotBeLookedAtKeepsNoOtherWaiting(t *testing.T) {
	b := newBedOf(t, newScript(uris(6)...), notified())
	o := b.owner()
	b.look(o)
	b.script.lookErr = map[string]error{"test:01": tributary.Reject(errors.New("access denied"))}
	b.script.set("test:02", "second")
	var told error
	hear := func(uris ...string) {
		t.Helper()
		if err := o.hear(t.Context(), batch{uris: uris, done: []func(error){func(err error) { told = err }}}); err != nil {
			t.Fatal(err)
		}
	}
	hear("test:01", "test:02")
	b.wantIndex()
	if outcome, _ := tributary.OutcomeOf(told); outcome != tributary.Rejected {
		t.Errorf("told %v, want what was refused", told)
	}
	if st := b.status(); st.State != tributary.SourceFailing || !strings.Contains(st.Reason, "access denied") {
		t.Errorf("status %+v", st)
	}
	b.script.lookErr["test:02"] = errors.New("away")
	hear("test:02")
	if outcome, _ := tributary.OutcomeOf(told); outcome != tributary.Retry {
		t.Errorf("told %v, want that it is tried again", told)
	}
	b.look(o) // finds all well
	if st := b.status(); st.State != tributary.SourceActive {
		t.Errorf("status %+v", st)
	}
}

func TestNotificationsBringNoMoreDocumentsThanAllowed(t *testing.T) {
	s := notified()
	s.Options.MaxDocuments = 3
	b := newBedOf(t, newScript(uris(2)...), s)
	o := b.owner()
	b.look(o)
	b.script.set("test:new1", "fits")
	b.script.set("test:new2", "does not")
	if err := o.hear(t.Context(), batch{uris: []string{"test:new1", "test:new2"}}); err != nil {
		t.Fatal(err)
	}
	if st := b.status(); st.Documents != 3 || len(st.Notes) != 1 || !strings.Contains(st.Notes[0], "limit is 3 (max_documents") {
		t.Errorf("status %+v", st)
	}
}

func TestARemovedSourceLeavesNoConsumer(t *testing.T) {
	b := newBedOf(t, newScript(uris(6)...), notified())
	stream := b.keep("STORE")
	defer b.runs("worker-1")()
	b.awaitState(func(s state) bool { return s.Loaded && s.Heard.Stream == "STORE" })
	s := notified()
	s.Options.Notifications = ""
	b.add(s)
	b.awaitState(func(s state) bool { return s.Heard.Stream == "" })
	if info, err := stream.Info(t.Context()); err != nil || info.State.Consumers != 0 {
		t.Errorf("a source that does not listen any more has %d consumers, error %v", info.State.Consumers, err)
	}
	b.add(notified())
	b.awaitState(func(s state) bool { return s.Heard.Stream == "STORE" })
	b.removed()
	if info, err := stream.Info(t.Context()); err != nil || info.State.Consumers != 0 {
		t.Errorf("a removed source has %d consumers, error %v", info.State.Consumers, err)
	}
}

func TestASubjectThatCannotBeHeardIsShown(t *testing.T) {
	b := newBedOf(t, newScript(uris(2)...), notified())
	for i, subject := range []string{"other.a", "other.b"} {
		if _, err := b.js.CreateStream(t.Context(), jetstream.StreamConfig{Name: fmt.Sprint("OTHER", i), Subjects: []string{subject}}); err != nil {
			t.Fatal(err)
		}
	}
	s := notified()
	s.Options.Notifications = "other.>"
	b.add(s)
	defer b.runs("worker-1")()
	b.awaitState(func(s state) bool { return strings.Contains(s.Missed, "several streams capture parts of it") })
	b.eventually() // by listing
	s.Options.Notifications = "tributary.kb.events"
	if _, err := b.sources.Add(t.Context(), "kb", s); tributary.CodeOf(err) != tributary.CodeInvalid || !strings.Contains(err.Error(), "notifications") {
		t.Errorf("a subject of Tributary's own: %v", err)
	}
}

// consumer makes the one that an owner reads.
func (b *bed) consumer(stream jetstream.Stream) jetstream.Consumer {
	b.Helper()
	c, err := stream.CreateOrUpdateConsumer(b.Context(), jetstream.ConsumerConfig{Durable: durable("kb", "docs"), AckPolicy: jetstream.AckExplicitPolicy})
	if err != nil {
		b.Fatal(err)
	}
	return c
}
