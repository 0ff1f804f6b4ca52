// Package manners keeps the workers of one system polite towards the hosts of
// others: a host that is to be asked something comes in, and the moment at
// which it may be asked comes out. Rate, requests in flight and the wish of a
// host to be left alone are shared by all workers, in a JetStream bucket.
package manners

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"sync"
	"time"

	"github.com/nats-io/nats.go/jetstream"
	"github.com/nats-io/nuid"

	"github.com/tributary-kb/tributary"
)

// Bucket is the name of the key-value bucket with an entry per host. It is
// kept in memory: after a restart of NATS nobody needs what it held.
const Bucket = "tributary-hosts"

const (
	// patience is the longest that a request waits for a host that wants to be
	// left alone; beyond, the request is told to come again.
	patience = 10 * time.Second
	// pollEvery is how often a worker looks for a place that other workers hold.
	pollEvery = 100 * time.Millisecond
	// forgetAfter is how long an entry is kept that nobody changes.
	forgetAfter = 24 * time.Hour
	// leaveWithin bounds how long a request that is done tells so. One that
	// cannot is forgotten after Config.Hold.
	leaveWithin = 5 * time.Second
)

// Config of a Gate. The zero value means the defaults that each field names.
type Config struct {
	// Interval between two requests to one host, where the caller names none.
	// Default 250ms.
	Interval time.Duration
	// Concurrency is how many requests to one host may be in flight. Default 2.
	Concurrency int
	// Hold is how long a request may be in flight; then its worker is taken for
	// dead and its place for free. Default 2m.
	Hold time.Duration
	// Replicas of the bucket, at least 1.
	Replicas int
}

// A Gate spaces out requests to hosts, together with all other gates on the
// same NATS. Their clocks should agree to about Interval. It is safe for
// concurrent use.
type Gate struct {
	kv    jetstream.KeyValue
	cfg   Config
	now   func() time.Time
	sleep func(context.Context, time.Duration) error

	mu     sync.Mutex
	queues map[string]*queue
}

// A queue is this process's part of the requests to one host. Those that
// wait here ask the bucket for nothing.
type queue struct {
	places chan struct{} // as many as may be in flight
	users  int           // that hold or wait for a place
}

// Open returns a gate, and creates the bucket where it does not exist.
func Open(ctx context.Context, js jetstream.JetStream, cfg Config) (*Gate, error) {
	cfg.Interval = cmp.Or(cfg.Interval, 250*time.Millisecond)
	cfg.Concurrency = cmp.Or(cfg.Concurrency, 2)
	cfg.Hold = cmp.Or(cfg.Hold, 2*time.Minute)
	kv, err := js.KeyValue(ctx, Bucket)
	if errors.Is(err, jetstream.ErrBucketNotFound) {
		kv, err = js.CreateKeyValue(ctx, jetstream.KeyValueConfig{
			Bucket: Bucket, Description: "when each host may be asked next", History: 1,
			Storage: jetstream.MemoryStorage, TTL: forgetAfter, Replicas: max(cfg.Replicas, 1),
		})
		if errors.Is(err, jetstream.ErrBucketExists) {
			kv, err = js.KeyValue(ctx, Bucket)
		}
	}
	if err != nil {
		return nil, fmt.Errorf("open bucket %s: %w", Bucket, err)
	}
	return &Gate{kv: kv, cfg: cfg, now: time.Now, sleep: sleep, queues: map[string]*queue{}}, nil
}

// Enter waits until a request may be sent to host ("example.com:443"), at
// least pause after the one before it; 0 means Config.Interval. The caller
// calls leave once it has read the reply, with how long the host wants to be
// left alone by everybody, or 0. A host that wants to be left alone for long is
// an error marked by tributary.RetryAfter.
func (g *Gate) Enter(ctx context.Context, host string, pause time.Duration) (leave func(backoff time.Duration), err error) {
	q, err := g.join(ctx, host)
	if err != nil {
		return nil, fmt.Errorf("wait for a request to %s: %w", host, err)
	}
	id := nuid.Next()
	if err := g.admit(ctx, host, id, cmp.Or(max(pause, 0), g.cfg.Interval)); err != nil {
		g.done(ctx, host, id, 0)
		g.part(host, q)
		return nil, err
	}
	var once sync.Once
	return func(backoff time.Duration) {
		once.Do(func() {
			g.done(ctx, host, id, backoff)
			g.part(host, q)
		})
	}, nil
}

// admit takes a slot of the host and waits for it. A backoff that somebody
// else was told in the meantime makes it take another.
func (g *Gate) admit(ctx context.Context, host, id string, pause time.Duration) error {
	for {
		slot, err := g.reserve(ctx, host, id, pause)
		if err != nil {
			return err
		}
		if slot.IsZero() { // other workers have all places
			if err := g.sleep(ctx, jitter(pollEvery)); err != nil {
				return err
			}
			continue
		}
		if err := g.sleep(ctx, slot.Sub(g.now())); err != nil {
			return err
		}
		s, _, err := g.read(ctx, host)
		if err != nil || !s.Until.After(slot) {
			return err
		}
	}
}

// reserve returns the next slot of the host, zero if no place is free.
func (g *Gate) reserve(ctx context.Context, host, id string, pause time.Duration) (time.Time, error) {
	var slot time.Time
	var refused error
	err := g.change(ctx, host, func(e *entry) bool {
		now := g.now()
		if alone := e.Until.Sub(now); alone > patience {
			refused = tributary.RetryAfter(fmt.Errorf("%s asks to be left alone for another %v", host, alone.Round(time.Second)), alone)
			return false
		}
		slot = e.reserve(now, id, pause, g.cfg.Hold, g.cfg.Concurrency)
		return !slot.IsZero()
	})
	return slot, errors.Join(err, refused)
}

// done gives a place back, and tells everybody how long to leave the host
// alone. It does so after the end of ctx too.
func (g *Gate) done(ctx context.Context, host, id string, backoff time.Duration) {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), leaveWithin)
	defer cancel()
	_ = g.change(ctx, host, func(e *entry) bool { return e.leave(g.now(), id, backoff) }) // else it is free after Hold
}

// join waits for one of this process's places at the host.
func (g *Gate) join(ctx context.Context, host string) (*queue, error) {
	g.mu.Lock()
	q := g.queues[host]
	if q == nil {
		q = &queue{places: make(chan struct{}, g.cfg.Concurrency)}
		g.queues[host] = q
	}
	q.users++
	g.mu.Unlock()
	select {
	case q.places <- struct{}{}:
		return q, nil
	case <-ctx.Done():
		g.leaveQueue(host, q)
		return nil, ctx.Err()
	}
}

func (g *Gate) part(host string, q *queue) {
	<-q.places
	g.leaveQueue(host, q)
}

// leaveQueue forgets a queue that nobody uses.
func (g *Gate) leaveQueue(host string, q *queue) {
	g.mu.Lock()
	defer g.mu.Unlock()
	if q.users--; q.users == 0 {
		delete(g.queues, host)
	}
}

// jitter spreads d between half and one and a half of it.
func jitter(d time.Duration) time.Duration { return d/2 + rand.N(d) }

func sleep(ctx context.Context, d time.Duration) error {
	if d <= 0 {
		return ctx.Err()
	}
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-ctx.Done():
		return ctx.Err()
	case <-t.C:
		return nil
	}
}
