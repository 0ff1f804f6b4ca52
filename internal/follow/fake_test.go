package follow

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"maps"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/nats-io/nats.go/jetstream"
	"github.com/prometheus/client_golang/prometheus"

	"github.com/tributary-kb/tributary"
	"github.com/tributary-kb/tributary/ingest/source"
	"github.com/tributary-kb/tributary/internal/stage"
	"github.com/tributary-kb/tributary/internal/testenv"
)

// A script is a source whose documents the test writes.
type script struct {
	mu      sync.Mutex
	docs    map[string]string // content by URI
	listing source.Listing
	untaged bool // the listing tells no tags
	listErr error
	loadErr map[string]error
	links   map[string][]string
	hidden  map[string]bool // pages that ask not to be indexed
	loads   int
	lists   int
	lookErr map[string]error
}

func newScript(uris ...string) *script {
	s := &script{docs: map[string]string{}, listing: source.Listing{Authoritative: true}}
	for _, uri := range uris {
		s.docs[uri] = "first " + uri
	}
	return s
}

func (s *script) item(uri string) source.Item {
	it := source.Item{URI: uri}
	if !s.untaged {
		it.Tag = tributary.Hash([]byte(s.docs[uri]))
	}
	return it
}

func (s *script) List(_ context.Context, _ json.RawMessage, yield func(source.Item) error) (source.Listing, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.lists++
	for _, uri := range slices.Sorted(maps.Keys(s.docs)) {
		if s.listing.Partial && uri != "test:start" {
			continue
		}
		if err := yield(s.item(uri)); err != nil {
			return source.Listing{}, err
		}
	}
	l := s.listing
	l.Cursor, _ = json.Marshal(s.docs)
	return l, s.listErr
}

func (s *script) Look(_ context.Context, uri string) (source.Item, bool, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	_, ok := s.docs[uri]
	return s.item(uri), ok, s.lookErr[uri]
}

// Heard reads a message that is a list of URIs.
func (s *script) Heard(message []byte) ([]string, error) {
	if string(message) == "bad" {
		return nil, errors.New("it is bad")
	}
	return slices.DeleteFunc(strings.Fields(string(message)), func(uri string) bool { return !strings.HasPrefix(uri, "test:") }), nil
}

// set changes a document of the source, "" deletes it.
func (s *script) set(uri, text string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.docs[uri] = text
	if text == "" {
		delete(s.docs, uri)
	}
}

func (s *script) listed() int {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.lists
}

func (s *script) Load(_ context.Context, it source.Item, known source.Known) (source.Loaded, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.loads++
	if err := s.loadErr[it.URI]; err != nil {
		return source.Loaded{}, err
	}
	text, ok := s.docs[it.URI]
	if !ok {
		return source.Loaded{Verdict: source.Gone}, nil
	}
	hash := tributary.Hash([]byte(text))
	if s.hidden[it.URI] {
		l := source.Loaded{Verdict: source.Hidden, Known: source.Known{Hash: hash}, Notes: []string{it.URI + " asks not to be indexed"}}
		for _, uri := range s.links[it.URI] {
			l.Links = append(l.Links, source.Item{URI: uri, Depth: it.Depth + 1})
		}
		return l, nil
	}
	if known.Hash == hash {
		return source.Loaded{Verdict: source.Unchanged, Known: known}, nil
	}
	l := source.Loaded{Content: []byte(text), ContentType: "text/plain", Known: source.Known{Hash: hash}, Origin: map[string]string{"commit": hash}}
	for _, uri := range s.links[it.URI] {
		l.Links = append(l.Links, source.Item{URI: uri, Depth: it.Depth + 1})
	}
	return l, nil
}

// A fakeClock moves when the test says so.
type fakeClock struct {
	mu  sync.Mutex
	now time.Time
}

func (c *fakeClock) Now() time.Time {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.now
}

// After sends at once for what is due. What is not due the test reaches by
// advancing the clock and asking for the next look.
func (c *fakeClock) After(d time.Duration) <-chan time.Time {
	ch := make(chan time.Time, 1)
	if d <= 0 {
		ch <- c.Now()
	}
	return ch
}

func (c *fakeClock) advance(d time.Duration) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.now = c.now.Add(d)
}

// A bed is a system with nothing but NATS, and a scripted source.
type bed struct {
	*testing.T
	js      jetstream.JetStream
	blobs   jetstream.ObjectStore
	memory  *Store
	sources Sources
	clock   *fakeClock
	script  *script
	runner  *Runner
}

func newBed(t *testing.T, s *script) *bed {
	t.Helper()
	return newBedOf(t, s, tributary.Source{Name: "docs", Kind: tributary.SourceFolder, Location: "/docs"})
}

// newBedOf is newBed with a source of some other kind.
func newBedOf(t *testing.T, s *script, followed tributary.Source) *bed {
	t.Helper()
	nc := testenv.NATS(t)
	js, err := jetstream.New(nc)
	if err != nil {
		t.Fatal(err)
	}
	blobs := ensureRequests(t, js)
	memory, err := OpenStore(t.Context(), js, 1)
	if err != nil {
		t.Fatal(err)
	}
	b := &bed{T: t, js: js, blobs: blobs, memory: memory, sources: Sources{Store: memory}, script: s,
		clock: &fakeClock{now: time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC)}}
	b.runner = &Runner{Store: memory, NC: nc, Blobs: blobs, Stage: "ingest", ID: "a", Log: slog.New(slog.DiscardHandler),
		New:     func(string, tributary.Source) (source.Follower, error) { return s, nil },
		Metrics: NewMetrics(prometheus.NewRegistry()), Clock: b.clock}
	b.runner.SetDefaults()
	b.runner.latency = newLatencies(func(*owner, float64) {})
	b.sources.Config = Config{LeaseTTL: time.Second}
	b.sources.Config.SetDefaults()
	b.add(followed)
	return b
}

// ensureRequests makes the request stream as the topology does.
func ensureRequests(t *testing.T, js jetstream.JetStream) jetstream.ObjectStore {
	t.Helper()
	s, err := js.CreateStream(t.Context(), jetstream.StreamConfig{Name: "tributary-ingest", Subjects: []string{stage.Filter("ingest")},
		Retention: jetstream.WorkQueuePolicy, Discard: jetstream.DiscardNew, MaxMsgsPerSubject: 1})
	if err != nil {
		t.Fatal(err)
	}
	for _, lane := range tributary.Lanes {
		_, err := s.CreateConsumer(t.Context(), jetstream.ConsumerConfig{Durable: stage.ConsumerName("ingest", lane),
			AckPolicy: jetstream.AckExplicitPolicy, FilterSubject: stage.LaneFilter("ingest", lane)})
		if err != nil {
			t.Fatal(err)
		}
	}
	blobs, err := js.CreateObjectStore(t.Context(), jetstream.ObjectStoreConfig{Bucket: "blobs"})
	if err != nil {
		t.Fatal(err)
	}
	return blobs
}

func (b *bed) add(s tributary.Source) {
	b.Helper()
	if _, err := b.sources.Add(b.Context(), "kb", s); err != nil {
		b.Fatal(err)
	}
}

// owner takes the source over, as a new worker does.
func (b *bed) owner() *owner {
	b.Helper()
	o, err := b.runner.newOwner(b.Context(), "kb", "docs")
	if err != nil {
		b.Fatal(err)
	}
	o.follower = b.script
	return o
}

// look moves the clock to when the owner is due, and looks.
func (b *bed) look(o *owner) {
	b.Helper()
	if err := b.tryLook(o); err != nil {
		b.Fatal(err)
	}
}

func (b *bed) tryLook(o *owner) error {
	var err error
	if o.order, err = b.memory.order(b.Context(), "kb", "docs"); err != nil {
		return err
	}
	if due, ok := o.due(); ok {
		b.clock.advance(max(due.Sub(b.clock.Now()), 0))
	}
	return o.look(b.Context())
}

// requests returns what the stream holds: the newest request of each document
// that no worker has taken.
func (b *bed) requests() map[string]tributary.Request {
	b.Helper()
	stream, err := b.js.Stream(b.Context(), "tributary-ingest")
	if err != nil {
		b.Fatal(err)
	}
	got := map[string]tributary.Request{}
	for seq := uint64(1); ; {
		msg, err := stream.GetMsg(b.Context(), seq, jetstream.WithGetMsgSubject(">"))
		if errors.Is(err, jetstream.ErrMsgNotFound) {
			return got
		}
		if err != nil {
			b.Fatal(err)
		}
		seq = msg.Sequence + 1
		if stage.IsFence(msg.Subject) {
			continue
		}
		var req tributary.Request
		if err := stage.Decode(b.Context(), b.blobs, msg.Header, msg.Data, &req); err != nil {
			b.Fatal(err)
		}
		req.Accept(msg.Sequence, msg.Time)
		got[req.URI] = req
	}
}

// index is what the documents of the stream come to.
func (b *bed) index() map[string]string {
	b.Helper()
	got := map[string]string{}
	for uri, req := range b.requests() {
		if req.Op == tributary.OpPut {
			got[uri] = string(req.Content)
		}
	}
	return got
}

func (b *bed) wantIndex() {
	b.Helper()
	if got := b.index(); !maps.Equal(got, b.script.docs) {
		b.Errorf("the requests come to %v, the source holds %v", got, b.script.docs)
	}
}

func (b *bed) status() tributary.SourceStatus {
	b.Helper()
	st, err := b.sources.Get(b.Context(), "kb", "docs")
	if err != nil {
		b.Fatal(err)
	}
	return st
}

func uris(n int) []string {
	var all []string
	for i := range n {
		all = append(all, fmt.Sprintf("test:%02d", i))
	}
	return all
}
