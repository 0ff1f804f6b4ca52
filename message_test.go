package tributary_test

import (
	"encoding/json"
	"math"
	"slices"
	"testing"
	"time"

	"github.com/tributary-kb/tributary"
)

func TestVectorInJSON(t *testing.T) {
	tests := []struct {
		name string
		v    tributary.Vector
		want string
	}{
		{"nil", nil, `null`},
		{"empty", tributary.Vector{}, `""`},
		{"one", tributary.Vector{1}, `"AACAPw=="`},
		{"little endian, in order", tributary.Vector{1, -2}, `"AACAPwAAAMA="`},
		{"smallest and largest", tributary.Vector{math.SmallestNonzeroFloat32, math.MaxFloat32}, `"AQAAAP//f38="`},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			data, err := json.Marshal(tt.v)
			if err != nil {
				t.Fatal(err)
			}
			if string(data) != tt.want {
				t.Errorf("marshalled to %s, want %s", data, tt.want)
			}
			var back tributary.Vector
			if err := json.Unmarshal(data, &back); err != nil {
				t.Fatal(err)
			}
			if !slices.Equal(back, tt.v) || (back == nil) != (tt.v == nil) {
				t.Errorf("came back as %v, want %v", back, tt.v)
			}
		})
	}
}

func TestVectorRefusesWhatIsNotOne(t *testing.T) {
	tests := []struct {
		name string
		data string
		want string
	}{
		{"a list of numbers", `[1,2]`, "vector:"},
		{"a number", `1`, "vector:"},
		{"not base64", `"???"`, "vector:"},
		{"half a component", `"AACA"`, "3 bytes is not a whole number of float32"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			var v tributary.Vector
			checkErr(t, json.Unmarshal([]byte(tt.data), &v), tt.want)
		})
	}
}

func TestVectorCheck(t *testing.T) {
	nan, inf := float32(math.NaN()), float32(math.Inf(1))
	tests := []struct {
		name string
		v    tributary.Vector
		dim  int
		want string
	}{
		{"good", tributary.Vector{0.6, 0.8}, 2, ""},
		{"not of length one", tributary.Vector{3, 4}, 2, ""},
		{"one zero component", tributary.Vector{0, 1}, 2, ""},
		{"missing", nil, 2, "0 dimensions, want 2"},
		{"too short", tributary.Vector{1}, 2, "1 dimensions, want 2"},
		{"too long", tributary.Vector{1, 2, 3}, 2, "3 dimensions, want 2"},
		{"all zero", tributary.Vector{0, 0}, 2, "vector is zero"},
		{"negative zero", tributary.Vector{0, float32(math.Copysign(0, -1))}, 2, "vector is zero"},
		{"not a number", tributary.Vector{1, nan}, 2, "component 1 is NaN"},
		{"infinite", tributary.Vector{-inf, 1}, 2, "component 0 is -Inf"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			checkErr(t, tt.v.Check(tt.dim), tt.want)
		})
	}
}

func TestEmbeddingText(t *testing.T) {
	tests := []struct {
		name    string
		title   string
		heading []string
		want    string
	}{
		{"no title, no heading", "", nil, "text"},
		{"title only", "Rivers", nil, "Rivers\n\ntext"},
		{"heading only", "", []string{"Rhine"}, "Rhine\n\ntext"},
		{"outermost first", "Atlas", []string{"Rivers", "Rhine"}, "Atlas > Rivers > Rhine\n\ntext"},
		{"title repeated as first heading", "Rivers", []string{"Rivers", "Rhine"}, "Rivers > Rhine\n\ntext"},
		{"empty headings left out", "Rivers", []string{"", "Rhine", ""}, "Rivers > Rhine\n\ntext"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			got := tributary.EmbeddingText(tt.title, tributary.Chunk{Heading: tt.heading, Text: "text"})
			if got != tt.want {
				t.Errorf("got %q, want %q", got, tt.want)
			}
		})
	}
}

func TestEmbeddingTextLeavesTheHeadingAlone(t *testing.T) {
	heading := append(make([]string, 0, 4), "Rhine", "Source")
	tributary.EmbeddingText("Rivers", tributary.Chunk{Heading: heading, Text: "text"})
	if want := []string{"Rhine", "Source"}; !slices.Equal(heading, want) {
		t.Errorf("heading became %q, want %q", heading, want)
	}
}

func TestAcceptGivesAVersionOnlyOnce(t *testing.T) {
	berlin := time.FixedZone("CET", 3600)
	first := time.Date(2026, 3, 1, 12, 0, 0, 0, berlin)
	var r tributary.Request
	r.Accept(7, first)
	if r.Version != 7 || !r.Accepted.Equal(first) || r.Accepted.Location() != time.UTC {
		t.Fatalf("accepted as version %d at %v, want 7 at %v", r.Version, r.Accepted, first.UTC())
	}
	r.Accept(9, first.Add(time.Hour))
	if r.Version != 7 || !r.Accepted.Equal(first) {
		t.Errorf("played again it became version %d at %v, want 7 at %v still", r.Version, r.Accepted, first.UTC())
	}
}

func TestRedeliveredDoesNotTravel(t *testing.T) {
	var doc tributary.Document
	doc.URI = "u"
	doc.MarkRedelivered()
	if !doc.MessageHead().Redelivered {
		t.Error("MarkRedelivered did not mark the message")
	}
	data, err := json.Marshal(doc)
	if err != nil {
		t.Fatal(err)
	}
	var back tributary.Document
	if err := json.Unmarshal(data, &back); err != nil {
		t.Fatal(err)
	}
	if back.Redelivered {
		t.Errorf("the mark travelled in %s", data)
	}
}

// Every edge of the pipeline embeds the ones before it; a field that two
// levels share would silently vanish from the JSON.
func TestEmbeddedKeepsAllItCarries(t *testing.T) {
	c := sampleChunk()
	c.Vector, c.Hash = tributary.Vector{0.6, 0.8}, "h"
	want := tributary.Embedded{
		Chunked: tributary.Chunked{
			Head:        tributary.Head{KB: "default", URI: "u", Document: "d", Version: 3, Lane: tributary.LaneBulk},
			Attributes:  sampleAttributes(),
			ContentHash: "hash", Parser: "p", Chunker: "c",
			Chunks: []tributary.Chunk{c},
		},
		Embedder: "e",
	}
	first, err := json.Marshal(want)
	if err != nil {
		t.Fatal(err)
	}
	var got tributary.Embedded
	if err := json.Unmarshal(first, &got); err != nil {
		t.Fatal(err)
	}
	second, err := json.Marshal(got)
	if err != nil {
		t.Fatal(err)
	}
	if string(first) != string(second) {
		t.Errorf("came back as\n%s, want\n%s", second, first)
	}
	if got.Title != want.Title || got.Version != want.Version || got.Embedder != want.Embedder || len(got.Chunks) != 1 {
		t.Errorf("got %+v, want %+v", got, want)
	}
}

func FuzzVectorJSON(f *testing.F) {
	for _, seed := range []string{`null`, `""`, `"AACAPw=="`, `"AACA"`, `[1]`, `"AADAfwAAgH8="`, `{`} {
		f.Add([]byte(seed))
	}
	f.Fuzz(func(t *testing.T, data []byte) {
		var v tributary.Vector
		if json.Unmarshal(data, &v) != nil {
			return
		}
		out, err := json.Marshal(v)
		if err != nil {
			t.Fatalf("%q was read as a vector that cannot be written: %v", data, err)
		}
		var back tributary.Vector
		if err := json.Unmarshal(out, &back); err != nil {
			t.Fatalf("%q was written as %s, which cannot be read: %v", data, out, err)
		}
		if !sameBits(v, back) {
			t.Errorf("%q was read as %v, written and read again as %v", data, v, back)
		}
	})
}

// sameBits compares as the wire does: NaN equals itself, 0 is not -0.
func sameBits(a, b tributary.Vector) bool {
	return slices.EqualFunc(a, b, func(x, y float32) bool { return math.Float32bits(x) == math.Float32bits(y) })
}

func BenchmarkVectorJSON(b *testing.B) {
	v := make(tributary.Vector, 1024)
	for i := range v {
		v[i] = float32(i+1) / 1024
	}
	b.ReportAllocs()
	for b.Loop() {
		data, err := json.Marshal(v)
		if err != nil {
			b.Fatal(err)
		}
		var back tributary.Vector
		if err := json.Unmarshal(data, &back); err != nil {
			b.Fatal(err)
		}
	}
}
