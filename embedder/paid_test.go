package embedder

import (
	"fmt"
	"slices"
	"testing"

	"github.com/tributary-kb/tributary"
)

// The work is tried again as the runtime does, from the start.
func TestWhatWasPaidForIsNotPaidAgain(t *testing.T) {
	var texts []string
	for i := range 20 {
		texts = append(texts, fmt.Sprintf("text number %d", i))
	}
	for _, parallel := range []int{1, 4} {
		t.Run(fmt.Sprint(parallel, " at once"), func(t *testing.T) {
			s := newServer(t)
			m, _ := s.model(t, Config{MaxInputs: 3, Dimensions: 4, MaxConcurrency: parallel, Attempts: 1})
			stage := Stage{Model: m}
			docs := []tributary.Chunked{document("a", texts[:7]...), document("b", texts[5:]...)}
			s.refusals = map[int]int{3: 429, 4: 503, 6: 429, 9: 429}
			tries := 1
			for ; ; tries++ {
				if _, err := stage.Embed(t.Context(), docs); err == nil {
					break
				}
				if tries > 20 {
					t.Fatal("it never ends")
				}
			}
			slices.Sort(s.embedded)
			if got := len(slices.Compact(slices.Clone(s.embedded))); got != len(texts) || len(s.embedded) != len(texts) {
				t.Errorf("the server embedded %d texts, %d of them distinct, want each of %d once", len(s.embedded), got, len(texts))
			}
			if tries < 2 {
				t.Error("nothing was refused: the test shows nothing")
			}
		})
	}
}

func TestTheCacheKeepsWithinItsBytes(t *testing.T) {
	v := make(tributary.Vector, 1024)
	p := &paid{bytes: 3 * (4*len(v) + entryBytes)}
	for i := range 5 {
		p.put(fmt.Sprint(i), RoleDocument, v)
	}
	for i, want := range []bool{false, false, true, true, true} {
		if got := p.get(fmt.Sprint(i), RoleDocument) != nil; got != want {
			t.Errorf("vector %d is kept: %t, want %t", i, got, want)
		}
	}
	if p.get("4", RoleQuery) != nil {
		t.Error("a query got the vector of a document")
	}
	none := &paid{bytes: 10}
	none.put("x", RoleDocument, v)
	if none.get("x", RoleDocument) != nil {
		t.Error("a vector was kept without room for it")
	}
}
