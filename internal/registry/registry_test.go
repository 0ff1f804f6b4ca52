package registry_test

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/nats-io/nats.go/jetstream"

	"github.com/tributary-kb/tributary"
	"github.com/tributary-kb/tributary/internal/registry"
	"github.com/tributary-kb/tributary/internal/testenv"
)

func open(t *testing.T) *registry.Registry {
	t.Helper()
	js, err := jetstream.New(testenv.NATS(t))
	check(t, err)
	reg, err := registry.Open(t.Context(), js, 1)
	check(t, err)
	return reg
}

func check(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

func record(document string, version uint64) tributary.Record {
	return tributary.Record{KB: "kb", URI: "uri:" + document, Document: document, Manifest: &tributary.Manifest{
		Version: version, State: tributary.StateLive, Accepted: time.Unix(1, 0).UTC(),
		Chunks: []tributary.ChunkRef{{ID: "c1", Hash: "h1", Start: 0, End: 10}, {ID: "c2", Hash: "h2", Start: 10, End: 20, Page: 2}},
	}}
}

func TestARecordComesBackAsItWasPut(t *testing.T) {
	reg := open(t)
	put, err := reg.Put(t.Context(), record("d", 3))
	check(t, err)
	got, err := reg.Get(t.Context(), "kb", "d")
	check(t, err)
	if diff := cmp.Diff(put, got); diff != "" {
		t.Error(diff)
	}
}

func TestAnUnknownDocumentHasAnEmptyRecord(t *testing.T) {
	got, err := open(t).Get(t.Context(), "kb", "nothing")
	check(t, err)
	if diff := cmp.Diff(tributary.Record{KB: "kb", Document: "nothing"}, got); diff != "" {
		t.Error(diff)
	}
}

func TestPutRefusesToOverwriteWhatItHasNotSeen(t *testing.T) {
	reg := open(t)
	first, err := reg.Put(t.Context(), record("d", 1))
	check(t, err)
	if _, err := reg.Put(t.Context(), record("d", 2)); !errors.Is(err, registry.ErrConflict) {
		t.Errorf("creating it again: %v, want ErrConflict", err)
	}
	newer := record("d", 2)
	newer.Revision = first.Revision
	_, err = reg.Put(t.Context(), newer)
	check(t, err)
	if _, err := reg.Put(t.Context(), newer); !errors.Is(err, registry.ErrConflict) {
		t.Errorf("from an old revision: %v, want ErrConflict", err)
	}
}

func TestOfManyWritersAtOnceOneWins(t *testing.T) {
	reg := open(t)
	base, err := reg.Put(t.Context(), record("d", 1))
	check(t, err)
	var mu sync.Mutex
	var wg sync.WaitGroup
	won := 0
	for i := range 16 {
		wg.Go(func() {
			r := record("d", uint64(i)+2)
			r.Revision = base.Revision
			_, err := reg.Put(t.Context(), r)
			mu.Lock()
			defer mu.Unlock()
			switch {
			case err == nil:
				won++
			case !errors.Is(err, registry.ErrConflict):
				t.Error(err)
			}
		})
	}
	wg.Wait()
	if won != 1 {
		t.Errorf("%d writers won, want 1", won)
	}
}

func TestRefuseRecordsOnlyTheNewestFailure(t *testing.T) {
	reg := open(t)
	_, err := reg.Put(t.Context(), record("d", 5))
	check(t, err)
	head := tributary.Head{KB: "kb", Document: "d", URI: "uri:d"}
	for _, tt := range []struct{ refused, want uint64 }{{4, 0}, {8, 8}, {7, 8}} {
		check(t, reg.Refuse(t.Context(), head, tributary.Failure{Version: tt.refused, Reason: "no"}))
		got, err := reg.Get(t.Context(), "kb", "d")
		check(t, err)
		var v uint64
		if got.Failure != nil {
			v = got.Failure.Version
		}
		if v != tt.want {
			t.Errorf("after refusing %d the record says %d, want %d", tt.refused, v, tt.want)
		}
		if len(got.Chunks()) != 2 {
			t.Errorf("after refusing %d the older version is no longer searched", tt.refused)
		}
	}
}

func TestListGivesTheRecordsOfOneKnowledgeBaseOrAll(t *testing.T) {
	reg := open(t)
	for i := range 3 {
		_, err := reg.Put(t.Context(), record(fmt.Sprint("d", i), uint64(10+i)))
		check(t, err)
	}
	other := record("x", 99)
	other.KB = "kb-2" // its name begins like the first's
	_, err := reg.Put(t.Context(), other)
	check(t, err)
	for kb, want := range map[string]int{"kb": 3, "kb-2": 1, "": 4, "none": 0} {
		n := 0
		check(t, reg.List(t.Context(), kb, func(r tributary.Record) error {
			if n++; r.Revision == 0 || r.URI == "" {
				t.Errorf("incomplete record %+v", r)
			}
			return nil
		}))
		if n != want {
			t.Errorf("%q lists %d records, want %d", kb, n, want)
		}
	}
	if v, err := reg.MaxVersion(t.Context()); err != nil || v != 99 {
		t.Errorf("highest version %d, %v; want 99", v, err)
	}
}

func newCache(t *testing.T, reg *registry.Registry) *registry.Cache {
	t.Helper()
	c, err := registry.NewCache(t.Context(), reg, 100, func() bool { return true })
	check(t, err)
	t.Cleanup(c.Close)
	return c
}

// The cache hears of a change before anybody who awaited it is told.
func TestACachedRecordFollowsItsChanges(t *testing.T) {
	reg := open(t)
	cache := newCache(t, reg)
	rec, err := reg.Put(t.Context(), record("d", 1))
	check(t, err)
	for v := uint64(2); v < 50; v++ {
		_, err := cache.Record(t.Context(), "kb", "d")
		check(t, err)
		next := record("d", v)
		next.Revision = rec.Revision
		rec, err = reg.Put(t.Context(), next)
		check(t, err)
		_, err = cache.Await(t.Context(), "kb", tributary.At{Document: "d", Version: v})
		check(t, err)
	}
	testenv.Eventually(t, t.Context(), func() error {
		got, err := cache.Record(t.Context(), "kb", "d")
		if err == nil && got.Manifest.Version != 49 {
			err = fmt.Errorf("the cache has version %d, want 49", got.Manifest.Version)
		}
		return err
	})
}

func TestAwaitReturnsWhenTheVersionIsSettled(t *testing.T) {
	reg := open(t)
	cache := newCache(t, reg)
	got := make(chan uint64)
	go func() {
		rec, err := cache.Await(t.Context(), "kb", tributary.At{URI: "uri", Version: 3})
		if err != nil {
			t.Error(err)
		}
		got <- rec.Settled()
	}()
	document := tributary.DocumentID("kb", "uri")
	check(t, reg.Refuse(t.Context(), tributary.Head{KB: "kb", Document: document}, tributary.Failure{Version: 2}))
	check(t, reg.Refuse(t.Context(), tributary.Head{KB: "kb", Document: document}, tributary.Failure{Version: 4}))
	if v := <-got; v < 3 {
		t.Errorf("awaited version 3, settled is %d", v)
	}
}

func TestAwaitEndsWithItsContextAndSaysHowFarItIs(t *testing.T) {
	reg := open(t)
	cache := newCache(t, reg)
	_, err := reg.Put(t.Context(), record("d", 1))
	check(t, err)
	ctx, cancel := context.WithTimeout(t.Context(), time.Millisecond)
	defer cancel()
	rec, err := cache.Await(ctx, "kb", tributary.At{Document: "d", Version: 2})
	if !errors.Is(err, context.DeadlineExceeded) {
		t.Errorf("got %v at %d, want the context's error", err, rec.Settled())
	}
}
