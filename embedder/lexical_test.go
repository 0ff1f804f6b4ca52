package embedder

import (
	"context"
	"math"
	"reflect"
	"strings"
	"testing"

	"github.com/tributary-kb/tributary"
)

func embedOne(t testing.TB, text string) tributary.Vector {
	t.Helper()
	vectors, err := newLexical(Config{}).Embed(t.Context(), []string{text}, RoleDocument)
	if err != nil || len(vectors) != 1 {
		t.Fatalf("Embed(%q) = %d vectors, %v", text, len(vectors), err)
	}
	checkUnit(t, vectors[0], lexicalDimension)
	return vectors[0]
}

func checkUnit(t testing.TB, v tributary.Vector, dim int) {
	t.Helper()
	if err := v.Check(dim); err != nil {
		t.Error(err)
	}
	if length := math.Sqrt(dot(v, v)); math.Abs(length-1) > 1e-5 {
		t.Errorf("vector has length %v, want 1", length)
	}
}

func TestLexicalVectorsAreNearerForSharedRareTerms(t *testing.T) {
	query := embedOne(t, "durable consumers of a stream")
	near := dot(query, embedOne(t, "A durable consumer keeps its position in the stream."))
	far := dot(query, embedOne(t, "The account signs its users with a key."))
	if near < 0.2 || near < far+0.2 {
		t.Errorf("similarity is %.2f with shared terms and %.2f without", near, far)
	}
	rare := dot(embedOne(t, "use quorum"), embedOne(t, "quorum"))
	common := dot(embedOne(t, "use quorum"), embedOne(t, "use"))
	if rare <= common {
		t.Errorf("the rare term gives %.2f, the common one %.2f", rare, common)
	}
}

func TestLexicalVectorsExistForEveryText(t *testing.T) {
	for _, text := range []string{"", " ", "?!", "...", "the", "\U0001F600", "消息", "a\xffb", strings.Repeat("word ", 10000)} {
		if v := embedOne(t, text); !reflect.DeepEqual(v, embedOne(t, text)) {
			t.Errorf("two vectors of %.20q differ", text)
		}
	}
	if reflect.DeepEqual(embedOne(t, "?!"), embedOne(t, "---")) {
		t.Error("texts without terms all have the same vector")
	}
}

// TestLexicalVectorsStayTheSame fails when vectors are no longer comparable
// with stored ones; then hash-v1 needs another name.
func TestLexicalVectorsStayTheSame(t *testing.T) {
	m := newLexical(Config{})
	if got, want := m.Fingerprint(), "hash-v1:1024:43466e7c"; got != want {
		t.Errorf("fingerprint %s, want %s", got, want)
	}
	v := embedOne(t, "Durable consumers keep their position in the stream.")
	got := map[int]float32{}
	for i, x := range v {
		if x != 0 {
			got[i] = float32(math.Round(float64(x)*1000) / 1000)
		}
	}
	want := map[int]float32{117: -0.174, 610: 0.37, 638: 0.571, 648: -0.323, 652: 0.374, 732: -0.185, 817: -0.236, 857: 0.371, 1017: 0.186}
	if !reflect.DeepEqual(got, want) {
		t.Errorf("components %#v, want %#v", got, want)
	}
}

func TestLexicalFingerprintNamesTheLanguage(t *testing.T) {
	if a, b := newLexical(Config{}).Fingerprint(), newLexical(Config{Language: "fr"}).Fingerprint(); a == b {
		t.Errorf("both fingerprints are %s", a)
	}
}

func TestLexicalStopsWhenCancelled(t *testing.T) {
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if _, err := newLexical(Config{}).Embed(ctx, []string{"text"}, RoleQuery); err == nil {
		t.Error("no error after cancellation")
	}
}

func FuzzLexical(f *testing.F) {
	f.Add("Hello, world")
	f.Add("\xff\x00")
	f.Add("a b a b")
	f.Fuzz(func(t *testing.T, text string) { embedOne(t, text) })
}

func BenchmarkLexical(b *testing.B) {
	m := newLexical(Config{})
	text := strings.Repeat("A durable consumer keeps its position in the stream when the client disconnects. ", 10)
	b.SetBytes(int64(len(text)))
	b.ReportAllocs()
	for b.Loop() {
		m.vector(text)
	}
}
