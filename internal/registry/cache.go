package registry

import (
	"context"
	"fmt"
	"sync"
	"time"

	lru "github.com/hashicorp/golang-lru/v2"
	"github.com/nats-io/nats.go/jetstream"

	"github.com/tributary-kb/tributary"
)

// recheck bounds how long Await trusts that it has been told of every change.
// A direct get from a replica may be behind the change that caused it.
const recheck = 5 * time.Second

// A Cache answers reads of records from memory. A watch on the bucket
// invalidates what changes, so a cached record is current up to the latency of
// one message from the server.
type Cache struct {
	reg       *Registry
	connected func() bool
	watch     jetstream.KeyWatcher
	done      chan struct{}

	mu      sync.Mutex
	records *lru.Cache[string, tributary.Record]
	loads   map[string]*load
	waiters map[string]map[chan struct{}]bool
}

// A load is a read that is under way; stale if the record changed since.
type load struct {
	readers int
	stale   bool
}

// NewCache starts a cache of at most size records over reg; Close ends it.
// While connected says false every read goes to the server: a watch that
// hears nothing invalidates nothing.
func NewCache(ctx context.Context, reg *Registry, size int, connected func() bool) (*Cache, error) {
	records, err := lru.New[string, tributary.Record](size)
	if err != nil {
		return nil, fmt.Errorf("cache of %d records: %w", size, err)
	}
	watch, err := reg.kv.WatchAll(ctx, jetstream.UpdatesOnly(), jetstream.MetaOnly())
	if err != nil {
		return nil, fmt.Errorf("watch bucket %s: %w", Bucket, err)
	}
	c := &Cache{
		reg: reg, connected: connected, watch: watch, records: records,
		done: make(chan struct{}), loads: map[string]*load{}, waiters: map[string]map[chan struct{}]bool{},
	}
	go c.follow()
	return c, nil
}

// Close ends the watch and waits for it.
func (c *Cache) Close() {
	_ = c.watch.Stop()
	<-c.done
}

// Record returns the record of a document as Registry.Get does.
func (c *Cache) Record(ctx context.Context, kb, document string) (tributary.Record, error) {
	k := key(kb, document)
	if !c.connected() {
		return c.reg.Get(ctx, kb, document)
	}
	c.mu.Lock()
	if rec, ok := c.records.Get(k); ok {
		c.mu.Unlock()
		return rec, nil
	}
	l := c.loads[k]
	if l == nil {
		l = &load{}
		c.loads[k] = l
	}
	l.readers++
	c.mu.Unlock()

	rec, err := c.reg.Get(ctx, kb, document)

	c.mu.Lock()
	defer c.mu.Unlock()
	if l.readers--; l.readers == 0 && c.loads[k] == l {
		delete(c.loads, k)
	}
	if err == nil && !l.stale {
		c.records.Add(k, rec)
	}
	return rec, err
}

// Await returns the record of a document once something final is known of
// the version at.Version or a higher one. When ctx ends first it returns the
// record as it stands together with the context's error.
func (c *Cache) Await(ctx context.Context, kb string, at tributary.At) (tributary.Record, error) {
	document := at.Document
	if document == "" {
		document = tributary.DocumentID(kb, at.URI)
	}
	changed, stop := c.subscribe(key(kb, document))
	defer stop()
	tick := time.NewTicker(recheck)
	defer tick.Stop()
	for {
		rec, err := c.reg.Get(ctx, kb, document)
		if err != nil || rec.Settled() >= at.Version {
			return rec, err
		}
		select {
		case <-ctx.Done():
			return rec, ctx.Err()
		case <-changed:
		case <-tick.C:
		}
	}
}

func (c *Cache) subscribe(k string) (changed chan struct{}, stop func()) {
	changed = make(chan struct{}, 1)
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.waiters[k] == nil {
		c.waiters[k] = map[chan struct{}]bool{}
	}
	c.waiters[k][changed] = true
	return changed, func() {
		c.mu.Lock()
		defer c.mu.Unlock()
		delete(c.waiters[k], changed)
		if len(c.waiters[k]) == 0 {
			delete(c.waiters, k)
		}
	}
}

func (c *Cache) follow() {
	defer close(c.done)
	for entry := range c.watch.Updates() {
		if entry == nil {
			continue
		}
		c.invalidate(entry.Key())
	}
}

func (c *Cache) invalidate(k string) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.records.Remove(k)
	if l := c.loads[k]; l != nil {
		l.stale = true
		delete(c.loads, k) // later readers start a load of their own
	}
	for w := range c.waiters[k] {
		select {
		case w <- struct{}{}:
		default:
		}
	}
}
