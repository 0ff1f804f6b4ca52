package safetensors

import (
	"bytes"
	"encoding/binary"
	"math"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"
)

// file puts the length before a header, and data behind it.
func file(header string, data ...byte) []byte {
	return append(append(binary.LittleEndian.AppendUint64(nil, uint64(len(header))), header...), data...)
}

func read(b []byte) (*File, error) { return New(bytes.NewReader(b), int64(len(b))) }

func TestEveryTypeBecomesFloats(t *testing.T) {
	for _, c := range []struct {
		dtype string
		data  []byte
		want  []float32
	}{
		{"F64", binary.LittleEndian.AppendUint64(nil, math.Float64bits(-2.5)), []float32{-2.5}},
		{"F32", binary.LittleEndian.AppendUint32(nil, math.Float32bits(0.1)), []float32{0.1}},
		{"F16", []byte{0x00, 0x3c, 0x00, 0xc0, 0xff, 0x7b, 0x01, 0x00, 0x00, 0x80}, []float32{1, -2, 65504, 5.9604645e-8, 0}},
		{"BF16", []byte{0x80, 0x3f, 0x49, 0x40}, []float32{1, 3.140625}},
		{"I64", binary.LittleEndian.AppendUint64(nil, 1<<40), []float32{1 << 40}},
		{"I32", []byte{0xff, 0xff, 0xff, 0xff}, []float32{-1}},
		{"I8", []byte{127, 128}, []float32{127, -128}},
	} {
		t.Run(c.dtype, func(t *testing.T) {
			b := file(`{"a":{"dtype":"`+c.dtype+`","shape":[`+strconv.Itoa(len(c.want))+`],"data_offsets":[0,`+
				strconv.Itoa(len(c.data))+`]}}`, c.data...)
			f, err := read(b)
			if err != nil {
				t.Fatal(err)
			}
			got, err := f.Floats("a", len(c.want))
			if err != nil || !slices.Equal(got, c.want) {
				t.Errorf("got %v, %v, want %v", got, err, c.want)
			}
		})
	}
}

func TestDamagedFilesAreRefused(t *testing.T) {
	for _, c := range []struct {
		name string
		file []byte
		want string // in the error
	}{
		{"an empty file", nil, "shorter than 8 bytes"},
		{"a header longer than the file", file("{}")[:9], "its header would have 2 bytes"},
		{"an enormous header", bytes.Repeat([]byte{255}, 16), "its header would have"},
		{"no JSON", file("hello"), "header: invalid character"},
		{"an entry that is no object", file(`{"a":1}`), `tensor "a"`},
		{"bytes beyond the end", file(`{"a":{"dtype":"F32","shape":[1],"data_offsets":[0,4]}}`, 1, 2, 3), `tensor "a" has bytes 0 to 4`},
		{"bytes that run backwards", file(`{"a":{"dtype":"F32","shape":[1],"data_offsets":[4,0]}}`, 1, 2, 3, 4), `tensor "a" has bytes 4 to 0`},
		{"a shape of another length", file(`{"a":{"dtype":"F32","shape":[2],"data_offsets":[0,4]}}`, 1, 2, 3, 4), `tensor "a" has 4 bytes, F32 of shape [2] has 8`},
		{"a shape that overflows", file(`{"a":{"dtype":"F32","shape":[4611686018427387904,4],"data_offsets":[0,0]}}`), "is no shape"},
		{"a negative shape", file(`{"a":{"dtype":"F32","shape":[-1,-1],"data_offsets":[0,4]}}`, 1, 2, 3, 4), "is no shape"},
		{"tensors that overlap", file(`{"a":{"dtype":"I8","shape":[2],"data_offsets":[0,2]},"b":{"dtype":"I8","shape":[2],"data_offsets":[1,3]}}`, 1, 2, 3), `tensor "b" has bytes 1 to 3`},
	} {
		t.Run(c.name, func(t *testing.T) {
			if _, err := read(c.file); err == nil || !strings.Contains(err.Error(), c.want) {
				t.Errorf("got %v, want %q", err, c.want)
			}
		})
	}
}

func TestWrongTensorsAreNamed(t *testing.T) {
	f, err := read(file(`{"__metadata__":{"format":"pt"},"a":{"dtype":"I8","shape":[1,2],"data_offsets":[0,2]},"b":{"dtype":"F8_E4M3","shape":[1],"data_offsets":[2,3]}}`, 1, 2, 3))
	if err != nil {
		t.Fatal(err)
	}
	if got := f.Names(); !slices.Equal(got, []string{"a", "b"}) {
		t.Errorf("names are %v", got)
	}
	for _, c := range []struct {
		name  string
		shape []int
		want  string
	}{
		{"c", []int{1}, `there is no tensor "c"`},
		{"a", []int{2, 1}, `tensor "a" has shape [1 2], want [2 1]`},
		{"b", []int{1}, `tensor "b" has type F8_E4M3`},
	} {
		if _, err := f.Floats(c.name, c.shape...); err == nil || !strings.HasPrefix(err.Error(), c.want) {
			t.Errorf("got %v, want %q", err, c.want)
		}
	}
}

func TestWeightsThatAreNoNumbersAreRefused(t *testing.T) {
	for name, b := range map[string][]byte{
		"NaN": {0x00, 0x3c, 0x00, 0x7e}, "+Inf": {0x00, 0x3c, 0x00, 0x7c}, "-Inf": {0x00, 0x3c, 0x00, 0xfc},
	} {
		f, err := read(file(`{"a":{"dtype":"F16","shape":[2],"data_offsets":[0,4]}}`, b...))
		if err != nil {
			t.Fatal(err)
		}
		if _, err := f.Floats("a", 2); err == nil || err.Error() != `tensor "a" is damaged: its element 1 is `+name {
			t.Errorf("%s: got %v", name, err)
		}
	}
}

func TestFilesAreOpenedByName(t *testing.T) {
	path := filepath.Join(t.TempDir(), "model.safetensors")
	if err := os.WriteFile(path, file(`{"a":{"dtype":"I8","shape":[3],"data_offsets":[0,3]}}`, 1, 2, 3), 0o600); err != nil {
		t.Fatal(err)
	}
	f, err := Open(path)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	if err := os.Truncate(path, f.data+1); err != nil {
		t.Fatal(err)
	}
	if _, err := f.Floats("a", 3); err == nil || !strings.Contains(err.Error(), "ends after 1 of 3") {
		t.Errorf("of a file that shrank: got %v", err)
	}
}

// What the header promises can be read, however the file came about.
func FuzzNew(f *testing.F) {
	f.Add(file(`{"a":{"dtype":"F32","shape":[1],"data_offsets":[0,4]}}`, 1, 2, 3, 4))
	f.Add(file(`{"a":{"dtype":"F16","shape":[0,7],"data_offsets":[0,0]},"__metadata__":{}}`))
	f.Add([]byte{255, 0, 0, 0, 0, 0, 0, 0, '{'})
	f.Fuzz(func(t *testing.T, b []byte) {
		file, err := read(b)
		if err != nil {
			return
		}
		for _, name := range file.Names() {
			floats, err := file.Floats(name, file.Shape(name)...)
			if err == nil && len(floats) > len(b) {
				t.Errorf("tensor %q has %d elements in a file of %d bytes", name, len(floats), len(b))
			}
		}
	})
}
