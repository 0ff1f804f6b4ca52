package chunker

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"reflect"
	"slices"
	"strings"
	"testing"
	"unicode"
	"unicode/utf8"

	"github.com/tributary-kb/tributary"
)

// chunk cuts doc and checks what must hold for every document.
func chunk(t testing.TB, c Chunker, doc tributary.Document) []tributary.Chunk {
	t.Helper()
	var out []tributary.Chunked
	if err := c.Chunk(t.Context(), doc, func(r tributary.Chunked) error { out = append(out, r); return nil }); err != nil {
		t.Fatal(err)
	}
	if len(out) != 1 {
		t.Fatalf("%d results for one document", len(out))
	}
	checkChunks(t, c, doc, out[0].Chunks)
	return out[0].Chunks
}

// checkChunks reports every invariant that does not hold.
func checkChunks(t testing.TB, c Chunker, doc tributary.Document, chunks []tributary.Chunk) {
	t.Helper()
	cfg := c.withDefaults()
	covered, start, end := 0, -1, -1
	ordinals := map[string]int{}
	for i, k := range chunks {
		switch {
		case k.Start < 0 || k.End > len(doc.Text) || k.Start >= k.End:
			t.Fatalf("chunk %d is [%d, %d) of %d bytes", i, k.Start, k.End, len(doc.Text))
		case k.Text != doc.Text[k.Start:k.End]:
			t.Fatalf("chunk %d is not the text at its offsets", i)
		case k.Start <= start || k.End <= end:
			t.Fatalf("chunk %d [%d, %d) does not come after [%d, %d)", i, k.Start, k.End, start, end)
		case !utf8.ValidString(k.Text):
			t.Fatalf("chunk %d is not on rune boundaries", i)
		case strings.TrimSpace(k.Text) == "":
			t.Fatalf("chunk %d is white space", i)
		case k.Tokens > cfg.MaxTokens && utf8.RuneCountInString(k.Text) > 1:
			t.Fatalf("chunk %d has %d tokens, the limit is %d", i, k.Tokens, cfg.MaxTokens)
		case k.Hash != tributary.ChunkHash(doc.Attributes, k):
			t.Fatalf("chunk %d has another hash", i)
		case k.Ordinal != ordinals[k.Hash]:
			t.Fatalf("chunk %d has ordinal %d, want %d", i, k.Ordinal, ordinals[k.Hash])
		case cfg.OverlapTokens == 0 && k.Start < end:
			t.Fatalf("chunk %d overlaps the one before", i)
		}
		if k.Start > covered && strings.TrimSpace(doc.Text[covered:k.Start]) != "" {
			t.Fatalf("lost before chunk %d: %q", i, doc.Text[covered:k.Start])
		}
		ordinals[k.Hash]++
		covered, start, end = k.End, k.Start, k.End
	}
	if rest := doc.Text[covered:]; strings.TrimSpace(rest) != "" {
		t.Fatalf("lost at the end: %q", rest)
	}
}

// markdown is a document with the blocks of a simple Markdown text: blank
// lines separate blocks, "#" starts headings, "-" lists, four blanks code and
// "|" tables.
func markdown(text string) tributary.Document {
	doc := tributary.Document{Head: tributary.Head{URI: "doc.md"}, Text: text}
	for at := 0; at < len(text); {
		end := len(text)
		if i := strings.Index(text[at:], "\n\n"); i >= 0 {
			end = at + i
		}
		if b := (tributary.Block{Kind: kindOf(text[at:end]), Start: at, End: end}); end > at {
			if b.Kind == tributary.BlockHeading {
				b.Title = strings.TrimLeft(text[at:end], "# ")
				b.Level = strings.IndexByte(text[at:end], ' ')
			}
			doc.Blocks = append(doc.Blocks, b)
		}
		at = end + 2
	}
	return doc
}

func kindOf(s string) tributary.BlockKind {
	for prefix, kind := range map[string]tributary.BlockKind{
		"#": tributary.BlockHeading, "- ": tributary.BlockList, "    ": tributary.BlockCode, "|": tributary.BlockTable,
	} {
		if strings.HasPrefix(s, prefix) {
			return kind
		}
	}
	return tributary.BlockParagraph
}

// prose returns n different sentences of about ten tokens.
func prose(seed uint64, n int) string {
	words := strings.Fields("stream consumer subject message server cluster client account token leaf node queue group reply request header payload storage memory file replica leader quorum")
	r := rand.New(rand.NewPCG(seed, 1))
	var out []string
	for range n {
		s := make([]string, 9)
		for i := range s {
			s[i] = words[r.IntN(len(words))]
		}
		s[0] = strings.ToUpper(s[0][:1]) + s[0][1:]
		out = append(out, strings.Join(s, " ")+".")
	}
	return strings.Join(out, " ")
}

func texts(chunks []tributary.Chunk) []string {
	var out []string
	for _, c := range chunks {
		out = append(out, c.Text)
	}
	return out
}

func TestChunkFollowsTheStructure(t *testing.T) {
	long := prose(1, 18)  // nearly a whole chunk
	short := prose(2, 2)  // small
	other := prose(3, 18) // another whole chunk
	for _, c := range []struct {
		name, text string
		want       []string
		headings   [][]string
	}{
		{"one paragraph", "Hello.", []string{"Hello."}, [][]string{nil}},
		{"a heading belongs to the chunk that follows", "# A\n\n" + long + "\n\n## B\n\n" + other,
			[]string{"# A\n\n" + long, "## B\n\n" + other}, [][]string{{"A"}, {"A", "B"}}},
		{"small sections below one heading are packed", "# A\n\n## B\n\n" + short + "\n\n## C\n\n" + short,
			[]string{"# A\n\n## B\n\n" + short + "\n\n## C\n\n" + short}, [][]string{{"A"}}},
		{"a small section does not join one further up", "# A\n\n## B\n\n" + short + "\n\n# C\n\n" + short,
			[]string{"# A\n\n## B\n\n" + short, "# C\n\n" + short}, [][]string{{"A", "B"}, {"C"}}},
		{"a small section does not join a large one", "# A\n\n" + short + "\n\n# B\n\n" + long,
			[]string{"# A\n\n" + short, "# B\n\n" + long}, [][]string{{"A"}, {"B"}}},
		{"headings without text keep together", "# A\n\n## B\n\n### C\n\n" + short,
			[]string{"# A\n\n## B\n\n### C\n\n" + short}, [][]string{{"A", "B", "C"}}},
		{"a heading at the end", "# A\n\n" + long + "\n\n## B",
			[]string{"# A\n\n" + long, "## B"}, [][]string{{"A"}, {"A", "B"}}},
		{"text before the first heading", long + "\n\n# A\n\n" + other,
			[]string{long, "# A\n\n" + other}, [][]string{nil, {"A"}}},
	} {
		t.Run(c.name, func(t *testing.T) {
			got := chunk(t, Chunker{}, markdown(c.text))
			if !reflect.DeepEqual(texts(got), c.want) {
				t.Fatalf("chunks %q,\nwant %q", texts(got), c.want)
			}
			for i, k := range got {
				if !slices.Equal(k.Heading, c.headings[i]) {
					t.Errorf("chunk %d has heading %q, want %q", i, k.Heading, c.headings[i])
				}
			}
		})
	}
}

func TestLongBlocksAreCutAtTheBestPlace(t *testing.T) {
	var list, table, code strings.Builder
	for i := range 60 {
		fmt.Fprintf(&list, "- item %d %s\n", i, prose(uint64(i), 1))
		fmt.Fprintf(&table, "| %d | %s |\n", i, prose(uint64(i), 1))
		fmt.Fprintf(&code, "    call(%d, \"%s\")\n", i, prose(uint64(i), 1))
	}
	for _, c := range []struct {
		name, text string
		ends       string // every chunk ends in one of these
	}{
		{"prose at sentences", prose(1, 200), "."},
		{"lists at items", list.String(), "."},
		{"tables at rows", table.String(), "|"},
		{"code at lines", code.String(), ")"},
		{"Chinese at its full stops", strings.Repeat("持久消费者在客户端断开连接时保持其位置。", 60), "。"},
		{"sentences too long at words", strings.Repeat("stream consumer ", 500), "mr"},
	} {
		t.Run(c.name, func(t *testing.T) {
			got := chunk(t, Chunker{}, markdown(c.text))
			if len(got) < 3 {
				t.Fatalf("only %d chunks", len(got))
			}
			for i, k := range got {
				if last, _ := utf8.DecodeLastRuneInString(k.Text); !strings.ContainsRune(c.ends, last) {
					t.Errorf("chunk %d ends in %q", i, k.Text[len(k.Text)-20:])
				}
				if k.Tokens < DefaultTargetTokens/4 {
					t.Errorf("chunk %d has only %d tokens", i, k.Tokens)
				}
			}
		})
	}
}

func TestChunksHaveTheTargetSizeOnAverage(t *testing.T) {
	total := 0
	chunks := chunk(t, Chunker{}, tributary.Document{Text: prose(1, 5000)})
	for _, k := range chunks {
		total += k.Tokens
	}
	if mean := total / len(chunks); mean < 170 || mean > 230 {
		t.Errorf("chunks have %d tokens on average, want about %d", mean, DefaultTargetTokens)
	}
}

func TestAnEditChangesFewChunks(t *testing.T) {
	paragraphs := make([]string, 300)
	for i := range paragraphs {
		paragraphs[i] = prose(uint64(i), 2+i%7)
	}
	for _, c := range []struct {
		name string
		join string
	}{
		{"one section of paragraphs", "\n\n"},
		{"one paragraph of sentences", " "},
	} {
		t.Run(c.name, func(t *testing.T) {
			before := chunk(t, Chunker{}, markdown(strings.Join(paragraphs, c.join)))
			worst, sum := 0, 0
			for i := 0; i < len(paragraphs); i += 10 {
				edited := slices.Clone(paragraphs)
				edited[i] += " This sentence is new and moves everything behind it."
				n := added(before, chunk(t, Chunker{}, markdown(strings.Join(edited, c.join))))
				worst, sum = max(worst, n), sum+n
			}
			t.Logf("%d chunks; an edit changes %.1f on average, %d at worst", len(before), float64(sum)/30, worst)
			if worst > 12 || sum > 30*4 {
				t.Errorf("30 edits changed %d chunks, the worst %d of %d", sum, worst, len(before))
			}
		})
	}
}

func TestInsertionAtTheTopLeavesLaterSectionsAlone(t *testing.T) {
	var b strings.Builder
	for i := range 40 {
		fmt.Fprintf(&b, "## Section %d\n\n%s\n\n%s\n\n", i, prose(uint64(i), 5+i%30), prose(uint64(100+i), 3))
	}
	before := chunk(t, Chunker{}, markdown("# Guide\n\n## Before\n\n"+prose(1000, 15)+"\n\n"+b.String()))
	after := chunk(t, Chunker{}, markdown("# Guide\n\n## Before\n\n"+prose(2000, 40)+"\n\n"+prose(1000, 15)+"\n\n"+b.String()))
	if n := added(before, after); n > 4 {
		t.Errorf("%d of %d chunks changed", n, len(after))
	}
}

// added counts the chunks of after whose hashes before does not have.
func added(before, after []tributary.Chunk) int {
	had := map[string]int{}
	for _, c := range before {
		had[c.Hash]++
	}
	n := 0
	for _, c := range after {
		if had[c.Hash]--; had[c.Hash] < 0 {
			n++
		}
	}
	return n
}

func TestEqualChunksAreNumbered(t *testing.T) {
	same := prose(1, 20)
	got := chunk(t, Chunker{}, markdown("# A\n\n"+same+"\n\n# A\n\n"+same+"\n\n# A\n\n"+same))
	for i, k := range got {
		if k.Ordinal != i || k.Hash != got[0].Hash {
			t.Errorf("chunk %d has ordinal %d and hash %s, want %d and %s", i, k.Ordinal, k.Hash, i, got[0].Hash)
		}
	}
}

func TestPageIsThatOfTheStart(t *testing.T) {
	a, b := prose(1, 15), prose(2, 15)
	doc := tributary.Document{Text: a + "\n\n" + b, Blocks: []tributary.Block{
		{Kind: tributary.BlockParagraph, Start: 0, End: len(a), Page: 3},
		{Kind: tributary.BlockParagraph, Start: len(a) + 2, End: len(a) + 2 + len(b), Page: 4},
	}}
	for _, k := range chunk(t, Chunker{}, doc) {
		want := 3
		if k.Start > len(a) {
			want = 4
		}
		if k.Page != want {
			t.Errorf("chunk at %d is on page %d, want %d", k.Start, k.Page, want)
		}
	}
}

func TestOverlapRepeatsWholeWordsOfTheSection(t *testing.T) {
	c := Chunker{Config: Config{OverlapTokens: 30}}
	got := chunk(t, c, markdown("# A\n\n"+prose(1, 100)+"\n\n# B\n\n"+prose(2, 100)))
	overlapping := 0
	for i := 1; i < len(got); i++ {
		if strings.HasPrefix(got[i].Text, "# B") {
			continue
		}
		common := got[i-1].End - got[i].Start
		if common <= 0 {
			t.Errorf("chunk %d does not overlap", i)
			continue
		}
		if n := CountTokens(got[i].Text[:common]); n > 30 || n < 20 {
			t.Errorf("chunk %d overlaps by %d tokens", i, n)
		}
		overlapping++
	}
	if overlapping < 6 {
		t.Errorf("only %d chunks overlap", overlapping)
	}
}

func TestBadBlocksLoseNothing(t *testing.T) {
	text := "alpha beta\n\ngamma Ünïcode delta\n\nepsilon"
	for name, blocks := range map[string][]tributary.Block{
		"none":         nil,
		"gap":          {{Kind: tributary.BlockParagraph, Start: 0, End: 5}},
		"overlap":      {{Start: 0, End: 20}, {Start: 5, End: 30}},
		"out of range": {{Start: -4, End: 400}},
		"reversed":     {{Start: 20, End: 3}},
		"wrong order":  {{Start: 20, End: 30}, {Start: 0, End: 10}},
		"inside runes": {{Start: 0, End: 19}, {Start: 19, End: 22}},
	} {
		t.Run(name, func(t *testing.T) { chunk(t, Chunker{}, tributary.Document{Text: text, Blocks: blocks}) })
	}
}

func TestADeletedDocumentPassesWithItsHead(t *testing.T) {
	doc := tributary.Document{Head: tributary.Head{KB: "default", URI: "u", Version: 7, Deleted: true}}
	var got []tributary.Chunked
	err := Chunker{}.Chunk(t.Context(), doc, func(c tributary.Chunked) error { got = append(got, c); return nil })
	if want := []tributary.Chunked{{Head: doc.Head}}; err != nil || !reflect.DeepEqual(got, want) {
		t.Errorf("got %+v, %v, want %+v", got, err, want)
	}
}

func TestChunkRefuses(t *testing.T) {
	for _, c := range []struct {
		name, text string
		cfg        Config
		want       string
	}{
		{"no text", " \n\t ", Config{}, "no text"},
		{"invalid UTF-8", "a\xff", Config{}, "UTF-8"},
		{"too many chunks", prose(1, 200), Config{MaxChunks: 3}, "more than 3 chunks of about 200 tokens, the limit set by chunker.max_chunks"},
	} {
		t.Run(c.name, func(t *testing.T) {
			err := Chunker{Config: c.cfg}.Chunk(t.Context(), tributary.Document{Text: c.text},
				func(tributary.Chunked) error { t.Error("emitted"); return nil })
			if outcome, _ := tributary.OutcomeOf(err); outcome != tributary.Rejected || !strings.Contains(err.Error(), c.want) {
				t.Errorf("got %v (%v), want a rejection with %q", err, outcome, c.want)
			}
		})
	}
}

func TestChunkStopsWhenCancelled(t *testing.T) {
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	err := Chunker{}.Chunk(ctx, tributary.Document{Text: "text"}, func(tributary.Chunked) error { return nil })
	if !errors.Is(err, context.Canceled) {
		t.Errorf("got %v, want %v", err, context.Canceled)
	}
}

func TestConfigIsValidated(t *testing.T) {
	for _, c := range []struct {
		cfg  Config
		want string
	}{
		{Config{}, ""},
		{Config{TargetTokens: 10}, "chunker.target_tokens is 10"},
		{Config{MaxTokens: 100}, "chunker.max_tokens is 100"},
		{Config{OverlapTokens: 150}, "chunker.overlap_tokens is 150"},
		{Config{MaxChunks: -1}, "chunker.max_chunks is -1"},
	} {
		got := ""
		if err := c.cfg.Validate(); err != nil {
			got = err.Error()
		}
		if !strings.HasPrefix(got, c.want) || c.want == "" && got != "" {
			t.Errorf("Validate of %+v = %q, want %q", c.cfg, got, c.want)
		}
	}
}

func TestVersionNamesTheParameters(t *testing.T) {
	if got, want := (Chunker{}).Version(), "chunker/1 target=200 max=300 overlap=0"; got != want {
		t.Errorf("got %q, want %q", got, want)
	}
	if got, want := (Chunker{Counter: CountTokens}).Version(), "chunker/1 target=200 max=300 overlap=0 counter=custom"; got != want {
		t.Errorf("got %q, want %q", got, want)
	}
}

func TestMonstersAreCutInOnePass(t *testing.T) {
	const mebi = 1 << 20
	for _, c := range []struct {
		name, of string
		size     int
	}{
		{"one line of words", "stream consumer ", 30 * mebi},
		{"one word", "x", mebi / 2},
		{"full stops", ".", mebi / 2},
		{"full stops in a word", "......x", mebi / 2},
		{"closing brackets", ".)", mebi / 2},
		{"white space", " ", mebi / 2},
		{"empty lines", "\n \n", mebi / 2},
		{"emoji", "\U0001F469\u200d\U0001F4BB", mebi / 2},
	} {
		t.Run(c.name, func(t *testing.T) {
			text := "a" + strings.Repeat(c.of, c.size/len(c.of)) + "b"
			chunk(t, Chunker{Config: Config{MaxChunks: c.size}}, tributary.Document{Text: text})
		})
	}
}

func FuzzChunk(f *testing.F) {
	f.Add("# A\n\nHello there. Mr. Smith said: yes!\n\n- a\n- b\n\n    code()\n\n| x | y |", uint8(32), uint8(0))
	f.Add(prose(1, 60), uint8(40), uint8(10))
	f.Add(strings.Repeat("持久消费者。", 50), uint8(32), uint8(16))
	f.Add(strings.Repeat("x", 2000), uint8(33), uint8(3))
	f.Add("a\u00a0\u2003 \u0085b\n\n\n", uint8(0), uint8(0))
	f.Fuzz(func(t *testing.T, text string, target, overlap uint8) {
		cfg := Config{TargetTokens: max(int(target), minTargetTokens)}
		cfg.OverlapTokens = min(int(overlap), cfg.TargetTokens/2)
		text = strings.ToValidUTF8(text, "")
		if strings.TrimFunc(text, unicode.IsSpace) == "" {
			return
		}
		chunk(t, Chunker{Config: cfg}, markdown(text))
		chunk(t, Chunker{Config: cfg}, tributary.Document{Text: text})
		bytes := func(s string) int { return len(s) }
		chunk(t, Chunker{Config: cfg, Counter: bytes}, markdown(text))
	})
}

func FuzzBlocks(f *testing.F) {
	f.Add("alpha beta Ünïcode", 0, 5, 3, 12)
	f.Fuzz(func(t *testing.T, text string, a, b, c, d int) {
		text = strings.ToValidUTF8(text, "")
		if strings.TrimSpace(text) == "" {
			return
		}
		chunk(t, Chunker{}, tributary.Document{Text: text, Blocks: []tributary.Block{
			{Kind: tributary.BlockHeading, Start: a, End: b}, {Kind: tributary.BlockList, Start: c, End: d},
		}})
	})
}

func BenchmarkChunk(b *testing.B) {
	var text strings.Builder
	for i := range 200 {
		fmt.Fprintf(&text, "## Section %d\n\n%s\n\n%s\n\n", i, prose(uint64(i), 5+i%30), prose(uint64(100+i), 3))
	}
	for _, c := range []struct {
		name string
		doc  tributary.Document
	}{
		{"sections", markdown(text.String())},
		{"one line", tributary.Document{Text: prose(1, 5000)}},
		{"one word", tributary.Document{Text: strings.Repeat("x", 300_000)}},
	} {
		b.Run(c.name, func(b *testing.B) {
			b.SetBytes(int64(len(c.doc.Text)))
			b.ReportAllocs()
			for b.Loop() {
				err := Chunker{}.Chunk(b.Context(), c.doc, func(tributary.Chunked) error { return nil })
				if err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}
