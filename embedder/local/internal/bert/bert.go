// Package bert runs transformer encoders of the BERT and RoBERTa families: the
// tokens of a text come in, a state for each goes out, or a score for a pair
// of texts.
//
// Each input is computed by itself, without padding. So what stands beside it
// in a batch cannot change its result, and no time goes into padding.
package bert

import (
	"fmt"
	"math"
	"sync"

	"github.com/tributary-kb/tributary/embedder/local/internal/tensor"
	"github.com/tributary-kb/tributary/embedder/local/internal/tokenizer"
)

var activations = map[string]func([]float32){
	"gelu": tensor.GELU, "gelu_new": tensor.GELUTanh, "gelu_pytorch_tanh": tensor.GELUTanh, "relu": tensor.ReLU,
}

// A Model is the weights of an encoder. It is safe for concurrent use.
type Model struct {
	Config
	words, positions, types []float32
	norm                    tensor.Norm
	layers                  []layer
	activate                func([]float32)
	head                    *head // of a classifier
	scratch                 sync.Pool
}

// A linear layer adds bias and product.
type linear struct {
	weight tensor.Packed
	bias   []float32
}

type layer struct {
	qkv, out, up, down linear // qkv gives queries, keys and values beside each other
	attended, fed      tensor.Norm
}

// A head turns the state of the first token into one score.
type head struct {
	dense linear
	out   []float32
	bias  float32
}

// scratch is the memory of one input, used again for the next.
type scratch struct {
	qkv, scores, context, up []float32
	keys, values             tensor.Packed
}

// sized returns v with n elements, whose values are left over.
func sized(v *[]float32, n int) []float32 {
	if cap(*v) < n {
		*v = make([]float32, n)
	}
	*v = (*v)[:n]
	return *v
}

// Forward returns the states of the input's tokens, Hidden numbers each. It is
// an error if the input is empty, longer than MaxTokens, or has tokens that
// the model does not.
func (m *Model) Forward(in tokenizer.Input) ([]float32, error) {
	n := len(in.IDs)
	if n == 0 || n > m.MaxTokens() {
		return nil, fmt.Errorf("an input of %d tokens, the model reads 1 to %d", n, m.MaxTokens())
	}
	x := make([]float32, n*m.Hidden)
	for i, id := range in.IDs {
		if id < 0 || int(id) >= m.Vocabulary || in.Types[i] < 0 || int(in.Types[i]) >= m.Types {
			return nil, fmt.Errorf("token %d of type %d, the model has %d and %d types", id, in.Types[i], m.Vocabulary, m.Types)
		}
		m.embed(x[i*m.Hidden:][:m.Hidden], int(id), int(in.Types[i]), i)
	}
	s := m.scratch.Get().(*scratch)
	defer m.scratch.Put(s)
	for i := range m.layers {
		m.attend(&m.layers[i], x, n, s)
		m.feed(&m.layers[i], x, n, s)
	}
	return x, nil
}

// embed sets v to what a token is before the first layer.
func (m *Model) embed(v []float32, id, kind, position int) {
	h := m.Hidden
	word, typ, pos := m.words[id*h:][:h], m.types[kind*h:][:h], m.positions[(position+m.firstPosition())*h:][:h]
	for i := range v {
		v[i] = word[i] + typ[i] + pos[i]
	}
	m.norm.Apply(v)
}

// attend adds to each token what it takes from the others, and normalises.
func (m *Model) attend(l *layer, x []float32, n int, s *scratch) {
	h, d := m.Hidden, m.Hidden/m.Heads
	qkv := sized(&s.qkv, n*3*h)
	l.qkv.apply(qkv, x, n)
	context, scores := sized(&s.context, n*h), sized(&s.scores, n*n)
	clear(context)
	scale := float32(1 / math.Sqrt(float64(d)))
	for from := 0; from < h; from += d {
		s.keys.PackTransposed(qkv[h+from:], d, n, 3*h)
		s.values.Pack(qkv[2*h+from:], n, d, 3*h)
		clear(scores)
		tensor.MulAdd(scores, n, qkv[from:], 3*h, n, &s.keys)
		for i := range n {
			tensor.Softmax(scores[i*n:][:n], scale)
		}
		tensor.MulAdd(context[from:], h, scores, n, n, &s.values)
	}
	l.out.add(x, context, n)
	normalise(l.attended, x, h)
}

// feed adds to each token what the two layers between make of it, and
// normalises.
func (m *Model) feed(l *layer, x []float32, n int, s *scratch) {
	up := sized(&s.up, n*m.Intermediate)
	l.up.apply(up, x, n)
	m.activate(up)
	l.down.add(x, up, n)
	normalise(l.fed, x, m.Hidden)
}

func normalise(norm tensor.Norm, x []float32, width int) {
	for ; len(x) > 0; x = x[width:] {
		norm.Apply(x[:width])
	}
}

// apply sets the n rows of y to those of x times the weights, plus bias.
func (l *linear) apply(y, x []float32, n int) {
	clear(y)
	l.add(y, x, n)
}

// add adds to the n rows of y those of x times the weights, plus bias.
func (l *linear) add(y, x []float32, n int) {
	out, in := len(l.bias), len(x)/n
	for i := range n {
		for j, b := range l.bias {
			y[i*out+j] += b
		}
	}
	tensor.MulAdd(y, out, x, in, n, &l.weight)
}

// Score returns the classifier's verdict on an input, usually a pair of texts:
// the higher the better, without bounds. It is an error of a model without a
// classifier, and of what Forward refuses.
func (m *Model) Score(in tokenizer.Input) (float64, error) {
	if m.head == nil {
		return 0, fmt.Errorf("the model has no classifier")
	}
	x, err := m.Forward(in)
	if err != nil {
		return 0, err
	}
	pooled := make([]float32, m.Hidden)
	m.head.dense.apply(pooled, x[:m.Hidden], 1)
	score := float64(m.head.bias)
	for i, v := range pooled {
		score += math.Tanh(float64(v)) * float64(m.head.out[i])
	}
	return score, nil
}
