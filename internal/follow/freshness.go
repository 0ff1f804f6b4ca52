package follow

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync"
	"time"

	lru "github.com/hashicorp/golang-lru/v2"
	"github.com/nats-io/nats.go/jetstream"
	"golang.org/x/sync/errgroup"

	"github.com/tributary-kb/tributary"
)

const (
	// reads bounds how many values one question reads from the server at once.
	reads = 16
	// listedKey is the key of Origin under which a document tells by what name
	// its source lists it, where that is another one than its own.
	listedKey = "listed"
)

// Freshness tells how current the documents of sources are, from memory: a
// watch on what owners remember invalidates what changes.
type Freshness struct {
	sources   Sources
	connected func() bool
	watch     jetstream.KeyWatcher
	done      chan struct{}

	mu     sync.Mutex
	cached *lru.Cache[string, *sighting] // by key of ItemsBucket
	at     uint64                        // the revision up to which the watch has told of changes
	moved  chan struct{}                 // closed when at moves; nil while nobody waits
}

// A sighting is the part of a value of ItemsBucket that freshness depends on.
type sighting struct {
	read  bool // false while the value is being read
	found bool
	// Of an item: its newest version, and when it was verified by itself.
	version  uint64
	verified time.Time
	// Of a state: up to when the listing vouches for the items.
	listed time.Time
	// alone says that a listing does not vouch for the item, or for any.
	alone bool
}

// NewFreshness starts to remember the freshness of at most size documents;
// Close ends it. While connected says false every question goes to the server.
func NewFreshness(ctx context.Context, sources Sources, size int, connected func() bool) (*Freshness, error) {
	cached, err := lru.New[string, *sighting](size)
	if err != nil {
		return nil, fmt.Errorf("cache of %d documents: %w", size, err)
	}
	watch, err := sources.Store.items.WatchAll(ctx, jetstream.UpdatesOnly(), jetstream.MetaOnly())
	if err != nil {
		return nil, fmt.Errorf("watch bucket %s: %w", ItemsBucket, err)
	}
	f := &Freshness{sources: sources, connected: connected, watch: watch, done: make(chan struct{}), cached: cached}
	go f.follow()
	return f, nil
}

// Close ends the watch and waits for it.
func (f *Freshness) Close() {
	_ = f.watch.Stop()
	<-f.done
}

func (f *Freshness) follow() {
	defer close(f.done)
	for entry := range f.watch.Updates() {
		if entry != nil {
			f.mu.Lock()
			f.cached.Remove(entry.Key())
			f.at = entry.Revision()
			if f.moved != nil {
				close(f.moved)
				f.moved = nil
			}
			f.mu.Unlock()
		}
	}
}

// reach waits until what changed up to a revision is out of memory. If ctx ends
// first all of it is.
func (f *Freshness) reach(ctx context.Context, revision uint64) {
	for {
		f.mu.Lock()
		if f.at >= revision {
			f.mu.Unlock()
			return
		}
		if f.moved == nil {
			f.moved = make(chan struct{})
		}
		moved := f.moved
		f.mu.Unlock()
		select {
		case <-moved:
		case <-ctx.Done():
			f.mu.Lock()
			defer f.mu.Unlock()
			f.cached.Purge()
			return
		}
	}
}

// Sightings returns what is known of each record's document at its source, in
// order. Where a newer version than the record's is on its way, or was refused,
// the record's was last known to be current when it was accepted.
func (f *Freshness) Sightings(ctx context.Context, records []tributary.Record) ([]tributary.Sighting, error) {
	all := make([]tributary.Sighting, len(records))
	g, reading := errgroup.WithContext(ctx)
	g.SetLimit(reads)
	for i, rec := range records {
		if s, ok := f.remembered(rec); ok {
			all[i] = s
			continue
		}
		g.Go(func() (err error) {
			all[i], err = f.sightingOf(rec, func(key string) (sighting, error) { return f.read(reading, key) })
			return err
		})
	}
	return all, g.Wait()
}

// errUnread says that a value is not in memory.
var errUnread = errors.New("not in memory")

// remembered is the sighting of a record from memory alone.
func (f *Freshness) remembered(rec tributary.Record) (tributary.Sighting, bool) {
	known := f.connected()
	s, err := f.sightingOf(rec, func(key string) (sighting, error) {
		f.mu.Lock()
		defer f.mu.Unlock()
		if s, ok := f.cached.Get(key); ok && s.read && known {
			return *s, nil
		}
		return sighting{}, errUnread
	})
	return s, err == nil
}

// sightingOf puts the sighting of a document together.
func (f *Freshness) sightingOf(rec tributary.Record, get func(key string) (sighting, error)) (tributary.Sighting, error) {
	m := rec.Manifest
	if m == nil || m.Source == "" || tributary.CheckKB(m.Source) != nil {
		return tributary.Sighting{}, nil //nolint:nilerr // what is no name of a source is none
	}
	prefix := sourceKey(rec.KB, m.Source) + "."
	whole, err := get(prefix + stateToken)
	if err != nil || !whole.found {
		return tributary.Sighting{}, err
	}
	document := rec.Document
	if listed := m.Origin[listedKey]; listed != "" {
		document = tributary.DocumentID(rec.KB, listed)
	}
	it, err := get(prefix + document)
	if err != nil || !it.found {
		return tributary.Sighting{}, err
	}
	s := tributary.Sighting{Verified: it.verified, Newest: it.version}
	switch {
	case m.Version < it.version:
		s.Verified = m.Accepted
	case !whole.alone && !it.alone && whole.listed.After(it.verified):
		s.Verified = whole.listed
	}
	return s, nil
}

// read reads a value from the server, and remembers it unless it changes
// meanwhile.
func (f *Freshness) read(ctx context.Context, key string) (sighting, error) {
	mine := &sighting{}
	f.mu.Lock()
	if s, ok := f.cached.Get(key); ok && s.read && f.connected() {
		defer f.mu.Unlock()
		return *s, nil
	}
	f.cached.Add(key, mine)
	f.mu.Unlock()
	got, err := f.fetch(ctx, key)
	f.mu.Lock()
	defer f.mu.Unlock()
	if now, ok := f.cached.Peek(key); ok && now == mine {
		if err != nil {
			f.cached.Remove(key)
		} else {
			*mine = got
		}
	}
	return got, err
}

func (f *Freshness) fetch(ctx context.Context, key string) (sighting, error) {
	entry, err := f.sources.Store.items.Get(ctx, key)
	if errors.Is(err, jetstream.ErrKeyNotFound) {
		return sighting{read: true}, nil
	}
	if err != nil {
		return sighting{}, fmt.Errorf("read %s: %w", key, err)
	}
	if lastToken(key) == stateToken {
		var st state
		err = decode(entry, &st)
		return sighting{read: true, found: true, listed: st.current(), alone: st.PerItem}, err
	}
	var it item
	err = decode(entry, &it)
	return sighting{
		read: true, found: true, version: it.Version, verified: it.Verified,
		alone: it.Failures > 0 || it.Gone || it.Unlisted || !it.Missing.IsZero(),
	}, err
}

// current is up to when the source as a whole is known to be current: the last
// complete listing, or where items have times of their own the oldest of them.
func (s state) current() time.Time {
	if s.Listed.After(s.Verified) {
		return s.Listed
	}
	return s.Verified
}

// Refresh has those sources of a knowledge base looked at that are not known
// to be current since then, and waits until that is done or ctx ends: all that
// are named, or all that there are. It returns those that are still older, in
// order of name, and the versions that those looked at published last, which
// may be on their way.
func (f *Freshness) Refresh(ctx context.Context, kb string, names []string, since time.Time) (stale []tributary.SourceAge, sent []tributary.At, err error) {
	var mu sync.Mutex
	var looks errgroup.Group
	looks.SetLimit(reads)
	err = f.sources.List(ctx, kb, func(st tributary.SourceStatus) error {
		if len(names) > 0 && !slices.Contains(names, st.Name) {
			return nil
		}
		looks.Go(func() error {
			left, at, err := f.refresh(ctx, st, since)
			mu.Lock()
			defer mu.Unlock()
			sent = append(sent, at...)
			if left != nil {
				stale = append(stale, *left)
			}
			return err
		})
		return nil
	})
	err = cmp.Or(looks.Wait(), err)
	slices.SortFunc(stale, func(a, b tributary.SourceAge) int { return strings.Compare(a.Source, b.Source) })
	return stale, sent, err
}

// refresh looks at one source if it is too old; nil if it is not, or not any
// more.
func (f *Freshness) refresh(ctx context.Context, st tributary.SourceStatus, since time.Time) (*tributary.SourceAge, []tributary.At, error) {
	before, err := f.sources.Store.state(ctx, st.KB, st.Name)
	if err != nil || !before.current().Before(since) {
		return nil, nil, err
	}
	reason := ""
	switch {
	case st.State == tributary.SourcePaused:
		reason = "it is paused"
	case st.State == tributary.SourceRemoving:
		reason = "it is being removed"
	case st.Kind == tributary.SourceWebhook:
		reason = "its documents are sent to it, there is nothing to look at"
	case st.Owner == "":
		reason = "no worker follows it"
	default:
		if st, err = f.sources.sync(ctx, st.KB, st.Name, false, since); tributary.CodeOf(err) == tributary.CodeNotFound {
			return nil, nil, nil // removed meanwhile
		}
		if err != nil {
			reason = err.Error()
		}
	}
	// The time of the request may be over; what is known is worth a moment more.
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), time.Second)
	defer cancel()
	after, err := f.sources.Store.state(ctx, st.KB, st.Name)
	if err != nil {
		return nil, nil, err
	}
	if reason == "" { // what the look wrote is younger than the watch
		f.reach(ctx, after.rev)
	}
	if !after.current().Before(since) {
		return nil, after.Sent, nil
	}
	age := &tributary.SourceAge{KB: st.KB, Source: st.Name, AgeS: -1, Reason: cmp.Or(reason, st.Reason, "some of it was not due when it was looked at")}
	if at := after.current(); !at.IsZero() {
		age.AgeS = time.Since(at).Seconds()
	}
	return age, after.Sent, nil
}
