// Package safetensors reads model weights in the form of Hugging Face's
// safetensors: a file comes in, tensors of float32 go out.
//
// The form: 8 bytes with the length of the header, little-endian; the header,
// a JSON object that gives each tensor its type, shape and range of bytes; the
// bytes. See https://github.com/huggingface/safetensors#format.
package safetensors

import (
	"encoding/binary"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"maps"
	"math"
	"os"
	"slices"
)

// MaxHeaderBytes is the longest header that is read, as in the reference
// implementation.
const MaxHeaderBytes = 100_000_000

// A File gives access to the tensors of one file. It is safe for concurrent
// use; Close ends it.
type File struct {
	at      io.ReaderAt
	data    int64 // where the tensors begin
	tensors map[string]tensor
	close   func()
}

// A tensor is an entry of the header. Offsets count from the header's end.
type tensor struct {
	DType   string   `json:"dtype"`
	Shape   []int64  `json:"shape"`
	Offsets [2]int64 `json:"data_offsets"`
}

// Open opens the file at path and checks its header.
func Open(path string) (*File, error) {
	f, err := os.Open(path)
	if err != nil {
		return nil, err
	}
	info, err := f.Stat()
	if err != nil {
		f.Close()
		return nil, err
	}
	file, err := New(f, info.Size())
	if err != nil {
		f.Close()
		return nil, fmt.Errorf("read %s: %w", path, err)
	}
	file.close = func() { f.Close() }
	return file, nil
}

// New reads the header from the first of size bytes. Nothing is trusted: each
// tensor must lie inside the file, be as long as its type and shape say, and
// share no byte with another.
func New(at io.ReaderAt, size int64) (*File, error) {
	var length [8]byte
	if _, err := at.ReadAt(length[:], 0); err != nil {
		return nil, errors.New("not a safetensors file: shorter than 8 bytes")
	}
	n := binary.LittleEndian.Uint64(length[:])
	if n > MaxHeaderBytes || int64(n) > size-8 {
		return nil, fmt.Errorf("not a safetensors file: its header would have %d bytes, of %d in the file and %d at most",
			n, size, MaxHeaderBytes)
	}
	header := make([]byte, n)
	if _, err := at.ReadAt(header, 8); err != nil && !errors.Is(err, io.EOF) {
		return nil, fmt.Errorf("header: %w", err)
	}
	f := &File{at: at, data: 8 + int64(n), close: func() {}}
	if err := f.decode(header); err != nil {
		return nil, fmt.Errorf("header: %w", err)
	}
	return f, f.check(size - f.data)
}

func (f *File) decode(header []byte) error {
	var raw map[string]json.RawMessage
	if err := json.Unmarshal(header, &raw); err != nil {
		return err
	}
	delete(raw, "__metadata__")
	f.tensors = make(map[string]tensor, len(raw))
	for name, entry := range raw {
		var t tensor
		if err := json.Unmarshal(entry, &t); err != nil {
			return fmt.Errorf("tensor %q: %w", name, err)
		}
		f.tensors[name] = t
	}
	return nil
}

// check compares the tensors with the number of bytes that follow the header.
func (f *File) check(size int64) error {
	names := f.Names()
	slices.SortFunc(names, func(a, b string) int {
		x, y := f.tensors[a].Offsets, f.tensors[b].Offsets
		return slices.Compare(x[:], y[:])
	})
	end := int64(0)
	for _, name := range names {
		t := f.tensors[name]
		if t.Offsets[0] < end || t.Offsets[1] < t.Offsets[0] || t.Offsets[1] > size {
			return fmt.Errorf("tensor %q has bytes %d to %d, which is outside the file's %d or inside another tensor",
				name, t.Offsets[0], t.Offsets[1], size)
		}
		if want, err := t.bytes(); err != nil {
			return fmt.Errorf("tensor %q: %w", name, err)
		} else if got := t.Offsets[1] - t.Offsets[0]; got != want {
			return fmt.Errorf("tensor %q has %d bytes, %s of shape %v has %d", name, got, t.DType, t.Shape, want)
		}
		end = t.Offsets[1]
	}
	return nil
}

// widths are the bytes of one element of the types that models come in.
var widths = map[string]int64{"F64": 8, "F32": 4, "F16": 2, "BF16": 2, "I64": 8, "I32": 4, "I8": 1, "U8": 1}

// bytes is the length that type and shape demand. Unknown types pass as they
// are: a model may hold what nobody reads.
func (t tensor) bytes() (int64, error) {
	width, ok := widths[t.DType]
	if !ok {
		return t.Offsets[1] - t.Offsets[0], nil
	}
	n := width
	for _, d := range t.Shape {
		if d < 0 || d > 0 && n > math.MaxInt64/d {
			return 0, fmt.Errorf("shape %v is no shape", t.Shape)
		}
		n *= d
	}
	return n, nil
}

// Close closes the file, of which nothing was written.
func (f *File) Close() { f.close() }

// Names returns the names of the tensors, in order.
func (f *File) Names() []string { return slices.Sorted(maps.Keys(f.tensors)) }

// Has reports whether there is a tensor of that name.
func (f *File) Has(name string) bool {
	_, ok := f.tensors[name]
	return ok
}

// Shape returns the lengths of a tensor's dimensions, nil if there is no such
// tensor.
func (f *File) Shape(name string) []int {
	t, ok := f.tensors[name]
	if !ok {
		return nil
	}
	shape := make([]int, len(t.Shape))
	for i, d := range t.Shape {
		shape[i] = int(d)
	}
	return shape
}

// Floats returns the elements of a tensor of this shape, whatever numbers it
// holds them as; the last dimension runs fastest. It is an error if there is
// no such tensor, if it has another shape, or if an element is no finite
// number: what is computed with one is none either, or looks like any other.
func (f *File) Floats(name string, shape ...int) ([]float32, error) {
	t, ok := f.tensors[name]
	if !ok {
		return nil, fmt.Errorf("there is no tensor %q", name)
	}
	if got := f.Shape(name); !slices.Equal(got, shape) {
		return nil, fmt.Errorf("tensor %q has shape %v, want %v", name, got, shape)
	}
	convert, ok := converters[t.DType]
	if !ok {
		return nil, fmt.Errorf("tensor %q has type %s, which is not supported: want one of %v",
			name, t.DType, slices.Sorted(maps.Keys(converters)))
	}
	out := make([]float32, 0, (t.Offsets[1]-t.Offsets[0])/widths[t.DType])
	in := io.NewSectionReader(f.at, f.data+t.Offsets[0], t.Offsets[1]-t.Offsets[0])
	buffer := make([]byte, 1<<16)
	for {
		n, err := io.ReadFull(in, buffer)
		out = convert(out, buffer[:n])
		switch {
		case errors.Is(err, io.EOF), errors.Is(err, io.ErrUnexpectedEOF):
			return complete(name, out, shape)
		case err != nil:
			return nil, fmt.Errorf("tensor %q: %w", name, err)
		}
	}
}

// complete guards against a file that shrank since it was opened, and against
// damaged weights.
func complete(name string, out []float32, shape []int) ([]float32, error) {
	want := 1
	for _, d := range shape {
		want *= d
	}
	if len(out) != want {
		return nil, fmt.Errorf("tensor %q: the file ends after %d of %d elements", name, len(out), want)
	}
	for i, x := range out {
		if x-x != 0 { // neither a number nor finite
			return nil, fmt.Errorf("tensor %q is damaged: its element %d is %v", name, i, x)
		}
	}
	return out, nil
}
