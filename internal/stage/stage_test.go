package stage_test

import (
	"bytes"
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"log/slog"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"
	"github.com/prometheus/client_golang/prometheus"

	"github.com/tributary-kb/tributary"
	"github.com/tributary-kb/tributary/internal/stage"
	"github.com/tributary-kb/tributary/internal/testenv"
)

// in is a message of the stage under test, out one of what it publishes.
type in struct {
	tributary.Head
	Body []byte `json:"body"`
}

type out struct {
	tributary.Head
	Part int    `json:"part"`
	Body []byte `json:"body,omitempty"`
}

// bench is a stage "one" between its input stream and that of "two", on a
// real server.
type bench struct {
	t     *testing.T
	nc    *nats.Conn
	js    jetstream.JetStream
	blobs jetstream.ObjectStore
	host  stage.Host
	log   *bytes.Buffer
	acks  *nats.Subscription
}

func newBench(t *testing.T) *bench {
	t.Helper()
	nc := testenv.NATS(t)
	js, err := jetstream.New(nc)
	check(t, err)
	ctx := t.Context()
	for _, name := range []string{"one", "two"} {
		_, err = js.CreateStream(ctx, jetstream.StreamConfig{
			Name: name, Subjects: []string{stage.Filter(name)}, Retention: jetstream.WorkQueuePolicy, Discard: jetstream.DiscardNew,
		})
		check(t, err)
	}
	_, err = js.CreateStream(ctx, jetstream.StreamConfig{Name: "dead", Subjects: []string{stage.DeadFilter}})
	check(t, err)
	for _, lane := range tributary.Lanes {
		_, err = js.CreateConsumer(ctx, "one", jetstream.ConsumerConfig{
			Durable: stage.ConsumerName("one", lane), AckPolicy: jetstream.AckExplicitPolicy, AckWait: time.Second,
			MaxDeliver: -1, FilterSubject: stage.LaneFilter("one", lane),
		})
		check(t, err)
	}
	blobs, err := js.CreateObjectStore(ctx, jetstream.ObjectStoreConfig{Bucket: "blobs"})
	check(t, err)
	b := &bench{t: t, nc: nc, js: js, blobs: blobs, log: &bytes.Buffer{}}
	b.host = stage.Host{JS: js, Blobs: blobs, Log: slog.New(slog.DiscardHandler), Metrics: stage.NewMetrics(prometheus.NewRegistry())}
	b.acks, err = nc.SubscribeSync("$JS.ACK.one.>")
	check(t, err)
	check(t, nc.Flush())
	return b
}

func check(t testing.TB, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

func head(lane tributary.Lane, name string) tributary.Head {
	return tributary.Head{KB: "kb", URI: name, Document: tributary.DocumentID("kb", name), Version: 7, Lane: lane}
}

func (b *bench) send(h tributary.Head, body []byte) {
	b.t.Helper()
	msg, err := stage.Encode(b.t.Context(), b.blobs, stage.Subject("one", h), fmt.Sprintf("in:%s:%d", h.Document, h.Version), in{Head: h, Body: body})
	check(b.t, err)
	_, err = b.js.PublishMsg(b.t.Context(), msg)
	check(b.t, err)
}

// start runs the stage until the test ends or the function it returns is
// called, which waits for its end.
func (b *bench) start(spec stage.Spec, hooks stage.Hooks[in], handle stage.Handler[in, out]) (stop func()) {
	b.t.Helper()
	spec.Name, spec.Stream = "one", "one"
	output := stage.Output[out]{
		Subject: func(o out) string { return stage.Subject("two", o.Head) },
		ID:      func(o out) string { return fmt.Sprintf("two:%s:%d:%d", o.Document, o.Version, o.Part) },
	}
	ctx, cancel := context.WithCancel(b.t.Context())
	done := make(chan error, 1)
	go func() { done <- stage.Run(ctx, b.host, spec, output, hooks, handle) }()
	stop = sync.OnceFunc(func() {
		cancel()
		if err := <-done; err != nil {
			b.t.Errorf("the stage ended with %v", err)
		}
	})
	b.t.Cleanup(stop)
	return stop
}

// signal waits for the next acknowledgement of a kind on the wire, renewals
// apart, and returns it.
func (b *bench) signal(want string) string {
	b.t.Helper()
	for {
		msg, err := b.acks.NextMsgWithContext(b.t.Context())
		check(b.t, err)
		got := string(msg.Data)
		if got == "+WPI" && want != "+WPI" {
			continue
		}
		if !strings.HasPrefix(got, want) {
			b.t.Fatalf("got %q on the wire, want %q", got, want)
		}
		return got
	}
}

// received reads n messages from a stream, in order.
func (b *bench) received(stream string, n int) []jetstream.Msg {
	b.t.Helper()
	cons, err := b.js.CreateConsumer(b.t.Context(), stream, jetstream.ConsumerConfig{Durable: "reader", AckPolicy: jetstream.AckExplicitPolicy})
	check(b.t, err)
	var msgs []jetstream.Msg
	for len(msgs) < n {
		msg, err := cons.Next(jetstream.FetchContext(b.t.Context()))
		check(b.t, err)
		check(b.t, msg.Ack())
		msgs = append(msgs, msg)
	}
	return msgs
}

func (b *bench) count(stream string) uint64 {
	b.t.Helper()
	s, err := b.js.Stream(b.t.Context(), stream)
	check(b.t, err)
	return s.CachedInfo().State.Msgs
}

// echo publishes one output per input.
func echo(_ context.Context, i in, emit func(out) error) error {
	return emit(out{Head: i.Head, Body: i.Body})
}

func TestAnInputIsAcknowledgedAfterItsOutputsAreStored(t *testing.T) {
	b := newBench(t)
	b.send(head(tributary.LaneLive, "a"), []byte("hello"))
	b.start(stage.Spec{}, stage.Hooks[in]{}, stage.OneToMany(func(_ context.Context, i in, emit func(out) error) error {
		return errors.Join(emit(out{Head: i.Head, Part: 1}), emit(out{Head: i.Head, Part: 2}))
	}))
	b.signal("+ACK")
	if got := b.count("two"); got != 2 {
		t.Errorf("%d outputs are stored when the input is acknowledged, want 2", got)
	}
}

func TestAMessageHandledTwiceGivesItsOutputsOnce(t *testing.T) {
	b := newBench(t)
	b.send(head(tributary.LaneLive, "a"), nil)
	stop := b.start(stage.Spec{}, stage.Hooks[in]{}, stage.OneToMany(echo))
	b.signal("+ACK")
	stop()
	again := head(tributary.LaneLive, "a")
	msg, err := stage.Encode(t.Context(), b.blobs, stage.Subject("one", again), "another id", in{Head: again})
	check(t, err)
	_, err = b.js.PublishMsg(t.Context(), msg)
	check(t, err)
	b.start(stage.Spec{}, stage.Hooks[in]{}, stage.OneToMany(echo))
	b.signal("+ACK")
	if got := b.count("two"); got != 1 {
		t.Errorf("%d outputs, want 1", got)
	}
}

func TestARejectedMessageBecomesADeadLetterThatCanBePlayedAgain(t *testing.T) {
	b := newBench(t)
	b.send(head(tributary.LaneLive, "bad"), []byte("keep me"))
	var refused []tributary.Failure
	hooks := stage.Hooks[in]{Refused: func(_ context.Context, i in, f tributary.Failure) error {
		if i.URI != "bad" {
			t.Errorf("refused %q", i.URI)
		}
		refused = append(refused, f)
		return nil
	}}
	b.start(stage.Spec{}, hooks, stage.OneToMany(func(context.Context, in, func(out) error) error {
		return tributary.Rejectf("page 3 is on fire")
	}))
	b.signal("+TERM")
	if len(refused) != 1 || refused[0].Version != 7 || refused[0].Stage != "one" || refused[0].Reason != "page 3 is on fire" {
		t.Errorf("recorded %+v", refused)
	}
	letter := b.received("dead", 1)[0]
	var payload in
	check(t, stage.Decode(t.Context(), b.blobs, letter.Headers(), letter.Data(), &payload))
	if string(payload.Body) != "keep me" {
		t.Errorf("the dead letter holds %q", payload.Body)
	}
	for header, want := range map[string]string{
		stage.HeaderReason: "page 3 is on fire", stage.HeaderStage: "one", stage.HeaderVersion: "7",
		stage.HeaderOrigin: stage.Subject("one", payload.Head),
	} {
		if got := letter.Headers().Get(header); got != want {
			t.Errorf("%s is %q, want %q", header, got, want)
		}
	}
}

func TestAFailureIsTriedAgainAndThenRefused(t *testing.T) {
	b := newBench(t)
	b.send(head(tributary.LaneLive, "a"), nil)
	b.start(stage.Spec{Attempts: 3, RetryDelay: time.Millisecond}, stage.Hooks[in]{},
		stage.OneToMany(func(context.Context, in, func(out) error) error { return errors.New("no luck") }))
	b.signal("-NAK")
	b.signal("-NAK")
	b.signal("+TERM")
	if got := b.received("dead", 1)[0].Headers().Get(stage.HeaderReason); got != "gave up after 3 attempts: no luck" {
		t.Errorf("reason %q", got)
	}
}

func TestAMessageThatKillsItsWorkersIsRefusedUnheard(t *testing.T) {
	b := newBench(t)
	b.send(head(tributary.LaneLive, "poison"), nil)
	cons, err := b.js.Consumer(t.Context(), "one", stage.ConsumerName("one", tributary.LaneLive))
	check(t, err)
	for range 3 { // workers that died with it
		msg, err := cons.Next(jetstream.FetchContext(t.Context()))
		check(t, err)
		check(t, msg.Nak())
		b.signal("-NAK")
	}
	b.start(stage.Spec{Deliveries: 3}, stage.Hooks[in]{}, stage.OneToMany(func(context.Context, in, func(out) error) error {
		t.Error("it was handled")
		return nil
	}))
	b.signal("+TERM")
	b.received("dead", 1)
}

func TestARetryWaitsAsLongAsTheHandlerAsks(t *testing.T) {
	b := newBench(t)
	b.send(head(tributary.LaneLive, "a"), nil)
	first := true
	b.start(stage.Spec{}, stage.Hooks[in]{}, stage.OneToMany(func(context.Context, in, func(out) error) error {
		if first {
			first = false
			return tributary.RetryAfter(errors.New("later"), 1500*time.Microsecond)
		}
		return nil
	}))
	if got := b.signal("-NAK"); got != `-NAK {"delay": 1500000}` {
		t.Errorf("got %s on the wire", got)
	}
	b.signal("+ACK")
}

func TestAnOutageUsesUpNoAttempts(t *testing.T) {
	b := newBench(t)
	b.send(head(tributary.LaneLive, "a"), nil)
	calls := 0
	b.start(stage.Spec{Attempts: 1}, stage.Hooks[in]{}, stage.OneToMany(func(_ context.Context, i in, _ func(out) error) error {
		if calls++; calls < 5 {
			return tributary.Unavailable(errors.New("the index is away"), time.Millisecond)
		}
		if !i.Redelivered {
			t.Error("a message that was handled before does not say so")
		}
		return nil
	}))
	b.signal("+ACK") // and nothing but renewals before
	if calls != 5 {
		t.Errorf("%d calls, want 5", calls)
	}
}

func TestAHeldMessageIsRenewed(t *testing.T) {
	b := newBench(t)
	b.send(head(tributary.LaneLive, "slow"), nil)
	proceed := make(chan struct{})
	b.start(stage.Spec{}, stage.Hooks[in]{}, stage.OneToMany(func(context.Context, in, func(out) error) error {
		<-proceed
		return nil
	}))
	for range 4 { // more than AckWait
		b.signal("+WPI")
	}
	close(proceed)
	b.signal("+ACK")
}

func TestOneBadMessageOfABatchHarmsNoOther(t *testing.T) {
	for name, fail := range map[string]func(){
		"panic":          func() { panic("boom") },
		"error":          func() {},
		"named by index": nil,
	} {
		t.Run(name, func(t *testing.T) {
			b := newBench(t)
			for _, n := range []string{"a", "bad", "c"} {
				b.send(head(tributary.LaneBulk, n), nil)
			}
			b.start(stage.Spec{Batch: 3, Attempts: 1}, stage.Hooks[in]{}, stage.Batch(func(_ context.Context, ins []in) ([]out, error) {
				outs, failed := make([]out, len(ins)), tributary.BatchError{}
				for i, v := range ins {
					outs[i].Head = v.Head
					if v.URI != "bad" {
						continue
					}
					if fail != nil {
						fail()
						return nil, errors.New("one of them, I do not know which")
					}
					failed[i] = errors.New("this one")
				}
				if len(failed) > 0 {
					return outs, failed
				}
				return outs, nil
			}))
			got := map[string]bool{}
			for _, m := range b.received("two", 2) {
				var o out
				check(t, stage.Decode(t.Context(), b.blobs, m.Headers(), m.Data(), &o))
				got[o.URI] = true
			}
			if !got["a"] || !got["c"] {
				t.Errorf("got through: %v", got)
			}
			if dead := b.received("dead", 1)[0]; !strings.Contains(dead.Subject(), tributary.DocumentID("kb", "bad")) {
				t.Errorf("dead letter %s", dead.Subject())
			}
		})
	}
}

func TestAFullStreamHoldsTheMessage(t *testing.T) {
	b := newBench(t)
	ctx := t.Context()
	s, err := b.js.Stream(ctx, "two")
	check(t, err)
	cfg := s.CachedInfo().Config
	cfg.MaxMsgs = 1
	_, err = b.js.UpdateStream(ctx, cfg)
	check(t, err)
	b.send(head(tributary.LaneLive, "a"), nil)
	b.send(head(tributary.LaneLive, "b"), nil)
	b.start(stage.Spec{}, stage.Hooks[in]{}, stage.OneToMany(echo))
	b.signal("+ACK") // a
	b.signal("+WPI") // b is held
	b.received("two", 1)
	b.signal("+ACK") // b
	b.received("two", 1)
}

func TestALargeMessageTravelsByTheBlobStoreAndLeavesNothingThere(t *testing.T) {
	b := newBench(t)
	body := make([]byte, 2<<20)
	_, _ = rand.Read(body)
	b.send(head(tributary.LaneLive, "big"), body)
	acked := make(chan struct{})
	b.start(stage.Spec{}, stage.Hooks[in]{Acked: func(context.Context, in) { close(acked) }},
		stage.OneToMany(func(_ context.Context, i in, _ func(out) error) error {
			if !bytes.Equal(i.Body, body) {
				t.Errorf("%d bytes came through", len(i.Body))
			}
			return nil
		}))
	<-acked
	if list, err := b.blobs.List(t.Context()); !errors.Is(err, jetstream.ErrNoObjectsFound) {
		t.Errorf("left in the blob store: %v, %v", list, err)
	}
}

func TestACorruptMessageIsADeadLetter(t *testing.T) {
	b := newBench(t)
	_, err := b.js.Publish(t.Context(), stage.Subject("one", head(tributary.LaneLive, "x")), []byte("{not json"))
	check(t, err)
	b.start(stage.Spec{}, stage.Hooks[in]{}, stage.OneToMany(echo))
	b.signal("+TERM")
	b.received("dead", 1)
}

func TestTheLiveLaneGoesFirst(t *testing.T) {
	b := newBench(t)
	const backlog = 50
	for i := range backlog {
		b.send(head(tributary.LaneBulk, fmt.Sprint("bulk", i)), nil)
	}
	var mu sync.Mutex
	bulk := 0
	entered := make(chan struct{}, backlog+1)
	proceed := make(chan struct{})
	liveAfter := make(chan int, 1)
	b.start(stage.Spec{}, stage.Hooks[in]{}, stage.OneToMany(func(_ context.Context, i in, _ func(out) error) error {
		mu.Lock()
		defer mu.Unlock()
		if i.Lane == tributary.LaneLive {
			liveAfter <- bulk
			return nil
		}
		if bulk++; bulk == 1 {
			mu.Unlock()
			entered <- struct{}{}
			<-proceed
			mu.Lock()
		}
		return nil
	}))
	<-entered // the only shared worker is busy with the backlog
	b.send(head(tributary.LaneLive, "edit"), nil)
	if after := <-liveAfter; after != 1 {
		t.Errorf("the live edit waited for %d messages of the backlog", after)
	}
	close(proceed)
}

// While a live edit is handled, the shared worker begins its second bulk batch
// no sooner than the first one took after it.
func TestABulkBatchStandsBackWhileALiveEditIsHandled(t *testing.T) {
	b := newBench(t)
	b.host.Precedence = &stage.Precedence{}
	for i := range 2 {
		b.send(head(tributary.LaneBulk, fmt.Sprint("bulk", i)), nil)
	}
	edited, handled := make(chan struct{}), make(chan struct{})
	var bulk int
	var worked time.Duration // of the first bulk batch
	var ended time.Time
	b.start(stage.Spec{}, stage.Hooks[in]{}, stage.OneToMany(func(_ context.Context, i in, _ func(out) error) error {
		if i.Lane == tributary.LaneLive {
			close(edited)
			<-handled
			return nil
		}
		switch bulk++; bulk {
		case 1:
			began := time.Now()
			b.send(head(tributary.LaneLive, "edit"), nil)
			<-edited
			ended = time.Now()
			worked = ended.Sub(began)
		case 2:
			if stoodBack := time.Since(ended); stoodBack < worked {
				t.Errorf("the second bulk batch stood back for %v, want at least %v", stoodBack, worked)
			}
			close(handled)
		}
		return nil
	}))
	for range 3 {
		b.signal("+ACK")
	}
}

func TestAStoppingWorkerFinishesWhatItBeganAndGivesBackTheRest(t *testing.T) {
	b := newBench(t)
	for i := range 4 {
		b.send(head(tributary.LaneBulk, fmt.Sprint("doc", i)), nil)
	}
	entered, proceed := make(chan struct{}), make(chan struct{})
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan error, 1)
	go func() {
		done <- stage.Run(ctx, b.host, stage.Spec{Name: "one", Stream: "one"}, stage.Output[out]{
			Subject: func(o out) string { return stage.Subject("two", o.Head) }, ID: func(o out) string { return o.Document },
		}, stage.Hooks[in]{}, stage.OneToMany(func(ctx context.Context, i in, emit func(out) error) error {
			entered <- struct{}{}
			<-proceed
			return emit(out{Head: i.Head})
		}))
	}()
	<-entered
	cancel()
	close(proceed)
	check(t, <-done)
	if got := b.count("two"); got != 1 {
		t.Errorf("%d outputs, want that of the one message that was begun", got)
	}
	if got := b.count("one"); got != 3 {
		t.Errorf("%d messages wait for another worker, want 3", got)
	}
}

func FuzzDecode(f *testing.F) {
	f.Add("zstd", []byte{0x28, 0xb5, 0x2f, 0xfd})
	f.Add("", []byte(`{"kb":"a"}`))
	f.Fuzz(func(t *testing.T, encoding string, data []byte) {
		h := nats.Header{}
		h.Set(stage.HeaderEncoding, encoding)
		var v in
		_ = stage.Decode(t.Context(), nil, h, data, &v) // must not panic or hang
	})
}
