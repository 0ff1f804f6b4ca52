package pipeline

import (
	"bytes"
	"context"
	"crypto/rand"
	"errors"
	"flag"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/nats-io/nats.go/jetstream"
	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/testutil"

	"github.com/tributary-kb/tributary"
	"github.com/tributary-kb/tributary/internal/stage"
	"github.com/tributary-kb/tributary/internal/testenv"
)

var update = flag.Bool("update", false, "write the golden files anew")

func check(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

func newStore(t *testing.T) *Store {
	t.Helper()
	js, err := jetstream.New(testenv.NATS(t))
	check(t, err)
	s, err := Ensure(t.Context(), js, StoreConfig{MaxStageBytes: 1 << 20})
	check(t, err)
	return s
}

func TestTopologyIsWhatTheGoldenFileSays(t *testing.T) {
	var got bytes.Buffer
	check(t, Describe(&got))
	golden := filepath.Join("testdata", "topology.txt")
	if *update {
		check(t, os.WriteFile(golden, got.Bytes(), 0o644))
	}
	want, err := os.ReadFile(golden)
	check(t, err)
	if diff := cmp.Diff(string(want), got.String()); diff != "" {
		t.Errorf("run go test ./internal/pipeline -update if this is meant (-want +got)\n%s", diff)
	}
}

func TestEnsureCreatesEverythingOnceAndChangesOnlyWhatDiffers(t *testing.T) {
	s := newStore(t)
	before := states(t, s)
	again, err := Ensure(t.Context(), s.JS, StoreConfig{MaxStageBytes: 1 << 20})
	check(t, err)
	if diff := cmp.Diff(before, states(t, again)); diff != "" {
		t.Errorf("the second time something changed\n%s", diff)
	}
	_, err = Ensure(t.Context(), s.JS, StoreConfig{MaxStageBytes: 2 << 20, AckWait: time.Minute})
	check(t, err)
	stream, err := s.JS.Stream(t.Context(), StreamName(Embed))
	check(t, err)
	if got := stream.CachedInfo().Config.MaxBytes; got != 2<<20 {
		t.Errorf("max bytes %d, want the new setting", got)
	}
	cons, err := s.JS.Consumer(t.Context(), StreamName(Embed), stage.ConsumerName(Embed, tributary.LaneBulk))
	check(t, err)
	if got := cons.CachedInfo().Config.AckWait; got != time.Minute {
		t.Errorf("ack wait %v, want the new setting", got)
	}
}

func states(t *testing.T, s *Store) map[string]string {
	t.Helper()
	out := map[string]string{}
	for _, st := range Streams {
		stream, err := s.JS.Stream(t.Context(), st.Name)
		check(t, err)
		info := stream.CachedInfo()
		out[st.Name] = fmt.Sprint(info.Created, info.Config.MaxBytes, info.Config.Retention, info.Config.Discard, info.State.Consumers)
	}
	return out
}

// A request stream that is lost must not give out versions again: documents
// would refuse their own future.
func TestANewRequestStreamBeginsAboveEveryKnownVersion(t *testing.T) {
	s := newStore(t)
	check(t, s.Registry.Refuse(t.Context(), tributary.Head{KB: "kb", Document: "d"}, tributary.Failure{Version: 4711}))
	check(t, s.JS.DeleteStream(t.Context(), StreamName(Ingest)))
	_, err := Ensure(t.Context(), s.JS, StoreConfig{MaxStageBytes: 1 << 20})
	check(t, err)
	ack, err := s.JS.Publish(t.Context(), stage.Subject(Ingest, tributary.Head{Lane: tributary.LaneLive, KB: "kb", Document: "d"}), nil)
	check(t, err)
	if ack.Sequence != 4712 {
		t.Errorf("the next version is %d, want 4712", ack.Sequence)
	}
}

// largeText does not fit into a message, even compressed.
func largeText() string {
	var b strings.Builder
	for b.Len() < 2<<20 {
		b.WriteString(rand.Text())
	}
	return b.String()
}

func document(version uint64, text string) tributary.Document {
	return tributary.Document{Head: tributary.Head{KB: "kb", URI: "u", Document: "d", Version: version}, Text: text}
}

func TestKeepHoldsTheNewestVersionWhateverTheOrder(t *testing.T) {
	s := newStore(t)
	if _, err := s.Kept(t.Context(), "kb", "d"); !errors.Is(err, ErrNotKept) {
		t.Errorf("before anything is kept: %v", err)
	}
	for _, v := range []uint64{3, 5, 4, 5} {
		check(t, s.Keep(t.Context(), document(v, fmt.Sprint("text ", v))))
	}
	got, err := s.Kept(t.Context(), "kb", "d")
	check(t, err)
	if got.Version != 5 || got.Text != "text 5" {
		t.Errorf("kept version %d %q, want 5", got.Version, got.Text)
	}
}

func TestKeepReplacesTheBlobOfALargeDocument(t *testing.T) {
	s := newStore(t)
	for v := range uint64(3) {
		check(t, s.Keep(t.Context(), document(v+1, largeText())))
	}
	list, err := s.Blobs.List(t.Context())
	check(t, err)
	if len(list) != 1 {
		t.Errorf("%d blobs, want that of the newest version alone", len(list))
	}
}

func TestCleanBlobsLeavesWhatAMessageNeeds(t *testing.T) {
	s := newStore(t)
	ctx := t.Context()
	for _, name := range []string{"content of a request", "forgotten"} {
		_, err := s.Blobs.PutString(ctx, name, "x")
		check(t, err)
	}
	head := tributary.Head{KB: "kb", URI: "u", Document: "d", Lane: tributary.LaneLive}
	msg, err := stage.Encode(ctx, s.Blobs, stage.Subject(Ingest, head), "1", tributary.Request{Head: head, Op: tributary.OpPut, ContentRef: "content of a request"})
	check(t, err)
	_, err = s.JS.PublishMsg(ctx, msg)
	check(t, err)
	check(t, s.Keep(ctx, document(1, largeText())))
	if n, err := s.CleanBlobs(ctx, time.Now().Add(-time.Hour)); n != 0 || err != nil {
		t.Errorf("removed %d young blobs, %v", n, err)
	}
	if n, err := s.CleanBlobs(ctx, time.Now().Add(time.Hour)); n != 1 || err != nil {
		t.Errorf("removed %d blobs, want the forgotten one; %v", n, err)
	}
	if _, err := s.Blobs.GetInfo(ctx, "content of a request"); err != nil {
		t.Errorf("the content of a waiting request: %v", err)
	}
	if _, err := s.Kept(ctx, "kb", "d"); err != nil {
		t.Errorf("the kept document: %v", err)
	}
}

func TestPendingNamesTheNewestVersionOnItsWay(t *testing.T) {
	s := newStore(t)
	ctx := t.Context()
	send := func(name string, v any, h tributary.Head) {
		msg, err := stage.Encode(ctx, s.Blobs, stage.Subject(name, h), rand.Text(), v)
		check(t, err)
		_, err = s.JS.PublishMsg(ctx, msg)
		check(t, err)
	}
	h := tributary.Head{KB: "kb", URI: "u", Document: "d", Lane: tributary.LaneBulk}
	other := h
	other.KB, other.Document = "kb-2", "e"
	send(Ingest, tributary.Request{Head: other}, other)
	send(Ingest, tributary.Request{Head: h}, h) // the stream's second message
	h.Version = 1
	send(Chunk, tributary.Document{Head: h}, h)
	got, err := s.Pending(ctx, "kb")
	check(t, err)
	if len(got) != 1 || got[0].Version != 2 || got[0].URI != "u" {
		t.Errorf("pending %+v, want version 2 of u", got)
	}
	if all, err := s.Pending(ctx, ""); len(all) != 2 || err != nil {
		t.Errorf("pending everywhere: %+v, %v", all, err)
	}
}

func TestPendingCountsNoFence(t *testing.T) {
	s := newStore(t)
	send := func(subject string, h tributary.Head) {
		msg, err := stage.Encode(t.Context(), s.Blobs, subject, rand.Text(), tributary.Request{Head: h})
		check(t, err)
		_, err = s.JS.PublishMsg(t.Context(), msg)
		check(t, err)
	}
	h := tributary.Head{KB: "kb", URI: "u", Document: "d", Lane: tributary.LaneLive}
	send(stage.Subject(Ingest, h), h)
	for _, source := range []string{"notes", "wiki"} { // even if it could be read as a request
		send(stage.FenceSubject(Ingest, "kb", source), tributary.Head{KB: "kb", URI: source, Document: source})
	}
	for _, kb := range []string{"kb", ""} {
		got, err := s.Pending(t.Context(), kb)
		check(t, err)
		if len(got) != 1 || got[0].Document != "d" {
			t.Errorf("pending in %q: %+v, want the request alone", kb, got)
		}
	}
}

func TestLagIsAMetric(t *testing.T) {
	s := newStore(t)
	_, err := s.JS.Publish(t.Context(), stage.Subject(Embed, tributary.Head{Lane: tributary.LaneLive, KB: "kb", Document: "d"}), nil)
	check(t, err)
	reg := prometheus.NewRegistry()
	reg.MustRegister(&LagCollector{Store: s})
	want := `
# HELP tributary_dead_letters Messages that were refused and are kept.
# TYPE tributary_dead_letters gauge
tributary_dead_letters 0
`
	check(t, testutil.GatherAndCompare(reg, strings.NewReader(want), "tributary_dead_letters"))
	if n, err := testutil.GatherAndCount(reg, "tributary_stage_lag"); n != 8 || err != nil {
		t.Errorf("%d lags, %v; want one per stage and lane", n, err)
	}
}

func TestStatusNamesAStageThatNobodyWorksOn(t *testing.T) {
	s := newStore(t)
	_, err := s.JS.Publish(t.Context(), stage.Subject(Embed, tributary.Head{Lane: tributary.LaneLive, KB: "kb", Document: "d"}), []byte("{}"))
	check(t, err)
	o := &Observer{
		Store: s, NC: s.JS.Conn(), IndexVersion: func(context.Context) (string, error) { return "", errors.New("connection refused") },
		Objects: func(context.Context, string) (int, error) { return 0, nil }, Check: func(context.Context, string) error { return nil },
		LateKeywords: func(context.Context, string) (bool, error) { return false, nil },
	}
	rep, err := o.Status(t.Context())
	check(t, err)
	var all string
	for _, p := range rep.Problems {
		all += p.What + "; " + p.Do + "\n"
	}
	for _, want := range []string{"connection refused", "nobody works on it", "tributary worker embed"} {
		if !strings.Contains(all, want) {
			t.Errorf("the problems do not say %q:\n%s", want, all)
		}
	}
}
