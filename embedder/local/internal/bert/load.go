package bert

import (
	"fmt"
	"strings"

	"github.com/tributary-kb/tributary/embedder/local/internal/safetensors"
	"github.com/tributary-kb/tributary/embedder/local/internal/tensor"
)

// Load reads the weights of an encoder, of a classifier with one score if
// classifier.
func Load(f *safetensors.File, c Config, classifier bool) (*Model, error) {
	if err := c.Check(); err != nil {
		return nil, fmt.Errorf("config.json: %w", err)
	}
	l := loader{file: f}
	for _, name := range f.Names() {
		if prefix, ok := strings.CutSuffix(name, "embeddings.word_embeddings.weight"); ok {
			l.prefix = prefix
		}
	}
	m := &Model{Config: c, activate: activations[c.Activation], layers: make([]layer, c.Layers)}
	m.scratch.New = func() any { return new(scratch) }
	m.words = l.floats("embeddings.word_embeddings.weight", c.Vocabulary, c.Hidden)
	m.positions = l.floats("embeddings.position_embeddings.weight", c.Positions, c.Hidden)
	m.types = l.floats("embeddings.token_type_embeddings.weight", c.Types, c.Hidden)
	m.norm = l.norm("embeddings.LayerNorm", c)
	for i := range m.layers {
		m.layers[i] = l.layer(fmt.Sprintf("encoder.layer.%d.", i), c)
	}
	if classifier {
		m.head = l.head(c)
	}
	return m, l.err
}

// A loader reads tensors until the first error.
type loader struct {
	file   *safetensors.File
	prefix string // of the encoder's tensors in a larger model
	err    error
}

// floats returns nothing once there was an error.
func (l *loader) floats(name string, shape ...int) (v []float32) {
	if l.err == nil {
		v, l.err = l.file.Floats(l.prefix+name, shape...)
	}
	return v
}

// linear reads layers of the same size to be computed as one.
func (l *loader) linear(out, in int, names ...string) linear {
	var weight, bias []float32
	for _, name := range names {
		weight = append(weight, l.floats(name+".weight", out, in)...)
		bias = append(bias, l.floats(name+".bias", out)...)
	}
	lin := linear{bias: bias}
	if l.err != nil {
		return lin
	}
	lin.weight.PackTransposed(weight, in, len(bias), in)
	return lin
}

// norm reads a layer normalisation, also under the names of old models.
func (l *loader) norm(name string, c Config) tensor.Norm {
	weight, bias := ".weight", ".bias"
	if l.file.Has(l.prefix + name + ".gamma") {
		weight, bias = ".gamma", ".beta"
	}
	return tensor.Norm{Weight: l.floats(name+weight, c.Hidden), Bias: l.floats(name+bias, c.Hidden), Epsilon: c.Epsilon}
}

func (l *loader) layer(at string, c Config) layer {
	return layer{
		qkv:      l.linear(c.Hidden, c.Hidden, at+"attention.self.query", at+"attention.self.key", at+"attention.self.value"),
		out:      l.linear(c.Hidden, c.Hidden, at+"attention.output.dense"),
		attended: l.norm(at+"attention.output.LayerNorm", c),
		up:       l.linear(c.Intermediate, c.Hidden, at+"intermediate.dense"),
		down:     l.linear(c.Hidden, c.Intermediate, at+"output.dense"),
		fed:      l.norm(at+"output.LayerNorm", c),
	}
}

// head reads the classifier, which BERT has behind its pooler and RoBERTa
// holds together.
func (l *loader) head(c Config) *head {
	dense, out := "pooler.dense", "classifier"
	if c.ModelType != "bert" {
		l.prefix, dense, out = "", "classifier.dense", "classifier.out_proj"
	}
	h := &head{dense: l.linear(c.Hidden, c.Hidden, dense)}
	l.prefix = ""
	h.out = l.floats(out+".weight", 1, c.Hidden)
	if bias := l.floats(out+".bias", 1); l.err == nil {
		h.bias = bias[0]
	}
	return h
}
