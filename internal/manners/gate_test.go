package manners

import (
	"context"
	"encoding/json"
	"errors"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"

	"github.com/tributary-kb/tributary"
	"github.com/tributary-kb/tributary/internal/testenv"
)

const host = "docs.example.com:443"

func check(t testing.TB, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

// A clock that all gates of a test share; who sleeps moves it on.
type clock struct {
	mu  sync.Mutex
	now time.Time
}

func newClock() *clock { return &clock{now: time.Date(2026, 11, 21, 9, 0, 0, 0, time.UTC)} }

func (c *clock) Now() time.Time {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.now
}

func (c *clock) Sleep(ctx context.Context, d time.Duration) error {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.now = c.now.Add(max(d, 0))
	return ctx.Err()
}

// A tape records what is written to a bucket.
type tape struct {
	jetstream.KeyValue
	mu      sync.Mutex
	entries []entry
}

func (r *tape) note(value []byte, err error) {
	var e entry
	if err == nil && json.Unmarshal(value, &e) == nil {
		r.mu.Lock()
		r.entries = append(r.entries, e)
		r.mu.Unlock()
	}
}

func (r *tape) Create(ctx context.Context, key string, value []byte, opts ...jetstream.KVCreateOpt) (uint64, error) {
	rev, err := r.KeyValue.Create(ctx, key, value, opts...)
	r.note(value, err)
	return rev, err
}

func (r *tape) Update(ctx context.Context, key string, value []byte, last uint64) (uint64, error) {
	rev, err := r.KeyValue.Update(ctx, key, value, last)
	r.note(value, err)
	return rev, err
}

// server starts a NATS server, and returns what connects to it.
func server(t *testing.T) (connect func() *nats.Conn) {
	t.Helper()
	n := testenv.NATSServer(t)
	return func() *nats.Conn { return testenv.Connect(t, n) }
}

// worker returns the gate of one more worker process on the server.
func worker(t *testing.T, connect func() *nats.Conn, c *clock, cfg Config) (*Gate, *tape) {
	t.Helper()
	js, err := jetstream.New(connect())
	check(t, err)
	g, err := Open(t.Context(), js, cfg)
	check(t, err)
	r := &tape{KeyValue: g.kv}
	g.kv, g.now, g.sleep = r, c.Now, c.Sleep
	return g, r
}

func TestWorkersTogetherKeepThePauseAndTheConcurrency(t *testing.T) {
	n, c := server(t), newClock()
	cfg := Config{Interval: time.Second, Concurrency: 3}
	var tapes []*tape
	var working sync.WaitGroup
	for range 2 {
		g, r := worker(t, n, c, cfg)
		tapes = append(tapes, r)
		for range 20 {
			working.Go(func() {
				leave, err := g.Enter(t.Context(), host, 0)
				if err != nil {
					t.Error(err)
					return
				}
				leave(0)
			})
		}
	}
	working.Wait()
	var slots []time.Time
	for _, e := range slices.Concat(tapes[0].entries, tapes[1].entries) {
		slots = append(slots, e.Last)
		if len(e.Flight) > cfg.Concurrency {
			t.Errorf("%d requests in flight, the limit is %d", len(e.Flight), cfg.Concurrency)
		}
	}
	slices.SortFunc(slots, time.Time.Compare)
	slots = slices.Compact(slots)
	if len(slots) != 40 {
		t.Errorf("%d slots for 40 requests", len(slots))
	}
	for i := 1; i < len(slots); i++ {
		if d := slots[i].Sub(slots[i-1]); d < cfg.Interval {
			t.Errorf("slots %v apart, want at least %v", d, cfg.Interval)
		}
	}
}

func TestTheCallersPauseCounts(t *testing.T) {
	c := newClock()
	g, r := worker(t, server(t), c, Config{})
	for range 2 {
		leave, err := g.Enter(t.Context(), host, 7*time.Second)
		check(t, err)
		leave(0)
	}
	if got := r.entries[2].Last.Sub(r.entries[0].Last); got != 7*time.Second {
		t.Errorf("slots %v apart, want the 7s asked for", got)
	}
}

func TestPlacesOfADeadWorkerBecomeFree(t *testing.T) {
	n, c := server(t), newClock()
	cfg := Config{Concurrency: 2, Hold: time.Minute}
	dead, _ := worker(t, n, c, cfg)
	for range 2 {
		_, err := dead.Enter(t.Context(), host, 0)
		check(t, err)
	}
	second := c.Now()
	alive, _ := worker(t, n, c, cfg)
	leave, err := alive.Enter(t.Context(), host, 0)
	check(t, err)
	leave(0)
	if got := c.Now().Sub(second); got < cfg.Hold-time.Second || got > cfg.Hold+time.Second {
		t.Errorf("a place was free after %v, want %v", got, cfg.Hold)
	}
}

func TestABackoffStopsEverybody(t *testing.T) {
	n, c := server(t), newClock()
	told, _ := worker(t, n, c, Config{})
	other, _ := worker(t, n, c, Config{})
	leave, err := told.Enter(t.Context(), host, 0)
	check(t, err)
	start := c.Now()
	leave(5 * time.Second)
	leave(time.Hour) // a second call means nothing
	leave, err = other.Enter(t.Context(), host, 0)
	check(t, err)
	if got := c.Now().Sub(start); got < 5*time.Second {
		t.Errorf("the other worker asked after %v, the host wants 5s", got)
	}
	leave(time.Hour)
	_, err = told.Enter(t.Context(), host, 0)
	outcome, after := tributary.OutcomeOf(err)
	if outcome != tributary.Retry || after < 59*time.Minute || !strings.Contains(err.Error(), host) {
		t.Errorf("a long backoff gives %v, again after %v; want the hour", err, after)
	}
	leave, err = told.Enter(t.Context(), "other.example.com:443", 0)
	check(t, err)
	leave(0)
}

// A backoff that comes while a request waits for its slot counts for it too.
func TestABackoffReachesThoseWhoWait(t *testing.T) {
	n, c := server(t), newClock()
	first, _ := worker(t, n, c, Config{})
	leave, err := first.Enter(t.Context(), host, 0)
	check(t, err)
	waiting, _ := worker(t, n, c, Config{})
	told := false
	waiting.sleep = func(ctx context.Context, d time.Duration) error {
		if !told {
			told = true
			leave(5 * time.Second)
		}
		return c.Sleep(ctx, d)
	}
	start := c.Now()
	_, err = waiting.Enter(t.Context(), host, 0)
	check(t, err)
	if got := c.Now().Sub(start); got < 5*time.Second {
		t.Errorf("asked after %v, the host wants 5s", got)
	}
}

func TestARequestThatGivesUpLeavesNothingBehind(t *testing.T) {
	c := newClock()
	g, r := worker(t, server(t), c, Config{Concurrency: 1})
	leave, err := g.Enter(t.Context(), host, 0)
	check(t, err)
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if _, err := g.Enter(ctx, host, 0); !errors.Is(err, context.Canceled) {
		t.Errorf("got %v, want that the context ended", err)
	}
	leave(0)
	g.sleep = func(ctx context.Context, _ time.Duration) error { cancel(); return context.Canceled }
	if _, err := g.Enter(t.Context(), host, 0); !errors.Is(err, context.Canceled) {
		t.Errorf("got %v, want that the wait for the slot ended", err)
	}
	if last := r.entries[len(r.entries)-1]; len(last.Flight) != 0 {
		t.Errorf("left in flight: %v", last.Flight)
	}
	if len(g.queues) != 0 {
		t.Errorf("%d queues are kept", len(g.queues))
	}
}

func TestSlots(t *testing.T) {
	now := newClock().now
	at := func(s int) time.Time { return now.Add(time.Duration(s) * time.Second) }
	for name, tt := range map[string]struct {
		have entry
		want time.Time
	}{
		"a host that was never asked":           {entry{}, now},
		"asked long ago":                        {entry{Last: at(-60)}, now},
		"asked just now":                        {entry{Last: at(0)}, at(1)},
		"others have slots already":             {entry{Last: at(3)}, at(4)},
		"to be left alone":                      {entry{Last: at(0), Until: at(5)}, at(5)},
		"all places taken":                      {entry{Flight: map[string]time.Time{"a": at(9), "b": at(9)}}, time.Time{}},
		"one place of the dead":                 {entry{Flight: map[string]time.Time{"a": at(9), "b": at(-1)}}, now},
		"one place is the holder's own":         {entry{Flight: map[string]time.Time{"a": at(9), "me": at(9)}}, now},
		"a slot by a clock that is wrong":       {entry{Last: at(7200)}, at(1)},
		"places taken by a clock that is wrong": {entry{Flight: map[string]time.Time{"a": at(9), "b": at(7200)}}, now},
	} {
		t.Run(name, func(t *testing.T) {
			got := tt.have.reserve(now, "me", time.Second, time.Minute, 2)
			if !got.Equal(tt.want) {
				t.Errorf("got slot %v, want %v", got, tt.want)
			}
		})
	}
}
