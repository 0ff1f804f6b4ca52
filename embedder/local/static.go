package local

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"math"
	"os"
	"path/filepath"
	"sync"

	"github.com/tributary-kb/tributary/embedder/local/internal/safetensors"
	"github.com/tributary-kb/tributary/embedder/local/internal/tokenizer"
)

// A Static gives a text the mean of its tokens' vectors, as model2vec does
// (https://github.com/MinishLab/model2vec): order counts for nothing, and a
// text takes microseconds. It is safe for concurrent use.
//
// Where model2vec reads the first 512 tokens of a text, Static reads all.
type Static struct {
	tokens    *tokenizer.Tokenizer
	rows      []float32 // dimension each
	dimension int
	row       []int32   // of each token in rows; nil: its own
	weight    []float32 // of each token; nil: 1
	revision  string
	ids       sync.Pool // of *[]int32
}

// OpenStatic reads model.safetensors and tokenizer.json in dir.
func OpenStatic(dir string) (*Static, error) {
	path := filepath.Join(dir, weightsFile)
	revision, err := revisionOf(path, filepath.Join(dir, tokenizerFile))
	if err != nil {
		return nil, fmt.Errorf("open static model: %w", err)
	}
	m := &Static{revision: revision, ids: sync.Pool{New: func() any { return new([]int32) }}}
	if m.tokens, err = tokenizer.Open(filepath.Join(dir, tokenizerFile)); err != nil {
		return nil, fmt.Errorf("open static model: %w", err)
	}
	f, err := safetensors.Open(path)
	if err != nil {
		return nil, fmt.Errorf("open static model: %w", err)
	}
	defer f.Close()
	if err := m.read(f); err != nil {
		return nil, fmt.Errorf("open static model: read %s: %w", path, err)
	}
	return m, nil
}

// read takes the vectors from the tensor "embeddings" (or the name that
// sentence-transformers gives it), and what newer models add: "weights", a
// factor for each token, and "mapping", its row.
func (m *Static) read(f *safetensors.File) error {
	name := "embeddings"
	if !f.Has(name) && f.Has("embedding.weight") {
		name = "embedding.weight"
	}
	shape := f.Shape(name)
	if len(shape) != 2 || shape[1] == 0 {
		return fmt.Errorf("tensor %q has shape %v, want tokens by dimension: is this a model2vec model?", name, shape)
	}
	m.dimension = shape[1]
	var err error
	if m.rows, err = f.Floats(name, shape...); err != nil {
		return err
	}
	if f.Has("weights") {
		if m.weight, err = f.Floats("weights", m.tokens.Size()); err != nil {
			return err
		}
	}
	if f.Has("mapping") {
		if err := m.readMapping(f, shape[0]); err != nil {
			return err
		}
	} else if shape[0] < m.tokens.Size() {
		return fmt.Errorf("tensor %q has %d rows, tokenizer.json has %d tokens", name, shape[0], m.tokens.Size())
	}
	return nil
}

func (m *Static) readMapping(f *safetensors.File, rows int) error {
	mapping, err := f.Floats("mapping", m.tokens.Size())
	if err != nil {
		return err
	}
	m.row = make([]int32, len(mapping))
	for id, row := range mapping {
		if row < 0 || row >= float32(rows) {
			return fmt.Errorf("mapping of token %d is row %v, of %d", id, row, rows)
		}
		m.row[id] = int32(row)
	}
	return nil
}

// Dimension is the number of components of every vector.
func (m *Static) Dimension() int { return m.dimension }

// Revision is a checksum over the model's files.
func (m *Static) Revision() string { return m.revision }

// Describe says in one word how token vectors become a text's.
func (m *Static) Describe() string { return "mean" }

// Vector sets v, which has Dimension components, to the vector of text, of
// length 1. A text of which the model knows nothing gets the first unit
// vector: there must be one, and it says nothing.
func (m *Static) Vector(v []float32, text string) {
	ids := m.ids.Get().(*[]int32)
	defer m.ids.Put(ids)
	*ids = m.tokens.Append((*ids)[:0], text)
	clear(v)
	unknown := m.tokens.Unknown()
	for _, id := range *ids {
		if id != unknown {
			m.add(v, id)
		}
	}
	normalise(v)
}

func (m *Static) add(v []float32, id int32) {
	row, weight := int(id), float32(1)
	if m.row != nil {
		row = int(m.row[id])
	}
	if m.weight != nil {
		weight = m.weight[id]
	}
	for i, x := range m.rows[row*m.dimension:][:len(v)] {
		v[i] += weight * x
	}
}

// normalise scales v to length 1. It reports whether v had a length; one that
// had none becomes the first unit vector.
func normalise(v []float32) bool {
	sum := 0.0
	for _, x := range v {
		sum += float64(x) * float64(x)
	}
	if !(sum > 0) || math.IsInf(sum, 1) {
		clear(v)
		v[0] = 1
		return false
	}
	scale := float32(1 / math.Sqrt(sum))
	for i := range v {
		v[i] *= scale
	}
	return true
}

// readJSON reads a file of the model. One that is absent leaves into as it is
// if it is optional.
func readJSON(dir, name string, optional bool, into any) error {
	data, err := os.ReadFile(filepath.Join(dir, name))
	if optional && errors.Is(err, os.ErrNotExist) {
		return nil
	}
	if err != nil {
		return err
	}
	if err := json.Unmarshal(data, into); err != nil {
		return fmt.Errorf("read %s: %w", filepath.Join(dir, name), err)
	}
	return nil
}

// Embed returns the vector of each text, in order. It ends early with the
// context's error.
func (m *Static) Embed(ctx context.Context, texts []string) ([][]float32, error) {
	vectors := make([][]float32, len(texts))
	for i, text := range texts {
		if err := ctx.Err(); err != nil {
			return nil, err
		}
		vectors[i] = make([]float32, m.dimension)
		m.Vector(vectors[i], text)
	}
	return vectors, nil
}

// Prompts are what the model wants before queries and documents: nothing.
func (m *Static) Prompts() (query, document string) { return "", "" }
