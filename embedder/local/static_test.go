package local_test

import (
	"math"
	"strings"
	"testing"

	"github.com/tributary-kb/tributary/embedder/local"
)

func vocabulary() []string { return []string{"[UNK]", "red", "green", "blue"} }

func rows() tensor {
	return tensor{[]int{4, 2}, []float32{9, 9, 3, 0, 0, 4, -3, 0}}
}

func openStatic(t testing.TB, tensors map[string]tensor) *local.Static {
	t.Helper()
	m, err := local.OpenStatic(folder(t, map[string][]byte{
		"model.safetensors": safetensors(t, tensors), "tokenizer.json": words(t, vocabulary()...),
	}))
	if err != nil {
		t.Fatal(err)
	}
	return m
}

func TestStaticVectorsAreMeansOfTokens(t *testing.T) {
	plain := map[string]tensor{"embeddings": rows()}
	weighted := map[string]tensor{"embeddings": rows(), "weights": {[]int{4}, []float32{1, 4, 4, 1}}}
	mapped := map[string]tensor{"embedding.weight": rows(), "mapping": {[]int{4}, []float32{0, 2, 1, 1}}}
	for _, c := range []struct {
		name, text string
		tensors    map[string]tensor
		want       [2]float32
	}{
		{"one token", "red", plain, [2]float32{1, 0}},
		{"two", "Red GREEN", plain, [2]float32{.6, .8}},
		{"an unknown word counts for nothing", "red mauve green", plain, [2]float32{.6, .8}},
		{"weights count", "red blue green green", weighted, [2]float32{.2707456, .9626510}},
		{"rows are mapped", "red", mapped, [2]float32{0, 1}},
		{"nothing", "", plain, [2]float32{1, 0}},
		{"nothing known", "mauve", plain, [2]float32{1, 0}},
		{"tokens that cancel each other out", "red blue", plain, [2]float32{1, 0}},
	} {
		t.Run(c.name, func(t *testing.T) {
			m := openStatic(t, c.tensors)
			got := make([]float32, m.Dimension())
			m.Vector(got, c.text)
			for i := range got {
				if math.Abs(float64(got[i]-c.want[i])) > 1e-6 {
					t.Errorf("got %v, want %v", got, c.want)
				}
			}
		})
	}
}

func TestStaticRefusesWhatDoesNotFitTogether(t *testing.T) {
	for _, c := range []struct {
		name    string
		tensors map[string]tensor
		want    string
	}{
		{"no vectors", map[string]tensor{"x": rows()}, `tensor "embeddings" has shape []`},
		{"too few rows", map[string]tensor{"embeddings": {[]int{2, 2}, make([]float32, 4)}}, "has 2 rows, tokenizer.json has 4 tokens"},
		{"a row that is not there", map[string]tensor{"embeddings": rows(), "mapping": {[]int{4}, []float32{0, 1, 2, 4}}}, "mapping of token 3 is row 4, of 4"},
		{"damaged vectors", map[string]tensor{"embeddings": {[]int{4, 2}, []float32{9, 9, 3, float32(math.NaN()), 0, 4, -3, 0}}}, `tensor "embeddings" is damaged: its element 3 is NaN`},
		{"too few weights", map[string]tensor{"embeddings": rows(), "weights": {[]int{1}, []float32{1}}}, `tensor "weights" has shape [1], want [4]`},
	} {
		t.Run(c.name, func(t *testing.T) {
			_, err := local.OpenStatic(folder(t, map[string][]byte{
				"model.safetensors": safetensors(t, c.tensors), "tokenizer.json": words(t, vocabulary()...),
			}))
			if err == nil || !strings.Contains(err.Error(), c.want) {
				t.Errorf("got %v, want %q", err, c.want)
			}
		})
	}
	if _, err := local.OpenStatic(t.TempDir()); err == nil || !strings.Contains(err.Error(), "model.safetensors") {
		t.Errorf("of an empty folder: got %v", err)
	}
}

// BenchmarkStatic has the dimension of potion-retrieval-32M and a passage of
// 200 tokens.
func BenchmarkStatic(b *testing.B) {
	const dim = 512
	data := make([]float32, 4*dim)
	for i := range data {
		data[i] = float32(i%7) - 3
	}
	m := openStatic(b, map[string]tensor{"embeddings": {[]int{4, dim}, data}})
	v := make([]float32, dim)
	text := strings.Repeat("red green blue red ", 50)
	b.ReportAllocs()
	for b.Loop() {
		m.Vector(v, text)
	}
}
