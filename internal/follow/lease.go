package follow

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/nats-io/nats.go/jetstream"
)

// errTaken is returned for a lease that another worker holds.
var errTaken = errors.New("another worker holds the lease")

// A lease says which worker follows a source. It runs out by itself.
type lease struct {
	store *Store
	key   string
	owner string
	ttl   time.Duration
	rev   uint64
}

// acquire takes the lease of a source, or returns errTaken.
func (s *Store) acquire(ctx context.Context, key, owner string, ttl time.Duration) (*lease, error) {
	rev, err := s.leases.Create(ctx, key, []byte(owner), jetstream.KeyTTL(ttl))
	if errors.Is(err, jetstream.ErrKeyExists) {
		return nil, errTaken
	}
	if err != nil {
		return nil, fmt.Errorf("lease of %s: %w", key, err)
	}
	return &lease{store: s, key: key, owner: owner, ttl: ttl, rev: rev}, nil
}

// keep renews the lease until ctx ends or it is lost, and then calls lost.
func (l *lease) keep(ctx context.Context, lost func()) {
	defer lost()
	tick := time.NewTicker(l.ttl / 3)
	defer tick.Stop()
	renewed := time.Now()
	for {
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
		}
		call, cancel := context.WithTimeout(ctx, l.ttl/3)
		err := l.renew(call)
		cancel()
		switch {
		case err == nil:
			renewed = time.Now()
		case isFenced(err), time.Since(renewed) > l.ttl:
			return
		}
	}
}

// renew writes by hand what the client's Update does, as that has no time to
// live.
func (l *lease) renew(ctx context.Context) error {
	ack, err := l.store.js.Publish(ctx, "$KV."+LeasesBucket+"."+l.key, []byte(l.owner),
		jetstream.WithMsgTTL(l.ttl), jetstream.WithExpectLastSequencePerSubject(l.rev))
	if err == nil {
		l.rev = ack.Sequence
	}
	return err
}

// release gives the lease back, so that another worker need not wait.
func (l *lease) release(ctx context.Context) {
	_ = l.store.leases.Delete(ctx, l.key, jetstream.LastRevision(l.rev)) // it runs out by itself
}

// free waits until nobody holds the lease, as far as can be told.
func (s *Store) free(ctx context.Context, key string) error {
	w, err := s.leases.Watch(ctx, key)
	if err != nil {
		return err
	}
	defer func() { _ = w.Stop() }()
	held := false
	for {
		select {
		case <-ctx.Done():
			return ctx.Err()
		case entry, open := <-w.Updates():
			if !open {
				return errors.New("the watch ended early")
			}
			if entry != nil {
				held = entry.Operation() == jetstream.KeyValuePut
			}
			if !held {
				return nil
			}
		}
	}
}
