package weaviate

import (
	"slices"
	"testing"

	"github.com/go-openapi/strfmt"
	"github.com/weaviate/weaviate/entities/models"

	tributary "github.com/tributary-kb/tributary"
)

func TestWhatWasInsertedIsFoundByEveryIndex(t *testing.T) {
	s := openStore(t)
	kb := newKB(t, s)
	objects := newObjects(readSlice+10, "d", 1)
	objects[0].Source, objects[0].ContentType, objects[0].Language = "wiki", "text/html", "en"
	objects[1].Text, objects[1].Title = "!", "" // no term
	objects[2].URI = " spaces "
	for i := 100; i < len(objects); i++ {
		objects[i].Vector = axis(1) // more twins than the first look is wide
	}
	insert(t, s, kb, objects...)
	if got := unindexed(t, s, kb, objects); got != nil {
		t.Errorf("Unindexed() = %v, want none", got)
	}
	var scanned []tributary.Object
	if err := s.ScanVectors(t.Context(), kb, func(o tributary.Object) error {
		scanned = append(scanned, o)
		return nil
	}); err != nil {
		t.Fatal(err)
	}
	if got := unindexed(t, s, kb, scanned); got != nil {
		t.Errorf("Unindexed() of what was scanned = %v, want none", got)
	}
}

func TestUnindexedFindsWhatAnIndexDoesNotHave(t *testing.T) {
	s := openStore(t)
	kb := newKB(t, s)
	class, err := className(kb)
	if err != nil {
		t.Fatal(err)
	}
	objects := newObjects(4, "d", 1)
	objects[0].Source = "wiki"
	store := func(o tributary.Object, vector tributary.Vector, lose string) {
		t.Helper()
		m, err := encode(class, o)
		if err != nil {
			t.Fatal(err)
		}
		delete(m.Properties.(map[string]any), lose)
		m.Vector = models.C11yVector(vector)
		if _, err := s.client.Batch().ObjectsBatcher().WithObjects(m).Do(t.Context()); err != nil {
			t.Fatal(err)
		}
	}
	store(objects[0], objects[0].Vector, "source") // not in a filter's index
	store(objects[1], objects[1].Vector, "terms")  // not in the keyword index
	store(objects[2], nil, "")                     // not in the vector index
	store(objects[3], objects[3].Vector, "")
	absent := newObject("d", 1)

	want := idsOf(objects[:3])
	if got := unindexed(t, s, kb, append(objects, absent)); !slices.Equal(got, want) {
		t.Errorf("Unindexed() = %v, want %v", got, want)
	}
	bare := tributary.Object{ID: objects[2].ID, Vector: objects[2].Vector}
	if got := unindexed(t, s, kb, []tributary.Object{bare}); !slices.Equal(got, []string{bare.ID}) {
		t.Errorf("Unindexed() with only id and vector = %v, want %v", got, bare.ID)
	}
	if _, err := s.client.Data().ObjectsGetter().WithClassName(class).WithID(strfmt.UUID(absent.ID).String()).Do(t.Context()); statusOf(err) != 404 {
		t.Errorf("reading an object that is not stored = %v, want status 404", err)
	}
}
