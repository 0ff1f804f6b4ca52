package weaviate

import (
	"bufio"
	"context"
	"fmt"
	"math"
	"math/rand/v2"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/google/uuid"

	"github.com/weaviate/weaviate-go-client/v4/weaviate/graphql"

	tributary "github.com/tributary-kb/tributary"
	"github.com/tributary-kb/tributary/internal/testenv"
)

// uris returns the URIs of the candidates for q, sorted.
func uris(t *testing.T, s *Store, kb string, q tributary.IndexQuery) []string {
	t.Helper()
	found, err := s.Candidates(t.Context(), kb, q)
	if err != nil {
		t.Fatal(err)
	}
	var out []string
	for _, c := range found {
		out = append(out, c.URI)
	}
	slices.Sort(out)
	return out
}

// corpus inserts three objects whose texts and vectors point apart: keywords
// say "a", the vector says "b".
func corpus(t *testing.T, s *Store) (kb string) {
	t.Helper()
	kb = newKB(t, s)
	var objects []tributary.Object
	for i, o := range []struct{ uri, text string }{
		{"a", "The consumers are pulling messages from the stream."},
		{"b", "Nothing of interest stands here at all."},
		{"c", "A message without much else to say."},
	} {
		object := newObject(o.uri, 1)
		object.URI, object.Text, object.Title, object.Vector = o.uri, o.text, "", axis(i)
		objects = append(objects, object)
	}
	insert(t, s, kb, objects...)
	return kb
}

func TestCandidatesAreRankedByKeywordsAndVectorAsAlphaSays(t *testing.T) {
	s := openStore(t)
	kb := corpus(t, s)
	query := "consumer pulls a message"
	for _, test := range []struct {
		name  string
		query tributary.IndexQuery
		want  []string // the first ones, in order
	}{
		{"keywords only", tributary.IndexQuery{Text: query}, []string{"a", "c"}},
		{"keywords only, whatever alpha", tributary.IndexQuery{Text: query, Alpha: 1}, []string{"a", "c"}},
		{"hybrid, keywords count", tributary.IndexQuery{Text: query, Vector: axis(1), Alpha: 0.25}, []string{"a"}},
		{"hybrid, vector counts", tributary.IndexQuery{Text: query, Vector: axis(1), Alpha: 0.75}, []string{"b"}},
		{"vector only", tributary.IndexQuery{Text: query, Vector: axis(2), Alpha: 1}, []string{"c"}},
		{"no term in the text", tributary.IndexQuery{Text: " \x07!?", Vector: axis(1), Alpha: 0.25}, []string{"b"}},
		{"no text", tributary.IndexQuery{Vector: axis(0), Alpha: 0}, []string{"a"}},
		{"nothing", tributary.IndexQuery{Text: "!"}, nil},
		{"unknown word", tributary.IndexQuery{Text: "xylophone"}, nil},
	} {
		t.Run(test.name, func(t *testing.T) {
			test.query.Limit = 3
			got, err := s.Candidates(t.Context(), kb, test.query)
			if err != nil {
				t.Fatal(err)
			}
			if len(test.want) == 0 && len(got) > 0 || len(got) < len(test.want) {
				t.Fatalf("%d candidates, want %v", len(got), test.want)
			}
			for i, want := range test.want {
				if got[i].URI != want {
					t.Errorf("candidate %d is %s, want %s", i, got[i].URI, want)
				}
			}
			for i := 1; i < len(got); i++ {
				if got[i].Score > got[i-1].Score {
					t.Errorf("score rises from %v to %v", got[i-1].Score, got[i].Score)
				}
			}
		})
	}
}

func TestCandidatesAreLimited(t *testing.T) {
	s := openStore(t)
	kb := corpus(t, s)
	if got := uris(t, s, kb, tributary.IndexQuery{Vector: axis(0), Limit: 2}); len(got) != 2 {
		t.Errorf("%d candidates, want 2", len(got))
	}
	nan := float32(math.NaN())
	for name, q := range map[string]tributary.IndexQuery{
		"limit 0":       {Text: "x"},
		"limit 10001":   {Text: "x", Limit: 10001},
		"alpha 2":       {Text: "x", Limit: 1, Alpha: 2},
		"alpha NaN":     {Text: "x", Limit: 1, Alpha: math.NaN()},
		"vector of NaN": {Text: "x", Limit: 1, Vector: tributary.Vector{nan}},
	} {
		if _, err := s.Candidates(t.Context(), kb, q); tributary.CodeOf(err) != tributary.CodeInvalid {
			t.Errorf("%s: error %v, want code %s", name, err, tributary.CodeInvalid)
		}
	}
}

func TestARareWordIsFoundAmongManyFrequentOnes(t *testing.T) {
	// At once or, on a server with the default settings, after its next flush;
	// see Candidates.
	s := openStore(t)
	kb := newKB(t, s)
	objects := newObjects(300, "d", 1)
	objects[len(objects)-1].Text = "A consumer of the okapi."
	insert(t, s, kb, objects...)
	testenv.Eventually(t, t.Context(), func() error {
		got, err := s.Candidates(t.Context(), kb, tributary.IndexQuery{Text: "consumer okapi", Limit: 10})
		if err == nil && (len(got) != 10 || got[0].ID != objects[len(objects)-1].ID) {
			err = fmt.Errorf("%d candidates, the object with the rare word is not the first", len(got))
		}
		return err
	})
}

func TestTitleAndHeadingsAreSearchedToo(t *testing.T) {
	s := openStore(t)
	kb := newKB(t, s)
	o := newObject("d", 1)
	o.Title, o.Heading, o.Text = "Zebra", []string{"Okapi"}, "Giraffe"
	insert(t, s, kb, o)
	for _, word := range []string{"zebras", "OKAPI", "giraffe"} {
		if got := uris(t, s, kb, tributary.IndexQuery{Text: word, Limit: 1}); len(got) != 1 {
			t.Errorf("query %q finds %v, want the object", word, got)
		}
	}
}

func TestEachFilterNarrowsTheCandidates(t *testing.T) {
	s := openStore(t)
	kb := newKB(t, s)
	day := func(d int) time.Time { return time.Date(2024, 3, d, 0, 0, 0, 0, time.UTC) }
	object := func(uri, source, contentType, language string, changed time.Time) tributary.Object {
		o := newObject("d", 1)
		o.URI, o.Source, o.ContentType, o.Language, o.Changed = uri, source, contentType, language, changed
		return o
	}
	insert(t, s, kb,
		object("a/1", "wiki", "text/html", "en", day(1)),
		object("a/2", "Wiki", "text/plain", "de", day(2)),
		object("b/1", "blog two", "text/html", "", day(3)),
		object("b/2", "", "", "en", time.Time{}),
	)
	for _, test := range []struct {
		name   string
		filter tributary.Filter
		want   []string
	}{
		{"none", tributary.Filter{}, []string{"a/1", "a/2", "b/1", "b/2"}},
		{"prefix", tributary.Filter{URIPrefix: "a/"}, []string{"a/1", "a/2"}},
		{"whole uri", tributary.Filter{URIPrefix: "b/2"}, []string{"b/2"}},
		{"source, by case", tributary.Filter{Sources: []string{"wiki"}}, []string{"a/1"}},
		{"one of the sources", tributary.Filter{Sources: []string{"Wiki", "blog two", "x"}}, []string{"a/2", "b/1"}},
		{"part of a source", tributary.Filter{Sources: []string{"blog"}}, nil},
		{"no source", tributary.Filter{Sources: []string{""}}, []string{"b/2"}},
		{"content type", tributary.Filter{ContentTypes: []string{"text/html"}}, []string{"a/1", "b/1"}},
		{"language", tributary.Filter{Languages: []string{"en", "fr"}}, []string{"a/1", "b/2"}},
		{"changed after, inclusive", tributary.Filter{ChangedAfter: day(2)}, []string{"a/2", "b/1"}},
		{"changed until, exclusive", tributary.Filter{ChangedUntil: day(2)}, []string{"a/1"}},
		{"changed between", tributary.Filter{ChangedAfter: day(2), ChangedUntil: day(2).Add(time.Millisecond)}, []string{"a/2"}},
		{"changed ever", tributary.Filter{ChangedAfter: time.Unix(-1<<40, 0), ChangedUntil: day(1).AddDate(5000, 0, 0)}, []string{"a/1", "a/2", "b/1"}},
		{"all at once", tributary.Filter{
			URIPrefix: "a", Sources: []string{"wiki"}, ContentTypes: []string{"text/html"},
			Languages: []string{"en"}, ChangedAfter: day(1), ChangedUntil: day(2),
		}, []string{"a/1"}},
		{"nothing left", tributary.Filter{URIPrefix: "a", Sources: []string{"blog two"}}, nil},
	} {
		t.Run(test.name, func(t *testing.T) {
			for kind, q := range map[string]tributary.IndexQuery{
				"keywords": {Text: "consumer"},
				"vector":   {Vector: axis(0)},
				"hybrid":   {Text: "consumer", Vector: axis(0), Alpha: 0.5},
			} {
				q.Filter, q.Limit = test.filter, 10
				if got := uris(t, s, kb, q); !slices.Equal(got, test.want) {
					t.Errorf("%s: candidates %v, want %v", kind, got, test.want)
				}
			}
		})
	}
}

func TestFiltersCombine(t *testing.T) {
	s := openStore(t)
	kb := newKB(t, s)
	object := func(uri, source string, metadata map[string]string) tributary.Object {
		o := newObject("d", 1)
		o.URI, o.Source, o.Metadata = uri, source, metadata
		return o
	}
	insert(t, s, kb,
		object("a", "wiki", map[string]string{"team": "red", "tier": "1"}),
		object("b", "blog", map[string]string{"team": "blue"}),
		object("c", "blog", map[string]string{"team": "Red = blue"}),
		object("d", "blog ", nil),
	)
	metadata := func(key string, values ...string) tributary.PlainFilter {
		return tributary.PlainFilter{Metadata: map[string][]string{key: values}}
	}
	not := func(f tributary.PlainFilter) tributary.Filter {
		return tributary.Filter{FilterTerms: tributary.FilterTerms{Not: &f}}
	}
	anyOf := func(f ...tributary.PlainFilter) tributary.Filter {
		return tributary.Filter{FilterTerms: tributary.FilterTerms{Any: f}}
	}
	wiki, blog := tributary.PlainFilter{Sources: []string{"wiki"}}, tributary.PlainFilter{Sources: []string{"blog"}}
	blueBlog := tributary.PlainFilter{Sources: []string{"blog"}, Metadata: map[string][]string{"team": {"blue"}}}
	for _, test := range []struct {
		name   string
		filter tributary.Filter
		want   []string
	}{
		{"uris", tributary.PlainFilter{URIs: []string{"a", "d", "x"}}.Filter(), []string{"a", "d"}},
		{"metadata", metadata("team", "red").Filter(), []string{"a"}},
		{"metadata, one of several", metadata("team", "blue", "Red = blue").Filter(), []string{"b", "c"}},
		{"metadata, the key alone", metadata("tier").Filter(), []string{"a"}},
		{"metadata with a source", blueBlog.Filter(), []string{"b"}},
		{"not, where the server ignores space at the end of what is stored", not(blog), []string{"a"}},
		{"not metadata", not(metadata("team", "red", "blue")), []string{"c", "d"}},
		{"not a key", not(metadata("team")), []string{"d"}},
		{"not a value with space at its end", not(tributary.PlainFilter{Sources: []string{"blog "}}), []string{"a", "b", "c"}},
		{"not both", not(blueBlog), []string{"a", "c", "d"}},
		{"any", anyOf(wiki, metadata("team", "blue")), []string{"a", "b"}},
		{"any, one of which takes all", anyOf(tributary.PlainFilter{}, wiki), []string{"a", "b", "c", "d"}},
		{"not everything", not(tributary.PlainFilter{}), nil},
	} {
		t.Run(test.name, func(t *testing.T) {
			for kind, q := range map[string]tributary.IndexQuery{"keywords": {Text: "consumer"}, "vector": {Vector: axis(0)}} {
				q.Filter, q.Limit = test.filter, 10
				if got := uris(t, s, kb, q); !slices.Equal(got, test.want) {
					t.Errorf("%s: candidates %v, want %v", kind, got, test.want)
				}
			}
		})
	}
}

func TestScoresAreThoseOfTheirKind(t *testing.T) {
	s := openStore(t)
	kb := corpus(t, s)
	half := slices.Clone(axis(0))
	half[1] = half[0]
	found, err := s.Candidates(t.Context(), kb, tributary.IndexQuery{Vector: half, Limit: 1})
	if err != nil {
		t.Fatal(err)
	}
	if got := found[0].Score; math.Abs(got-math.Sqrt(.5)) > 1e-3 {
		t.Errorf("the score is %v, want the cosine of 45 degrees", got)
	}
}

func TestAPrefixMeansItselfWhateverCharactersItHas(t *testing.T) {
	s := openStore(t)
	kb := newKB(t, s)
	all := []string{
		"https://x/a?q=1", "https://x/abq=1", "https://x/a*c/d", "https://x/aXYc/d", "https://x/a", `\dir\file`, `\Dir\file`,
		`say "hi"/x`, "ünï/ö", "uni/o", " leading", "two  spaces", "two spaces", "tag\U000e0041/x", "private\ue000\U000f0000/x", "[a-z]+.$/x",
		"trailing ", "max\U0010ffff?", "max\U0010ffff?x",
	}
	var objects []tributary.Object
	for _, uri := range all {
		o := newObject("d", 1)
		o.URI = uri
		objects = append(objects, o)
	}
	insert(t, s, kb, objects...)
	prefixes := []string{
		"https://x/a?", "https://x/a*", "https://x/?", "*", "?", `\d`, `\`, `say "`, "ü", "u", " l", " ", "two ", "two  ",
		"tag\U000e0041", "private\ue000", "[a", "trailing ", "t", "max\U0010ffff?", "\U0010ffff?", "nowhere", "\x07", "\xff",
	}
	for _, prefix := range append(prefixes, all...) {
		var want []string
		for _, uri := range all {
			if strings.HasPrefix(uri, prefix) {
				want = append(want, uri)
			}
		}
		slices.Sort(want)
		q := tributary.IndexQuery{Text: "consumer", Limit: len(all), Filter: tributary.Filter{URIPrefix: prefix}}
		if got := uris(t, s, kb, q); !slices.Equal(got, want) {
			t.Errorf("prefix %q: candidates %q, want %q", prefix, got, want)
		}
	}
}

func TestAPrefixWithWildcardsLosesNoneOfTheLimit(t *testing.T) {
	// Where only the pattern matches, the server must not fill the limit with
	// what is dropped afterwards.
	s := openStore(t)
	kb := newKB(t, s)
	objects := newObjects(20, "d", 1)
	for i := range objects {
		objects[i].URI = fmt.Sprintf("https://x/aZ%d", i)
	}
	objects[19].URI = "https://x/a?19"
	insert(t, s, kb, objects...)
	q := tributary.IndexQuery{Text: "consumer", Limit: 1, Filter: tributary.Filter{URIPrefix: "https://x/a?"}}
	if got := uris(t, s, kb, q); !slices.Equal(got, []string{"https://x/a?19"}) {
		t.Errorf("candidates %q, want the one with the question mark", got)
	}
}

// naughty are texts that the client cannot put into a query, each of which
// stands for a class of characters.
var naughty = map[string]string{
	"BEL":             "stream\x07",
	"VT":              "stream\vstream",
	"DEL":             "stream\x7f",
	"NUL":             "stream\x00",
	"invalid UTF-8":   "stream \xff\xfe",
	"private use":     "stream \U000f0001",
	"tag characters":  "stream \U000e0041\U000e007f",
	"a noncharacter":  "stream \U0010ffff",
	"C1 control":      "stream \u0085",
	"quotes":          `"stream" 'stream' """stream"""`,
	"backslash":       `stream\`,
	"escapes":         `stream \a \x \u12 \U000e0041 \n`,
	"closing braces":  `stream"}) {x} }`,
	"a line break":    "stream\r\n\u2028stream",
	"bidi and joiner": "stream \u202e\u200d\ufeff",
}

func TestTheClientsOwnQuotingBreaksGraphQL(t *testing.T) {
	// Why the queries are written here; see quote.
	s := openStore(t)
	kb := corpus(t, s)
	class, err := className(kb)
	if err != nil {
		t.Fatal(err)
	}
	for _, name := range []string{"BEL", "VT", "DEL", "NUL", "invalid UTF-8", "private use", "tag characters"} {
		response, err := s.client.GraphQL().Get().WithClassName(class).WithFields(graphql.Field{Name: "uri"}).
			WithBM25(s.client.GraphQL().Bm25ArgBuilder().WithQuery(naughty[name]).WithProperties("terms")).Do(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		if graphqlErrors(response) == nil {
			t.Errorf("%s: the client's query works: the remedy is not needed any more", name)
		}
	}
}

func TestAnyTextIsAValidQuery(t *testing.T) {
	s := openStore(t)
	kb := corpus(t, s)
	for name, text := range naughty {
		if got := uris(t, s, kb, tributary.IndexQuery{Text: text, Limit: 3}); !slices.Equal(got, []string{"a"}) {
			t.Errorf("%s: candidates %v, want [a]", name, got)
		}
		// The analysis drops most of it before it is quoted: quote alone must do, too.
		g := new(get)
		g.bm25(text)
		g.limit(3)
		if _, err := run[stored](t.Context(), s, kb, g, "uri"); err != nil {
			t.Errorf("%s, not analysed: %v", name, err)
		}
	}
}

func TestTheBigListOfNaughtyStringsIsSearched(t *testing.T) {
	file, err := os.Open(filepath.Join(testenv.SharedData(t, "nasty-blns"), "blns.txt"))
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = file.Close() }()
	s := openStore(t)
	kb := corpus(t, s)
	lines := bufio.NewScanner(file)
	n := 0
	for lines.Scan() {
		text := lines.Text()
		n++
		q := tributary.IndexQuery{Text: text, Vector: axis(0), Alpha: 0.5, Limit: 3, Filter: tributary.Filter{Sources: []string{text, ""}}}
		if got, err := s.Candidates(t.Context(), kb, q); err != nil || len(got) == 0 {
			t.Errorf("line %d %q: %d candidates, %v", n, text, len(got), err)
		}
		q.Filter = tributary.Filter{URIPrefix: text}
		if _, err := s.Candidates(t.Context(), kb, q); err != nil {
			t.Errorf("line %d %q as prefix: %v", n, text, err)
		}
	}
	if err := lines.Err(); err != nil || n < 500 {
		t.Errorf("read %d lines, %v, want more than 500", n, err)
	}
}

func benchKB(b *testing.B, s *Store, dim int) string {
	b.Helper()
	kb := testenv.KB(b)
	if err := s.EnsureCollection(b.Context(), kb, Collection{Embedder: "bench", Dimension: dim}); err != nil {
		b.Fatal(err)
	}
	b.Cleanup(func() { _ = s.DropCollection(context.WithoutCancel(b.Context()), kb) })
	return kb
}

// benchObjects returns objects with about 1 KB of text from a vocabulary
// in which, as in languages, few words are frequent.
func benchObjects(n, dim int) []tributary.Object {
	out := make([]tributary.Object, n)
	for i := range out {
		var text strings.Builder
		for text.Len() < 1000 {
			text.WriteString(word(int(math.Exp(rand.Float64() * 10))))
			text.WriteByte(' ')
		}
		o := newObject(uuid.NewString(), 1)
		o.Text, o.Vector = text.String(), randomVector(dim)
		out[i] = o
	}
	return out
}

// word spells n in letters.
func word(n int) string {
	return strings.Map(func(digit rune) rune { return digit - '0' + 'k' }, strconv.Itoa(n))
}

func BenchmarkCandidates(b *testing.B) {
	const dim, objects, k = 384, 10_000, 60
	text := strings.Join([]string{word(40), word(300), word(500), word(2000)}, " ")
	s := openStore(b)
	kb := benchKB(b, s, dim)
	insert(b, s, kb, benchObjects(objects, dim)...)
	for name, q := range map[string]tributary.IndexQuery{
		"hybrid":   {Text: text, Vector: randomVector(dim), Alpha: 0.25},
		"filtered": {Text: text, Vector: randomVector(dim), Alpha: 0.25, Filter: tributary.Filter{URIPrefix: "https://example.org/1"}},
		"keywords": {Text: text},
		"vector":   {Vector: randomVector(dim)},
	} {
		q.Limit = k
		b.Run(name, func(b *testing.B) {
			var took []time.Duration
			for b.Loop() {
				start := time.Now()
				if _, err := s.Candidates(b.Context(), kb, q); err != nil {
					b.Fatal(err)
				}
				took = append(took, time.Since(start))
			}
			slices.Sort(took)
			b.ReportMetric(float64(took[len(took)/2].Microseconds())/1000, "p50-ms")
			b.ReportMetric(float64(took[len(took)*99/100].Microseconds())/1000, "p99-ms")
		})
	}
}
