package budget

import (
	"context"
	"errors"
	"fmt"
	"math"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/nats-io/nats.go/jetstream"

	"github.com/tributary-kb/tributary"
	"github.com/tributary-kb/tributary/embedder"
	"github.com/tributary-kb/tributary/internal/testenv"
)

// A clock stands still while anybody works, and jumps to the next moment that
// is waited for when all wait.
type clock struct {
	mu      sync.Mutex
	now     time.Time
	workers int // that are not done
	waiting []alarm
}

type alarm struct {
	at   time.Time
	ring chan struct{}
}

func newClock(workers int) *clock {
	return &clock{now: time.Date(2026, 3, 1, 22, 0, 3, 0, time.UTC), workers: workers}
}

func (c *clock) Now() time.Time {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.now
}

func (c *clock) Wait(_ context.Context, d time.Duration) error {
	c.mu.Lock()
	ring := make(chan struct{})
	c.waiting = append(c.waiting, alarm{c.now.Add(d), ring})
	c.jump()
	c.mu.Unlock()
	<-ring
	return nil
}

// finish says that a worker will not wait again.
func (c *clock) finish() {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.workers--
	c.jump()
}

func (c *clock) jump() {
	if len(c.waiting) == 0 || len(c.waiting) < c.workers {
		return
	}
	next := c.waiting[0].at
	for _, a := range c.waiting {
		if a.at.Before(next) {
			next = a.at
		}
	}
	c.now = next
	var later []alarm
	for _, a := range c.waiting {
		if a.at.After(next) {
			later = append(later, a)
			continue
		}
		close(a.ring)
	}
	c.waiting = later
}

func (c *clock) advance(d time.Duration) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.now = c.now.Add(d)
}

func jetStream(t *testing.T) jetstream.JetStream {
	t.Helper()
	js, err := jetstream.New(testenv.NATS(t))
	if err != nil {
		t.Fatal(err)
	}
	return js
}

func openBudget(t *testing.T, js jetstream.JetStream, c *clock, l Limits) *Budget {
	t.Helper()
	b, err := Open(t.Context(), js, 1, Config{Provider: "voyage", Model: "voyage 3", Limits: l, MaxWait: 20 * time.Second, Now: c.Now, Wait: c.Wait})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := b.Close(context.WithoutCancel(t.Context())); err != nil {
			t.Error(err)
		}
	})
	return b
}

// A sent is a request that the budget let through.
type sent struct {
	at     time.Time
	tokens int
}

// work lets workers with a budget each send their requests as fast as they
// may, and returns all of them.
func work(t *testing.T, js jetstream.JetStream, c *clock, l Limits, each func(worker, i int) int, count int) []sent {
	t.Helper()
	var mu sync.Mutex
	var all []sent
	var group sync.WaitGroup
	for worker := range c.workers {
		b := openBudget(t, js, c, l)
		group.Go(func() {
			defer c.finish()
			for i := range count {
				tokens := each(worker, i)
				if err := b.Reserve(t.Context(), tokens); err != nil {
					t.Error(err)
					return
				}
				mu.Lock()
				all = append(all, sent{c.Now(), tokens})
				mu.Unlock()
				b.Settle(t.Context(), embedder.Settlement{Reserved: tokens, Used: tokens})
			}
		})
	}
	group.Wait()
	return all
}

func TestNoMinuteGetsMoreThanTheRate(t *testing.T) {
	for name, c := range map[string]struct {
		limits Limits
		each   func(worker, i int) int
		count  int
	}{
		"requests":          {Limits{Requests: 60}, func(int, int) int { return 1000 }, 60},
		"very few requests": {Limits{Requests: 3}, func(int, int) int { return 10 }, 5},
		"tokens":            {Limits{Tokens: 60_000}, func(w, i int) int { return 300 + 700*((w+i)%3) }, 60},
		"large requests":    {Limits{Tokens: 10_000}, func(w, i int) int { return 2000 + 500*((w+i)%4) }, 8},
		"both":              {Limits{Requests: 40, Tokens: 50_000}, func(w, _ int) int { return 400 * (1 + w) }, 40},
	} {
		t.Run(name, func(t *testing.T) {
			clock := newClock(3)
			all := work(t, jetStream(t), clock, c.limits, c.each, c.count)
			if len(all) != 3*c.count {
				t.Fatalf("%d requests went, want all %d", len(all), 3*c.count)
			}
			busiest := sent{}
			requests := 0
			for _, from := range all {
				n, tokens := 0, 0
				for _, r := range all {
					if !r.at.Before(from.at) && r.at.Sub(from.at) < time.Minute {
						n, tokens = n+1, tokens+r.tokens
					}
				}
				requests, busiest.tokens = max(requests, n), max(busiest.tokens, tokens)
			}
			if l := c.limits; l.Requests > 0 && requests > l.Requests || l.Tokens > 0 && busiest.tokens > l.Tokens {
				t.Errorf("a minute got %d requests with %d tokens, the limits are %+v", requests, busiest.tokens, l)
			}
		})
	}
}

func TestTheBudgetIsNotWasted(t *testing.T) {
	clock := newClock(3)
	began := clock.Now()
	work(t, jetStream(t), clock, Limits{Requests: 140}, func(int, int) int { return 10 }, 140)
	// 420 requests at 10 in each five seconds.
	if took := clock.Now().Sub(began); took > 240*time.Second {
		t.Errorf("took %v, want 240 s or less", took)
	}
}

func TestARequestOfMoreThanAMinuteIsLetThroughInTheEnd(t *testing.T) {
	clock := newClock(1)
	if all := work(t, jetStream(t), clock, Limits{Tokens: 1000}, func(int, int) int { return 5000 }, 2); len(all) != 2 {
		t.Errorf("%d requests went, want 2", len(all))
	}
}

func TestAPauseHoldsEverybody(t *testing.T) {
	js, clock := jetStream(t), newClock(1)
	first, second := openBudget(t, js, clock, Limits{}), openBudget(t, js, clock, Limits{Requests: 1000})
	first.Settle(t.Context(), embedder.Settlement{Pause: 2 * time.Minute})
	for name, b := range map[string]*Budget{"who was told": first, "another worker": second} {
		err := b.Reserve(t.Context(), 10)
		if outcome, after := tributary.OutcomeOf(err); outcome != tributary.Waiting || after != 2*time.Minute {
			t.Errorf("%s: %v (%v after %v), want to wait two minutes", name, err, outcome, after)
		}
	}
	clock.advance(110 * time.Second) // ten more seconds are worth waiting for
	for _, b := range []*Budget{first, second} {
		if err := b.Reserve(t.Context(), 10); err != nil {
			t.Error(err)
		}
	}
	if waited := first.Counters().Waited + second.Counters().Waited; waited < 10*time.Second {
		t.Errorf("waited %v, want ten seconds", waited)
	}
}

// One unit a thousand tokens, so that sums are easy.
var priced = Limits{Price: 1000, Cap: 10}

func TestTheCapHoldsWorkUntilTheNextDay(t *testing.T) {
	js, clock := jetStream(t), newClock(1)
	b := openBudget(t, js, clock, priced)
	sent := 0
	var err error
	for err == nil && sent < 100 {
		if err = b.Reserve(t.Context(), 1000); err == nil {
			sent++
			b.Settle(t.Context(), embedder.Settlement{Reserved: 1000, Used: 1000})
		}
	}
	spent, ok := errors.AsType[*embedder.SpendError](err)
	outcome, after := tributary.OutcomeOf(err)
	if !ok || outcome != tributary.Waiting || after != capPause || sent != 10 {
		t.Fatalf("%v (%v after %v) after %d requests, want to wait after 10", err, outcome, after, sent)
	}
	if want := time.Date(2026, 3, 2, 0, 0, 0, 0, time.UTC); spent.Cap != 10 || !spent.Resumes.Equal(want) {
		t.Errorf("%+v, want the cap of 10 and to go on at %v", spent, want)
	}
	if got, want := fmt.Sprint(b.Problems()), "cost 10.00 of 10.00 today (embedder.spend_cap); it goes on at 2026-03-02 00:00 UTC"; !strings.Contains(got, want) {
		t.Errorf("problems %s, want %q", got, want)
	}
	if got := b.Counters().Cost; math.Abs(got-10) > 1e-9 {
		t.Errorf("cost %v, want 10", got)
	}
	again := openBudget(t, js, clock, priced) // another process, which knows it from JetStream
	if err := again.Reserve(t.Context(), 1000); !errors.As(err, new(*embedder.SpendError)) {
		t.Errorf("%v after a restart, want the cap to hold", err)
	}
	clock.advance(2 * time.Hour)
	if err := again.Reserve(t.Context(), 1000); err != nil || len(again.Problems()) != 0 {
		t.Errorf("%v, problems %v, want the next day to go on", err, again.Problems())
	}
}

func TestWhatIsNotUsedIsGivenBack(t *testing.T) {
	js, clock := jetStream(t), newClock(1)
	b, err := Open(t.Context(), js, 1, Config{Provider: "voyage", Model: "voyage 3", Limits: priced, Now: clock.Now, Wait: clock.Wait})
	if err != nil {
		t.Fatal(err)
	}
	if err := b.Reserve(t.Context(), 1000); err != nil { // granted with more of it
		t.Fatal(err)
	}
	b.Settle(t.Context(), embedder.Settlement{Reserved: 1000, Used: 500})
	if err := b.Close(t.Context()); err != nil {
		t.Fatal(err)
	}
	a, _, err := b.read(t.Context())
	if err != nil || math.Abs(a.Spent-0.5) > 1e-9 {
		t.Errorf("spent %v, %v, want 0.5", a.Spent, err)
	}
}

func TestNothingIsWrittenWithoutLimits(t *testing.T) {
	js, clock := jetStream(t), newClock(1)
	b := openBudget(t, js, clock, Limits{})
	for range 10 {
		if err := b.Reserve(t.Context(), 1_000_000); err != nil {
			t.Fatal(err)
		}
	}
	if _, revision, err := b.read(t.Context()); revision != 0 || err != nil {
		t.Errorf("revision %d, %v, want no account", revision, err)
	}
	if left := b.Remaining(); !math.IsInf(left.Requests, 1) || !math.IsInf(left.Tokens, 1) || !math.IsInf(left.Spend, 1) {
		t.Errorf("remaining %+v, want no limit", left)
	}
}

func TestGrantsAreWrittenInPieces(t *testing.T) {
	js, clock := jetStream(t), newClock(1)
	b := openBudget(t, js, clock, Limits{Requests: 14_000}) // 1,000 in a slot
	for range 500 {
		if err := b.Reserve(t.Context(), 1); err != nil {
			t.Fatal(err)
		}
	}
	if _, revision, err := b.read(t.Context()); revision > 4 || err != nil {
		t.Errorf("%d writes for 500 requests, %v, want a piece of 125 each", revision, err)
	}
	if left := b.Remaining(); left.Requests != 14_000-500 {
		t.Errorf("%v requests remain, want 13,500", left.Requests)
	}
}

func TestAClockThatIsFarAheadHoldsNobody(t *testing.T) {
	js, clock := jetStream(t), newClock(1)
	ahead := newClock(1)
	ahead.advance(90 * time.Minute)
	l := Limits{Requests: 14}
	if err := openBudget(t, js, ahead, l).Reserve(t.Context(), 1); err != nil {
		t.Fatal(err)
	}
	b := openBudget(t, js, clock, l)
	if err := b.Reserve(t.Context(), 1); err != nil || b.Counters().Waited > 0 {
		t.Errorf("%v after %v, want to go at once", err, b.Counters().Waited)
	}
	if left := b.Remaining().Requests; left != 13 {
		t.Errorf("%v requests remain, want 13", left)
	}
}
