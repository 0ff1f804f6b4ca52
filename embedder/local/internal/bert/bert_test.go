package bert

import (
	"fmt"
	"math/rand/v2"
	"testing"

	"github.com/tributary-kb/tributary/embedder/local/internal/tensor"
	"github.com/tributary-kb/tributary/embedder/local/internal/tokenizer"
)

func random(r *rand.Rand, n int) []float32 {
	v := make([]float32, n)
	for i := range v {
		v[i] = float32(r.NormFloat64()) / 16
	}
	return v
}

// miniLM is a model in the shape of MiniLM-L6 with random weights, but for its
// vocabulary.
func miniLM() *Model {
	c := Config{ModelType: "bert", Hidden: 384, Layers: 6, Heads: 12, Intermediate: 1536, Positions: 512, Types: 2, Vocabulary: 100}
	r := rand.New(rand.NewPCG(1, 2))
	linear := func(out, in int) (l linear) {
		l.bias = random(r, out)
		l.weight.PackTransposed(random(r, out*in), in, out, in)
		return l
	}
	norm := func() tensor.Norm {
		return tensor.Norm{Weight: random(r, c.Hidden), Bias: random(r, c.Hidden), Epsilon: 1e-12}
	}
	m := &Model{
		Config: c, words: random(r, c.Vocabulary*c.Hidden), positions: random(r, c.Positions*c.Hidden),
		types: random(r, c.Types*c.Hidden), norm: norm(), activate: tensor.GELU,
	}
	m.scratch.New = func() any { return new(scratch) }
	for range c.Layers {
		m.layers = append(m.layers, layer{
			qkv: linear(3*c.Hidden, c.Hidden), out: linear(c.Hidden, c.Hidden), attended: norm(),
			up: linear(c.Intermediate, c.Hidden), down: linear(c.Hidden, c.Intermediate), fed: norm(),
		})
	}
	return m
}

func input(n int) tokenizer.Input {
	in := tokenizer.Input{IDs: make([]int32, n), Types: make([]int32, n)}
	for i := range in.IDs {
		in.IDs[i] = int32(i % 100)
	}
	return in
}

func TestInputsThatTheModelCannotReadAreRefused(t *testing.T) {
	m := &Model{Config: Config{ModelType: "bert", Hidden: 1, Heads: 1, Positions: 8, Types: 1, Vocabulary: 100}}
	for name, in := range map[string]tokenizer.Input{
		"nothing": input(0), "too much": input(9),
		"a token it lacks": {IDs: []int32{100}, Types: []int32{0}}, "a type it lacks": {IDs: []int32{1}, Types: []int32{1}},
	} {
		if _, err := m.Forward(in); err == nil {
			t.Errorf("%s: got no error", name)
		}
	}
}

func BenchmarkForward(b *testing.B) {
	m := miniLM()
	for _, n := range []int{16, 128, 256} {
		b.Run(fmt.Sprint(n, "tokens"), func(b *testing.B) {
			for b.Loop() {
				if _, err := m.Forward(input(n)); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}
