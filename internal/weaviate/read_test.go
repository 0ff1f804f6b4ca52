package weaviate

import (
	"errors"
	"slices"
	"testing"

	tributary "github.com/tributary-kb/tributary"
)

func TestObjectsKeepsTheOrderAndLeavesOutWhatIsNotThere(t *testing.T) {
	s := openStore(t)
	kb := newKB(t, s)
	objects := newObjects(readSlice+50, "d", 1)
	insert(t, s, kb, objects...)
	ids := idsOf(objects)
	missing := newObject("", 0).ID
	got, err := s.Objects(t.Context(), kb, slices.Insert(slices.Clone(ids), 3, missing))
	if err != nil || !slices.Equal(idsOf(got), ids) {
		t.Errorf("Objects() = %d objects, %v, want the %d stored ones in order", len(got), err, len(ids))
	}
	if got, err := s.Objects(t.Context(), kb, nil); err != nil || got != nil {
		t.Errorf("Objects() of no ids = %v, %v, want nil", got, err)
	}
}

func TestScanReadsEveryObjectOnceInOrder(t *testing.T) {
	s := openStore(t)
	kb := newKB(t, s)
	if got := scanIDs(t, s, kb); got != nil {
		t.Errorf("Scan() of an empty knowledge base reads %v", got)
	}
	objects := newObjects(2*readSlice, "d", 1)
	insert(t, s, kb, objects...)
	if got, want := scanIDs(t, s, kb), sorted(idsOf(objects)); !slices.Equal(got, want) {
		t.Errorf("Scan() reads %d objects, want %d in order of id", len(got), len(want))
	}
}

func TestScanReadsVectorsOnlyOnRequest(t *testing.T) {
	s := openStore(t)
	kb := newKB(t, s)
	o := newObject("d", 1)
	insert(t, s, kb, o)
	if err := s.Scan(t.Context(), kb, func(o tributary.Object) error {
		if o.Vector != nil {
			t.Errorf("Scan() reads the vector %v", o.Vector)
		}
		return nil
	}); err != nil {
		t.Error(err)
	}
	if err := s.ScanVectors(t.Context(), kb, func(got tributary.Object) error {
		if !slices.Equal(got.Vector, o.Vector) {
			t.Errorf("ScanVectors() reads the vector %v, want %v", got.Vector, o.Vector)
		}
		return nil
	}); err != nil {
		t.Error(err)
	}
}

func TestScanEndsWithTheCallersError(t *testing.T) {
	s := openStore(t)
	kb := newKB(t, s)
	insert(t, s, kb, newObjects(3, "d", 1)...)
	stop, calls := errors.New("stop"), 0
	err := s.Scan(t.Context(), kb, func(tributary.Object) error {
		calls++
		return stop
	})
	if !errors.Is(err, stop) || calls != 1 {
		t.Errorf("Scan() = %v after %d calls, want %v after 1", err, calls, stop)
	}
}
