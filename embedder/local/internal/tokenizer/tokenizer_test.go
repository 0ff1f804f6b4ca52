package tokenizer

import (
	"encoding/json"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
)

// open reads a tokenizer of testdata. wordpiece.json is that of BERT with
// fewer tokens; unigram.json is made up in the manner of XLM-R.
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

// golden.json is from Hugging Face's own tokenizers; testdata/golden.mjs makes
// it again.
func TestTokensAreThoseOfHuggingFace(t *testing.T) {
	var texts []string
	var golden map[string][][]int32
	load(t, "texts.json", &texts)
	load(t, "golden.json", &golden)
	for _, name := range []string{"wordpiece", "unigram"} {
		tok := open(t, name)
		if len(golden[name]) != len(texts) {
			t.Fatalf("%s: %d results for %d texts", name, len(golden[name]), len(texts))
		}
		for i, text := range texts {
			if got := tok.Single(tok.Append(nil, text)).IDs; !slices.Equal(got, golden[name][i]) {
				t.Errorf("%s of %q:\n got %v\nwant %v", name, text, got, golden[name][i])
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
		{`{"model":{"type":"BPE","vocab":{},"merges":[]}}`, `model "BPE" is not supported`},
		{`{"model":{"type":"WordPiece","unk_token":"[UNK]","vocab":{"a":0}}}`, `lacks unk_token "[UNK]"`},
		{`{"model":{"type":"WordPiece","unk_token":"a","vocab":{"a":-1}}}`, `token "a" has ID -1`},
		{`{"model":{"type":"Unigram","unk_id":7,"vocab":[["a",0]]}}`, "unk_id is not one of the 1 tokens"},
		{`{` + words + `,"normalizer":{"type":"Odd"}}`, `normalizer "Odd" is not supported`},
		{`{` + words + `,"normalizer":{"type":"Precompiled","precompiled_charsmap":"/////w=="}}`, "is cut off"},
		{`{` + words + `,"pre_tokenizer":{"type":"ByteLevel"}}`, `pre_tokenizer "ByteLevel" is not supported`},
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
	wordpiece, unigram := open(f, "wordpiece"), open(f, "unigram")
	f.Fuzz(func(t *testing.T, text string) {
		for _, tok := range []*Tokenizer{wordpiece, unigram} {
			for _, id := range tok.Append(nil, text) {
				if id < 0 || int(id) >= tok.Size() {
					t.Fatalf("ID %d of %d", id, tok.Size())
				}
			}
		}
	})
}

// A damaged file is refused or works; it does not panic.
func FuzzNew(f *testing.F) {
	for _, name := range []string{"wordpiece", "unigram"} {
		data, err := os.ReadFile(filepath.Join("testdata", name+".json"))
		if err != nil {
			f.Fatal(err)
		}
		f.Add(data)
	}
	f.Fuzz(func(_ *testing.T, data []byte) {
		if tok, err := New(data); err == nil {
			tok.Single(tok.Append(nil, "Hello wörld 東京"))
		}
	})
}

func BenchmarkAppend(b *testing.B) {
	tok := open(b, "wordpiece")
	text := strings.Repeat("The time of the children, about 12 years. ", 20)
	ids := make([]int32, 0, 1000)
	b.SetBytes(int64(len(text)))
	b.ReportAllocs()
	for b.Loop() {
		ids = tok.Append(ids[:0], text)
	}
}
