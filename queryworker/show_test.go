package queryworker

import (
	"context"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/tributary-kb/tributary"
)

func TestShowListsChunksInOrderAndWhatIsMissing(t *testing.T) {
	m := newModel()
	m.put("a.md", 1, "one", "two", "three")
	m.objects = append(m.objects[:1], m.objects[2])
	reply, err := m.worker().Show(t.Context(), kb, tributary.ShowRequest{URI: "a.md"})
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff([]string{"one", "three"}, texts(reply.Passages)); diff != "" {
		t.Errorf("texts (-want +got):\n%s", diff)
	}
	if got := reply.Passages[1].Rank; got != 3 {
		t.Errorf("the last passage has rank %d, want its number 3", got)
	}
	if diff := cmp.Diff([]string{"a.md@1#1"}, reply.Missing); diff != "" {
		t.Errorf("missing (-want +got):\n%s", diff)
	}
	want := tributary.Item{URI: "a.md", Document: docID("a.md"), Version: 1, State: tributary.StateLive, Chunks: 3, Title: "Title of a.md"}
	if diff := cmp.Diff(want, reply.Item); diff != "" {
		t.Errorf("item (-want +got):\n%s", diff)
	}
}

// sweeping commits and sweeps a next version while the chunks are being read.
type sweeping struct{ *model }

func (s sweeping) Objects(ctx context.Context, kb string, ids []string) ([]tributary.Object, error) {
	if s.records[docID("a.md")].Settled() == 1 {
		s.put("a.md", 2, "new")
		s.sweep("a.md")
	}
	return s.model.Objects(ctx, kb, ids)
}

func TestShowFollowsACommitThatHappensMeanwhile(t *testing.T) {
	m := newModel()
	m.put("a.md", 1, "one", "two")
	w := &Worker{Searcher: sweeping{m}, Records: m}
	reply, err := w.Show(t.Context(), kb, tributary.ShowRequest{URI: "a.md"})
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff([]string{"new"}, texts(reply.Passages)); diff != "" || len(reply.Missing) > 0 || reply.Version != 2 {
		t.Errorf("version %d, missing %v, texts (-want +got):\n%s", reply.Version, reply.Missing, diff)
	}
}

func TestShowWithoutPassages(t *testing.T) {
	m := newModel()
	m.put("gone.md", 1, "one")
	m.delete("gone.md", 2)
	m.refuse("bad.md", 3, "no text in it")
	for uri, want := range map[string]tributary.Item{
		"gone.md": {URI: "gone.md", Document: docID("gone.md"), Version: 2, State: tributary.StateDeleted},
		"bad.md":  {URI: "bad.md", Document: docID("bad.md"), Version: 3, State: tributary.StateRejected, Reason: "no text in it", Stage: "ingest"},
	} {
		reply, err := m.worker().Show(t.Context(), kb, tributary.ShowRequest{Document: docID(uri)})
		if err != nil {
			t.Fatalf("show %s: %v", uri, err)
		}
		if diff := cmp.Diff(want, reply.Item); diff != "" || len(reply.Passages) > 0 {
			t.Errorf("%s: %d passages, item (-want +got):\n%s", uri, len(reply.Passages), diff)
		}
	}
}

func TestItemOfARefusedUpdateCountsWhatIsStillSearched(t *testing.T) {
	m := newModel()
	m.put("a.md", 1, "one", "two")
	m.refuse("a.md", 2, "too large")
	rec := m.records[docID("a.md")]
	rec.Manifest.Changed = time.Unix(9, 0)
	want := tributary.Item{URI: "a.md", Document: docID("a.md"), Version: 2, State: tributary.StateRejected, Chunks: 2,
		Changed: time.Unix(9, 0), Title: "Title of a.md", Reason: "too large", Stage: "ingest"}
	if diff := cmp.Diff(want, rec.Item()); diff != "" {
		t.Errorf("item (-want +got):\n%s", diff)
	}
}

func TestShowRefuses(t *testing.T) {
	for name, tt := range map[string]struct {
		kb   string
		req  tributary.ShowRequest
		code tributary.Code
		text string
	}{
		"an unknown document":        {kb, tributary.ShowRequest{URI: "x.md"}, tributary.CodeNotFound, `no document "x.md" in knowledge base "handbook"`},
		"no document":                {kb, tributary.ShowRequest{}, tributary.CodeInvalid, "neither document nor uri"},
		"two documents":              {kb, tributary.ShowRequest{URI: "x.md", Document: "y"}, tributary.CodeInvalid, "not y"},
		"a malformed knowledge base": {"No!", tributary.ShowRequest{URI: "x.md"}, tributary.CodeInvalid, `"No!"`},
	} {
		t.Run(name, func(t *testing.T) {
			_, err := newModel().worker().Show(t.Context(), tt.kb, tt.req)
			checkError(t, err, tt.code, tt.text)
		})
	}
}
