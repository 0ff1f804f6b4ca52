package tokenizer

import (
	"encoding/json"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
)

// open reads a tokenizer of testdata; its README says where each is from.
func open(t testing.TB, name string) *Tokenizer {
	t.Helper()
	tok, err := Open(filepath.Join("testdata", name+".json"))
	if err != nil {
		t.Fatal(err)
	}
	return tok
}

func load(t testing.TB, name string, into any) {
	t.Helper()
	data, err := os.ReadFile(filepath.Join("testdata", name))
	if err != nil {
		t.Fatal(err)
	}
	if err := json.Unmarshal(data, into); err != nil {
		t.Fatal(err)
	}
}

// A variant is a file of testdata in which parts are replaced.
type variant map[string]json.RawMessage

// file is the tokenizer.json of the variant.
func (v variant) file(t testing.TB) []byte {
	t.Helper()
	var name string
	if err := json.Unmarshal(v["file"], &name); err != nil {
		t.Fatal(err)
	}
	var whole, model map[string]json.RawMessage
	load(t, name+".json", &whole)
	if err := json.Unmarshal(whole["model"], &model); err != nil {
		t.Fatal(err)
	}
	if v["model"] != nil {
		if err := json.Unmarshal(v["model"], &model); err != nil {
			t.Fatal(err)
		}
	}
	if string(model["merges"]) == `"text"` {
		model["merges"] = asText(t, whole["model"])
	}
	for part, raw := range v {
		if part != "file" {
			whole[part] = raw
		}
	}
	whole["model"] = marshal(t, model)
	return marshal(t, whole)
}

// asText returns the merges in the form of older files.
func asText(t testing.TB, model json.RawMessage) json.RawMessage {
	t.Helper()
	var m struct{ Merges [][2]string }
	if err := json.Unmarshal(model, &m); err != nil {
		t.Fatal(err)
	}
	text := make([]string, len(m.Merges))
	for i, pair := range m.Merges {
		text[i] = pair[0] + " " + pair[1]
	}
	return marshal(t, text)
}

func marshal(t testing.TB, v any) []byte {
	t.Helper()
	data, err := json.Marshal(v)
	if err != nil {
		t.Fatal(err)
	}
	return data
}

// variants are all tokenizers of variants.json.
func variants(t testing.TB) map[string]*Tokenizer {
	t.Helper()
	var all map[string]variant
	load(t, "variants.json", &all)
	made := make(map[string]*Tokenizer, len(all))
	for name, v := range all {
		tok, err := New(v.file(t))
		if err != nil {
			t.Fatalf("%s: %v", name, err)
		}
		made[name] = tok
	}
	return made
}

// golden.json is from Hugging Face's own tokenizers; testdata/golden.mjs makes
// it again.
func TestTokensAreThoseOfHuggingFace(t *testing.T) {
	var texts []string
	var golden struct {
		Variants map[string]struct{ IDs, Pairs, Types, Truncated [][]int32 }
	}
	load(t, "texts.json", &texts)
	load(t, "golden.json", &golden)
	for name, tok := range variants(t) {
		want := golden.Variants[name]
		if len(want.IDs) != len(texts) || len(want.Truncated) != len(texts) || len(want.Pairs) == 0 {
			t.Fatalf("%s: %d results for %d texts", name, len(want.IDs), len(texts))
		}
		for i, text := range texts {
			ids := tok.Append(nil, text)
			if got := tok.Single(ids).IDs; !slices.Equal(got, want.IDs[i]) {
				t.Errorf("%s of %q:\n got %v\nwant %v", name, text, got, want.IDs[i])
			}
			single, _ := tok.Extra()
			if got := tok.Single(ids[:min(len(ids), 8-single)]).IDs; !slices.Equal(got, want.Truncated[i]) {
				t.Errorf("%s of the beginning of %q:\n got %v\nwant %v", name, text, got, want.Truncated[i])
			}
		}
		for i, ids := range want.Pairs {
			got := tok.Pair(tok.Append(nil, texts[i]), tok.Append(nil, texts[i+1]))
			if !slices.Equal(got.IDs, ids) || !slices.Equal(got.Types, want.Types[i]) {
				t.Errorf("%s of %q and %q:\n got %v\nwant %v of types %v", name, texts[i], texts[i+1], got, ids, want.Types[i])
			}
		}
	}
}

func TestPairsTellTheTextsApart(t *testing.T) {
	tok := open(t, "wordpiece")
	in := tok.Pair([]int32{11, 12}, []int32{13})
	cls, sep := in.IDs[0], in.IDs[3]
	if want := []int32{cls, 11, 12, sep, 13, sep}; !slices.Equal(in.IDs, want) || cls == sep {
		t.Errorf("ids are %v, want %v", in.IDs, want)
	}
	if want := []int32{0, 0, 0, 0, 1, 1}; !slices.Equal(in.Types, want) {
		t.Errorf("types are %v, want %v", in.Types, want)
	}
	if single, pair := tok.Extra(); single != 2 || pair != 3 {
		t.Errorf("adds %d and %d tokens, want 2 and 3", single, pair)
	}
}

func TestWhatIsNotSupportedIsRefusedByName(t *testing.T) {
	const words = `"model":{"type":"WordPiece","unk_token":"u","vocab":{"u":0}}`
	for _, c := range []struct{ file, want string }{
		{`{}`, "there is no model"},
		{`[`, "unexpected end"},
		{`{"model":{"type":"Odd"}}`, `model "Odd" is not supported`},
		{`{"model":{"type":"BPE","vocab":{},"merges":["a b"]}}`, `merge "a" of "b" has a token that the vocabulary lacks`},
		{`{"model":{"type":"BPE","vocab":{},"merges":["a"]}}`, `merge "a" has no two parts`},
		{`{"model":{"type":"BPE","vocab":{},"merges":[],"dropout":0.1}}`, `BPE with dropout`},
		{`{"model":{"type":"WordPiece","unk_token":"[UNK]","vocab":{"a":0}}}`, `lacks unk_token "[UNK]"`},
		{`{"model":{"type":"WordPiece","unk_token":"a","vocab":{"a":-1}}}`, `token "a" has ID -1`},
		{`{"model":{"type":"Unigram","unk_id":7,"vocab":[["a",0]]}}`, "unk_id is not one of the 1 tokens"},
		{`{` + words + `,"normalizer":{"type":"Odd"}}`, `normalizer "Odd" is not supported`},
		{`{` + words + `,"normalizer":{"type":"Precompiled","precompiled_charsmap":"/////w=="}}`, "is cut off"},
		{`{` + words + `,"pre_tokenizer":{"type":"Odd"}}`, `pre_tokenizer "Odd" is not supported`},
		{`{` + words + `,"pre_tokenizer":{"type":"Split","behavior":"Isolated","pattern":{"Regex":"(?<=a)b"}}}`, "(?<=a)b"},
		{`{` + words + `,"pre_tokenizer":{"type":"Split","behavior":"Isolated","pattern":{"Regex":"a\\b"}}}`, `\b is not supported`},
		{`{` + words + `,"pre_tokenizer":{"type":"Split","behavior":"MergedWithNext","pattern":{"String":"-"}}}`, `behavior "MergedWithNext" is not supported`},
		{`{` + words + `,"post_processor":{"type":"Odd"}}`, `post_processor "Odd" is not supported`},
		{`{` + words + `,"added_tokens":[{"id":-4,"content":"x"}]}`, `added token "x" has ID -4`},
	} {
		if _, err := New([]byte(c.file)); err == nil || !strings.Contains(err.Error(), c.want) {
			t.Errorf("%s: got %v, want %q", c.file, err, c.want)
		}
	}
}

// A charmap with one entry: "é" becomes "e". Its trie is laid out by hand.
func TestCharmapReplacesWhatItsTrieHolds(t *testing.T) {
	units := make([]uint32, 1024)
	units[0] = 256 << 10                  // children at 256 ^ byte
	units[256^0xc3] = 512<<10 | 0xc3      // children at (256^0xc3) ^ 512 ^ byte
	leaf := uint32(256^0xc3) ^ 512 ^ 0xa9 // of "é", c3 a9
	units[leaf] = 1<<10 | 1<<8 | 0xa9     // its value lies one beside it
	units[leaf^1] = 1 << 31               // and is 0
	m := charmap{units: units, replacements: []byte("e\x00")}
	if got := string(m.append(nil, "caf\u00e9 \u00e8 \u6771")); got != "cafe \u00e8 \u6771" {
		t.Errorf("got %q", got)
	}
}

// Whatever the text, every ID is one that the model has a row for.
func FuzzAppend(f *testing.F) {
	var texts []string
	load(f, "texts.json", &texts)
	for _, text := range texts {
		f.Add(text)
	}
	all := variants(f)
	f.Fuzz(func(t *testing.T, text string) {
		for _, tok := range all {
			for _, id := range tok.Append(nil, text) {
				if id < 0 || int(id) >= tok.Size() {
					t.Fatalf("ID %d of %d", id, tok.Size())
				}
			}
		}
	})
}

// The tokens of a byte-level model lie end to end in the text, whatever it is:
// nothing is lost, doubled or moved.
func FuzzBytesAreKept(f *testing.F) {
	var texts []string
	load(f, "texts.json", &texts)
	for _, text := range texts {
		f.Add(text)
	}
	tok := open(f, "bytelevel")
	spelled := make([]string, tok.Size())
	for token, id := range tok.model.(*bpe).vocab {
		spelled[id] = token
	}
	byteOf := map[rune]byte{}
	for b, r := range byteRunes {
		byteOf[r] = byte(b)
	}
	f.Fuzz(func(t *testing.T, text string) {
		if strings.Contains(text, "<mask>") {
			return // it takes the space before it along
		}
		var got []byte
		for _, id := range tok.Append(nil, text) {
			for _, r := range spelled[id] {
				got = append(got, byteOf[r])
			}
		}
		if string(got) != text {
			t.Errorf("tokens of %q spell %q", text, got)
		}
	})
}

// A damaged file is refused or works; it does not panic.
func FuzzNew(f *testing.F) {
	for _, seed := range []string{ // small ones, which are mutated fast
		`{"normalizer":{"type":"BertNormalizer"},"pre_tokenizer":{"type":"BertPreTokenizer"},"model":{"type":"WordPiece","unk_token":"u","vocab":{"u":0,"hello":1,"w":2,"##o":3}}}`,
		`{"pre_tokenizer":{"type":"Metaspace","replacement":"▁"},"model":{"type":"Unigram","unk_id":0,"vocab":[["u",0],["▁",-1.5],["H",-2],["ello",-3]]}}`,
		`{"pre_tokenizer":{"type":"ByteLevel"},"added_tokens":[{"id":9,"content":"wö","lstrip":true}],"model":{"type":"BPE","vocab":{"H":0,"e":1,"He":2,"l":3,"ll":4},"merges":["H e",["l","l"]]}}`,
		`{"pre_tokenizer":{"type":"Sequence","pretokenizers":[{"type":"Split","behavior":"Isolated","pattern":{"Regex":" ?\\p{L}+|\\s+(?!\\S)|\\s+"}},{"type":"Digits"}]},"normalizer":{"type":"NFKC"},"model":{"type":"BPE","unk_token":"u","fuse_unk":true,"vocab":{"u":0},"merges":[]}}`,
	} {
		if _, err := New([]byte(seed)); err != nil {
			f.Fatal(err)
		}
		f.Add([]byte(seed))
	}
	f.Fuzz(func(_ *testing.T, data []byte) {
		if tok, err := New(data); err == nil {
			tok.Single(tok.Append(nil, "Hello  wörld 12 東京"))
		}
	})
}

func BenchmarkAppend(b *testing.B) {
	for _, name := range []string{"wordpiece", "unigram", "bytelevel", "sentencepiece"} {
		b.Run(name, func(b *testing.B) { benchmarkAppend(b, open(b, name)) })
	}
}

func benchmarkAppend(b *testing.B, tok *Tokenizer) {
	b.Helper()
	text := strings.Repeat("The time of the children, about 12 years. ", 20)
	ids := make([]int32, 0, 1000)
	b.SetBytes(int64(len(text)))
	b.ReportAllocs()
	for b.Loop() {
		ids = tok.Append(ids[:0], text)
	}
}
