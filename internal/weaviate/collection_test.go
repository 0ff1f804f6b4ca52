package weaviate

import (
	"context"
	"errors"
	"slices"
	"strings"
	"sync"
	"testing"

	"github.com/weaviate/weaviate/entities/models"

	tributary "github.com/tributary-kb/tributary"
	"github.com/tributary-kb/tributary/internal/testenv"
)

func TestEnsureCollectionIsSafeWhenManyCreateAtOnce(t *testing.T) {
	kb := testenv.KB(t)
	const workers = 16
	stores := make([]*Store, workers)
	for i := range stores {
		stores[i] = openStore(t)
	}
	errs := make([]error, workers)
	var wg sync.WaitGroup
	start := make(chan struct{})
	for i, s := range stores {
		wg.Go(func() {
			<-start
			errs[i] = s.EnsureCollection(t.Context(), kb, testCollection)
		})
	}
	close(start)
	wg.Wait()
	if err := errors.Join(errs...); err != nil {
		t.Errorf("EnsureCollection() = %v, want nil for all", err)
	}
	t.Cleanup(func() { _ = stores[0].DropCollection(context.WithoutCancel(t.Context()), kb) })
	insert(t, stores[0], kb, newObject("d", 1))
}

func TestASecondCreateIsRefusedByTheServer(t *testing.T) {
	// What EnsureCollection has to tolerate.
	s := openStore(t)
	kb := newKB(t, s)
	class, err := newClass(kb, testCollection.settings())
	if err != nil {
		t.Fatal(err)
	}
	if err := s.client.Schema().ClassCreator().WithClass(class).Do(t.Context()); statusOf(err) != 422 {
		t.Errorf("second create = %v, want status 422", err)
	}
	if _, err := s.create(t.Context(), kb, testCollection.settings()); err != nil {
		t.Errorf("create() = %v, want nil", err)
	}
}

func TestACollectionMadeForSomethingElseIsRefusedInWords(t *testing.T) {
	s := openStore(t)
	kb := newKB(t, s)
	for _, test := range []struct {
		name string
		want Collection
		say  []string
	}{
		{"embedder", Collection{"other/2", testDim}, []string{`embedder "test/1" with 8`, `embedder "other/2" with 8`}},
		{"dimension", Collection{"test/1", 16}, []string{`"test/1" with 8 dimensions`, `"test/1" with 16 dimensions`}},
	} {
		t.Run(test.name, func(t *testing.T) {
			if err := s.CheckCollection(t.Context(), kb, testCollection); err != nil {
				t.Errorf("CheckCollection() with the stored settings = %v", err)
			}
			err := s.CheckCollection(t.Context(), kb, test.want)
			if ensured := s.EnsureCollection(t.Context(), kb, test.want); ensured == nil || err == nil || ensured.Error() != err.Error() {
				t.Errorf("EnsureCollection() = %v, CheckCollection() = %v, want the same refusal", ensured, err)
			}
			mismatch, ok := errors.AsType[*MismatchError](err)
			if !ok {
				t.Fatalf("EnsureCollection() = %v, want a *MismatchError", err)
			}
			if got, want := mismatch.Stored, testCollection.settings(); got != want {
				t.Errorf("Stored = %v, want %v", got, want)
			}
			for _, part := range append(test.say, "`tributary reindex --kb "+kb+"`") {
				if !strings.Contains(err.Error(), part) {
					t.Errorf("error %q, want it to say %q", err, part)
				}
			}
		})
	}
}

func TestACollectionThatIsNotOursIsRefused(t *testing.T) {
	s := openStore(t)
	kb := testenv.KB(t)
	name, err := className(kb)
	if err != nil {
		t.Fatal(err)
	}
	if err := s.client.Schema().ClassCreator().WithClass(&models.Class{Class: name, Vectorizer: "none"}).Do(t.Context()); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = s.DropCollection(context.WithoutCancel(t.Context()), kb) })
	for act, err := range map[string]error{
		"EnsureCollection": s.EnsureCollection(t.Context(), kb, testCollection),
		"Insert":           s.Insert(t.Context(), kb, newObjects(1, "d", 1)),
	} {
		if _, ok := errors.AsType[*MismatchError](err); !ok || !strings.Contains(err.Error(), "Tributary did not create") {
			t.Errorf("%s() = %v, want a *MismatchError that says whose it is not", act, err)
		}
	}
}

func TestEnsureCollectionRefusesNonsense(t *testing.T) {
	s := openStore(t)
	for _, test := range []struct {
		name string
		kb   string
		c    Collection
		want string
	}{
		{"name", "Not a name", testCollection, "a name is"},
		{"no embedder", "docs", Collection{Dimension: 8}, "no fingerprint"},
		{"no dimension", "docs", Collection{Embedder: "e"}, "want 1 to 65535"},
		{"dimension too large", "docs", Collection{"e", 65536}, "want 1 to 65535"},
	} {
		t.Run(test.name, func(t *testing.T) {
			err := s.EnsureCollection(t.Context(), test.kb, test.c)
			if err == nil || !strings.Contains(err.Error(), test.want) {
				t.Errorf("EnsureCollection() = %v, want an error with %q", err, test.want)
			}
		})
	}
}

func TestCollectionsAreListedUntilTheyAreDropped(t *testing.T) {
	s := openStore(t)
	kb := newKB(t, s)
	listed := func() bool {
		t.Helper()
		kbs, err := s.Collections(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		return slices.Contains(kbs, kb)
	}
	if !listed() {
		t.Errorf("Collections() does not list %q", kb)
	}
	for range 2 { // the second time there is nothing to drop
		if err := s.DropCollection(t.Context(), kb); err != nil {
			t.Errorf("DropCollection() = %v", err)
		}
	}
	if listed() {
		t.Errorf("Collections() lists %q after it was dropped", kb)
	}
}

func TestAKnowledgeBaseWithoutCollectionIsNotFound(t *testing.T) {
	s := openStore(t)
	ctx, kb, id := t.Context(), testenv.KB(t), []string{newObject("d", 1).ID}
	errs := map[string]error{"Insert": s.Insert(ctx, kb, newObjects(1, "d", 1))}
	_, errs["Candidates"] = s.Candidates(ctx, kb, tributary.IndexQuery{Text: "stream", Limit: 1})
	_, errs["Objects"] = s.Objects(ctx, kb, id)
	_, errs["Count"] = s.Count(ctx, kb)
	_, errs["Sweep"] = s.Sweep(ctx, kb, "d", 1, nil)
	_, errs["Remove"] = s.Remove(ctx, kb, id)
	_, errs["Unindexed"] = s.Unindexed(ctx, kb, newObjects(1, "d", 1))
	errs["Scan"] = s.Scan(ctx, kb, func(tributary.Object) error { return nil })
	for act, err := range errs {
		if tributary.CodeOf(err) != tributary.CodeNotFound || err == nil {
			t.Errorf("%s() = %v, want code %s", act, err, tributary.CodeNotFound)
		}
	}
	kbs, err := s.Collections(ctx)
	if err != nil || slices.Contains(kbs, kb) {
		t.Errorf("Collections() = %v, %v: one of the calls made a collection for %q", kbs, err, kb)
	}
}
