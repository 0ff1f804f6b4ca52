package follow

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"strings"
	"testing"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"

	"github.com/tributary-kb/tributary"
)

func subjectSource(location string) tributary.Source {
	return tributary.Source{Name: "docs", Kind: tributary.SourceSubject, Location: location}
}

// push publishes a message as a program of the user's does.
func (b *bed) push(subject, body string, header ...string) {
	b.Helper()
	msg := nats.NewMsg(subject)
	msg.Data = []byte(body)
	for i := 0; i+1 < len(header); i += 2 {
		msg.Header.Set(header[i], header[i+1])
	}
	if _, err := b.js.PublishMsg(b.Context(), msg); err != nil {
		b.Fatal(err)
	}
}

func text(uri, text string) string { return fmt.Sprintf(`{"uri": %q, "text": %q}`, uri, text) }

// sync waits until everything that was published is taken.
func (b *bed) sync() tributary.SourceStatus {
	b.Helper()
	st, err := b.sources.Sync(b.Context(), "kb", "docs", false)
	if err != nil {
		b.Fatal(err)
	}
	return st
}

func (b *bed) want(docs map[string]string) {
	b.Helper()
	if got := b.index(); !maps.Equal(got, docs) {
		b.Errorf("the requests come to %v, want %v", got, docs)
	}
}

// removed removes the source with its documents, and waits until it is gone.
func (b *bed) removed() {
	b.Helper()
	w, err := b.memory.orders.Watch(b.Context(), "kb.docs", jetstream.UpdatesOnly())
	if err != nil {
		b.Fatal(err)
	}
	if _, err := b.sources.Remove(b.Context(), "kb", "docs", true); err != nil {
		b.Fatal(err)
	}
	for entry := range w.Updates() {
		if entry.Operation() != jetstream.KeyValuePut {
			break
		}
	}
}

func TestDocumentsOfASubjectComeChangeAndGo(t *testing.T) {
	b := newBedOf(t, nil, tributary.Source{Name: "docs", Kind: tributary.SourceSubject, Location: "wiki.>",
		Options: tributary.SourceOptions{Language: "en", Metadata: map[string]string{"team": "a"}}})
	b.push("wiki.a", text("test:a", "before anybody follows"))
	defer b.runs("worker-1")()
	b.push("wiki.b", "<p>Hello.", "Tributary-Uri", "test:b", "Content-Type", "text/html", "Tributary-Meta-Team", "b", "Tributary-Meta-Kind", "page")
	b.push("wiki.page.c", `{"specversion": "1.0", "id": "1", "type": "page.edited", "source": "test:wiki", "subject": "c", "datacontenttype": "text/plain", "data": "See."}`)
	b.push("wiki.a", text("test:a", "after"))
	st := b.sync()
	if st.Documents != 3 || st.State != tributary.SourceActive || !st.Loaded || st.Owner != "worker-1" || st.Verified.IsZero() || st.LastSuccess.IsZero() {
		t.Errorf("status %+v", st)
	}
	b.want(map[string]string{"test:a": "after", "test:b": "<p>Hello.", "test:wiki/c": "See."})
	r := b.requests()["test:b"]
	if r.Source != "docs" || r.Language != "en" || r.Lane != tributary.LaneLive || r.ContentType != "text/html" ||
		!maps.Equal(r.Metadata, map[string]string{"team": "a", "kind": "page"}) {
		t.Errorf("request %+v", r)
	}
	if o := b.requests()["test:wiki/c"].Origin; o["event_type"] != "page.edited" {
		t.Errorf("origin %v", o)
	}
	b.push("wiki.a", `{"uri": "test:a", "deleted": true}`)
	if st := b.sync(); st.Documents != 2 {
		t.Errorf("%d documents after a deletion", st.Documents)
	}
	b.want(map[string]string{"test:b": "<p>Hello.", "test:wiki/c": "See."})
	b.removed()
	b.want(map[string]string{})
	if _, err := b.js.Stream(t.Context(), ownStream("kb", "docs")); !errors.Is(err, jetstream.ErrStreamNotFound) {
		t.Errorf("the source's stream is left: %v", err)
	}
}

func TestABadMessageIsShownAndBlocksNoOther(t *testing.T) {
	b := newBedOf(t, nil, tributary.Source{Name: "docs", Kind: tributary.SourceSubject, Location: "wiki.>", Options: tributary.SourceOptions{MaxDocuments: 2}})
	b.push("wiki.a", text("test:a", "one"))
	b.push("wiki.bad", `{"uri": "test:bad"`)
	b.push("wiki.b", text("test:b", "two"))
	b.push("wiki.c", text("test:c", "one too many"))
	b.push("wiki.a", text("test:a", "three"))
	defer b.runs("worker-1")()
	st := b.sync()
	b.want(map[string]string{"test:a": "three", "test:b": "two"})
	if st.State != tributary.SourceActive || st.Documents != 2 || st.Failing != 2 || len(st.Notes) != 2 ||
		!strings.Contains(st.Notes[0], "max_documents") || !strings.Contains(st.Notes[1], "message 2 on wiki.bad") {
		t.Errorf("status %+v", st)
	}
	b.push("wiki.b", `{"uri": "test:b", "deleted": true}`)
	b.push("wiki.c", text("test:c", "now there is room"))
	if st := b.sync(); st.Failing != 1 {
		t.Errorf("what is well now is still shown: %v", st.Notes)
	}
	b.want(map[string]string{"test:a": "three", "test:c": "now there is room"})
}

func TestAStreamOfTheUsersIsReadAndLeftAlone(t *testing.T) {
	b := newBedOf(t, nil, subjectSource("unused"))
	if _, err := b.js.CreateStream(t.Context(), jetstream.StreamConfig{Name: "WIKI", Subjects: []string{"wiki.>"}}); err != nil {
		t.Fatal(err)
	}
	b.push("wiki.a", text("test:a", "history"))
	b.push("wiki.else.b", text("test:b", "not asked for"))
	b.add(subjectSource("wiki.*"))
	stop := b.runs("worker-1")
	defer stop()
	b.sync()
	b.want(map[string]string{"test:a": "history"})
	b.removed()
	stream, err := b.js.Stream(t.Context(), "WIKI")
	if err != nil {
		t.Fatal(err)
	}
	if info := stream.CachedInfo(); info.State.Msgs != 2 || info.State.Consumers != 0 {
		t.Errorf("%d messages and %d consumers are left, want 2 and none", info.State.Msgs, info.State.Consumers)
	}
}

func TestAPausedSubjectWaits(t *testing.T) {
	b := newBedOf(t, nil, subjectSource("wiki.>"))
	defer b.runs("worker-1")()
	b.push("wiki.a", text("test:a", "one"))
	b.sync()
	if _, err := b.sources.Pause(t.Context(), "kb", "docs"); err != nil {
		t.Fatal(err)
	}
	b.push("wiki.a", text("test:a", "two"))
	if _, err := b.sources.Resume(t.Context(), "kb", "docs"); err != nil {
		t.Fatal(err)
	}
	b.sync()
	b.want(map[string]string{"test:a": "two"})
}

func TestAPausedSubjectTakesNothing(t *testing.T) {
	b := newBedOf(t, nil, subjectSource("wiki.>"))
	if _, err := b.sources.Pause(t.Context(), "kb", "docs"); err != nil {
		t.Fatal(err)
	}
	b.push("wiki.a", text("test:a", "one"))
	in, orders := b.intake()
	in.open(t.Context(), "")
	if in.tap != nil {
		t.Error("a paused source reads")
	}
	// What there is to do is the order to go on, whatever was published.
	orders <- in.order
	if err := in.next(t.Context(), orders); err != nil {
		t.Fatal(err)
	}
	b.want(map[string]string{})
}

// intake takes the source over and does nothing yet.
func (b *bed) intake() (*intake, chan order) {
	b.Helper()
	o, err := b.runner.newOwner(b.Context(), "kb", "docs")
	if err != nil {
		b.Fatal(err)
	}
	o.LeaseTTL = b.sources.Config.LeaseTTL
	return &intake{owner: o, msgs: make(chan jetstream.Msg), stop: func() {}}, make(chan order, 1)
}

// takes reads the next message as an owner does.
func (in *intake) takes(ctx context.Context, t *testing.T) jetstream.Msg {
	t.Helper()
	in.open(ctx, specOf(in.order.Source))
	if in.tap == nil {
		t.Fatal(in.state.Error)
	}
	return <-in.msgs
}

// requestsStored is how many requests were ever stored, besides the fences.
func (b *bed) requestsStored(owners int) int {
	b.Helper()
	s, err := b.js.Stream(b.Context(), "tributary-ingest")
	if err != nil {
		b.Fatal(err)
	}
	return int(s.CachedInfo().State.LastSeq) - owners
}

// An owner that is killed after it has published and before it has said so to
// the subject's stream leaves a message that comes again: to the next owner,
// and to no second version.
func TestAnOwnerThatIsKilledBeforeItAcknowledges(t *testing.T) {
	b := newBedOf(t, nil, subjectSource("wiki.>"))
	b.push("wiki.a", text("test:a", "one"))
	b.push("wiki.a", text("test:a", "two"))
	in, _ := b.intake()
	msg := in.takes(t.Context(), t)
	meta, err := msg.Metadata()
	if err != nil {
		t.Fatal(err)
	}
	b.runner.crash = func(what string) error {
		if what == "published" {
			return errAbandon
		}
		return nil
	}
	if err := in.publish(t.Context(), msg, meta); !errors.Is(err, errAbandon) {
		t.Fatalf("the owner was not killed: %v", err)
	}
	b.runner.crash = nil
	b.want(map[string]string{"test:a": "one"})
	in.stop() // acknowledges nothing
	defer b.runs("worker-2")()
	b.sync()
	b.want(map[string]string{"test:a": "two"})
	if got := b.requestsStored(2); got != 2 {
		t.Errorf("%d requests were stored for two messages", got)
	}
}

func TestAStalledOwnerOfASubjectPublishesNothing(t *testing.T) {
	b := newBedOf(t, nil, subjectSource("wiki.>"))
	b.push("wiki.a", text("test:a", "one"))
	stalled, _ := b.intake()
	msg := stalled.takes(t.Context(), t)
	b.intake() // takes over
	if err := stalled.take(t.Context(), msg); !errors.Is(err, errFenced) {
		t.Errorf("error %v, want errFenced", err)
	}
	stalled.stop()
	b.want(map[string]string{})
}

// Every owner dies after one step more than the one before it, and every
// message is published twice. In the end nothing is lost, and nothing old
// stands over something newer.
func TestOwnersOfASubjectThatDieAtEveryStep(t *testing.T) {
	b := newBedOf(t, nil, subjectSource("wiki.>"))
	messages := []string{
		text("test:a", "a1"), text("test:b", "b1"), text("test:a", "a2"), `{"uri": "test:b", "deleted": true}`,
		text("test:c", "c1"), `{"uri": "test:c", "deleted": true}`, text("test:c", "c2"), text("test:a", "a3"),
	}
	for _, m := range messages {
		b.push("wiki.x", m)
		b.push("wiki.x", m)
	}
	owners, done := 0, false
	for limit := 1; !done; limit++ {
		owners++
		ctx, cancel := context.WithCancel(t.Context())
		steps := 0
		b.runner.crash = func(string) error {
			if steps++; steps > limit {
				return fmt.Errorf("died: %w", errAbandon)
			}
			return nil
		}
		in, _ := b.intake()
		in.open(ctx, specOf(in.order.Source))
		for {
			if n, err := in.tap.waiting(ctx); err == nil && n == 0 {
				done = true
				break
			}
			if err := in.take(ctx, <-in.msgs); err != nil {
				if !errors.Is(err, errAbandon) {
					t.Fatal(err)
				}
				break
			}
		}
		cancel()
		in.stop()
	}
	if owners < 4 {
		t.Errorf("%d owners were enough: none died", owners)
	}
	b.want(map[string]string{"test:a": "a3", "test:c": "c2"})
	if got, most := b.requestsStored(owners), 2*len(messages)+owners; got > most || got < 2*len(messages) {
		t.Errorf("%d requests were stored for %d messages", got, 2*len(messages))
	}
	items, err := b.memory.remembered(t.Context(), "kb", "docs")
	if err != nil || len(items) != 2 {
		t.Errorf("%d items are remembered, %v", len(items), err)
	}
}

func TestSubjectsThatCannotBeFollowed(t *testing.T) {
	b := newBedOf(t, nil, subjectSource("wiki.>"))
	for name, subjects := range map[string][]string{"PART": {"half.a.>"}, "LEFT": {"both.a"}, "RIGHT": {"both.b"}} {
		if _, err := b.js.CreateStream(t.Context(), jetstream.StreamConfig{Name: name, Subjects: subjects}); err != nil {
			t.Fatal(err)
		}
	}
	for location, want := range map[string]string{
		"half.>": "only a part", "both.*": "several streams", "wiki.a": "another source", "tributary.default.add": "Tributary's own", ">": "word of your own",
	} {
		src := subjectSource(location)
		src.Name = "more"
		_, err := b.sources.Add(t.Context(), "kb", src)
		if tributary.CodeOf(err) != tributary.CodeInvalid || !strings.Contains(err.Error(), want) {
			t.Errorf("%s: %v, want %q", location, err, want)
		}
	}
	for _, src := range []tributary.Source{
		{Name: "docs", Kind: tributary.SourceFolder, Location: "/docs"},
		{Name: "more", Kind: tributary.SourceSubject, Location: "more", Options: tributary.SourceOptions{Depth: 3}},
		{Name: "more", Kind: tributary.SourceWebhook},
	} {
		if _, err := b.sources.Add(t.Context(), "kb", src); tributary.CodeOf(err) != tributary.CodeInvalid {
			t.Errorf("%+v: %v", src, err)
		}
	}
}

func TestASubjectThatChangesIsReadFromThenOn(t *testing.T) {
	b := newBedOf(t, nil, subjectSource("wiki.>"))
	defer b.runs("worker-1")()
	b.push("wiki.a", text("test:a", "one"))
	b.sync()
	b.add(subjectSource("notes.>"))
	b.push("notes.b", text("test:b", "two"))
	if st := b.sync(); st.Documents != 2 || st.Location != "notes.>" {
		t.Errorf("status %+v", st)
	}
	b.want(map[string]string{"test:a": "one", "test:b": "two"})
}

func TestWhichSubjectsAPatternCovers(t *testing.T) {
	for _, tt := range []struct {
		wide, narrow string
		want         bool
	}{
		{"a", "a", true}, {"a", "b", false}, {"a.>", "a.b", true}, {"a.>", "a", false}, {"a.>", "a.>", true}, {"a.*", "a.>", false},
		{"a.*", "a.b", true}, {"a.b", "a.*", false}, {"a.*.c", "a.b.c", true}, {"a.*", "a.b.c", false}, {"a.b.c", "a.b", false}, {">", "a.*", true},
	} {
		if got := covers(tt.wide, tt.narrow); got != tt.want {
			t.Errorf("%s covers %s: %t", tt.wide, tt.narrow, got)
		}
	}
}
