package follow

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/tributary-kb/tributary"
	"github.com/tributary-kb/tributary/ingest/source"
)

// A book is a script whose listing comes in pages.
type book struct {
	*script
	size  int
	asked []string // for the pages after these
	// turn is called before a page is listed, if it is set.
	turn func(ctx context.Context, after string) error
}

func (s *book) Page(ctx context.Context, after string, yield func(source.Item) error) (source.Listing, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.asked = append(s.asked, after)
	if s.turn != nil {
		if err := s.turn(ctx, after); err != nil {
			return source.Listing{}, err
		}
	}
	if s.listErr != nil {
		return source.Listing{}, s.listErr
	}
	count := 0
	for _, uri := range slices.Sorted(maps.Keys(s.docs)) {
		if uri <= after {
			continue
		}
		if err := yield(s.item(uri)); err != nil {
			return source.Listing{}, err
		}
		if count++; count == s.size {
			return source.Listing{Authoritative: true, Through: uri, Notes: []string{"seen " + uri}}, nil
		}
	}
	return source.Listing{Authoritative: true}, nil
}

func (s *book) Place(uri string) string { return uri }

// newBook makes a source of n documents that lists this many at once.
func newBook(t *testing.T, n, size int) (*bed, *book) {
	t.Helper()
	b := newBedOf(t, newScript(uris(n)...), notified())
	p := &book{script: b.script, size: size}
	b.runner.New = func(string, tributary.Source) (source.Follower, error) { return p, nil }
	return b, p
}

// reader is an owner that takes the source over.
func (b *bed) reader(p *book) *owner {
	b.Helper()
	o := b.owner()
	o.follower = p
	return o
}

// pass looks until a listing is complete.
func (b *bed) pass(o *owner) {
	b.Helper()
	for b.look(o); o.state.Pass != nil; b.look(o) {
	}
}

// askSync asks for a look, and does not wait for it.
func (b *bed) askSync() {
	b.Helper()
	if _, err := b.sources.change(b.Context(), "kb", "docs", func(o *order) { o.Sync++ }); err != nil {
		b.Fatal(err)
	}
}

func TestAListingIsGoneOnWithByTheNextOwner(t *testing.T) {
	b, p := newBook(t, 10, 4)
	o := b.reader(p)
	b.look(o)
	if got := b.index(); len(got) != 4 || o.state.Loaded || b.status().Documents != 4 {
		t.Fatalf("one page has %d documents, status %+v", len(got), b.status())
	}
	b.look(b.reader(p))
	b.look(b.reader(p))
	b.wantIndex()
	if want := []string{"", "test:03", "test:07"}; !slices.Equal(p.asked, want) {
		t.Errorf("pages after %q, want %q", p.asked, want)
	}
	if p.loads != 10 {
		t.Errorf("%d loads of 10 documents", p.loads)
	}
	if st := b.status(); !st.Loaded || st.Documents != 10 || !slices.Equal(st.Notes, []string{"seen test:03", "seen test:07"}) {
		t.Errorf("status %+v", st)
	}
}

func TestAWorkerThatIsKilledInTheMiddleOfAListing(t *testing.T) {
	b, p := newBook(t, 12, 4)
	reached := make(chan struct{})
	p.turn = func(ctx context.Context, after string) error {
		if after != "test:07" {
			return nil
		}
		p.turn = nil
		close(reached)
		<-ctx.Done()
		return ctx.Err()
	}
	stop := b.runs("worker-1")
	<-reached
	stop()
	defer b.runs("worker-2")()
	b.awaitState(func(s state) bool { return s.Loaded })
	b.wantIndex()
	p.mu.Lock()
	defer p.mu.Unlock()
	if want := []string{"", "test:03", "test:07", "test:07", "test:11"}; !slices.Equal(p.asked[:5], want) || p.loads != 12 {
		t.Errorf("pages after %q, want %q; %d loads of 12 documents", p.asked, want, p.loads)
	}
}

// What is gone in every part of the listing is deleted at its end, whoever read
// which page; and what was put back meanwhile is not.
func TestWhatNoPageHasIsDeletedAfterTheLast(t *testing.T) {
	b, p := newBook(t, 12, 4)
	b.pass(b.reader(p))
	for _, uri := range []string{"test:01", "test:02", "test:06", "test:11"} {
		b.script.set(uri, "")
	}
	b.look(b.reader(p))
	b.look(b.reader(p))
	if got := b.index(); len(got) != 12 {
		t.Errorf("%d documents before the last page, want all", len(got))
	}
	b.script.set("test:02", "back again")
	last := b.reader(p)
	b.pass(last)
	b.wantIndex()
	if got := b.status().Documents; got != 9 {
		t.Errorf("%d documents, want 9", got)
	}
	before, loads := itemsSeq(b), p.loads
	b.pass(last)
	if got := itemsSeq(b) - before; got != 3 || p.loads != loads {
		t.Errorf("%d values were written and %d items loaded for nothing new, want the state after each of 3 pages", got, p.loads-loads)
	}
}

func TestASourceThatShrinksFromPageToPageIsHeld(t *testing.T) {
	b, p := newBook(t, 12, 3)
	b.pass(b.reader(p))
	all := b.index()
	for _, uri := range uris(10) {
		b.script.set(uri, "")
	}
	b.look(b.reader(p))
	o := b.reader(p)
	b.pass(o)
	if st := b.status(); st.State != tributary.SourceHeld || st.Held != 10 || len(b.index()) != len(all) {
		t.Fatalf("state %s with %d held, %d documents", st.State, st.Held, len(b.index()))
	}
	// An event changes what it is about, and neither settles nor lists the rest.
	asked := len(p.asked)
	b.script.set("test:10", "edited")
	if err := o.hear(t.Context(), batch{uris: []string{"test:10", "test:01"}}); err != nil {
		t.Fatal(err)
	}
	if got := b.index(); got["test:10"] != "edited" || got["test:01"] == "" || len(p.asked) != asked {
		t.Errorf("after an event %v, %d pages", got, len(p.asked)-asked)
	}
	if st := b.status(); st.State != tributary.SourceHeld || st.Held != 10 {
		t.Errorf("state %s with %d held after an event", st.State, st.Held)
	}
	if _, err := b.sources.Confirm(t.Context(), "kb", "docs"); err != nil {
		t.Fatal(err)
	}
	b.pass(o)
	b.wantIndex()
}

func TestAnEventDoesNotWaitForTheEndOfAListing(t *testing.T) {
	b, p := newBook(t, 10, 4)
	o := b.reader(p)
	b.look(o)
	b.script.set("test:00", "edited behind it")
	b.script.set("test:09", "edited before it")
	b.script.set("test:01", "")
	if err := o.hear(t.Context(), batch{uris: []string{"test:00", "test:01", "test:09"}}); err != nil {
		t.Fatal(err)
	}
	got := b.requests()
	if r := got["test:00"]; string(r.Content) != "edited behind it" || r.Lane != tributary.LaneLive || got["test:01"].Op != tributary.OpDelete || got["test:09"].Lane != tributary.LaneLive {
		t.Errorf("requests %v", got)
	}
	if got["test:02"].Lane != tributary.LaneBulk || len(p.asked) != 1 {
		t.Errorf("lane %q, %d pages", got["test:02"].Lane, len(p.asked))
	}
	// That anything may have changed is found by the next listing.
	b.script.set("test:02", "of this nobody told")
	if err := o.hear(t.Context(), batch{anything: true}); err != nil {
		t.Fatal(err)
	}
	b.pass(o)
	if due, _ := o.due(); due.After(b.clock.Now()) {
		t.Errorf("the next listing is due in %v", due.Sub(b.clock.Now()))
	}
	b.pass(o)
	b.wantIndex()
}

func TestASyncIsDoneWithAListingThatBeganAfterIt(t *testing.T) {
	b, p := newBook(t, 10, 4)
	o := b.reader(p)
	b.look(o)
	began := o.state.Pass.Began
	b.script.set("test:00", "edited behind it")
	b.askSync()
	b.clock.advance(time.Minute)
	b.look(o)
	b.look(o)
	if o.state.Pass != nil || o.state.Sync != 0 || !o.state.Verified.Equal(began) {
		t.Fatalf("sync %d after the listing that was under way, verified %v, want %v", o.state.Sync, o.state.Verified, began)
	}
	b.pass(o)
	if b.wantIndex(); o.state.Sync != 1 {
		t.Errorf("sync %d", o.state.Sync)
	}
	// A page that fails answers a sync, and is asked for again.
	b.look(o)
	p.listErr = errors.New("away")
	b.askSync()
	b.look(o)
	if st := b.status(); st.State != tributary.SourceFailing || o.state.Sync != 2 {
		t.Errorf("state %s, sync %d", st.State, o.state.Sync)
	}
	p.listErr, p.asked = nil, nil
	b.pass(o)
	if want := []string{"test:03", "test:07"}; !slices.Equal(p.asked, want) {
		t.Errorf("pages after %q, want %q", p.asked, want)
	}
}

func TestAChangedDescriptionBeginsTheListingAnew(t *testing.T) {
	b, p := newBook(t, 10, 4)
	o := b.reader(p)
	b.look(o)
	s := notified()
	s.Options.Metadata = map[string]string{"team": "a"}
	b.add(s)
	b.pass(o)
	if want := []string{"", "", "test:03", "test:07"}; !slices.Equal(p.asked, want) {
		t.Errorf("pages after %q, want %q", p.asked, want)
	}
	if r := b.requests()["test:00"]; r.Metadata["team"] != "a" {
		t.Errorf("metadata %v", r.Metadata)
	}
}

func TestPagesBringNoMoreDocumentsThanAllowed(t *testing.T) {
	b, p := newBook(t, 10, 4)
	s := notified()
	s.Options.MaxDocuments = 5
	b.add(s)
	o := b.reader(p)
	b.pass(o)
	if st := b.status(); st.Documents != 5 || !strings.HasPrefix(st.Notes[len(st.Notes)-1], "5 documents were left out, the limit is 5 (max_documents") {
		t.Errorf("status %+v", st)
	}
	b.script.set("test:00", "")
	b.pass(o)
	b.pass(o)
	if got := b.index(); len(got) != 5 || got["test:00"] != "" || got["test:05"] == "" {
		t.Errorf("documents %v", slices.Sorted(maps.Keys(got)))
	}
}

// Owners die at any step of a listing while documents come, change and go, and
// some of that is told. In the end the index is what the source has.
func TestOwnersThatDieInTheMiddleOfListings(t *testing.T) {
	b, p := newBook(t, 20, 3)
	b.runner.Concurrency = 1
	random := rand.New(rand.NewPCG(1, 2))
	died := 0
	for range 40 {
		o := b.reader(p)
		left := random.IntN(40)
		b.runner.crash = func(string) error {
			if left--; left < 0 {
				return fmt.Errorf("died: %w", errAbandon)
			}
			return nil
		}
		var err error
		for range 4 {
			uri := fmt.Sprintf("test:%02d", random.IntN(25))
			b.script.set(uri, fmt.Sprint("version ", random.IntN(1000)))
			if random.IntN(3) == 0 {
				b.script.set(uri, "")
			}
			if err = b.tryLook(o); err == nil && random.IntN(2) == 0 {
				err = o.hear(t.Context(), batch{uris: []string{uri}})
			}
			if err != nil {
				break
			}
		}
		if err != nil {
			if !errors.Is(err, errAbandon) {
				t.Fatal(err)
			}
			died++
		}
	}
	b.runner.crash = nil
	o := b.reader(p)
	b.pass(o)
	b.pass(o)
	b.wantIndex()
	if died < 10 {
		t.Errorf("only %d owners died", died)
	}
}
