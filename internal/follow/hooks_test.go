package follow

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"sync"
	"testing"
	"time"

	"github.com/nats-io/nats.go/jetstream"
	"github.com/prometheus/client_golang/prometheus"

	"github.com/tributary-kb/tributary"
	"github.com/tributary-kb/tributary/internal/push"
	"github.com/tributary-kb/tributary/internal/testenv"
)

func webhook() tributary.Source {
	return tributary.Source{Name: "docs", Kind: tributary.SourceWebhook, Options: tributary.SourceOptions{SecretEnv: "DOCS_SECRET", Language: "en"}}
}

// hooks is another worker that takes requests.
func (b *bed) hooks() *Hooks {
	return &Hooks{Config: b.sources.Config, Store: b.memory, Blobs: b.blobs, Stage: "ingest", Metrics: b.runner.Metrics}
}

func putChange(uri, text string) push.Change {
	return push.Change{URI: uri, Op: tributary.OpPut, Content: []byte(text)}
}

func deletion(uri string) push.Change { return push.Change{URI: uri, Op: tributary.OpDelete} }

// send publishes one change through a worker, and returns its version.
func (b *bed) send(h *Hooks, id string, c push.Change) uint64 {
	b.Helper()
	receipts, err := h.Publish(b.Context(), "kb", "docs", id, []push.Change{c})
	if err != nil {
		b.Fatal(err)
	}
	if r := receipts[0]; r.URI != c.URI || r.Document != tributary.DocumentID("kb", c.URI) || r.Version == 0 {
		b.Errorf("receipt %+v", r)
	}
	return receipts[0].Version
}

func TestDocumentsOfAWebhookComeChangeAndGo(t *testing.T) {
	b := newBedOf(t, nil, webhook())
	one, two := b.hooks(), b.hooks()
	b.send(one, "", putChange("test:a", "before anybody looks after the source"))
	defer b.runs("worker-1")()
	b.awaitState(func(s state) bool { return s.Documents == 1 })
	b.send(one, "", putChange("test:b", "b"))
	b.send(two, "", putChange("test:a", "after"))
	b.want(map[string]string{"test:a": "after", "test:b": "b"})
	if r := b.requests()["test:b"]; r.Source != "docs" || r.Language != "en" || r.Lane != tributary.LaneLive {
		t.Errorf("request %+v", r)
	}
	b.send(two, "", deletion("test:b"))
	b.send(two, "", deletion("test:never"))
	b.awaitState(func(s state) bool { return s.Documents == 1 && !s.Success.IsZero() })
	b.want(map[string]string{"test:a": "after"})
	two.Refused(t.Context(), "kb", "docs", "the signature is not one")
	two.Refused(t.Context(), "kb", "docs", "and at once another")
	b.awaitState(func(s state) bool { return len(s.Errors) == 1 })
	if st := b.status(); st.State != tributary.SourceActive || st.Documents != 1 || st.Failing != 1 || st.Owner != "worker-1" || len(st.Notes) != 1 {
		t.Errorf("status %+v", st)
	}
	b.sync()
	b.removed()
	b.want(map[string]string{})
	if _, err := one.Publish(t.Context(), "kb", "docs", "", []push.Change{putChange("test:a", "late")}); tributary.CodeOf(err) != tributary.CodeNotFound {
		t.Errorf("a source that was removed takes documents: %v", err)
	}
	b.want(map[string]string{})
}

func TestHowLongAWebhooksChangesTakeIsTimedFromTheirAcceptance(t *testing.T) {
	b := newBedOf(t, nil, webhook())
	defer b.runs("worker-1")()
	b.awaitState(func(s state) bool { return s.Loaded })
	accepted := time.Now()
	for _, source := range []string{"docs", "docs", "docs", "others"} {
		data, err := json.Marshal(tributary.Commit{KB: "kb", Source: source, Version: 1, Accepted: accepted, Committed: accepted.Add(250 * time.Millisecond)})
		if err != nil {
			t.Fatal(err)
		}
		if err := b.runner.NC.Publish("tributary.kb.events."+tributary.DocumentID("kb", "test:a"), data); err != nil {
			t.Fatal(err)
		}
		accepted = accepted.Add(-time.Hour)
	}
	testenv.Eventually(t, t.Context(), func() error {
		if n := b.timed()["docs"]; n != 3 {
			return fmt.Errorf("%d changes were timed, want 3", n)
		}
		return nil
	})
	b.send(b.hooks(), "", putChange("test:a", "so that the state is stored"))
	b.awaitState(func(s state) bool { return s.Documents == 1 })
	if p50, p99 := b.status().SearchableP50, b.status().SearchableP99; p50 != 0.25 || p99 != 0.25 {
		t.Errorf("changes took %v and %v seconds, want 0.25", p50, p99)
	}
	if n := b.timed()["others"]; n != 0 {
		t.Errorf("%d changes of nobody's source are timed", n)
	}
}

// timed returns how many changes were timed, by source.
func (b *bed) timed() map[string]uint64 {
	b.Helper()
	reg := prometheus.NewRegistry()
	reg.MustRegister(b.runner.Metrics.searchable)
	families, err := reg.Gather()
	if err != nil {
		b.Fatal(err)
	}
	timed := map[string]uint64{}
	for _, f := range families {
		for _, m := range f.GetMetric() {
			for _, l := range m.GetLabel() {
				if l.GetName() == "source" {
					timed[l.GetValue()] = m.GetHistogram().GetSampleCount()
				}
			}
		}
	}
	return timed
}

func TestARequestThatComesAgainIsNoSecondVersion(t *testing.T) {
	b := newBedOf(t, nil, webhook())
	one, two := b.hooks(), b.hooks()
	first := b.send(one, "msg_1", putChange("test:a", "old"))
	b.send(one, "msg_2", putChange("test:a", "new"))
	// Replayed, after whatever time the server forgets the ids of messages.
	if again := b.send(two, "msg_1", putChange("test:a", "old")); again != first {
		t.Errorf("version %d, want that of the first time, %d", again, first)
	}
	b.want(map[string]string{"test:a": "new"})
	var wg sync.WaitGroup
	versions := make([]uint64, 8)
	for i := range versions {
		wg.Go(func() { versions[i] = b.send([]*Hooks{one, two}[i%2], "msg_3", putChange("test:a", "newest")) })
	}
	wg.Wait()
	for _, v := range versions {
		if v != versions[0] {
			t.Fatalf("the same request at once has versions %v", versions)
		}
	}
	if got := b.requestsStored(0); got != 3 {
		t.Errorf("%d requests were stored, want 3", got)
	}
	stop := b.runs("worker-1")
	b.removed()
	stop()
	b.add(webhook())
	b.send(one, "msg_1", putChange("test:a", "old"))
	b.want(map[string]string{"test:a": "old"})
}

// A worker that dies after the request is stored and before it replies is
// asked again.
func TestARequestWhoseReplyWasLost(t *testing.T) {
	b := newBedOf(t, nil, webhook())
	h := b.hooks()
	version, err := h.publish(t.Context(), "kb", "docs", "msg_1:0", putChange("test:a", "one"))
	if err != nil {
		t.Fatal(err)
	}
	if again := b.send(b.hooks(), "msg_1", putChange("test:a", "one")); again != version {
		t.Errorf("version %d, want %d", again, version)
	}
}

func TestAWebhookThatTakesNothing(t *testing.T) {
	b := newBedOf(t, nil, webhook())
	h := b.hooks()
	if _, err := h.Find(t.Context(), "kb", "none"); tributary.CodeOf(err) != tributary.CodeNotFound {
		t.Errorf("an unknown source: %v", err)
	}
	other := subjectSource("wiki.>")
	other.Name = "wiki"
	b.add(other)
	if _, err := h.Find(t.Context(), "kb", "wiki"); tributary.CodeOf(err) != tributary.CodeNotFound {
		t.Errorf("a source of another kind: %v", err)
	}
	if _, err := b.sources.Pause(t.Context(), "kb", "docs"); err != nil {
		t.Fatal(err)
	}
	if _, err := h.Publish(t.Context(), "kb", "docs", "", []push.Change{putChange("test:a", "a")}); !errors.Is(err, push.ErrPaused) || tributary.CodeOf(err) != tributary.CodeUnavailable {
		t.Errorf("a paused source: %v", err)
	}
	b.want(map[string]string{})
}

func TestAWebhookHasNoMoreDocumentsThanItMay(t *testing.T) {
	src := webhook()
	src.Options.MaxDocuments = 1
	b := newBedOf(t, nil, src)
	defer b.runs("worker-1")()
	h := b.hooks()
	b.send(h, "", putChange("test:a", "a"))
	b.awaitState(func(s state) bool { return s.Documents == 1 })
	if _, err := h.Publish(t.Context(), "kb", "docs", "", []push.Change{putChange("test:b", "b")}); tributary.CodeOf(err) != tributary.CodeTooLarge {
		t.Errorf("one too many: %v", err)
	}
	b.send(h, "", putChange("test:a", "again"))
	b.want(map[string]string{"test:a": "again"})
}

// A request is under way while the source is removed. At whichever step it is
// overtaken, its document is either refused or removed with the others.
func TestARequestUnderWayWhileTheSourceIsRemoved(t *testing.T) {
	b := newBedOf(t, nil, webhook())
	h := b.hooks()
	p, err := h.pen(t.Context(), "kb", "docs") // the request has read the fence
	if err != nil {
		t.Fatal(err)
	}
	src, err := h.Find(t.Context(), "kb", "docs") // and that the source is there
	if err != nil {
		t.Fatal(err)
	}
	if err := h.intend(t.Context(), "kb", src, "test:a"); err != nil {
		t.Fatal(err)
	}
	if _, err := b.sources.Remove(t.Context(), "kb", "docs", true); err != nil {
		t.Fatal(err)
	}
	o, err := b.runner.newOwner(t.Context(), "kb", "docs")
	if err != nil {
		t.Fatal(err)
	}
	_, err = p.requestAs(t.Context(), "x", pushedRequest("kb", src, putChange("test:a", "late")))
	if !errors.Is(err, errFenced) {
		t.Errorf("error %v, want errFenced", err)
	}
	if o.items["test:a"] == nil || o.items["test:a"].URI == "" {
		t.Error("the worker that removes all does not know of the document")
	}
	if err := o.remove(t.Context()); !errors.Is(err, errRemoved) {
		t.Fatal(err)
	}
	b.want(map[string]string{})
}

func TestRequestsWhileTheSourceIsRemovedLeaveNothing(t *testing.T) {
	b := newBedOf(t, nil, webhook())
	defer b.runs("worker-1")()
	b.awaitState(func(s state) bool { return s.Loaded })
	var wg sync.WaitGroup
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	for w := range 4 {
		h := b.hooks()
		wg.Go(func() {
			for i := 0; ; i++ {
				_, err := h.Publish(ctx, "kb", "docs", "", []push.Change{putChange(fmt.Sprintf("test:%d-%d", w, i), "x")})
				if tributary.CodeOf(err) == tributary.CodeNotFound {
					return
				}
				if err != nil {
					t.Error(err)
					return
				}
			}
		})
	}
	b.awaitState(func(s state) bool { return s.Documents > 8 })
	b.removed()
	wg.Wait()
	b.want(map[string]string{})
	if items, err := b.memory.remembered(t.Context(), "kb", "docs"); err != nil || len(items) > 0 {
		t.Errorf("%d documents are remembered, %v", len(items), err)
	}
}

// Two changes of a document at once: what is remembered is what the later
// version says, whichever worker writes it down last.
func TestWhatIsRememberedIsTheLaterVersion(t *testing.T) {
	b := newBedOf(t, nil, webhook())
	h := b.hooks()
	put := b.send(h, "", putChange("test:a", "a"))
	gone := b.send(h, "", deletion("test:a"))
	if err := h.settle(t.Context(), "kb", "docs", putChange("test:a", "a"), put); err != nil {
		t.Fatal(err)
	}
	items, err := b.memory.remembered(t.Context(), "kb", "docs")
	if err != nil || items["test:a"] == nil || items["test:a"].URI != "" || items["test:a"].Version != gone {
		t.Errorf("%+v, %v", items["test:a"], err)
	}
	back := b.send(h, "", putChange("test:a", "back"))
	if err := h.settle(t.Context(), "kb", "docs", deletion("test:a"), gone); err != nil {
		t.Fatal(err)
	}
	items, err = b.memory.remembered(t.Context(), "kb", "docs")
	if err != nil || items["test:a"].URI != "test:a" || items["test:a"].Version != back {
		t.Errorf("%+v, %v", items["test:a"], err)
	}
	entry, err := b.memory.items.Get(t.Context(), "kb.docs."+tributary.DocumentID("kb", "test:a"))
	if err != nil || entry.Operation() != jetstream.KeyValuePut {
		t.Errorf("%v, %v", entry, err)
	}
}
