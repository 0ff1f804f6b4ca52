//go:build !onnxruntime || !cgo

package onnx

import (
	"errors"

	"github.com/tributary-kb/tributary/embedder/local/internal/tokenizer"
)

var errAbsent = errors.New(`this program is built without onnxruntime: build it with cgo and -tags onnxruntime, or use a model with model.safetensors`)

// A Model is an ONNX graph in onnxruntime. It is safe for concurrent use.
type Model struct{}

// Open reads the graph at path, of a classifier or an encoder, with the shared
// library at library.
func Open(_, _ string, _ bool) (*Model, error) { return nil, errAbsent }

// Forward returns the states of the input's tokens, and how wide each is.
func (*Model) Forward(tokenizer.Input) (states []float32, width int, err error) {
	return nil, 0, errAbsent
}

// Score returns the verdict of a classifier.
func (*Model) Score(tokenizer.Input) (float64, error) { return 0, errAbsent }
