package follow

import (
	"context"
	"errors"
	"maps"
	"slices"
	"testing"
	"time"

	"github.com/nats-io/nats.go/jetstream"

	"github.com/tributary-kb/tributary"
	"github.com/tributary-kb/tributary/ingest/source"
)

// runs starts a worker on a bed with the system's clock.
func (b *bed) runs(id string) (stop func()) {
	b.Helper()
	ctx, cancel := context.WithCancel(b.Context())
	r := &Runner{Config: Config{LeaseTTL: time.Second}, Store: b.memory, NC: b.runner.NC, Blobs: b.blobs,
		Stage: b.runner.Stage, ID: id, Host: b.runner.Host, Log: b.runner.Log, New: b.runner.New, Metrics: b.runner.Metrics}
	done := make(chan error, 1)
	go func() { done <- r.Run(ctx) }()
	stop = func() {
		cancel()
		if err, open := <-done; open && err != nil {
			b.Error(err)
		}
		close(done)
	}
	return stop
}

// awaitState waits until what is remembered of the source is as wanted.
func (b *bed) awaitState(want func(state) bool) {
	b.Helper()
	w, err := b.memory.items.Watch(b.Context(), "kb.docs."+stateToken, jetstream.IgnoreDeletes())
	if err != nil {
		b.Fatal(err)
	}
	defer func() { _ = w.Stop() }()
	for entry := range w.Updates() {
		var st state
		if entry == nil {
			continue
		}
		if err := decode(entry, &st); err != nil {
			b.Fatal(err)
		}
		if want(st) {
			return
		}
	}
}

func TestARunnerFollowsWhatIsAddedAndForgetsWhatIsRemoved(t *testing.T) {
	b := newBed(t, newScript(uris(3)...))
	stop := b.runs("worker-1")
	defer stop()
	st, err := b.sources.Sync(t.Context(), "kb", "docs", false)
	if err != nil {
		t.Fatal(err)
	}
	if st.State != tributary.SourceActive || st.Documents != 3 || st.Owner != "worker-1" {
		t.Errorf("status %+v", st)
	}
	b.wantIndex()
	w, err := b.memory.orders.Watch(t.Context(), "kb.docs", jetstream.UpdatesOnly())
	if err != nil {
		t.Fatal(err)
	}
	if _, err := b.sources.Remove(t.Context(), "kb", "docs", true); err != nil {
		t.Fatal(err)
	}
	for entry := range w.Updates() {
		if entry.Operation() != jetstream.KeyValuePut {
			break
		}
	}
	if got := b.index(); len(got) != 0 {
		t.Errorf("%d documents are left", len(got))
	}
	if _, err := b.sources.Get(t.Context(), "kb", "docs"); tributary.CodeOf(err) != tributary.CodeNotFound {
		t.Errorf("the source is there: %v", err)
	}
}

// A worker that dies leaves a lease that runs out.
func TestASourceOfADeadWorkerIsTakenOver(t *testing.T) {
	b := newBed(t, newScript(uris(3)...))
	if _, err := b.memory.acquire(t.Context(), "kb.docs", "dead", 2*time.Second); err != nil {
		t.Fatal(err)
	}
	stop := b.runs("worker-2")
	defer stop()
	b.awaitState(func(s state) bool { return s.Loaded })
	b.wantIndex()
	if got := b.status().Owner; got != "worker-2" {
		t.Errorf("owner %q", got)
	}
}

func TestALeaseIsHeldByOneAndGivenBack(t *testing.T) {
	b := newBed(t, newScript())
	l, err := b.memory.acquire(t.Context(), "kb.docs", "a", time.Minute)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := b.memory.acquire(t.Context(), "kb.docs", "b", time.Minute); err == nil {
		t.Error("two hold the lease")
	}
	if err := l.renew(t.Context()); err != nil {
		t.Error(err)
	}
	l.release(t.Context())
	if err := b.memory.free(t.Context(), "kb.docs"); err != nil {
		t.Error(err)
	}
	if _, err := b.memory.acquire(t.Context(), "kb.docs", "b", time.Minute); err != nil {
		t.Error(err)
	}
}

func TestAPausedSourceIsNotLookedAt(t *testing.T) {
	b := newBed(t, newScript("test:a"))
	if _, err := b.sources.Pause(t.Context(), "kb", "docs"); err != nil {
		t.Fatal(err)
	}
	o := b.owner()
	if _, due := o.due(); due {
		t.Error("a paused source is due")
	}
	if _, err := b.sources.Sync(t.Context(), "kb", "docs", false); tributary.CodeOf(err) != tributary.CodeInvalid {
		t.Errorf("sync of a paused source: %v", err)
	}
	if st, err := b.sources.Resume(t.Context(), "kb", "docs"); err != nil || st.State != tributary.SourceActive {
		t.Errorf("state %s, %v", st.State, err)
	}
}

func TestADocumentThatAnotherSourceHasStaysWhenASourceIsRemoved(t *testing.T) {
	b := newBed(t, newScript("test:a", "test:b"))
	b.look(b.owner())
	feed := tributary.Source{Name: "feed", Kind: tributary.SourceFolder, Location: "/feed"}
	b.add(feed)
	other, err := b.runner.newOwner(t.Context(), "kb", "feed")
	if err != nil {
		t.Fatal(err)
	}
	other.follower = newScript("test:b", "test:c")
	if err := other.look(t.Context()); err != nil {
		t.Fatal(err)
	}
	other.order.Purge = true
	other.order.Removing = true
	if err := other.remove(t.Context()); !errors.Is(err, errRemoved) {
		t.Fatal(err)
	}
	if got := slices.Sorted(maps.Keys(b.index())); !slices.Equal(got, []string{"test:a", "test:b"}) {
		t.Errorf("left are %q, want the documents of the other source", got)
	}
	for _, name := range []string{"docs", "feed"} { // when both go, so does it
		feed.Name = name
		b.add(feed)
		if _, err := b.sources.Remove(t.Context(), "kb", name, true); err != nil {
			t.Fatal(err)
		}
	}
	if err := b.owner().remove(t.Context()); !errors.Is(err, errRemoved) {
		t.Fatal(err)
	}
	if got := b.index(); len(got) > 0 {
		t.Errorf("left are %v, want nothing", got)
	}
}

// A deafScript hears of something the second time only.
type deafScript struct {
	*script
	times *int
}

func (s deafScript) Watch(ctx context.Context, changed func(...string)) error {
	if *s.times++; *s.times == 1 {
		return errors.New("the folder was removed or renamed")
	}
	changed()
	<-ctx.Done()
	return ctx.Err()
}

func TestChangesAreHeardOfAgainAfterAWatchHasEnded(t *testing.T) {
	b := newBed(t, newScript("test:a"))
	b.runner.Reconcile = 0
	o, changed, times := b.owner(), make(chan report), 0
	stop := beside(t.Context(), func(ctx context.Context) { o.watch(ctx, deafScript{b.script, &times}, changed) })
	defer stop()
	if r := <-changed; len(r.uris) > 0 {
		t.Errorf("report of %q, want that anything may have changed meanwhile", r.uris)
	}
}

func TestASourceThatIsBeingRemovedCannotBeAdded(t *testing.T) {
	b := newBed(t, newScript("test:a"))
	if _, err := b.sources.Remove(t.Context(), "kb", "docs", true); err != nil {
		t.Fatal(err)
	}
	_, err := b.sources.Add(t.Context(), "kb", tributary.Source{Name: "docs", Kind: tributary.SourceFolder, Location: "/docs"})
	if tributary.CodeOf(err) != tributary.CodeUnavailable {
		t.Errorf("error %v, want that it cannot be added yet: it would be removed", err)
	}
}

// A stuckScript loads nothing before it may.
type stuckScript struct {
	*script
	loading, ended, may chan struct{}
}

func (s stuckScript) Load(ctx context.Context, it source.Item, known source.Known) (source.Loaded, error) {
	s.loading <- struct{}{}
	select {
	case <-s.may:
		return s.script.Load(ctx, it, known)
	case <-ctx.Done():
		s.ended <- struct{}{}
		return source.Loaded{}, ctx.Err()
	}
}

// A crawl may take hours.
func TestALookEndsWhenTheSourceIsPausedOrRemoved(t *testing.T) {
	b := newBed(t, newScript("test:a"))
	s := stuckScript{b.script, make(chan struct{}), make(chan struct{}), make(chan struct{})}
	b.runner.New = func(string, tributary.Source) (source.Follower, error) { return s, nil }
	stop := b.runs("worker-1")
	defer stop()
	<-s.loading
	if _, err := b.sources.Pause(t.Context(), "kb", "docs"); err != nil {
		t.Fatal(err)
	}
	<-s.ended
	if _, err := b.sources.Resume(t.Context(), "kb", "docs"); err != nil {
		t.Fatal(err)
	}
	<-s.loading
	s.may <- struct{}{}
	b.awaitState(func(s state) bool { return s.Loaded })
	b.wantIndex()
	if _, err := b.sources.change(t.Context(), "kb", "docs", func(o *order) { o.Full++ }); err != nil {
		t.Fatal(err)
	}
	<-s.loading
	w, err := b.memory.orders.Watch(t.Context(), "kb.docs", jetstream.UpdatesOnly())
	if err != nil {
		t.Fatal(err)
	}
	if _, err := b.sources.Remove(t.Context(), "kb", "docs", true); err != nil {
		t.Fatal(err)
	}
	<-s.ended
	for entry := range w.Updates() {
		if entry.Operation() != jetstream.KeyValuePut {
			break
		}
	}
	if got := b.index(); len(got) != 0 {
		t.Errorf("%d documents are left", len(got))
	}
}

func TestASourceGoesToTheMachineThatItIsMovedTo(t *testing.T) {
	b := newBed(t, newScript("test:a"))
	stop := b.runs("old") // on a machine without a name
	defer stop()
	b.awaitState(func(s state) bool { return s.Loaded })
	b.runner.Host = "machine-2"
	defer b.runs("new")()
	b.add(tributary.Source{Name: "docs", Kind: tributary.SourceFolder, Location: "/docs", Options: tributary.SourceOptions{Host: "machine-2"}})
	w, err := b.memory.leases.Watch(t.Context(), "kb.docs")
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = w.Stop() }()
	for entry := range w.Updates() {
		if entry != nil && string(entry.Value()) == "new" {
			break
		}
	}
}

func TestTheSameAgainChangesNothing(t *testing.T) {
	b := newBed(t, newScript("test:a"))
	before, err := b.memory.order(t.Context(), "kb", "docs")
	if err != nil {
		t.Fatal(err)
	}
	b.add(before.Source)
	after, err := b.memory.order(t.Context(), "kb", "docs")
	if err != nil || after.rev != before.rev {
		t.Errorf("revision %d after %d, %v", after.rev, before.rev, err)
	}
}

func TestFencesAreNobodysWork(t *testing.T) {
	b := newBed(t, newScript())
	b.owner()
	for _, lane := range tributary.Lanes {
		c, err := b.js.Consumer(t.Context(), "tributary-ingest", "ingest-"+string(lane))
		if err != nil {
			t.Fatal(err)
		}
		if n := c.CachedInfo().NumPending; n != 0 {
			t.Errorf("%d messages wait in lane %s", n, lane)
		}
	}
}
