package local

import (
	"context"
	"fmt"
	"path/filepath"
	"runtime"

	"golang.org/x/sync/errgroup"

	"github.com/tributary-kb/tributary/embedder/local/internal/bert"
	"github.com/tributary-kb/tributary/embedder/local/internal/safetensors"
	"github.com/tributary-kb/tributary/embedder/local/internal/tokenizer"
)

// An Encoder gives a text a vector by a transformer: the words of a text
// determine each other's meaning. It is safe for concurrent use.
//
// Texts that are longer than the model reads are read in parts of equal
// length, whose vectors are averaged; nothing is left out.
type Encoder struct {
	transformer
	pool            pooling
	query, document string
}

// A transformer is what encoders and cross-encoders share.
type transformer struct {
	model     network
	tokens    *tokenizer.Tokenizer
	width     int // of a state
	maxTokens int // of one input
	revision  string
}

// A network computes inputs, in Go or by onnxruntime.
type network interface {
	// Forward returns the states of the input's tokens, all of the same width.
	Forward(in tokenizer.Input) ([]float32, error)
	// Score returns the verdict of a classifier.
	Score(in tokenizer.Input) (float64, error)
}

// OpenEncoder reads a model of sentence-transformers in dir: model.safetensors
// or model.onnx (see Runtime), tokenizer.json, config.json and, where they are,
// modules.json with the pooling's configuration, sentence_bert_config.json and
// config_sentence_transformers.json.
func OpenEncoder(dir string, r Runtime) (*Encoder, error) {
	t, err := openTransformer(dir, r, false)
	if err != nil {
		return nil, fmt.Errorf("open encoder: %w", err)
	}
	e := &Encoder{transformer: t}
	if e.pool, err = readPooling(dir); err != nil {
		return nil, fmt.Errorf("open encoder: %w", err)
	}
	var prompts struct {
		Prompts map[string]string `json:"prompts"`
	}
	if err := readJSON(dir, "config_sentence_transformers.json", true, &prompts); err != nil {
		return nil, fmt.Errorf("open encoder: %w", err)
	}
	e.query, e.document = prompts.Prompts["query"], prompts.Prompts["document"]
	if e.document == "" {
		e.document = prompts.Prompts["passage"]
	}
	return e, nil
}

func openTransformer(dir string, r Runtime, classifier bool) (transformer, error) {
	var t transformer
	config := bert.Config{Activation: "gelu", Epsilon: 1e-12}
	err := readJSON(dir, "config.json", false, &config)
	if err != nil {
		return t, err
	}
	tokens := filepath.Join(dir, tokenizerFile)
	if t.tokens, err = tokenizer.Open(tokens); err != nil {
		return t, err
	}
	if t.tokens.Size() > config.Vocabulary {
		return t, fmt.Errorf("%s has %d tokens, the model has %d", tokens, t.tokens.Size(), config.Vocabulary)
	}
	if err := t.readLength(dir, config); err != nil {
		return t, err
	}
	graph, err := r.graph(dir)
	if err != nil {
		return t, err
	}
	if graph != "" {
		return t, t.openGraph(dir, graph, r.Library, config, classifier)
	}
	return t, t.openWeights(dir, config, classifier)
}

// openWeights opens the model in Go.
func (t *transformer) openWeights(dir string, config bert.Config, classifier bool) error {
	weights := filepath.Join(dir, weightsFile)
	var err error
	if t.revision, err = revisionOf(weights, filepath.Join(dir, tokenizerFile)); err != nil {
		return err
	}
	f, err := safetensors.Open(weights)
	if err != nil {
		return err
	}
	defer f.Close()
	m, err := bert.Load(f, config, classifier)
	if err != nil {
		return fmt.Errorf("read %s: %w", weights, err)
	}
	t.model, t.width = m, m.Hidden
	return nil
}

// readLength reads how long an input may be: as long as the model was trained
// for, which is often less than it could read.
func (t *transformer) readLength(dir string, config bert.Config) error {
	var c struct {
		Max int `json:"max_seq_length"`
	}
	if err := readJSON(dir, "sentence_bert_config.json", true, &c); err != nil {
		return err
	}
	t.maxTokens = config.MaxTokens()
	if c.Max > 0 {
		t.maxTokens = min(t.maxTokens, c.Max)
	}
	single, pair := t.tokens.Extra()
	if t.maxTokens <= max(single, pair)+1 {
		return fmt.Errorf("the model reads %d tokens, which leaves no room for a text", t.maxTokens)
	}
	return nil
}

// Dimension is the number of components of every vector.
func (e *Encoder) Dimension() int { return e.width }

// Revision is a checksum over weights and tokenizer.
func (e *Encoder) Revision() string { return e.revision }

// Describe names the pooling: cls, last or mean.
func (e *Encoder) Describe() string { return e.pool.name }

// Prompts are what the model's files want before queries and documents.
func (e *Encoder) Prompts() (query, document string) { return e.query, e.document }

// Embed returns the vector of each text, of length 1, in order. As many texts
// are computed at once as there are processors. It ends early with the
// context's error.
func (e *Encoder) Embed(ctx context.Context, texts []string) ([][]float32, error) {
	vectors := make([][]float32, len(texts))
	err := each(ctx, len(texts), func(i int) (err error) {
		vectors[i], err = e.vector(texts[i])
		return err
	})
	if err != nil {
		return nil, err
	}
	return vectors, nil
}

// each calls do for 0 to n-1, on all processors.
func each(ctx context.Context, n int, do func(int) error) error {
	group, ctx := errgroup.WithContext(ctx)
	group.SetLimit(runtime.GOMAXPROCS(0))
	for i := range n {
		group.Go(func() error {
			if err := ctx.Err(); err != nil {
				return err
			}
			return do(i)
		})
	}
	return group.Wait()
}

func (e *Encoder) vector(text string) ([]float32, error) {
	extra, _ := e.tokens.Extra()
	v, part := make([]float32, e.width), make([]float32, e.width)
	for _, ids := range parts(e.tokens.Append(nil, text), e.maxTokens-extra) {
		states, err := e.model.Forward(e.tokens.Single(ids))
		if err != nil {
			return nil, err
		}
		clear(part)
		e.pool.add(part, states)
		addTo(v, part, float32(len(ids)+extra))
	}
	if !normalise(v) {
		return nil, fmt.Errorf("the model gives a text of %d bytes a vector without length; are its weights damaged?", len(text))
	}
	return v, nil
}

// parts divides ids into as few parts of at most limit as it takes, of equal
// length but for one; into a single empty part if there are none.
func parts(ids []int32, limit int) [][]int32 {
	count := max(1, (len(ids)+limit-1)/limit)
	out := make([][]int32, count)
	for i := range out {
		out[i] = ids[i*len(ids)/count : (i+1)*len(ids)/count]
	}
	return out
}
