package follow

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"testing"
	"time"

	"github.com/tributary-kb/tributary"
	"github.com/tributary-kb/tributary/ingest/source"
)

func TestTheFirstLoadIsBulkAndWhatComesAfterItLive(t *testing.T) {
	b := newBed(t, newScript("test:a", "test:b"))
	o := b.owner()
	b.look(o)
	if r := b.requests()["test:a"]; r.Lane != tributary.LaneBulk || r.Source != "docs" || r.Origin["commit"] == "" {
		t.Errorf("first request: lane %q, source %q, origin %v", r.Lane, r.Source, r.Origin)
	}
	b.script.docs["test:a"] = "second"
	b.look(o)
	if r := b.requests()["test:a"]; r.Lane != tributary.LaneLive || string(r.Content) != "second" {
		t.Errorf("second request: lane %q, content %q", r.Lane, r.Content)
	}
	b.wantIndex()
}

func TestAnUnchangedListingWritesNoItem(t *testing.T) {
	b := newBed(t, newScript(uris(20)...))
	o := b.owner()
	b.look(o)
	before, loads := itemsSeq(b), b.script.loads
	b.look(o)
	if got := itemsSeq(b) - before; got != 1 {
		t.Errorf("%d values were written, want the state alone", got)
	}
	if b.script.loads != loads {
		t.Errorf("%d items were loaded again", b.script.loads-loads)
	}
	if st := b.status(); !st.Verified.Equal(b.clock.Now()) {
		t.Errorf("verified at %v, want %v", st.Verified, b.clock.Now())
	}
}

func itemsSeq(b *bed) uint64 {
	b.Helper()
	s, err := b.js.Stream(b.Context(), "KV_"+ItemsBucket)
	if err != nil {
		b.Fatal(err)
	}
	return s.CachedInfo().State.LastSeq
}

func TestWhatIsAbsentIsDeletedWithinOneLook(t *testing.T) {
	b := newBed(t, newScript(uris(6)...))
	o := b.owner()
	b.look(o)
	delete(b.script.docs, "test:03")
	b.look(o)
	if r := b.requests()["test:03"]; r.Op != tributary.OpDelete {
		t.Errorf("operation %q, want a deletion", r.Op)
	}
	b.wantIndex()
	if got := b.status().Documents; got != 5 {
		t.Errorf("%d documents, want 5", got)
	}
}

func TestASecondLookDecidesWhereTheListingAsksForIt(t *testing.T) {
	b := newBed(t, newScript(uris(6)...))
	b.script.listing.SecondLook = true
	o := b.owner()
	b.look(o)
	delete(b.script.docs, "test:03")
	b.look(o)
	if r := b.requests()["test:03"]; r.Op != tributary.OpPut {
		t.Errorf("deleted after the first look")
	}
	o = b.owner() // another worker remembers it
	b.look(o)
	if r := b.requests()["test:03"]; r.Op != tributary.OpDelete {
		t.Errorf("operation %q after the second look, want a deletion", r.Op)
	}
}

func TestAnErrorOfTheListingDeletesNothing(t *testing.T) {
	b := newBed(t, newScript(uris(6)...))
	o := b.owner()
	b.look(o)
	kept := b.script.docs
	b.script.docs, b.script.listErr = map[string]string{}, errors.New("half of it")
	b.look(o)
	if st := b.status(); st.State != tributary.SourceFailing || st.Reason != "half of it" || st.Documents != 6 {
		t.Errorf("status %+v", st)
	}
	b.script.docs, b.script.listErr = kept, nil
	b.wantIndex()
	b.look(o)
	if st := b.status(); st.State != tributary.SourceActive {
		t.Errorf("state %s after a good look", st.State)
	}
}

func TestASourceThatShrinksIsHeldUntilConfirmed(t *testing.T) {
	b := newBed(t, newScript(uris(10)...))
	o := b.owner()
	b.look(o)
	all := b.index()
	for _, uri := range uris(6) {
		delete(b.script.docs, uri)
	}
	b.script.docs["test:new"] = "goes on"
	b.look(o)
	if st := b.status(); st.State != tributary.SourceHeld || st.Held != 6 {
		t.Errorf("state %s with %d held, want 6", st.State, st.Held)
	}
	if got := b.index(); len(got) != len(all)+1 {
		t.Errorf("%d documents, want the new one and all old ones", len(got))
	}
	if _, err := b.sources.Confirm(t.Context(), "kb", "docs"); err != nil {
		t.Fatal(err)
	}
	b.look(o)
	b.wantIndex()
	if st := b.status(); st.State != tributary.SourceActive || st.Documents != 5 {
		t.Errorf("state %s with %d documents, want active with 5", st.State, st.Documents)
	}
}

func TestASourceThatIsBackIsNotHeldAnyMore(t *testing.T) {
	b := newBed(t, newScript(uris(10)...))
	o := b.owner()
	b.look(o)
	kept := b.script.docs
	b.script.docs = map[string]string{"test:00": kept["test:00"]}
	b.look(o)
	b.script.docs = kept
	b.look(o)
	if st := b.status(); st.State != tributary.SourceActive || st.Held != 0 {
		t.Errorf("state %s with %d held", st.State, st.Held)
	}
	b.wantIndex()
}

func TestAFailingItemIsTriedAgainAndTheOthersGoOn(t *testing.T) {
	b := newBed(t, newScript("test:a", "test:b"))
	b.script.loadErr = map[string]error{"test:a": errors.New("away")}
	o := b.owner()
	b.look(o)
	if st := b.status(); st.Failing != 1 || st.Documents != 1 {
		t.Errorf("%d failing of %d documents, want 1 and 1", st.Failing, st.Documents)
	}
	if st := b.status(); !slices.Contains(st.Notes, "test:a: away") || st.State != tributary.SourceActive {
		t.Errorf("%s with the notes %q, want active, and the item's error", st.State, st.Notes)
	}
	b.script.loadErr = nil
	b.look(o)
	b.wantIndex()
	if st := b.status(); st.Failing != 0 {
		t.Errorf("%d failing", st.Failing)
	}
}

func TestASourceOfWhichNothingCanBeLoadedSaysWhy(t *testing.T) {
	b := newBed(t, newScript("test:a"))
	b.script.loadErr = map[string]error{"test:a": tributary.Rejectf("the address is private")}
	b.look(b.owner())
	if st := b.status(); st.State != tributary.SourceFailing || st.Failing != 1 || st.Reason != "test:a: the address is private" {
		t.Errorf("%s, %d failing: %q", st.State, st.Failing, st.Reason)
	}
}

func TestAPageIsLoadedByItsOwnScheduleAndGoneWhenItSaysSo(t *testing.T) {
	b := newBed(t, newScript("test:a", "test:b"))
	b.script.listing.Authoritative, b.script.untaged = false, true
	o := b.owner()
	b.look(o)
	b.script.docs["test:a"] = "second"
	b.look(o)
	b.wantIndex()
	delete(b.script.docs, "test:b")
	b.look(o)
	b.wantIndex()
}

func TestLinksOfASiteAreFollowed(t *testing.T) {
	b := newBed(t, newScript("test:start", "test:one", "test:two"))
	b.script.listing = source.Listing{Partial: true}
	b.script.untaged = true
	b.script.links = map[string][]string{"test:start": {"test:one"}, "test:one": {"test:two", "test:start"}}
	o := b.owner()
	b.look(o)
	b.wantIndex()
	if r := b.requests()["test:two"]; r.Lane != tributary.LaneBulk {
		t.Errorf("lane %q, want that of a first load", r.Lane)
	}
}

func TestAPageThatAsksNotToBeIndexedIsFollowedAndNotPublished(t *testing.T) {
	b := newBed(t, newScript("test:start", "test:one", "test:two"))
	b.script.listing = source.Listing{Partial: true}
	b.script.untaged = true
	b.script.links = map[string][]string{"test:start": {"test:one"}, "test:one": {"test:two"}}
	b.script.hidden = map[string]bool{"test:one": true}
	o := b.owner()
	b.look(o)
	if got := b.index(); got["test:one"] != "" || got["test:two"] == "" {
		t.Errorf("published %v, want all but the hidden page", got)
	}
	if !slices.Contains(o.state.Notes, "test:one asks not to be indexed") {
		t.Errorf("the notes are %q", o.state.Notes)
	}
	b.script.hidden["test:two"] = true
	b.script.docs["test:two"] = "asks no more"
	b.look(o)
	if r := b.requests()["test:two"]; r.Op != tributary.OpDelete {
		t.Errorf("a page that was published and now asks not to be is left with %q", r.Op)
	}
}

func TestAFullSyncPublishesEverythingAgainInBulk(t *testing.T) {
	b := newBed(t, newScript("test:a"))
	o := b.owner()
	b.look(o)
	first := b.requests()["test:a"].Version
	_, err := b.sources.change(t.Context(), "kb", "docs", func(o *order) { o.Sync++; o.Full++ })
	if err != nil {
		t.Fatal(err)
	}
	b.look(o)
	if r := b.requests()["test:a"]; r.Version <= first || r.Lane != tributary.LaneBulk {
		t.Errorf("version %d after %d, lane %q", r.Version, first, r.Lane)
	}
}

// As with metadata, which every document carries.
func TestASourceThatIsDescribedAnewIsLoadedInBulk(t *testing.T) {
	b := newBed(t, newScript("test:a"))
	o := b.owner()
	b.look(o)
	b.add(tributary.Source{Name: "docs", Kind: tributary.SourceFolder, Location: "/docs",
		Options: tributary.SourceOptions{Metadata: map[string]string{"team": "docs"}}})
	b.look(o)
	if r := b.requests()["test:a"]; r.Lane != tributary.LaneBulk || r.Metadata["team"] != "docs" {
		t.Errorf("lane %q, metadata %v, want the new description on the bulk lane", r.Lane, r.Metadata)
	}
	b.script.docs["test:a"] = "second"
	b.look(o)
	if r := b.requests()["test:a"]; r.Lane != tributary.LaneLive {
		t.Errorf("a change after that is on lane %q", r.Lane)
	}
}

func TestWhatIsBeyondTheLimitIsLeftOutAndNoted(t *testing.T) {
	b := newBed(t, newScript(uris(5)...))
	b.add(tributary.Source{Name: "docs", Kind: tributary.SourceFolder, Location: "/docs", Options: tributary.SourceOptions{MaxDocuments: 3}})
	b.look(b.owner())
	if st := b.status(); st.Documents != 3 || len(st.Notes) != 1 {
		t.Errorf("%d documents, notes %q", st.Documents, st.Notes)
	}
}

func TestAChangeThatIsHeardOfIsLookedAtAlone(t *testing.T) {
	b := newBed(t, newScript(uris(6)...))
	o := b.owner()
	b.look(o)
	loads := b.script.loads
	b.script.docs["test:01"] = "second"
	delete(b.script.docs, "test:02")
	if err := o.hear(t.Context(), batch{uris: []string{"test:01", "test:02", "test:02"}}); err != nil {
		t.Fatal(err)
	}
	b.wantIndex()
	if got := b.script.loads - loads; got != 1 {
		t.Errorf("%d loads, want 1", got)
	}
}

func TestThatAnythingChangedIsNotLostAmongOtherReports(t *testing.T) {
	b := newBed(t, newScript("test:a", "test:b"))
	o := b.owner()
	b.look(o)
	b.script.docs["test:a"], b.script.docs["test:b"] = "second", "second"
	changed := make(chan report, 2)
	changed <- report{uris: []string{"test:b"}}
	changed <- report{}
	if err := o.next(t.Context(), nil, changed); err != nil {
		t.Fatal(err)
	}
	b.wantIndex()
}

func TestWhatAListingSaysHoldsWhileItIsUnchanged(t *testing.T) {
	b := newBed(t, newScript("test:a"))
	b.script.listing.Notes = []string{"left out"}
	o := b.owner()
	b.look(o)
	b.script.listing.Notes, b.script.listing.Unchanged = nil, true
	b.look(o)
	if got := b.status().Notes; !slices.Equal(got, []string{"left out"}) {
		t.Errorf("notes %q", got)
	}
	b.script.listing.Unchanged = false
	b.look(o)
	if got := b.status().Notes; len(got) != 0 {
		t.Errorf("notes %q", got)
	}
}

func TestASourceThatIsEmptiedPieceByPieceIsHeldAtTheSameShare(t *testing.T) {
	b := newBed(t, newScript(uris(8)...))
	o := b.owner()
	b.look(o)
	gone := func(uri string) {
		delete(b.script.docs, uri)
		if err := o.hear(t.Context(), batch{uris: []string{uri}}); err != nil {
			t.Fatal(err)
		}
	}
	for _, uri := range uris(4) {
		gone(uri)
	}
	b.wantIndex()
	for _, uri := range uris(6)[4:] {
		gone(uri)
	}
	if st := b.status(); st.State != tributary.SourceHeld || st.Held != 2 || len(b.index()) != 4 {
		t.Errorf("state %s, %d held, %d documents; want it held with 2 and 4 left", st.State, st.Held, len(b.index()))
	}
	if _, err := b.sources.Confirm(t.Context(), "kb", "docs"); err != nil {
		t.Fatal(err)
	}
	b.look(o)
	b.wantIndex()
	gone("test:06")
	if st := b.status(); st.State == tributary.SourceHeld {
		t.Errorf("after the confirmation one of two is held: %q", st.Reason)
	}
	b.wantIndex()
}

func TestPagesThatVanishOneAfterTheOtherAreHeldAtTheSameShare(t *testing.T) {
	b := newBed(t, newScript(append(uris(8), "test:start")...))
	b.script.listing = source.Listing{Partial: true}
	b.script.untaged = true
	b.script.links = map[string][]string{"test:start": uris(8)}
	o := b.owner()
	b.look(o)
	for _, uri := range uris(8) {
		delete(b.script.docs, uri)
		o.items[uri].Next = b.clock.Now()
		b.look(o)
	}
	if st := b.status(); st.State != tributary.SourceHeld || len(b.index()) != 5 {
		t.Errorf("state %s, %d documents; want it held with 5 of 9 left", st.State, len(b.index()))
	}
}

func TestLinksThatLeadNowhereAreNoDocumentsThatASourceLost(t *testing.T) {
	s := newScript("test:start", "test:page")
	s.listing, s.untaged = source.Listing{Partial: true}, true
	s.links = map[string][]string{"test:start": append(uris(8), "test:page")}
	b := newBed(t, s)
	b.look(b.owner())
	if st := b.status(); st.State != tributary.SourceActive || st.Documents != 2 || st.Held != 0 {
		t.Errorf("state %s (%s), %d documents, %d held; want 2 documents and nothing held", st.State, st.Reason, st.Documents, st.Held)
	}
	b.wantIndex()
}

func TestAPanicOfTheFollowerCostsOneLook(t *testing.T) {
	b := newBed(t, newScript("test:a"))
	o := b.owner()
	o.follower = panics{b.script}
	b.look(o)
	if st := b.status(); st.Failing != 1 {
		t.Errorf("%d failing, want 1", st.Failing)
	}
}

type panics struct{ *script }

func (panics) Load(context.Context, source.Item, source.Known) (source.Loaded, error) { panic("a bug") }

// Ends the owner after each step that it takes, one after the other: whoever
// takes over brings the requests to what the source holds.
func TestACrashBetweenAnyTwoStepsSkipsNothing(t *testing.T) {
	for n, ended := 1, false; !ended; n++ {
		t.Run(fmt.Sprint("after step ", n), func(t *testing.T) {
			b := newBed(t, newScript(uris(4)...))
			b.runner.Concurrency = 1
			steps := 0
			b.runner.crash = func(what string) error {
				if steps++; steps == n {
					return fmt.Errorf("crash after %s: %w", what, errAbandon)
				}
				return nil
			}
			crashed := b.life() != nil
			b.runner.crash = nil
			if !crashed {
				ended = true
			}
			o := b.owner()
			b.script.docs["test:00"], b.script.docs["test:01"] = "third", "second"
			delete(b.script.docs, "test:02")
			b.look(o)
			b.wantIndex()
			if st := b.status(); !st.Loaded || st.Documents != len(b.script.docs) {
				t.Errorf("loaded: %t, %d documents, want %d", st.Loaded, st.Documents, len(b.script.docs))
			}
		})
		if n > 500 {
			t.Fatal("the owner takes no end of steps")
		}
	}
}

// life loads a source and follows two changes of it.
func (b *bed) life() error {
	o := b.owner()
	if err := b.tryLook(o); err != nil {
		return err
	}
	b.script.docs["test:00"] = "second"
	delete(b.script.docs, "test:02")
	if err := b.tryLook(o); err != nil {
		return err
	}
	b.script.docs["test:00"] = "first test:00" // as it was
	return b.tryLook(o)
}

// The old owner wakes up between its load and its publishing, when a new one
// has published something newer already.
func TestAStalledOwnerPublishesNothingOverNewerContent(t *testing.T) {
	b := newBed(t, newScript("test:a"))
	old := b.owner()
	b.script.docs["test:a"] = "old"
	b.runner.crash = func(what string) error {
		if what != "loaded" {
			return nil
		}
		b.runner.crash = nil
		b.script.docs["test:a"] = "new"
		b.look(b.owner())
		return nil // the old owner goes on
	}
	if err := b.tryLook(old); !errors.Is(err, errFenced) {
		t.Errorf("the old owner ended with %v, want %v", err, errFenced)
	}
	b.wantIndex()
	if err := old.pen.remember(t.Context(), stateToken, state{}); !errors.Is(err, errFenced) {
		t.Errorf("the old owner's state was stored: %v", err)
	}
}

func TestTheIntervalFollowsTheChanges(t *testing.T) {
	tests := []struct {
		name     string
		every    int // looks between changes; 0 never
		min, max time.Duration
	}{
		{"each look", 1, time.Minute, 2 * time.Minute},
		{"never", 0, 24 * time.Hour, 24 * time.Hour},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			var r rate
			d := time.Minute
			for i := range 60 {
				r.saw(tt.every > 0 && i%tt.every == 0, d)
				d = r.interval(time.Minute, 24*time.Hour)
			}
			if d < tt.min || d > tt.max {
				t.Errorf("interval %v, want %v to %v", d, tt.min, tt.max)
			}
		})
	}
}

// Looks at single pages in between do not count: they would make a listing
// that changes once an hour look like one that changes every minute.
func TestTheIntervalOfAListingIsLearnedFromListings(t *testing.T) {
	s := newScript("test:00")
	s.listing, s.untaged = source.Listing{}, true
	b := newBed(t, s)
	o := b.owner()
	b.look(o)
	for range 3 {
		o.state.Next = b.clock.Now().Add(time.Hour)
		b.clock.advance(59 * time.Minute)
		if err := o.look(t.Context()); err != nil {
			t.Fatal(err)
		}
		b.clock.advance(time.Minute)
		s.docs["test:00"] += " changed"
		if err := o.look(t.Context()); err != nil {
			t.Fatal(err)
		}
	}
	if r := o.state.Rate; r.T/r.N < 3500 {
		t.Errorf("listings were %.0f s apart, as far as the rate knows; want 3600", r.T/r.N)
	}
}

// A watched script tells of changes by itself.
type watchedScript struct{ *script }

func (watchedScript) Watch(ctx context.Context, _ func(uris ...string)) error {
	<-ctx.Done()
	return nil
}

func TestTheIntervalThatIsShownEndsAtTheNextLook(t *testing.T) {
	b := newBed(t, newScript("test:a"))
	o := b.owner()
	for _, tt := range []struct {
		name     string
		follower source.Follower
		every    float64
		want     time.Duration
	}{
		{"learned", b.script, 0, o.MinInterval},
		{"of a source that tells of changes", watchedScript{b.script}, 0, o.Reconcile},
		{"fixed", b.script, 90, 90 * time.Second},
	} {
		b.add(tributary.Source{Name: "docs", Kind: tributary.SourceFolder, Location: "/docs", Options: tributary.SourceOptions{EveryS: tt.every}})
		o.follower = tt.follower
		b.look(o)
		st := b.status()
		if got := st.NextLook.Sub(b.clock.Now()); got != tt.want || st.IntervalS != tt.want.Seconds() {
			t.Errorf("%s: next look in %v, interval %v s, want %v", tt.name, got, st.IntervalS, tt.want)
		}
	}
}

func TestBackoffGrowsToItsCeiling(t *testing.T) {
	if d := backoff(1, time.Minute, time.Hour); d > time.Minute || d < 45*time.Second {
		t.Errorf("first %v", d)
	}
	if d := backoff(100, time.Minute, time.Hour); d > time.Hour || d < 45*time.Minute {
		t.Errorf("hundredth %v", d)
	}
}

func TestASyncWaitsForAListingNotForAChangeThatIsHeardOf(t *testing.T) {
	b := newBed(t, newScript(uris(6)...))
	o := b.owner()
	b.look(o)
	o.order.Sync++
	b.script.docs["test:01"] = "second"
	if err := o.hear(t.Context(), batch{uris: []string{"test:01"}}); err != nil {
		t.Fatal(err)
	}
	if o.state.Sync == o.order.Sync {
		t.Error("the sync counts as done")
	}
	if err := o.look(t.Context()); err != nil {
		t.Fatal(err)
	}
	if o.state.Sync != o.order.Sync {
		t.Error("the listing does not count as the sync")
	}
}
