package follow

import (
	"context"
	"encoding/json"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/nats-io/nats.go/jetstream"

	"github.com/tributary-kb/tributary"
	"github.com/tributary-kb/tributary/ingest/source"
	"github.com/tributary-kb/tributary/internal/testenv"
)

func (b *bed) freshness() *Freshness {
	b.Helper()
	f, err := NewFreshness(b.Context(), b.sources, 1000, b.runner.NC.IsConnected)
	if err != nil {
		b.Fatal(err)
	}
	b.Cleanup(f.Close)
	return f
}

// committed is the record of a document once its newest request is searchable.
func (b *bed) committed(uri string) tributary.Record {
	b.Helper()
	req, ok := b.requests()[uri]
	if !ok {
		b.Fatalf("no request for %s", uri)
	}
	return tributary.Record{KB: "kb", URI: uri, Document: req.Document, Manifest: &tributary.Manifest{
		Version: req.Version, Source: req.Source, State: tributary.StateLive, Origin: req.Origin, Accepted: req.Accepted,
	}}
}

// sees waits until a document is known to have been verified then.
func (b *bed) sees(f *Freshness, what string, rec tributary.Record, want time.Time) {
	b.Helper()
	testenv.Eventually(b, b.Context(), func() error {
		all, err := f.Sightings(b.Context(), []tributary.Record{rec})
		if err == nil && !all[0].Verified.Equal(want) {
			err = fmt.Errorf("%s: verified at %v, want %v", what, all[0].Verified, want)
		}
		return err
	})
}

func TestADocumentIsAsFreshAsTheLastListingThatFoundIt(t *testing.T) {
	b := newBed(t, newScript(uris(8)...))
	b.script.listing.SecondLook = true
	f, o := b.freshness(), b.owner()
	b.look(o)
	first, one, two := b.clock.Now(), b.committed("test:01"), b.committed("test:02")
	b.sees(f, "after the first load", one, first)
	b.look(o)
	second := b.clock.Now()
	b.sees(f, "found unchanged", one, second)

	delete(b.script.docs, "test:02")
	b.script.docs["test:01"] = "next"
	b.look(o)
	b.sees(f, "missing from the listing", two, first)
	b.sees(f, "the next version is on its way", one, one.Manifest.Accepted)
	b.sees(f, "the next version is there", b.committed("test:01"), b.clock.Now())

	third := b.clock.Now()
	b.script.listErr = fmt.Errorf("away")
	b.look(o)
	b.sees(f, "the listing fails", b.committed("test:01"), third)
	b.script.listErr = nil
	for _, uri := range uris(8)[3:] {
		delete(b.script.docs, uri)
	}
	b.look(o)
	b.sees(f, "deletions are held", b.committed("test:07"), third)
	if st := b.status(); st.State != tributary.SourceHeld || !st.Verified.Equal(third) {
		t.Errorf("state %s, verified at %v, want %v", st.State, st.Verified, third)
	}
}

func TestADocumentWithAScheduleOfItsOwnIsAsFreshAsItsLastLoad(t *testing.T) {
	b := newBed(t, newScript("test:a", "test:b"))
	b.script.listing.Authoritative, b.script.untaged = false, true
	f, o := b.freshness(), b.owner()
	b.look(o)
	first := b.clock.Now()
	o.items["test:b"].Next = first.Add(time.Hour)
	b.look(o)
	b.sees(f, "loaded again", b.committed("test:a"), b.clock.Now())
	b.sees(f, "not due", b.committed("test:b"), first)
	b.script.loadErr = map[string]error{"test:a": fmt.Errorf("away")}
	before := b.clock.Now()
	b.look(o)
	b.sees(f, "cannot be loaded", b.committed("test:a"), before)
}

func TestAnEntryThatDroppedOffTheFeedIsAsFreshAsTheLastListingThatHadIt(t *testing.T) {
	b := newBed(t, newScript("test:start", "test:entry"))
	f, o := b.freshness(), b.owner()
	b.look(o)
	b.look(o)
	second, entry := b.clock.Now(), b.committed("test:entry")
	b.script.listing.Partial = true // from now on it lists test:start alone
	b.look(o)
	b.sees(f, "listed", b.committed("test:start"), b.clock.Now())
	b.sees(f, "not listed", entry, second)
	b.script.listing.Partial = false
	b.look(o)
	b.sees(f, "listed again", entry, b.clock.Now())
}

// A renamedScript has documents under other names than it lists them by.
type renamedScript struct{ *script }

func (s renamedScript) Load(ctx context.Context, it source.Item, known source.Known) (source.Loaded, error) {
	l, err := s.script.Load(ctx, it, known)
	l.URI = strings.Replace(it.URI, "test:", "canonical:", 1)
	return l, err
}

func TestADocumentIsRecognizedUnderItsCanonicalName(t *testing.T) {
	b := newBed(t, newScript("test:a"))
	f, o := b.freshness(), b.owner()
	o.follower = renamedScript{b.script}
	b.look(o)
	b.sees(f, "under another name", b.committed("canonical:a"), b.clock.Now())
}

func TestWhatNoSourceIsFollowedForWasNeverVerified(t *testing.T) {
	b := newBed(t, newScript("test:a"))
	f, o := b.freshness(), b.owner()
	b.look(o)
	followed := b.committed("test:a")
	byHand, noSuch, odd := followed, followed, followed
	byHand.Document = tributary.DocumentID("kb", "note:a")
	noSuch.Manifest = &tributary.Manifest{Source: "elsewhere", Version: 1}
	odd.Manifest = &tributary.Manifest{Source: "a name > of *.some sort", Version: 1}
	all, err := f.Sightings(t.Context(), []tributary.Record{followed, byHand, noSuch, odd, {}})
	if err != nil {
		t.Fatal(err)
	}
	for i, s := range all {
		if s.Verified.IsZero() != (i > 0) {
			t.Errorf("document %d: verified at %v", i, s.Verified)
		}
	}
}

func TestFreshnessIsToldFromMemory(t *testing.T) {
	b := newBed(t, newScript(uris(20)...))
	f, o := b.freshness(), b.owner()
	b.look(o)
	var records []tributary.Record
	for _, uri := range uris(20) {
		records = append(records, b.committed(uri))
	}
	ask := func() uint64 {
		before := b.runner.NC.Stats().OutMsgs
		if _, err := f.Sightings(t.Context(), records); err != nil {
			t.Fatal(err)
		}
		return b.runner.NC.Stats().OutMsgs - before
	}
	testenv.Eventually(t, t.Context(), func() error { // once the watch has caught up
		if n := ask(); n > 0 {
			return fmt.Errorf("%d messages to the server", n)
		}
		return nil
	})
	b.look(o)
	b.sees(f, "after a look", records[0], b.clock.Now())
	if n := ask(); n > 0 {
		t.Errorf("a look that found nothing new costs %d messages, want none beside that for the state", n)
	}
}

// A look that somebody waited for is known to whoever asks next.
func TestWhatChangedUpToARevisionIsNotToldFromMemory(t *testing.T) {
	b := newBed(t, newScript("test:a"))
	f, o := b.freshness(), b.owner()
	b.look(o)
	rec := b.committed("test:a")
	for range 20 {
		if _, err := f.Sightings(t.Context(), []tributary.Record{rec}); err != nil {
			t.Fatal(err)
		}
		b.look(o)
		st, err := b.memory.state(t.Context(), "kb", "docs")
		if err != nil {
			t.Fatal(err)
		}
		f.reach(t.Context(), st.rev)
		all, err := f.Sightings(t.Context(), []tributary.Record{rec})
		if err != nil || !all[0].Verified.Equal(b.clock.Now()) {
			t.Fatalf("verified at %v (%v), want %v", all[0].Verified, err, b.clock.Now())
		}
	}
	over, cancel := context.WithCancel(t.Context())
	cancel()
	f.reach(over, 1<<60)
	if n := f.cached.Len(); n > 0 {
		t.Errorf("%d values are in memory after a wait in vain", n)
	}
}

func TestASourceThatIsTooOldIsLookedAt(t *testing.T) {
	for _, perItem := range []bool{false, true} {
		t.Run(fmt.Sprint("per item ", perItem), func(t *testing.T) {
			b := newBed(t, newScript(uris(3)...))
			b.script.listing.Authoritative, b.script.untaged = !perItem, perItem
			f := b.freshness()
			stop := b.runs("worker-1")
			defer stop()
			first := b.sync()
			// Nobody but the one who demands it causes a look.
			stale, sent, err := f.Refresh(t.Context(), "kb", nil, first.Verified)
			if err != nil || len(stale)+len(sent) > 0 || !b.status().LastLook.Equal(first.LastLook) {
				t.Fatalf("fresh enough: %v, %v, %v", stale, sent, err)
			}
			b.script.mu.Lock()
			b.script.docs["test:01"] = "next"
			b.script.mu.Unlock()
			stale, sent, err = f.Refresh(t.Context(), "kb", []string{"docs"}, first.Verified.Add(time.Nanosecond))
			if err != nil || len(stale) > 0 || len(sent) == 0 {
				t.Fatalf("left %v, %v", stale, err)
			}
			req := b.requests()["test:01"]
			if string(req.Content) != "next" || sent[len(sent)-1] != (tributary.At{Document: req.Document, Version: req.Version}) {
				t.Errorf("sent %v, want version %d, of %q", sent, req.Version, req.Content)
			}
		})
	}
}

func TestASourceThatCannotBeRefreshedSaysWhy(t *testing.T) {
	b := newBed(t, newScript(uris(3)...))
	b.clock.now = time.Now().Add(-time.Hour)
	f, o := b.freshness(), b.owner()
	old := time.Now()
	refresh := func(want string) {
		t.Helper()
		stale, _, err := f.Refresh(t.Context(), "kb", nil, old)
		if err != nil || len(stale) != 1 || stale[0].Source != "docs" || stale[0].Reason != want {
			t.Errorf("left %+v, %v; want %q", stale, err, want)
		}
	}
	refresh("no worker follows it")
	b.look(o)
	if _, err := b.sources.Pause(t.Context(), "kb", "docs"); err != nil {
		t.Fatal(err)
	}
	refresh("it is paused")
	if stale, _, _ := f.Refresh(t.Context(), "kb", nil, old); stale[0].AgeS < 3500 || stale[0].AgeS > 7200 {
		t.Errorf("age %v s, want an hour", stale[0].AgeS)
	}
	if stale, _, err := f.Refresh(t.Context(), "kb", []string{"another"}, old); len(stale) > 0 || err != nil {
		t.Errorf("of other names: %v, %v", stale, err)
	}
	if _, err := b.sources.Resume(t.Context(), "kb", "docs"); err != nil {
		t.Fatal(err)
	}
	b.script.listErr = fmt.Errorf("the disk is away")
	defer b.runs("worker-1")()
	b.awaitState(func(s state) bool { return s.Failures > 0 })
	refresh("the disk is away")
}

// What a search of ten hits pays for knowing when they were verified: warm, all
// from memory; cold, every value from the server.
func BenchmarkSightings(bench *testing.B) {
	js, err := jetstream.New(testenv.NATS(bench))
	if err != nil {
		bench.Fatal(err)
	}
	store, err := OpenStore(bench.Context(), js, 1)
	if err != nil {
		bench.Fatal(err)
	}
	put := func(key string, v any) {
		data, err := json.Marshal(v)
		if err == nil {
			_, err = store.items.Put(bench.Context(), key, data)
		}
		if err != nil {
			bench.Fatal(err)
		}
	}
	now := time.Now()
	put("kb.docs."+stateToken, state{Loaded: true, Listed: now})
	var records []tributary.Record
	for i := range 10 {
		uri := fmt.Sprint("test:", i)
		document := tributary.DocumentID("kb", uri)
		put("kb.docs."+document, item{Listed: source.Item{URI: uri}, URI: uri, Version: 1, Verified: now})
		records = append(records, tributary.Record{KB: "kb", URI: uri, Document: document, Manifest: &tributary.Manifest{Version: 1, Source: "docs"}})
	}
	f, err := NewFreshness(bench.Context(), Sources{Store: store}, 1000, js.Conn().IsConnected)
	if err != nil {
		bench.Fatal(err)
	}
	bench.Cleanup(f.Close)
	for _, cold := range []bool{false, true} {
		bench.Run(map[bool]string{false: "warm", true: "cold"}[cold], func(bench *testing.B) {
			bench.ReportAllocs()
			for bench.Loop() {
				if cold {
					f.cached.Purge()
				}
				if _, err := f.Sightings(bench.Context(), records); err != nil {
					bench.Fatal(err)
				}
			}
		})
	}
}
