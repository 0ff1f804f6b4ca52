package weaviate

import (
	"slices"
	"testing"

	"github.com/go-openapi/strfmt"
	"github.com/weaviate/weaviate/entities/models"

	tributary "github.com/tributary-kb/tributary"
)

func scanIDs(t *testing.T, s *Store, kb string) []string {
	t.Helper()
	var ids []string
	if err := s.Scan(t.Context(), kb, func(o tributary.Object) error {
		ids = append(ids, o.ID)
		return nil
	}); err != nil {
		t.Fatal(err)
	}
	return ids
}

func sorted(ids ...[]string) []string {
	out := slices.Concat(ids...)
	slices.Sort(out)
	return out
}

func TestSweepTakesWhatIsOldAndNotKept(t *testing.T) {
	s := openStore(t)
	kb := newKB(t, s)
	old, kept, current, newer := newObjects(3, "d", 5), newObjects(2, "d", 5), newObjects(2, "d", 7), newObjects(2, "d", 8)
	other := newObjects(2, "other", 5)
	insert(t, s, kb, slices.Concat(old, kept, current, newer, other)...)

	keep := append(idsOf(kept), newObject("", 0).ID)
	removed, err := s.Sweep(t.Context(), kb, "d", 7, keep)
	if err != nil || removed != len(old)+len(current) {
		t.Errorf("Sweep() = %d, %v, want %d", removed, err, len(old)+len(current))
	}
	if got, want := scanIDs(t, s, kb), sorted(idsOf(kept), idsOf(newer), idsOf(other)); !slices.Equal(got, want) {
		t.Errorf("left are %v, want %v", got, want)
	}
	for _, document := range []string{"d", "unknown", `"}`} {
		if removed, err := s.Sweep(t.Context(), kb, document, 7, keep); err != nil || removed != 0 {
			t.Errorf("Sweep(%q) again = %d, %v, want 0", document, removed, err)
		}
	}
}

// bare inserts many objects of document "d" with no more than a sweep needs,
// which is fast, and returns their ids.
func bare(t *testing.T, s *Store, kb string, n int) []string {
	t.Helper()
	class, err := className(kb)
	if err != nil {
		t.Fatal(err)
	}
	objects := make([]*models.Object, n)
	ids := make([]string, n)
	for i := range objects {
		ids[i] = newObject("", 0).ID
		objects[i] = &models.Object{
			Class: class, ID: strfmt.UUID(ids[i]), Properties: map[string]any{"document": "d", "birth": 1.0},
		}
	}
	if err := s.insertBatch(t.Context(), "bare", objects); err != nil {
		t.Fatal(err)
	}
	return ids
}

func TestOneDeleteByFilterStopsAtTheServersLimit(t *testing.T) {
	s := openStore(t)
	kb := newKB(t, s)
	const objects = maxResults + 2000
	bare(t, s, kb, objects)
	class, err := className(kb)
	if err != nil {
		t.Fatal(err)
	}
	once := s.client.Batch().ObjectsBatchDeleter().WithClassName(class).WithWhere(equal("document", "d"))
	if _, err := once.Do(t.Context()); err != nil {
		t.Fatal(err)
	}
	if got := count(t, s, kb); got != objects-maxResults {
		t.Errorf("one delete by filter left %d objects, want %d", got, objects-maxResults)
	}
	bare(t, s, kb, maxResults)
	removed, err := s.deleteMatches(t.Context(), kb, equal("document", "d"))
	if err != nil || removed != objects || count(t, s, kb) != 0 {
		t.Errorf("deleteMatches() = %d, %v, want all %d", removed, err, objects)
	}
}

func TestSweepWorksForMoreObjectsThanOneRequestReadsOrDeletes(t *testing.T) {
	const objects, keep = maxResults + 2000, maxResults + 500
	s := openStore(t)
	kb := newKB(t, s)
	ids := bare(t, s, kb, objects)
	for _, step := range []struct {
		name        string
		keep        []string
		wantRemoved int
	}{
		{"many kept", ids[:keep], objects - keep},
		{"nothing more to sweep", ids[:keep], 0},
		{"none kept", nil, keep},
	} {
		removed, err := s.Sweep(t.Context(), kb, "d", 1, step.keep)
		if err != nil || removed != step.wantRemoved {
			t.Errorf("%s: Sweep() = %d, %v, want %d", step.name, removed, err, step.wantRemoved)
		}
		if got, want := scanIDs(t, s, kb), sorted(step.keep); !slices.Equal(got, want) {
			t.Errorf("%s: %d objects are left, want exactly the %d kept", step.name, len(got), len(want))
		}
	}
}

func TestASweptObjectIsNotFoundAnyMore(t *testing.T) {
	s := openStore(t)
	kb := newKB(t, s)
	insert(t, s, kb, newObjects(20, "d", 1)...)
	if _, err := s.Sweep(t.Context(), kb, "d", 1, nil); err != nil {
		t.Fatal(err)
	}
	for name, q := range map[string]tributary.IndexQuery{"keywords": {Text: "stream"}, "vector": {Vector: axis(0)}} {
		q.Limit = 20
		if got := uris(t, s, kb, q); len(got) != 0 {
			t.Errorf("%s: found %v after the sweep", name, got)
		}
	}
}

func TestRemoveDeletesSingleObjects(t *testing.T) {
	s := openStore(t)
	kb := newKB(t, s)
	objects := newObjects(3, "d", 1)
	insert(t, s, kb, objects...)
	ids := append(idsOf(objects[:2]), newObject("", 0).ID)
	removed, err := s.Remove(t.Context(), kb, ids)
	if err != nil || removed != 2 {
		t.Errorf("Remove() = %d, %v, want 2", removed, err)
	}
	if got := scanIDs(t, s, kb); !slices.Equal(got, idsOf(objects[2:])) {
		t.Errorf("left are %v, want %v", got, idsOf(objects[2:]))
	}
}
