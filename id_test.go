package tributary_test

import (
	"regexp"
	"strings"
	"testing"

	"github.com/tributary-kb/tributary"
)

// The ids below are stored in every index and registry that exists. If one of
// these tests fails, the change orphans all of them.
func TestIDsNeverChange(t *testing.T) {
	const document = "e64579e7-a86c-570f-837d-a4b31fc7cd53"
	tests := []struct {
		name string
		got  string
		want string
	}{
		{"document", tributary.DocumentID("default", "https://example.com/a"), document},
		{"chunk", tributary.ChunkID(document, 7, "attempt-1", "0123456789abcdef0123456789abcdef", 2), "79609f86-efe7-577f-a5c2-b11e7fe747a3"},
		{"hash", tributary.Hash([]byte("water")), "0f4168490e38b8447e11ba4bd656aa11"},
		{"chunk hash", tributary.ChunkHash(sampleAttributes(), sampleChunk()), "942b502bcde2de41acd6f7f68f2d6782"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			if tt.got != tt.want {
				t.Errorf("got %s, want %s", tt.got, tt.want)
			}
		})
	}
}

func TestIDsAreVersion5UUIDs(t *testing.T) {
	shape := regexp.MustCompile(`^[0-9a-f]{8}-[0-9a-f]{4}-5[0-9a-f]{3}-[89ab][0-9a-f]{3}-[0-9a-f]{12}$`)
	for _, uri := range []string{"", "a", "file:///a b", "https://example.com/\u00fc", strings.Repeat("x", 5000)} {
		document := tributary.DocumentID("default", uri)
		for _, id := range []string{document, tributary.ChunkID(document, 1, "a", "h", 0)} {
			if !shape.MatchString(id) {
				t.Errorf("uri %.20q: id %q is not a version 5 UUID", uri, id)
			}
		}
	}
}

func TestChunkIDDiffersInEveryPart(t *testing.T) {
	ids := map[string]string{
		"base":     tributary.ChunkID("doc", 1, "a", "h", 0),
		"document": tributary.ChunkID("cod", 1, "a", "h", 0),
		"birth":    tributary.ChunkID("doc", 2, "a", "h", 0),
		"attempt":  tributary.ChunkID("doc", 1, "b", "h", 0),
		"hash":     tributary.ChunkID("doc", 1, "a", "i", 0),
		"ordinal":  tributary.ChunkID("doc", 1, "a", "h", 1),
		// The digits of neighbouring parts must not run together.
		"boundary": tributary.ChunkID("doc", 11, "", "h", 0),
		"shifted":  tributary.ChunkID("doc", 1, "1", "h", 0),
	}
	seen := map[string]string{}
	for name, id := range ids {
		if other, ok := seen[id]; ok {
			t.Errorf("%s and %s have the same id %s", name, other, id)
		}
		seen[id] = name
	}
}

func TestDocumentIDKeepsKnowledgeBasesApart(t *testing.T) {
	if a, b := tributary.DocumentID("a", "u"), tributary.DocumentID("b", "u"); a == b {
		t.Errorf("knowledge bases a and b share the document id %s", a)
	}
}

func TestChunkHashCoversWhatIsStored(t *testing.T) {
	base := tributary.ChunkHash(sampleAttributes(), sampleChunk())
	tests := []struct {
		name   string
		change func(*tributary.Attributes, *tributary.Chunk)
		differ bool
	}{
		{"title", func(a *tributary.Attributes, _ *tributary.Chunk) { a.Title += "!" }, true},
		{"source", func(a *tributary.Attributes, _ *tributary.Chunk) { a.Source = "other" }, true},
		{"content type", func(a *tributary.Attributes, _ *tributary.Chunk) { a.ContentType = "text/html" }, true},
		{"language", func(a *tributary.Attributes, _ *tributary.Chunk) { a.Language = "de" }, true},
		{"metadata", func(a *tributary.Attributes, _ *tributary.Chunk) { a.Metadata = map[string]string{"team": "b"} }, true},
		{"heading", func(_ *tributary.Attributes, c *tributary.Chunk) { c.Heading = []string{"Rivers", "Elbe"} }, true},
		{"text", func(_ *tributary.Attributes, c *tributary.Chunk) { c.Text += " " }, true},
		{"place in the document", func(_ *tributary.Attributes, c *tributary.Chunk) { c.Start, c.End, c.Page = 90, 120, 4 }, false},
		{"ordinal", func(_ *tributary.Attributes, c *tributary.Chunk) { c.Ordinal = 3 }, false},
		{"token estimate", func(_ *tributary.Attributes, c *tributary.Chunk) { c.Tokens = 99 }, false},
		{"vector and id", func(_ *tributary.Attributes, c *tributary.Chunk) { c.Vector, c.ID = tributary.Vector{1}, "x" }, false},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			a, c := sampleAttributes(), sampleChunk()
			tt.change(&a, &c)
			if got := tributary.ChunkHash(a, c) != base; got != tt.differ {
				t.Errorf("a change of the %s changes the hash: %t, want %t", tt.name, got, tt.differ)
			}
		})
	}
}

func TestChunkHashIgnoresTheOrderOfMetadata(t *testing.T) {
	a, b := sampleAttributes(), sampleAttributes()
	a.Metadata, b.Metadata = map[string]string{}, map[string]string{}
	for _, k := range []string{"a", "b", "c", "d", "e"} {
		a.Metadata[k] = k
	}
	for _, k := range []string{"e", "d", "c", "b", "a"} {
		b.Metadata[k] = k
	}
	if got, want := tributary.ChunkHash(a, sampleChunk()), tributary.ChunkHash(b, sampleChunk()); got != want {
		t.Errorf("hash %s, in the other order %s", got, want)
	}
}

func TestCheckKB(t *testing.T) {
	tests := []struct {
		name string
		ok   bool
	}{
		{"default", true},
		{"a", true},
		{"team-7", true},
		{strings.Repeat("a", 63), true},
		{"", false},
		{strings.Repeat("a", 64), false},
		{"7team", false},
		{"-team", false},
		{"Team", false},
		{"a.b", false},
		{"a*", false},
		{"a>", false},
		{"a b", false},
		{"a\n", false},
		{"\u00fcber", false},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			if err := tributary.CheckKB(tt.name); (err == nil) != tt.ok {
				t.Errorf("CheckKB(%q) = %v, want accepted: %t", tt.name, err, tt.ok)
			}
		})
	}
}

func TestCheckURI(t *testing.T) {
	tests := []struct {
		name string
		uri  string
		want string // part of the error, "" for none
	}{
		{"web address", "https://example.com/a?b=c#d", ""},
		{"file with a blank", "file:///srv/docs/a b.md", ""},
		{"no scheme", "notes/today", ""},
		{"other scripts", "https://example.com/\u6c34", ""},
		{"as long as may be", strings.Repeat("a", tributary.MaxURIBytes), ""},
		{"empty", "", "has no uri"},
		{"too long", strings.Repeat("a", tributary.MaxURIBytes+1), "2049 bytes, the limit is 2048"},
		{"NUL", "a\x00b", "control characters"},
		{"line feed", "a\nb", "control characters"},
		{"delete", "a\x7fb", "control characters"},
		{"invalid UTF-8", "a\xffb", "invalid UTF-8"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			checkErr(t, tributary.CheckURI(tt.uri), tt.want)
		})
	}
}

// checkErr compares an error with the part of its text that is wanted, ""
// for no error.
func checkErr(t *testing.T, err error, want string) {
	t.Helper()
	switch {
	case want == "" && err != nil:
		t.Errorf("got error %q, want none", err)
	case want != "" && err == nil:
		t.Errorf("got no error, want one with %q", want)
	case want != "" && !strings.Contains(err.Error(), want):
		t.Errorf("got error %q, want one with %q", err, want)
	}
}

func sampleAttributes() tributary.Attributes {
	return tributary.Attributes{
		Title:       "Rivers",
		Source:      "atlas",
		ContentType: "text/markdown",
		Language:    "en",
		Metadata:    map[string]string{"team": "a"},
	}
}

func sampleChunk() tributary.Chunk {
	return tributary.Chunk{Heading: []string{"Rivers", "Rhine"}, Text: "It rises in the Alps.", Start: 10, End: 31}
}

func TestCheckFetch(t *testing.T) {
	for uri, want := range map[string]string{
		"https://x.example/a": "", "http://x.example": "",
		"file:///etc/passwd": "only http and https", "doc:1": "only http and https", "http:///a": "only http and https", "http://[": "only http and https",
	} {
		t.Run(uri, func(t *testing.T) { checkErr(t, tributary.CheckFetch(uri), want) })
	}
}
