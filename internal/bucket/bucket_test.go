package bucket_test

import (
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"
	"testing"

	"github.com/nats-io/nats.go/jetstream"

	"github.com/tributary-kb/tributary/internal/bucket"
	"github.com/tributary-kb/tributary/internal/testenv"
)

func newBucket(t testing.TB) (jetstream.JetStream, jetstream.KeyValue) {
	t.Helper()
	js, err := jetstream.New(testenv.NATS(t))
	check(t, err)
	kv, err := js.CreateKeyValue(t.Context(), jetstream.KeyValueConfig{Bucket: "things"})
	check(t, err)
	return js, kv
}

func check(t testing.TB, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

func put(t testing.TB, kv jetstream.KeyValue, key, value string) {
	t.Helper()
	_, err := kv.PutString(t.Context(), key, value)
	check(t, err)
}

// read returns the values by key, and fails if a key comes twice.
func read(t testing.TB, js jetstream.JetStream, kv jetstream.KeyValue, filter string, meanwhile func()) map[string]string {
	t.Helper()
	all := map[string]string{}
	check(t, bucket.Each(t.Context(), js, kv, filter, func(e bucket.Entry) error {
		if len(all) == 0 && meanwhile != nil {
			meanwhile()
		}
		if _, twice := all[e.Key()]; twice {
			t.Errorf("key %s comes twice", e.Key())
		}
		if all[e.Key()] = string(e.Value()); e.Revision() == 0 {
			t.Errorf("key %s has no revision", e.Key())
		}
		return nil
	}))
	return all
}

func TestEachReadsTheKeysBelowAFilter(t *testing.T) {
	js, kv := newBucket(t)
	if got := read(t, js, kv, ">", nil); len(got) > 0 {
		t.Errorf("an empty bucket has %v", got)
	}
	put(t, kv, "a.1", "old")
	put(t, kv, "a.1", "new")
	put(t, kv, "a.2", "two")
	put(t, kv, "a.3", "three")
	put(t, kv, "b.1", "other")
	check(t, kv.Delete(t.Context(), "a.2"))
	check(t, kv.Purge(t.Context(), "a.3"))
	if got, want := read(t, js, kv, "a.*", nil), (map[string]string{"a.1": "new"}); !maps.Equal(got, want) {
		t.Errorf("got %v, want %v", got, want)
	}
	if got, want := read(t, js, kv, ">", nil), (map[string]string{"a.1": "new", "b.1": "other"}); !maps.Equal(got, want) {
		t.Errorf("got %v, want %v", got, want)
	}
	stream, err := js.Stream(t.Context(), "KV_things")
	check(t, err)
	if n := stream.CachedInfo().State.Consumers; n != 0 {
		t.Errorf("%d consumers are left", n)
	}
}

// Keys that are written again while others are new: all of them are read, each
// once.
func TestEachMissesNoKeyThatIsWrittenMeanwhile(t *testing.T) {
	const keys, again = 3000, 500
	js, kv := newBucket(t)
	var want []string
	for i := range keys {
		want = append(want, fmt.Sprintf("a.%04d", i))
		put(t, kv, want[i], strings.Repeat("x", 1000))
	}
	got := read(t, js, kv, "a.*", func() {
		for i := range keys {
			put(t, kv, fmt.Sprintf("a.new%04d", i), "new")
		}
		for _, key := range slices.Concat(want[:again], want[keys-again:]) {
			put(t, kv, key, "again")
		}
	})
	for _, key := range want {
		if _, ok := got[key]; !ok {
			t.Errorf("key %s is missing", key)
		}
	}
	if got[want[0]] == "again" || got[want[keys-1]] != "again" {
		t.Errorf("the first key has %.5s, which was read before; the last %.5s, which was not", got[want[0]], got[want[keys-1]])
	}
}

func TestEachStopsAtAnError(t *testing.T) {
	js, kv := newBucket(t)
	put(t, kv, "a", "1")
	put(t, kv, "b", "2")
	enough, calls := errors.New("enough"), 0
	err := bucket.Each(t.Context(), js, kv, ">", func(bucket.Entry) error { calls++; return enough })
	if !errors.Is(err, enough) || calls != 1 {
		t.Errorf("%d calls, error %v", calls, err)
	}
}

// One iteration reads 10,000 keys.
func BenchmarkEach(b *testing.B) {
	js, kv := newBucket(b)
	for i := range 10_000 {
		put(b, kv, fmt.Sprintf("a.%05d", i), strings.Repeat("x", 500))
	}
	for b.Loop() {
		n := 0
		check(b, bucket.Each(b.Context(), js, kv, "a.*", func(bucket.Entry) error { n++; return nil }))
		if n != 10_000 {
			b.Fatalf("%d keys", n)
		}
	}
}
