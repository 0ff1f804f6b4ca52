package embedder

import (
	"context"
	"errors"
	"fmt"
	"reflect"
	"strings"
	"testing"
	"time"

	"github.com/tributary-kb/tributary"
)

// fakeModel gives every text the vector (1, length). A text with "bad" in it
// is rejected; after calls batches it is away.
type fakeModel struct {
	limits Limits
	calls  int // that succeed; 0 means all
	seen   [][]string
	dimErr error
	vector tributary.Vector // instead of the usual one
}

func (m *fakeModel) Embed(_ context.Context, texts []string, _ Role) ([]tributary.Vector, error) {
	m.seen = append(m.seen, texts)
	if m.calls > 0 && len(m.seen) > m.calls {
		return nil, tributary.Unavailable(errors.New("model is away"), time.Minute)
	}
	vectors, failed := make([]tributary.Vector, len(texts)), tributary.BatchError{}
	for i, text := range texts {
		vectors[i] = tributary.Vector{1, float32(len(text))}
		if m.vector != nil {
			vectors[i] = m.vector
		}
		if strings.Contains(text, "bad") {
			vectors[i], failed[i] = nil, tributary.Rejectf("text is bad")
		}
	}
	if len(failed) > 0 {
		return vectors, failed
	}
	return vectors, nil
}

func (m *fakeModel) Fingerprint() string                    { return "fake:2" }
func (m *fakeModel) Dimension(context.Context) (int, error) { return 2, m.dimErr }
func (m *fakeModel) Alpha() float64                         { return 0.5 }
func (m *fakeModel) Limits() Limits                         { return m.limits }

func document(uri string, texts ...string) tributary.Chunked {
	doc := tributary.Chunked{
		Head:       tributary.Head{KB: "default", URI: uri, Document: tributary.DocumentID("default", uri), Version: 2},
		Attributes: tributary.Attributes{Title: "T"},
	}
	for i, text := range texts {
		c := tributary.Chunk{Text: text, Start: 100 * i, End: 100*i + len(text)}
		c.Hash = tributary.ChunkHash(doc.Attributes, c)
		doc.Chunks = append(doc.Chunks, c)
	}
	return doc
}

// based returns a Base that knows doc's chunks under the IDs given.
func based(doc tributary.Chunked, embedder string, ids ...string) func(context.Context, string, string) (tributary.Record, error) {
	m := &tributary.Manifest{Version: 1, State: tributary.StateLive, Fingerprint: tributary.Fingerprint{Embedder: embedder}}
	for i, id := range ids {
		m.Chunks = append(m.Chunks, tributary.ChunkRef{ID: id, Hash: doc.Chunks[i].Hash})
	}
	return func(_ context.Context, kb, document string) (tributary.Record, error) {
		if kb != doc.KB || document != doc.Document {
			return tributary.Record{}, nil
		}
		return tributary.Record{KB: kb, Document: document, Manifest: m}, nil
	}
}

// shape says of every chunk whether it has an ID, a vector or nothing.
func shape(e tributary.Embedded) string {
	var out []string
	for _, c := range e.Chunks {
		switch {
		case c.ID != "" && c.Vector == nil:
			out = append(out, c.ID)
		case c.ID == "" && c.Vector != nil:
			out = append(out, fmt.Sprintf("v%v", c.Vector[1]))
		default:
			out = append(out, "?")
		}
	}
	return strings.Join(out, " ")
}

func TestStageEmbedsAcrossDocuments(t *testing.T) {
	model := &fakeModel{limits: Limits{Inputs: 3}}
	var calls []Usage
	s := Stage{Model: model, OnCall: func(u Usage) { u.Seconds = 0; calls = append(calls, u) }}
	in := []tributary.Chunked{document("a", "one", "three"), document("b", "seven", "eleven"), document("c")}
	out, err := s.Embed(t.Context(), in)
	if err != nil {
		t.Fatal(err)
	}
	for i, want := range []string{"v6 v8", "v8 v9", ""} {
		if got := shape(out[i]); got != want {
			t.Errorf("document %d: %s, want %s", i, got, want)
		}
		if out[i].Embedder != "fake:2" || out[i].URI != in[i].URI {
			t.Errorf("document %d is %q by %q", i, out[i].URI, out[i].Embedder)
		}
	}
	if want := [][]string{{"T\n\none", "T\n\nthree", "T\n\nseven"}, {"T\n\neleven"}}; !reflect.DeepEqual(model.seen, want) {
		t.Errorf("batches %q, want %q", model.seen, want)
	}
	if len(calls) != 2 || calls[0].Texts != 3 || calls[0].Tokens == 0 || calls[1].Texts != 1 {
		t.Errorf("calls %+v", calls)
	}
	if in[0].Chunks[0].Vector != nil {
		t.Error("the input was changed")
	}
}

func TestStageKeepsStoredChunks(t *testing.T) {
	old := document("a", "one", "same", "same", "gone")
	now := document("a", "same", "new", "same", "same", "one")
	for _, c := range []struct {
		name, embedder, want string
		texts                int
	}{
		{"of the same model", "fake:2", "id2 v6 id3 v7 id1", 2},
		{"not of another model", "other", "v7 v6 v7 v7 v6", 3},
	} {
		t.Run(c.name, func(t *testing.T) {
			model := &fakeModel{}
			s := Stage{Model: model, Base: based(old, c.embedder, "id1", "id2", "id3", "id4")}
			out, err := s.Embed(t.Context(), []tributary.Chunked{now})
			if err != nil {
				t.Fatal(err)
			}
			if got := shape(out[0]); got != c.want {
				t.Errorf("%s, want %s", got, c.want)
			}
			if len(model.seen[0]) != c.texts {
				t.Errorf("embedded %q, want %d texts", model.seen[0], c.texts)
			}
		})
	}
}

func TestStageCallsNoModelWithoutNeed(t *testing.T) {
	doc := document("a", "one", "two")
	model := &fakeModel{dimErr: errors.New("must not be asked")}
	deleted := tributary.Chunked{Head: tributary.Head{URI: "b", Version: 3, Deleted: true}}
	s := Stage{Model: model, Base: based(doc, "fake:2", "id1", "id2")}
	out, err := s.Embed(t.Context(), []tributary.Chunked{doc, deleted})
	if err != nil || len(model.seen) != 0 {
		t.Fatalf("%d calls, %v", len(model.seen), err)
	}
	if got := shape(out[0]); got != "id1 id2" {
		t.Errorf("%s, want id1 id2", got)
	}
	if want := (tributary.Embedded{Chunked: deleted}); !reflect.DeepEqual(out[1], want) {
		t.Errorf("deleted document became %+v, want %+v", out[1], want)
	}
}

func TestStageFailsOneDocumentAlone(t *testing.T) {
	away := errors.New("registry is away")
	s := Stage{Model: &fakeModel{}, Base: func(_ context.Context, _, id string) (tributary.Record, error) {
		if id == tributary.DocumentID("default", "c") {
			return tributary.Record{}, away
		}
		return tributary.Record{}, nil
	}}
	in := []tributary.Chunked{document("a", "good"), document("b", "good", "bad"), document("c", "fine"), document("d", "good")}
	out, err := s.Embed(t.Context(), in)
	failed, ok := errors.AsType[tributary.BatchError](err)
	if !ok || len(failed) != 2 {
		t.Fatalf("error %v, want two items", err)
	}
	if outcome, _ := tributary.OutcomeOf(failed[1]); outcome != tributary.Rejected || !strings.Contains(failed[1].Error(), `embed "b": chunk at 100: text is bad`) {
		t.Errorf("item 1: %v (%v), want a rejection", failed[1], outcome)
	}
	if !errors.Is(failed[2], away) {
		t.Errorf("item 2: %v, want %v", failed[2], away)
	}
	for i, want := range []string{"v7", "", "", "v7"} {
		if got := shape(out[i]); got != want {
			t.Errorf("document %d: %q, want %q", i, got, want)
		}
	}
	if !reflect.DeepEqual(out[1], tributary.Embedded{}) {
		t.Errorf("failed document is %+v, want the zero value", out[1])
	}
}

func TestStageStopsAtAnAbsentModel(t *testing.T) {
	model := &fakeModel{limits: Limits{Inputs: 1}, calls: 1}
	in := []tributary.Chunked{document("a", "one"), document("b", "two"), document("c", "three")}
	out, err := Stage{Model: model}.Embed(t.Context(), in)
	failed, _ := errors.AsType[tributary.BatchError](err)
	if len(failed) != 2 || len(model.seen) != 2 || shape(out[0]) != "v6" {
		t.Fatalf("%v after %d calls, the first document is %q", err, len(model.seen), shape(out[0]))
	}
	for _, i := range []int{1, 2} {
		if outcome, after := tributary.OutcomeOf(failed[i]); outcome != tributary.Waiting || after != time.Minute {
			t.Errorf("item %d: %v after %v, want to wait a minute", i, outcome, after)
		}
	}
}

func TestStageChecksVectors(t *testing.T) {
	for name, v := range map[string]tributary.Vector{"zero": {0, 0}, "too long": {1, 2, 3}} {
		t.Run(name, func(t *testing.T) {
			out, err := Stage{Model: &fakeModel{vector: v}}.Embed(t.Context(), []tributary.Chunked{document("a", "one")})
			if failed, _ := errors.AsType[tributary.BatchError](err); failed[0] == nil || len(out) != 1 {
				t.Errorf("%+v, %v, want an error", out, err)
			}
		})
	}
}

func TestStageReportsAnUnknownDimension(t *testing.T) {
	s := Stage{Model: &fakeModel{dimErr: tributary.Unavailable(errors.New("away"), 0)}}
	_, err := s.Embed(t.Context(), []tributary.Chunked{document("a", "one")})
	failed, _ := errors.AsType[tributary.BatchError](err)
	if outcome, _ := tributary.OutcomeOf(failed[0]); outcome != tributary.Waiting {
		t.Errorf("%v, want to wait", failed[0])
	}
}

func TestVectorsOfSingleChunks(t *testing.T) {
	doc := document("a", "one", "three", "one")
	doc.Chunks[0].ID = "is ignored"
	got, err := Stage{Model: &fakeModel{}}.Vectors(t.Context(), doc.Attributes, doc.Chunks)
	if want := []tributary.Vector{{1, 6}, {1, 8}, {1, 6}}; err != nil || !reflect.DeepEqual(got, want) {
		t.Errorf("%v, %v, want %v", got, err, want)
	}
	if _, err := (Stage{Model: &fakeModel{}}).Vectors(t.Context(), doc.Attributes, document("a", "bad").Chunks); err == nil {
		t.Error("no error for a bad text")
	}
	if got, err := (Stage{Model: &fakeModel{}}).Vectors(t.Context(), doc.Attributes, nil); len(got) != 0 || err != nil {
		t.Errorf("%v, %v for no chunks, want none", got, err)
	}
}
