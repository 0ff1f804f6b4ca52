package manners

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"time"

	"github.com/nats-io/nats.go/jetstream"

	"github.com/tributary-kb/tributary"
)

const (
	// casTries bounds how often a change is tried that others come before. Each
	// process changes an entry at most Concurrency times at once.
	casTries = 100
	casPause = 2 * time.Millisecond // before the next try, growing
	casMost  = 50 * time.Millisecond
	// ahead is how far in the future a slot or an expiry can be, beyond pause
	// and hold. One that is farther comes from a clock that is wrong.
	ahead = 10 * time.Minute
)

// An entry is what the workers share about one host.
type entry struct {
	Host string `json:"host"`
	// Last is the slot that was given away last.
	Last time.Time `json:"last,omitzero"`
	// Until then the host is left alone.
	Until time.Time `json:"until,omitzero"`
	// Flight holds the requests that have a slot and are not done, and when
	// each is taken for dead.
	Flight map[string]time.Time `json:"flight,omitempty"`
}

// reserve returns the next slot and notes its holder; zero if most others are
// in flight. A holder that asks again gets a later slot.
func (e *entry) reserve(now time.Time, id string, pause, hold time.Duration, most int) time.Time {
	e.mend(now, pause, hold)
	delete(e.Flight, id)
	if len(e.Flight) >= most {
		return time.Time{}
	}
	slot := now
	for _, t := range []time.Time{e.Until, e.Last.Add(pause)} {
		if t.After(slot) {
			slot = t
		}
	}
	if e.Flight == nil {
		e.Flight = map[string]time.Time{}
	}
	e.Last, e.Flight[id] = slot, slot.Add(hold)
	return slot
}

// leave removes a holder and notes a backoff; it reports whether that changed
// anything.
func (e *entry) leave(now time.Time, id string, backoff time.Duration) bool {
	_, known := e.Flight[id]
	delete(e.Flight, id)
	until := now.Add(backoff)
	if backoff > 0 && until.After(e.Until) {
		e.Until, known = until, true
	}
	return known
}

// mend drops the places of the dead, and what a wrong clock has left.
func (e *entry) mend(now time.Time, pause, hold time.Duration) {
	if e.Last.Sub(now) > ahead+pause {
		e.Last = now
	}
	maps.DeleteFunc(e.Flight, func(_ string, expires time.Time) bool {
		return !expires.After(now) || expires.Sub(now) > 2*ahead+pause+hold
	})
}

// change applies fn to the host's entry by compare-and-set; fn says whether
// there is something to write, and may be called several times.
func (g *Gate) change(ctx context.Context, host string, fn func(*entry) bool) error {
	for try := 1; try <= casTries; try++ {
		e, revision, err := g.read(ctx, host)
		if err != nil {
			return err
		}
		if !fn(&e) {
			return nil
		}
		if err = g.write(ctx, e, revision); err == nil || !isConflict(err) {
			return err
		}
		if err := g.sleep(ctx, jitter(min(time.Duration(try)*casPause, casMost))); err != nil {
			return err
		}
	}
	return fmt.Errorf("entry of %s in %s: others came before %d times in a row", host, Bucket, casTries)
}

func (g *Gate) read(ctx context.Context, host string) (entry, uint64, error) {
	e := entry{Host: host}
	got, err := g.kv.Get(ctx, key(host))
	if errors.Is(err, jetstream.ErrKeyNotFound) {
		return e, 0, nil
	}
	if err == nil {
		err = json.Unmarshal(got.Value(), &e)
	}
	if err != nil {
		return e, 0, fmt.Errorf("read the entry of %s in %s: %w", host, Bucket, err)
	}
	return e, got.Revision(), nil
}

func (g *Gate) write(ctx context.Context, e entry, revision uint64) error {
	data, err := json.Marshal(e)
	if err != nil {
		return fmt.Errorf("encode the entry of %s: %w", e.Host, err)
	}
	if revision == 0 {
		_, err = g.kv.Create(ctx, key(e.Host), data)
	} else {
		_, err = g.kv.Update(ctx, key(e.Host), data, revision)
	}
	if err != nil {
		return fmt.Errorf("write the entry of %s in %s: %w", e.Host, Bucket, err)
	}
	return nil
}

// key is where a host's entry stands: a host may hold what a key may not.
func key(host string) string { return tributary.Hash([]byte(host)) }

func isConflict(err error) bool {
	if errors.Is(err, jetstream.ErrKeyExists) {
		return true
	}
	api, ok := errors.AsType[*jetstream.APIError](err)
	return ok && api.ErrorCode == jetstream.JSErrCodeStreamWrongLastSequence
}
