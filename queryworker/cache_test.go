package queryworker

import (
	"testing"

	"github.com/tributary-kb/tributary"
)

func cached(t *testing.T, m *model) (*Worker, *scripted) {
	t.Helper()
	w := m.worker()
	g := &scripted{pieces: []string{"Pie ", "[1]."}}
	var err error
	if w.Cache, err = NewAnswerCache(10); err != nil {
		t.Fatal(err)
	}
	w.Generator = g
	return w, g
}

func TestTheSameQuestionOfTheSamePassagesIsWrittenOnce(t *testing.T) {
	m := fruit()
	w, g := cached(t, m)
	_, first := ask(t, w, tributary.AskRequest{Question: "apple pie"})
	text, second := ask(t, w, tributary.AskRequest{Question: " apple   pie "})
	if g.asked != 1 || first.Cached || !second.Cached {
		t.Errorf("the model was asked %d times, cached %v and %v", g.asked, first.Cached, second.Cached)
	}
	if second.Answer != first.Answer || text != first.Answer || len(second.Citations) != 1 || len(second.Sentences) != 1 {
		t.Errorf("answered %+v, streamed %q", second, text)
	}
}

func TestAChangeHasTheAnswerWrittenAnew(t *testing.T) {
	for _, tt := range []struct {
		name   string
		change func(m *model)
		req    tributary.AskRequest
	}{
		{"an edit of a cited document", func(m *model) { m.put("a.md", 2, "apple pie with cream", "apple cake"); m.sweep("a.md") }, tributary.AskRequest{}},
		{"a new version with the same passages", func(m *model) { m.commit("a.md", 2, m.records[docID("a.md")].Manifest.Chunks) }, tributary.AskRequest{}},
		{"a new document that fits", func(m *model) { m.put("c.md", 9, "apple pie of Ada") }, tributary.AskRequest{}},
		{"a document that is gone", func(m *model) { m.delete("a.md", 2) }, tributary.AskRequest{Question: "pie jam"}},
		{"fewer passages", func(*model) {}, tributary.AskRequest{K: 1}},
		{"no cache wanted", func(*model) {}, tributary.AskRequest{AskOptions: tributary.AskOptions{NoCache: true}}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			m := fruit()
			w, g := cached(t, m)
			if tt.req.Question == "" {
				tt.req.Question = "apple pie"
			}
			before := tt.req
			before.K, before.NoCache = 0, false
			ask(t, w, before)
			tt.change(m)
			if _, got := ask(t, w, tt.req); g.asked != 2 || got.Cached {
				t.Errorf("the model was asked %d times, cached %v", g.asked, got.Cached)
			}
		})
	}
}

func TestACacheHasABound(t *testing.T) {
	m := fruit()
	w, g := cached(t, m)
	var err error
	if w.Cache, err = NewAnswerCache(1); err != nil {
		t.Fatal(err)
	}
	for _, q := range []string{"apple", "plum", "apple"} {
		ask(t, w, tributary.AskRequest{Question: q})
	}
	if g.asked != 3 {
		t.Errorf("the model was asked %d times, want 3", g.asked)
	}
	if _, err := NewAnswerCache(0); err == nil {
		t.Error("a cache of nothing is made")
	}
}
