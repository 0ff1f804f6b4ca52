// Package budget holds what all workers of a system together may ask of an
// embedding provider: requests and tokens in a minute, and money in a day. It
// implements embedder.Budget on a JetStream key-value bucket with one account
// for each model of each provider.
//
// A worker takes grants from the account by compare-and-set, some more than it
// needs at the moment, so that it writes a few times in five seconds and not
// once for each request. A grant that is not used within its five seconds
// expires. Workers' clocks should agree within a second or so.
package budget

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"sync"
	"time"

	"github.com/nats-io/nats.go/jetstream"

	"github.com/tributary-kb/tributary"
	"github.com/tributary-kb/tributary/embedder"
)

// Bucket is the name of the key-value bucket that holds the accounts.
const Bucket = "tributary-budget"

// capPause is how long work is held before it looks whether the cap still
// holds.
const capPause = 5 * time.Minute

// Config says what a Budget is for. All workers should have the same.
type Config struct {
	Provider string
	Model    string
	Limits   Limits
	// MaxWait is the longest that Reserve waits for a provider that asks for
	// patience; beyond, it says so.
	MaxWait time.Duration
	// Now and Wait are the clock; nil means that of the machine.
	Now  func() time.Time
	Wait func(context.Context, time.Duration) error
}

// A Budget implements embedder.Budget for one model of one provider.
type Budget struct {
	cfg   Config
	kv    jetstream.KeyValue
	key   string
	watch jetstream.KeyWatcher
	done  chan struct{}

	taking sync.Mutex // one compare-and-set at a time in this process

	mu    sync.Mutex
	have  use     // granted and not used
	over  int     // tokens used beyond what was reserved, not yet written down
	owed  int     // the same with those that were not used taken off
	seen  account // as last heard of
	spent Counters
}

// Counters say what this process has had of the budget.
type Counters struct {
	Cost   float64       // of the tokens that were used
	Waited time.Duration // for the budget
}

// Open opens the account, and the bucket where it does not exist, with this
// many replicas. Close ends it.
func Open(ctx context.Context, js jetstream.JetStream, replicas int, cfg Config) (*Budget, error) {
	if cfg.Now == nil {
		cfg.Now = time.Now
	}
	if cfg.Wait == nil {
		cfg.Wait = wait
	}
	kv, err := open(ctx, js, replicas)
	if err != nil {
		return nil, fmt.Errorf("open bucket %s: %w", Bucket, err)
	}
	// A model's name has characters that a key must not have.
	b := &Budget{cfg: cfg, kv: kv, key: cfg.Provider + "." + tributary.Hash([]byte(cfg.Model)), done: make(chan struct{})}
	// It ends with Close, not with the ctx that it was opened in.
	if b.watch, err = kv.Watch(context.WithoutCancel(ctx), b.key); err != nil {
		return nil, fmt.Errorf("watch the budget of %s: %w", cfg.Model, err)
	}
	go b.follow()
	return b, nil
}

func open(ctx context.Context, js jetstream.JetStream, replicas int) (jetstream.KeyValue, error) {
	kv, err := js.KeyValue(ctx, Bucket)
	if !errors.Is(err, jetstream.ErrBucketNotFound) {
		return kv, err
	}
	kv, err = js.CreateKeyValue(ctx, jetstream.KeyValueConfig{
		Bucket: Bucket, Description: "what all workers together may ask of embedding providers", History: 1, Replicas: max(replicas, 1),
	})
	if errors.Is(err, jetstream.ErrBucketExists) {
		return js.KeyValue(ctx, Bucket)
	}
	return kv, err
}

// Close gives back what was granted and not used.
func (b *Budget) Close(ctx context.Context) error {
	b.mu.Lock()
	b.expire(use{})
	b.mu.Unlock()
	err := b.change(ctx, func(*account, time.Time) error { return nil })
	_ = b.watch.Stop()
	<-b.done
	return err
}

// follow hears what other workers do.
func (b *Budget) follow() {
	defer close(b.done)
	for entry := range b.watch.Updates() {
		if entry == nil {
			continue
		}
		a, err := decode(entry)
		if err != nil {
			continue // whoever writes next reports it
		}
		b.mu.Lock()
		b.seen = a
		b.mu.Unlock()
	}
}

// Reserve implements embedder.Budget. A request of more tokens than a minute
// has is let through when a minute's worth is free: the provider says what it
// thinks of it.
func (b *Budget) Reserve(ctx context.Context, tokens int) error {
	if b.cfg.Limits.Tokens > 0 {
		tokens = min(tokens, b.cfg.Limits.Tokens)
	}
	for {
		pause, err := b.reserve(ctx, tokens)
		if err != nil || pause == 0 {
			return err
		}
		if pause > max(b.cfg.MaxWait, slotLength) {
			return tributary.Unavailable(fmt.Errorf("the provider of %s asks everybody to wait %s", b.cfg.Model, pause.Round(time.Second)), pause)
		}
		b.mu.Lock()
		b.spent.Waited += pause
		b.mu.Unlock()
		if err := b.cfg.Wait(ctx, pause); err != nil {
			return err
		}
	}
}

// reserve tries once, and says how long to wait before the next try.
func (b *Budget) reserve(ctx context.Context, tokens int) (pause time.Duration, err error) {
	b.taking.Lock()
	defer b.taking.Unlock()
	now := b.cfg.Now()
	b.mu.Lock()
	until := b.seen.Until
	need, enough := b.draw(now, tokens)
	b.mu.Unlock()
	switch {
	case now.Before(until):
		return until.Sub(now), nil
	case enough:
		return 0, nil
	}
	var got use
	var spent *embedder.SpendError
	err = b.change(ctx, func(a *account, at time.Time) error {
		until, now = a.Until, at
		if at.Before(until) {
			return nil
		}
		got, err = a.grant(at, b.cfg.Limits, need)
		errors.As(err, &spent)
		return nil
	})
	switch {
	case err != nil:
		return 0, tributary.Unavailable(err, 0)
	case spent != nil:
		return 0, tributary.Unavailable(spent, min(capPause, spent.Resumes.Sub(now)))
	case now.Before(until):
		return until.Sub(now), nil
	case got == use{}:
		return nextSlot(now), nil
	}
	b.mu.Lock()
	defer b.mu.Unlock()
	b.expire(got)
	b.have.Requests += got.Requests
	b.have.Tokens += got.Tokens
	if _, enough = b.draw(now, tokens); !enough {
		return time.Nanosecond, nil // what was at hand before has expired meanwhile
	}
	return 0, nil
}

// draw uses what is at hand for a request, or returns what is missing.
func (b *Budget) draw(now time.Time, tokens int) (need use, enough bool) {
	l := b.cfg.Limits
	if !l.charged() {
		return use{}, true
	}
	b.expire(use{Slot: slotOf(now)})
	need.Slot = slotOf(now)
	if l.Requests > 0 {
		need.Requests = max(1-b.have.Requests, 0)
	}
	if l.Tokens > 0 || l.Price > 0 {
		need.Tokens = max(tokens-b.have.Tokens, 0)
	}
	if need.Requests > 0 || need.Tokens > 0 {
		return need, false
	}
	if now.Before(b.seen.Until) {
		return need, true // is not sent, so nothing is used
	}
	b.have.Requests = max(b.have.Requests-1, 0)
	b.have.Tokens = max(b.have.Tokens-tokens, 0)
	return need, true
}

// expire forgets a grant of another slot; its money is given back.
func (b *Budget) expire(now use) {
	if b.have.Slot == now.Slot {
		return
	}
	b.owed -= b.have.Tokens
	b.have = use{Slot: now.Slot}
}

// Settle implements embedder.Budget. What cannot be written down now is
// written with the next grant.
func (b *Budget) Settle(ctx context.Context, s embedder.Settlement) {
	reserved := s.Reserved
	if b.cfg.Limits.Tokens > 0 {
		reserved = min(reserved, b.cfg.Limits.Tokens)
	}
	b.mu.Lock()
	b.over += max(s.Used-reserved, 0)
	b.owed += s.Used - reserved
	b.spent.Cost += b.cfg.Limits.cost(s.Used)
	b.mu.Unlock()
	if s.Pause <= 0 {
		return
	}
	until := b.cfg.Now().Add(s.Pause)
	b.mu.Lock()
	if until.After(b.seen.Until) {
		b.seen.Until = until
	}
	b.mu.Unlock()
	_ = b.change(ctx, func(a *account, _ time.Time) error {
		if until.After(a.Until) {
			a.Until = until
		}
		return nil
	}) // at worst each worker is told by the provider itself
}

// change changes the account by compare-and-set, and writes down what this
// process has used beside.
func (b *Budget) change(ctx context.Context, edit func(*account, time.Time) error) error {
	for {
		a, revision, err := b.read(ctx)
		if err != nil {
			return err
		}
		now := b.cfg.Now()
		b.mu.Lock()
		over, owed := b.over, b.owed
		b.mu.Unlock()
		a.correct(now, b.cfg.Limits, over, owed)
		if err := edit(&a, now); err != nil {
			return err
		}
		err = b.write(ctx, a, revision)
		if isConflict(err) {
			continue // somebody else was faster, so somebody got on
		}
		if err != nil {
			return fmt.Errorf("write the budget of %s: %w", b.cfg.Model, err)
		}
		b.mu.Lock()
		b.over, b.owed, b.seen = b.over-over, b.owed-owed, a
		b.mu.Unlock()
		return nil
	}
}

func (b *Budget) read(ctx context.Context) (account, uint64, error) {
	entry, err := b.kv.Get(ctx, b.key)
	if errors.Is(err, jetstream.ErrKeyNotFound) {
		return account{Model: b.cfg.Model}, 0, nil
	}
	if err != nil {
		return account{}, 0, fmt.Errorf("read the budget of %s: %w", b.cfg.Model, err)
	}
	a, err := decode(entry)
	return a, entry.Revision(), err
}

func (b *Budget) write(ctx context.Context, a account, revision uint64) error {
	data, err := json.Marshal(a)
	if err != nil {
		return err
	}
	if revision == 0 {
		_, err = b.kv.Create(ctx, b.key, data)
	} else {
		_, err = b.kv.Update(ctx, b.key, data, revision)
	}
	return err
}

func decode(entry jetstream.KeyValueEntry) (account, error) {
	var a account
	if err := json.Unmarshal(entry.Value(), &a); err != nil {
		return a, fmt.Errorf("decode the budget %s: %w", entry.Key(), err)
	}
	return a, nil
}

func isConflict(err error) bool {
	if errors.Is(err, jetstream.ErrKeyExists) {
		return true
	}
	api, ok := errors.AsType[*jetstream.APIError](err)
	return ok && api.ErrorCode == jetstream.JSErrCodeStreamWrongLastSequence
}

func wait(ctx context.Context, d time.Duration) error {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-timer.C:
		return nil
	case <-ctx.Done():
		return context.Cause(ctx)
	}
}
