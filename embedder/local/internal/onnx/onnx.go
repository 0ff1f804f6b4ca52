//go:build onnxruntime && cgo

package onnx

import (
	"errors"
	"fmt"
	"runtime"
	"strings"
	"sync"

	ort "github.com/yalue/onnxruntime_go"

	"github.com/tributary-kb/tributary/embedder/local/internal/tokenizer"
)

// A Model is an ONNX graph in onnxruntime. It is safe for concurrent use.
type Model struct {
	session *ort.DynamicAdvancedSession
	inputs  []string
	output  string
}

// systemLibrary is what the system's loader is asked for where no path is set.
var systemLibrary = map[string]string{"darwin": "libonnxruntime.dylib", "windows": "onnxruntime.dll"}

// loaded is the library of this process, of which there can be one.
var loaded struct {
	sync.Mutex
	path string
}

func load(path string) error {
	if path == "" {
		path = systemLibrary[runtime.GOOS]
	}
	if path == "" {
		path = "libonnxruntime.so"
	}
	loaded.Lock()
	defer loaded.Unlock()
	if loaded.path == path {
		return nil
	}
	if loaded.path != "" {
		return fmt.Errorf("onnxruntime is loaded from %s already, a process cannot load %s as well", loaded.path, path)
	}
	ort.SetSharedLibraryPath(path)
	if err := ort.InitializeEnvironment(); err != nil {
		return fmt.Errorf("load onnxruntime from %s (onnxruntime_library): %w", path, err)
	}
	loaded.path = path
	return nil
}

// values makes the value at each token of an input that a graph may have.
var values = map[string]func(in tokenizer.Input, at int) int64{
	"input_ids":      func(in tokenizer.Input, at int) int64 { return int64(in.IDs[at]) },
	"attention_mask": func(tokenizer.Input, int) int64 { return 1 },
	"token_type_ids": func(in tokenizer.Input, at int) int64 { return int64(in.Types[at]) },
}

// The names under which exporters give states and scores.
var stateNames, scoreNames = []string{"last_hidden_state", "token_embeddings"}, []string{"logits"}

// Open reads the graph at path, of a classifier or an encoder, with the shared
// library at library; "" is where the system finds it.
func Open(path, library string, classifier bool) (*Model, error) {
	if err := load(library); err != nil {
		return nil, err
	}
	in, out, err := ort.GetInputOutputInfo(path)
	if err != nil {
		return nil, fmt.Errorf("read %s: %w", path, err)
	}
	m := &Model{}
	for _, i := range in {
		if values[i.Name] == nil || i.DataType != ort.TensorElementDataTypeInt64 {
			return nil, fmt.Errorf("%s: input %q of type %s is not supported", path, i.Name, i.DataType)
		}
		m.inputs = append(m.inputs, i.Name)
	}
	names := stateNames
	if classifier {
		names = scoreNames
	}
	if m.output, err = choose(out, names); err != nil {
		return nil, fmt.Errorf("%s: %w", path, err)
	}
	return m, m.start(path)
}

func choose(outputs []ort.InputOutputInfo, names []string) (string, error) {
	for _, want := range names {
		for _, o := range outputs {
			if o.Name == want {
				return want, nil
			}
		}
	}
	return "", fmt.Errorf("the graph has none of the outputs %s", strings.Join(names, ", "))
}

// start makes the session. Each input is computed on one thread: callers have
// as many at once as there are processors.
func (m *Model) start(path string) error {
	options, err := ort.NewSessionOptions()
	if err != nil {
		return err
	}
	defer options.Destroy()
	if err := errors.Join(options.SetIntraOpNumThreads(1), options.SetInterOpNumThreads(1)); err != nil {
		return err
	}
	if m.session, err = ort.NewDynamicAdvancedSession(path, m.inputs, []string{m.output}, options); err != nil {
		return fmt.Errorf("read %s: %w", path, err)
	}
	runtime.AddCleanup(m, func(s *ort.DynamicAdvancedSession) { _ = s.Destroy() }, m.session)
	return nil
}

// Forward returns the states of the input's tokens, and how wide each is.
func (m *Model) Forward(in tokenizer.Input) (states []float32, width int, err error) {
	states, shape, err := m.run(in)
	if err != nil {
		return nil, 0, err
	}
	if len(shape) != 3 || shape[1] != int64(len(in.IDs)) || shape[2] == 0 {
		return nil, 0, fmt.Errorf("output %s has shape %v, want a state for each of %d tokens", m.output, shape, len(in.IDs))
	}
	return states, int(shape[2]), nil
}

// Score returns the verdict of a classifier with one label.
func (m *Model) Score(in tokenizer.Input) (float64, error) {
	logits, shape, err := m.run(in)
	if err != nil {
		return 0, err
	}
	if len(logits) != 1 {
		return 0, fmt.Errorf("output %s has shape %v, want one score", m.output, shape)
	}
	return float64(logits[0]), nil
}

// run computes one input by itself, without padding, as package bert does.
func (m *Model) run(in tokenizer.Input) (data []float32, shape ort.Shape, err error) {
	defer runtime.KeepAlive(m)
	n := len(in.IDs)
	if n == 0 {
		return nil, nil, errors.New("an input without tokens")
	}
	tensors := make([]ort.Value, 0, len(m.inputs)+1)
	defer func() {
		for _, t := range tensors {
			_ = t.Destroy()
		}
	}()
	for _, name := range m.inputs {
		v := make([]int64, n)
		for i := range v {
			v[i] = values[name](in, i)
		}
		t, err := ort.NewTensor(ort.NewShape(1, int64(n)), v)
		if err != nil {
			return nil, nil, err
		}
		tensors = append(tensors, t)
	}
	result := []ort.Value{nil}
	if err := m.session.Run(tensors, result); err != nil {
		return nil, nil, err
	}
	tensors = append(tensors, result[0])
	t, ok := result[0].(*ort.Tensor[float32])
	if !ok {
		return nil, nil, fmt.Errorf("output %s is not of float32", m.output)
	}
	return t.GetData(), t.GetShape(), nil
}
