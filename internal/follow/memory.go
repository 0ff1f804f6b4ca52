package follow

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/nats-io/nats.go/jetstream"

	"github.com/tributary-kb/tributary"
	"github.com/tributary-kb/tributary/ingest/source"
	"github.com/tributary-kb/tributary/internal/bucket"
)

// The buckets.
const (
	OrdersBucket = "tributary-sources" // what operators want: <kb>.<name>
	ItemsBucket  = "tributary-items"   // what owners remember: <kb>.<name>.<document>
	LeasesBucket = "tributary-leases"  // who owns what now: <kb>.<name>
	HooksBucket  = "tributary-hooks"   // which requests to webhooks came lately: <kb>.<name>.<hash of the id>
)

// Last tokens of the keys of ItemsBucket that are no items.
const (
	stateToken = "state"
	fenceToken = "fence"
	// refusedToken is what was last refused of a webhook.
	refusedToken = "refused"
)

var notItems = []string{stateToken, fenceToken, refusedToken}

// An order is what an operator wants of a source. Only Sources writes it, and
// the owner deletes it once a removal is done.
type order struct {
	tributary.Source
	Added    time.Time `json:"added"`
	Paused   bool      `json:"paused,omitempty"`
	Removing bool      `json:"removing,omitempty"`
	Purge    bool      `json:"purge,omitempty"` // its documents go too
	// Each of these is counted up to ask for something, and matched by the
	// counter of the same name in state once that is done.
	Sync    uint64 `json:"sync,omitempty"`
	Full    uint64 `json:"full,omitempty"`
	Confirm uint64 `json:"confirm,omitempty"`
	// Fresh goes with Sync: items with schedules of their own that were verified
	// before it are loaded though they are not due.
	Fresh time.Time `json:"fresh,omitzero"`

	rev uint64 // of the bucket
}

// A state is what following a source came to. Only its owner writes it.
type state struct {
	Cursor   json.RawMessage `json:"cursor,omitempty"`
	Pass     *pass           `json:"pass,omitempty"`   // a listing that is under way
	Loaded   bool            `json:"loaded,omitempty"` // the first complete listing is published
	Spec     string          `json:"spec,omitempty"`   // hash of the Source that the items were loaded for
	Look     time.Time       `json:"look,omitzero"`
	Success  time.Time       `json:"success,omitzero"`
	Verified time.Time       `json:"verified,omitzero"`
	Listed   time.Time       `json:"listed,omitzero"` // the last complete listing, where that vouches for the items
	Read     time.Time       `json:"read,omitzero"`   // the last listing, complete or not
	Next     time.Time       `json:"next,omitzero"`   // listing
	Due      time.Time       `json:"due,omitzero"`    // listing or item, whichever is earlier
	// PerItem says that a listing does not tell whether an item changed, so
	// that items have schedules of their own.
	PerItem  bool     `json:"per_item,omitempty"`
	Rate     rate     `json:"rate,omitzero"`
	Interval float64  `json:"interval,omitempty"` // seconds from the last listing to Next
	Failures int      `json:"failures,omitempty"`
	Error    string   `json:"error,omitempty"`
	Hold     *hold    `json:"hold,omitempty"`
	Notes    []string `json:"notes,omitempty"`
	// Heard is where the source hears of changes, and Missed what was not taken
	// of them since the last listing, and why.
	Heard  heard  `json:"heard,omitzero"`
	Missed string `json:"missed,omitempty"`
	// Peak is how many documents there were at most since PeakAt.
	Peak   int       `json:"peak,omitempty"`
	PeakAt time.Time `json:"peak_at,omitzero"`

	Documents int            `json:"documents"`
	Failing   int            `json:"failing,omitempty"` // items that were not loaded when last tried
	Errors    []string       `json:"errors,omitempty"`  // of some of them, with their names
	Sent      []tributary.At `json:"sent,omitempty"`    // what was published last
	P50       float64        `json:"p50,omitempty"`     // seconds from change to commit
	P99       float64        `json:"p99,omitempty"`

	Sync    uint64 `json:"sync,omitempty"`
	Full    uint64 `json:"full,omitempty"`
	Confirm uint64 `json:"confirm,omitempty"`

	rev uint64 // of the bucket
}

// A hold says why deletions wait for a person.
type hold struct {
	Reason string `json:"reason"`
	Held   int    `json:"held"` // documents that they would delete
}

// An item is what is remembered of a document of a source.
type item struct {
	// Listed is the item as it was last listed, without content.
	Listed source.Item  `json:"listed"`
	Known  source.Known `json:"known,omitzero"`
	// URI under which it was published; "" if it never was.
	URI string `json:"uri,omitempty"`
	// Sum covers content and attributes as published.
	Sum      string    `json:"sum,omitempty"`
	Version  uint64    `json:"version,omitempty"` // of the last receipt
	Verified time.Time `json:"verified,omitzero"` // when the item itself was confirmed
	Next     time.Time `json:"next,omitzero"`     // when it is loaded by itself; zero: with its listing only
	Rate     rate      `json:"rate,omitzero"`
	Missing  time.Time `json:"missing,omitzero"`   // since when listings lack it
	Gone     bool      `json:"gone,omitempty"`     // loading said so; its deletion is due
	Unlisted bool      `json:"unlisted,omitempty"` // a partial listing lacks it, so that none vouches for it
	Failures int       `json:"failures,omitempty"`
	Error    string    `json:"error,omitempty"`
	Refused  bool      `json:"refused,omitempty"` // it will fail until it changes
}

// failing reports whether the item waits for another attempt.
func (it *item) failing() bool { return it.Failures > 0 && !it.Refused }

// A Store holds the buckets.
type Store struct {
	js     jetstream.JetStream
	copies int // of streams and buckets
	orders jetstream.KeyValue
	items  jetstream.KeyValue
	leases jetstream.KeyValue
	hooks  jetstream.KeyValue
}

// OpenStore opens the buckets, creating them with this many replicas (at least
// 1) where they do not exist.
func OpenStore(ctx context.Context, js jetstream.JetStream, replicas int) (*Store, error) {
	s := &Store{js: js, copies: max(replicas, 1)}
	for _, b := range []struct {
		kv  *jetstream.KeyValue
		cfg jetstream.KeyValueConfig
	}{
		{&s.orders, jetstream.KeyValueConfig{Bucket: OrdersBucket, Description: "sources that are followed"}},
		{&s.items, jetstream.KeyValueConfig{Bucket: ItemsBucket, Description: "what is remembered of the items of sources", Compression: true}},
		// In memory: after a restart of the server the leases are gone, and a
		// source is taken over with a new fence.
		{&s.leases, jetstream.KeyValueConfig{Bucket: LeasesBucket, Description: "which worker follows which source", Storage: jetstream.MemoryStorage}},
		{&s.hooks, jetstream.KeyValueConfig{Bucket: HooksBucket, Description: "requests to webhooks that need not be taken again"}},
	} {
		b.cfg.History, b.cfg.Replicas, b.cfg.LimitMarkerTTL = 1, s.copies, markerTTL
		kv, err := js.CreateOrUpdateKeyValue(ctx, b.cfg)
		if err != nil {
			return nil, fmt.Errorf("open bucket %s: %w", b.cfg.Bucket, err)
		}
		*b.kv = kv
	}
	return s, nil
}

// markerTTL is how long the marker of a deleted key stays for watchers.
const markerTTL = 10 * time.Minute

func sourceKey(kb, name string) string { return kb + "." + name }

// order returns the order of a source; a CodeNotFound error if there is none.
func (s *Store) order(ctx context.Context, kb, name string) (order, error) {
	var o order
	if err := tributary.CheckKB(kb); err != nil {
		return o, tributary.Errorf(tributary.CodeInvalid, "%w", err)
	}
	if err := tributary.CheckKB(name); err != nil {
		return o, tributary.Errorf(tributary.CodeInvalid, "source %q: not the name of a source", name)
	}
	entry, err := s.orders.Get(ctx, sourceKey(kb, name))
	if errors.Is(err, jetstream.ErrKeyNotFound) {
		return o, tributary.Errorf(tributary.CodeNotFound, "source %q: no such source in knowledge base %s", name, kb)
	}
	if err != nil {
		return o, fmt.Errorf("source %q: %w", name, err)
	}
	o.rev = entry.Revision()
	return o, decode(entry, &o)
}

// state returns the state of a source, the zero one if there is none.
func (s *Store) state(ctx context.Context, kb, name string) (state, error) {
	var st state
	entry, err := s.items.Get(ctx, sourceKey(kb, name)+"."+stateToken)
	if errors.Is(err, jetstream.ErrKeyNotFound) {
		return st, nil
	}
	if err != nil {
		return st, fmt.Errorf("state of source %q: %w", name, err)
	}
	st.rev = entry.Revision()
	return st, decode(entry, &st)
}

// remembered returns all items of a source, by the URI of their listing.
func (s *Store) remembered(ctx context.Context, kb, name string) (map[string]*item, error) {
	items := map[string]*item{}
	err := bucket.Each(ctx, s.js, s.items, sourceKey(kb, name)+".*", func(entry bucket.Entry) error {
		if slices.Contains(notItems, lastToken(entry.Key())) {
			return nil
		}
		it := &item{}
		if err := decode(entry, it); err != nil {
			return err
		}
		items[it.Listed.URI] = it
		return nil
	})
	if err != nil {
		return nil, fmt.Errorf("items of source %q: %w", name, err)
	}
	return items, nil
}

// elsewhere returns the URIs of the documents that other sources of a knowledge
// base have, but for those that are being removed too.
func (s *Store) elsewhere(ctx context.Context, kb, name string) (map[string]bool, error) {
	var names []string
	err := bucket.Each(ctx, s.js, s.orders, kb+".*", func(entry bucket.Entry) error {
		var o order
		err := decode(entry, &o)
		if o.Name != name && !o.Removing {
			names = append(names, o.Name)
		}
		return err
	})
	if err != nil {
		return nil, fmt.Errorf("sources of %s: %w", kb, err)
	}
	uris := map[string]bool{}
	for _, other := range names {
		items, err := s.remembered(ctx, kb, other)
		if err != nil {
			return nil, err
		}
		for _, it := range items {
			uris[it.URI] = true
		}
	}
	return uris, nil
}

// owner returns the worker that holds the lease of a source, "" if none does.
func (s *Store) owner(ctx context.Context, kb, name string) string {
	entry, err := s.leases.Get(ctx, sourceKey(kb, name))
	if err != nil {
		return ""
	}
	return string(entry.Value())
}

func lastToken(key string) string { return key[strings.LastIndexByte(key, '.')+1:] }

// decode reads a value of a bucket, jetstream.KeyValueEntry or bucket.Entry.
func decode(entry interface {
	Key() string
	Value() []byte
}, v any) error {
	if err := json.Unmarshal(entry.Value(), v); err != nil {
		return fmt.Errorf("decode %s: %w", entry.Key(), err)
	}
	return nil
}
