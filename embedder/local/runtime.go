package local

import (
	"errors"
	"fmt"
	"math"
	"os"
	"path/filepath"
	"slices"

	"github.com/tributary-kb/tributary/embedder/local/internal/bert"
	"github.com/tributary-kb/tributary/embedder/local/internal/onnx"
	"github.com/tributary-kb/tributary/embedder/local/internal/tokenizer"
)

// What may compute an encoder.
const (
	RuntimeGo   = "go"          // this package, from model.safetensors
	RuntimeONNX = "onnxruntime" // that library, from model.onnx, if it was built in
)

// graphFiles are where the graph for onnxruntime may be.
var graphFiles = []string{"model.onnx", filepath.Join("onnx", "model.onnx")}

// A Runtime says what computes an encoder. The zero value takes what fits the
// folder: Go where there is model.safetensors, onnxruntime where there is
// model.onnx alone.
type Runtime struct {
	Name string // "", RuntimeGo or RuntimeONNX
	// Library is the path of onnxruntime's shared library, "" for where the
	// system's loader finds it. A process can have one.
	Library string
}

// Validate reports a name that is not known.
func (r Runtime) Validate() error {
	switch r.Name {
	case "", RuntimeGo, RuntimeONNX:
		return nil
	}
	return fmt.Errorf("is %q, it must be empty, %q or %q", r.Name, RuntimeGo, RuntimeONNX)
}

// graph returns the path of the graph for onnxruntime, "" if Go is to compute.
func (r Runtime) graph(dir string) (string, error) {
	if err := r.Validate(); err != nil {
		return "", fmt.Errorf("runtime %w", err)
	}
	if r.Name == RuntimeGo || r.Name == "" && exists(dir, weightsFile) {
		return "", nil
	}
	for _, name := range graphFiles {
		if exists(dir, name) {
			return filepath.Join(dir, name), nil
		}
	}
	if r.Name == RuntimeONNX {
		return "", fmt.Errorf("%s has no model.onnx, which the runtime %q needs", dir, r.Name)
	}
	return "", nil // the error is about model.safetensors
}

func exists(dir, name string) bool {
	_, err := os.Stat(filepath.Join(dir, name))
	return !errors.Is(err, os.ErrNotExist)
}

// A graph is a network in onnxruntime.
type graph struct{ *onnx.Model }

// Forward implements network.
func (g graph) Forward(in tokenizer.Input) ([]float32, error) {
	states, _, err := g.Model.Forward(in)
	return states, err
}

// openGraph opens the model in onnxruntime. If the folder has weights for Go
// as well, of which Go makes the same, the revision is theirs: so an index
// need not be built anew because another runtime computes.
func (t *transformer) openGraph(dir, path, library string, config bert.Config, classifier bool) error {
	m, err := onnx.Open(path, library, classifier)
	if err != nil {
		return err
	}
	t.model = graph{m}
	if t.revision, err = revisionOf(path, filepath.Join(dir, tokenizerFile)); err != nil || classifier {
		return err
	}
	if _, t.width, err = m.Forward(t.input(probes[0])); err != nil {
		return fmt.Errorf("try %s: %w", path, err)
	}
	twin := transformer{tokens: t.tokens, maxTokens: t.maxTokens}
	if exists(dir, weightsFile) && twin.openWeights(dir, config, false) == nil && t.agrees(twin) {
		t.revision = twin.revision
	}
	return nil
}

// probes are texts by which two runtimes are compared.
var probes = []string{"How long is it?", "the cat sat on the mat", "Section 4.2: a warranty of two years covers parts and labour."}

// minCosine is how close states must be to be exchangeable: float32 in another
// order of additions stays above 0.999999, eight bits fall below 0.999.
const minCosine = 0.9999

// agrees reports whether both networks give each token of the probes the same
// state.
func (t *transformer) agrees(other transformer) bool {
	return t.width == other.width && !slices.ContainsFunc(probes, func(text string) bool {
		a, errA := t.model.Forward(t.input(text))
		b, errB := other.model.Forward(other.input(text))
		return errA != nil || errB != nil || len(a) != len(b) || !(minimalCosine(a, b, t.width) >= minCosine)
	})
}

func minimalCosine(a, b []float32, width int) float64 {
	least := 1.0
	for at := 0; at < len(a); at += width {
		var ab, aa, bb float64
		for i := at; i < at+width; i++ {
			x, y := float64(a[i]), float64(b[i])
			ab, aa, bb = ab+x*y, aa+x*x, bb+y*y
		}
		least = min(least, ab/math.Sqrt(aa*bb))
	}
	return least
}

// input is the beginning of a text, as long as the model reads.
func (t *transformer) input(text string) tokenizer.Input {
	extra, _ := t.tokens.Extra()
	return t.tokens.Single(parts(t.tokens.Append(nil, text), t.maxTokens-extra)[0])
}
