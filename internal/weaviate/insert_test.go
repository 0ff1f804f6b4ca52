package weaviate

import (
	"context"
	"errors"
	"fmt"
	"io"
	"maps"
	"net"
	"reflect"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/go-openapi/strfmt"
	"github.com/weaviate/weaviate/entities/models"

	tributary "github.com/tributary-kb/tributary"
	"github.com/tributary-kb/tributary/internal/testenv"
)

func TestEveryFieldOfAnObjectIsReadBackAsItWasInserted(t *testing.T) {
	s := openStore(t)
	kb := newKB(t, s)
	full := tributary.Object{
		ID:       newObject("", 0).ID,
		Document: tributary.DocumentID(kb, "file:///a"),
		URI:      "file:///Ünï/码 \\\"quoted\"?q=*#\U000e0041",
		Birth:    MaxBirth,
		Attributes: tributary.Attributes{
			Title: "Größe \U0001f600", Source: "wiki \x07\x00", ContentType: "text/html", Language: "de",
			Metadata: map[string]string{"author": "Zoë \"Z\"", "": "empty key", "tag": ""},
		},
		Heading: []string{"Eins", "Zwei > Drei", ""},
		Text:    "line one\nline two\ttab \x01\x7f\ue000\ufeff  trailing ",
		Hash:    "ffff",
		Changed: time.Date(2024, 2, 29, 23, 59, 59, 987_000_000, time.UTC),
		Vector:  axis(3),
	}
	plain := newObject("d2", 1<<31)
	bare := tributary.Object{ID: newObject("", 0).ID, Document: "d3", Vector: axis(0)}
	all := []tributary.Object{full, plain, bare}
	insert(t, s, kb, all...)

	for _, o := range all {
		want := o
		want.Vector = nil
		got, err := s.Objects(t.Context(), kb, []string{o.ID})
		if err != nil || len(got) != 1 || !reflect.DeepEqual(got[0], want) {
			t.Errorf("Objects() = %+v, %v\nwant %+v", got, err, want)
		}
		direct, err := s.object(t.Context(), kb, o.ID)
		direct.Vector = nil
		if err != nil || !reflect.DeepEqual(direct, want) {
			t.Errorf("object() = %+v, %v\nwant %+v", direct, err, want)
		}
	}
}

func TestTheClientsBatchLosesTypesThatInsertDoesNotUse(t *testing.T) {
	type named string
	s := openStore(t)
	kb := newKB(t, s)
	class, err := className(kb)
	if err != nil {
		t.Fatal(err)
	}
	naive := func(properties map[string]any) (map[string]any, error) {
		id := strfmt.UUID(newObject("", 0).ID)
		_, err := s.client.Batch().ObjectsBatcher().WithObjects(&models.Object{
			Class: class, ID: id, Vector: models.C11yVector(axis(1)), Properties: properties,
		}).Do(t.Context())
		if err != nil {
			return nil, err
		}
		read, err := s.client.Data().ObjectsGetter().WithClassName(class).WithID(id.String()).Do(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		return read[0].Properties.(map[string]any), nil
	}

	got, err := naive(map[string]any{"document": "d", "source": named("wiki"), "changed": time.Now()})
	if err != nil || slices.Sorted(maps.Keys(got))[0] != "document" || len(got) != 1 {
		t.Errorf("a named string type and a time: kept %v, %v; want them lost without an error", got, err)
	}
	_, err = naive(map[string]any{"document": "d", "heading": []any{"a", "b"}})
	if err == nil || !strings.Contains(err.Error(), "unsupported type") {
		t.Errorf("[]any of strings: %v, want it refused", err)
	}
	_, err = naive(map[string]any{"document": "d", "text": "\xff"})
	if err == nil || !strings.Contains(err.Error(), "UTF-8") {
		t.Errorf("invalid UTF-8: %v, want it refused", err)
	}
}

func TestGraphQLReadsALargeIntAsNull(t *testing.T) {
	// Why birth is stored as a number.
	s := openStore(t)
	kb := testenv.KB(t)
	class, err := newClass(kb, testCollection.settings())
	if err != nil {
		t.Fatal(err)
	}
	for _, p := range class.Properties {
		if p.Name == "birth" {
			p.DataType = []string{"int"}
		}
	}
	if err := s.client.Schema().ClassCreator().WithClass(class).Do(t.Context()); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = s.DropCollection(context.WithoutCancel(t.Context()), kb) })
	insert(t, s, kb, newObject("d", 1<<31))
	got, err := s.Candidates(t.Context(), kb, tributary.IndexQuery{Text: "stream", Limit: 1})
	if err != nil || len(got) != 1 || got[0].Birth != 0 {
		t.Errorf("birth 2^31 as int: read %+v, %v; want birth 0", got, err)
	}
}

func TestInsertRefusesWhatCannotBeStoredBeforeItSendsAnything(t *testing.T) {
	s := openStore(t)
	kb := newKB(t, s)
	change := func(do func(*tributary.Object)) []tributary.Object {
		o := newObject("d", 1)
		do(&o)
		return []tributary.Object{newObject("d", 1), o}
	}
	twice := newObjects(1, "d", 1)
	for _, test := range []struct {
		name    string
		objects []tributary.Object
		want    string
	}{
		{"no id", change(func(o *tributary.Object) { o.ID = "" }), "not a UUID"},
		{"id in braces", change(func(o *tributary.Object) { o.ID = "{" + o.ID + "}" }), "not a UUID"},
		{"no document", change(func(o *tributary.Object) { o.Document = "" }), "belongs to no document"},
		{"birth above 2^53", change(func(o *tributary.Object) { o.Birth = MaxBirth + 1 }), "above the limit of 9007199254740992"},
		{"no vector", change(func(o *tributary.Object) { o.Vector = nil }), "0 dimensions, want 8"},
		{"other dimension", change(func(o *tributary.Object) { o.Vector = make(tributary.Vector, 3) }), "3 dimensions, want 8"},
		{"zero vector", change(func(o *tributary.Object) { o.Vector = make(tributary.Vector, testDim) }), "vector is zero"},
		{"invalid text", change(func(o *tributary.Object) { o.Text = "\xff" }), "text is not valid UTF-8"},
		{"invalid heading", change(func(o *tributary.Object) { o.Heading = []string{"\xff"} }), "heading is not valid UTF-8"},
		{"invalid metadata", change(func(o *tributary.Object) { o.Metadata = map[string]string{"k": "\xff"} }), "metadata is not valid UTF-8"},
		{"id twice", append(twice, twice...), "occurs twice"},
	} {
		t.Run(test.name, func(t *testing.T) {
			err := s.Insert(t.Context(), kb, test.objects)
			last := test.objects[len(test.objects)-1]
			if err == nil || !strings.Contains(err.Error(), test.want) || !strings.Contains(err.Error(), last.ID) {
				t.Errorf("Insert() = %v, want an error with %q that names %s", err, test.want, last.ID)
			}
			if outcome(err) != tributary.Retry {
				t.Errorf("Insert() = %v, want a plain error", err)
			}
		})
	}
	if got := count(t, s, kb); got != 0 {
		t.Errorf("%d objects are stored, want 0", got)
	}
}

func TestInsertNamesEachObjectThatTheServerRefuses(t *testing.T) {
	s := openStore(t)
	kb := newKB(t, s)
	insert(t, s, kb, newObject("d", 1)) // now the index has its dimension
	class, err := className(kb)
	if err != nil {
		t.Fatal(err)
	}
	objects := newObjects(3, "d", 1)
	objects[0].Vector, objects[2].Vector = randomVector(5), randomVector(5)
	encoded, err := encodeAll(class, objects[1:2], testDim)
	if err != nil {
		t.Fatal(err)
	}
	for _, i := range []int{0, 2} { // past the check that Insert makes
		m, err := encode(class, objects[i])
		if err != nil {
			t.Fatal(err)
		}
		encoded = append(encoded, m)
	}
	err = s.insertBatch(t.Context(), "insert", encoded)
	for i, want := range []bool{true, false, true} {
		if err == nil || strings.Contains(err.Error(), objects[i].ID) != want {
			t.Errorf("error names object %d: %v, want %v: %v", i, !want, want, err)
		}
	}
	if outcome(err) != tributary.Retry {
		t.Errorf("outcome %v, want %v", outcome(err), tributary.Retry)
	}
}

func TestBatchesKeepToTheirBounds(t *testing.T) {
	object := func(bytes int) *models.Object {
		return &models.Object{Properties: map[string]any{"text": strings.Repeat("x", bytes)}}
	}
	var many []*models.Object
	for range 2*maxBatchObjects + 1 {
		many = append(many, object(1))
	}
	for _, test := range []struct {
		name    string
		objects []*models.Object
		want    []int
	}{
		{"none", nil, nil},
		{"by count", many, []int{maxBatchObjects, maxBatchObjects, 1}},
		{"by bytes", []*models.Object{object(maxBatchBytes / 2), object(maxBatchBytes / 3), object(maxBatchBytes / 2)}, []int{2, 1}},
		{"one too large", []*models.Object{object(1), object(2 * maxBatchBytes), object(1)}, []int{1, 1, 1}},
	} {
		t.Run(test.name, func(t *testing.T) {
			var got []int
			for _, b := range batches(test.objects) {
				got = append(got, len(b))
			}
			if !slices.Equal(got, test.want) {
				t.Errorf("batches of %v objects, want %v", got, test.want)
			}
		})
	}
}

func TestInsertOfSeveralBatchesStoresAllOfThem(t *testing.T) {
	s := openStore(t)
	kb := newKB(t, s)
	insert(t, s, kb)
	insert(t, s, kb, newObjects(2*maxBatchObjects+7, "d", 1)...)
	if got, want := count(t, s, kb), 2*maxBatchObjects+7; got != want {
		t.Errorf("%d objects stored, want %d", got, want)
	}
}

func TestASmallInsertDoesNotWaitForFullOnes(t *testing.T) {
	s := openStore(t)
	kb := newKB(t, s)
	for range batchesInFlight {
		release, err := s.acquire(t.Context(), "fill", maxBatchObjects)
		if err != nil {
			t.Fatal(err)
		}
		defer release()
	}
	insert(t, s, kb, newObjects(smallBatch, "d1", 1)...)
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if _, err := s.acquire(ctx, "fill", smallBatch+1); err == nil {
		t.Error("a larger batch has a place though as many as may be are under way")
	}
}

// naiveBatch sends objects as one batch, as large as it may be, under ids that
// may have been sent before: what Insert does not do.
func naiveBatch(ctx context.Context, s *Store, kb string, objects []tributary.Object) error {
	class, err := className(kb)
	if err != nil {
		return err
	}
	encoded, err := encodeAll(class, objects, testDim)
	if err != nil {
		return err
	}
	return s.insertBatch(ctx, "naive", encoded)
}

// cutOff calls send and cancels its context at the moment that the first of
// its objects is stored.
func cutOff(t *testing.T, s *Store, kb string, send func(context.Context) error) error {
	t.Helper()
	before := count(t, s, kb)
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	done := make(chan error, 1)
	go func() { done <- send(ctx) }()
	for {
		select {
		case err := <-done:
			return err
		default:
			if count(t, s, kb) > before {
				cancel()
				return <-done
			}
		}
	}
}

func unindexed(t *testing.T, s *Store, kb string, objects []tributary.Object) []string {
	t.Helper()
	got, err := s.Unindexed(t.Context(), kb, objects)
	if err != nil {
		t.Fatal(err)
	}
	return got
}

// A batch that is cut off leaves objects outside the vector index. Sending
// them again does not mend it, new ids and a sweep do. How many objects are
// hit varies with the moment, none included: so the cut is tried until it
// shows.
func TestABatchThatWasCutOffIsMendedByNewIDsAndNotByTheSame(t *testing.T) {
	const tries, size = 10, 1000
	s := openStore(t)
	for try := range tries {
		kb := newKB(t, s)
		objects := newObjects(size, "d", 1)
		err := cutOff(t, s, kb, func(ctx context.Context) error { return naiveBatch(ctx, s, kb, objects) })
		if err == nil || len(waitForQuiet(t, s, kb, objects[:sample])) == 0 {
			t.Logf("try %d: the cut left nothing behind (error %v)", try, err)
			continue
		}

		if err := naiveBatch(t.Context(), s, kb, objects); err != nil {
			t.Fatalf("the same batch again: %v, want it to report success", err)
		}
		lost := unindexed(t, s, kb, objects[:sample])
		if len(lost) == 0 {
			t.Fatal("the same batch again mended it: the remedy is not needed any more")
		}
		t.Logf("the same batch again: success reported, %d of %d not found by their vectors", len(lost), sample)
		mend(t, s, kb, objects)
		return
	}
	t.Fatalf("in %d tries no batch was left half done", tries)
}

// sample is how many objects of a batch are looked for.
const sample = 200

// mend does what is right after an insert with an unknown outcome, and checks
// that all is well then.
func mend(t *testing.T, s *Store, kb string, objects []tributary.Object) {
	t.Helper()
	again := slices.Clone(objects)
	for i := range again {
		again[i].ID = newObject("", 0).ID
	}
	insert(t, s, kb, again...)
	removed, err := s.Sweep(t.Context(), kb, "d", 1, idsOf(again))
	if err != nil || removed == 0 {
		t.Errorf("Sweep() = %d, %v, want what the first attempt left", removed, err)
	}
	if got := unindexed(t, s, kb, again[:sample]); len(got) != 0 {
		t.Errorf("%d of %d objects under new ids are not found", len(got), sample)
	}
	if got, want := scanIDs(t, s, kb), sorted(idsOf(again)); !slices.Equal(got, want) {
		t.Errorf("%d objects are stored, want exactly the %d new ones", len(got), len(want))
	}
}

// waitForQuiet waits until the server works at no batch any more and returns
// what is not found then.
func waitForQuiet(t *testing.T, s *Store, kb string, objects []tributary.Object) []string {
	t.Helper()
	for last := -1; ; {
		stored := count(t, s, kb)
		lost := unindexed(t, s, kb, objects)
		if stored+len(lost) == last {
			return lost
		}
		last = stored + len(lost)
	}
}

// A proxy passes TCP connections on until it is told to cut them.
type proxy struct {
	listener net.Listener
	target   string
	mu       sync.Mutex
	conns    []net.Conn
	wg       sync.WaitGroup
}

func newProxy(t *testing.T, target string) *proxy {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	p := &proxy{listener: l, target: target}
	p.wg.Go(p.serve)
	t.Cleanup(func() {
		_ = l.Close()
		p.cut()
		p.wg.Wait()
	})
	return p
}

func (p *proxy) address() string { return p.listener.Addr().String() }

func (p *proxy) serve() {
	for {
		in, err := p.listener.Accept()
		if err != nil {
			return
		}
		out, err := net.Dial("tcp", p.target)
		if err != nil {
			_ = in.Close()
			return
		}
		p.mu.Lock()
		p.conns = append(p.conns, in, out)
		p.mu.Unlock()
		for _, pair := range [][2]net.Conn{{in, out}, {out, in}} {
			p.wg.Go(func() {
				_, _ = io.Copy(pair[0], pair[1])
				_ = pair[0].Close()
			})
		}
	}
}

// cut closes all connections.
func (p *proxy) cut() {
	p.mu.Lock()
	defer p.mu.Unlock()
	for _, c := range p.conns {
		_ = c.Close()
	}
	p.conns = nil
}

func TestAConnectionThatIsLostInMidInsertIsUnavailableAndMendedByNewIDs(t *testing.T) {
	server := testenv.Weaviate(t)
	p := newProxy(t, server.GRPC)
	cutStore := openAt(t, Config{Address: server.HTTP, GRPCAddress: p.address()})
	s := openStore(t)
	kb := newKB(t, s)
	objects := newObjects(1500, "d", 1)

	done := make(chan error, 1)
	go func() { done <- cutStore.Insert(t.Context(), kb, objects) }()
	for count(t, s, kb) == 0 && len(done) == 0 {
	}
	p.cut()
	err := <-done
	if err == nil || outcome(err) != tributary.Waiting {
		t.Fatalf("Insert() over a lost connection = %v, want tributary.Unavailable", err)
	}

	waitForQuiet(t, s, kb, objects[:sample])
	mend(t, s, kb, objects)
}

func TestAnInsertThatRunsIntoItsDeadlineIsUnavailable(t *testing.T) {
	server := testenv.Weaviate(t)
	silent, err := net.Listen("tcp", "127.0.0.1:0") // takes connections and never answers
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = silent.Close() }()
	kb := newKB(t, openStore(t))
	s := openAt(t, Config{Address: server.HTTP, GRPCAddress: silent.Addr().String(), Timeout: 2 * time.Second})
	err = s.Insert(t.Context(), kb, newObjects(1, "d", 1))
	if outcome(err) != tributary.Waiting {
		t.Errorf("Insert() = %v, want tributary.Unavailable", err)
	}
}

func TestACancelledInsertSaysSoOnce(t *testing.T) {
	s := openStore(t)
	kb := newKB(t, s)
	objects := newObjects(3000, "d", 1)
	err := cutOff(t, s, kb, func(ctx context.Context) error { return s.Insert(ctx, kb, objects) })
	if !errors.Is(err, context.Canceled) || strings.Count(err.Error(), "canceled") != 1 {
		t.Errorf("Insert() = %v, want context.Canceled, once", err)
	}
	waitForQuiet(t, s, kb, objects[:sample]) // dropping a collection with a batch under way takes 20 s
}

func BenchmarkInsert(b *testing.B) {
	for _, dim := range []int{384, 1024} {
		b.Run(fmt.Sprintf("dim=%d", dim), func(b *testing.B) {
			s := openStore(b)
			kb := benchKB(b, s, dim)
			const perCall = 600
			for b.Loop() {
				b.StopTimer()
				objects := benchObjects(perCall, dim)
				b.StartTimer()
				insert(b, s, kb, objects...)
			}
			b.ReportMetric(float64(perCall*b.N)/b.Elapsed().Seconds(), "objects/s")
		})
	}
}
