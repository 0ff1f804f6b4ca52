package local_test

import (
	"encoding/binary"
	"encoding/json"
	"math"
	"os"
	"path/filepath"
	"testing"
)

// words is a tokenizer.json that knows whole words.
func words(t testing.TB, vocabulary ...string) []byte {
	t.Helper()
	ids := map[string]int{}
	for i, w := range vocabulary {
		ids[w] = i
	}
	token := func(name string, kind int) any {
		return map[string]any{"SpecialToken": map[string]any{"id": name, "type_id": kind}}
	}
	text := func(name string, kind int) any {
		return map[string]any{"Sequence": map[string]any{"id": name, "type_id": kind}}
	}
	file := map[string]any{
		"normalizer":    map[string]any{"type": "BertNormalizer", "lowercase": true},
		"pre_tokenizer": map[string]any{"type": "BertPreTokenizer"},
		"model":         map[string]any{"type": "WordPiece", "unk_token": "[UNK]", "vocab": ids},
	}
	if cls, ok := ids["[CLS]"]; ok {
		file["post_processor"] = map[string]any{
			"type":   "TemplateProcessing",
			"single": []any{token("[CLS]", 0), text("A", 0), token("[SEP]", 0)},
			"pair":   []any{token("[CLS]", 0), text("A", 0), token("[SEP]", 0), text("B", 1), token("[SEP]", 1)},
			"special_tokens": map[string]any{
				"[CLS]": map[string]any{"ids": []int{cls}}, "[SEP]": map[string]any{"ids": []int{ids["[SEP]"]}},
			},
		}
	}
	data, err := json.Marshal(file)
	if err != nil {
		t.Fatal(err)
	}
	return data
}

// A tensor is to be written as float32.
type tensor struct {
	shape []int
	data  []float32
}

func safetensors(t testing.TB, tensors map[string]tensor) []byte {
	t.Helper()
	header := map[string]any{}
	var data []byte
	for name, x := range tensors {
		from := len(data)
		for _, f := range x.data {
			data = binary.LittleEndian.AppendUint32(data, math.Float32bits(f))
		}
		header[name] = map[string]any{"dtype": "F32", "shape": x.shape, "data_offsets": []int{from, len(data)}}
	}
	h, err := json.Marshal(header)
	if err != nil {
		t.Fatal(err)
	}
	return append(append(binary.LittleEndian.AppendUint64(nil, uint64(len(h))), h...), data...)
}

// folder writes files into a new folder.
func folder(t testing.TB, files map[string][]byte) string {
	t.Helper()
	dir := t.TempDir()
	for name, data := range files {
		path := filepath.Join(dir, filepath.FromSlash(name))
		if err := os.MkdirAll(filepath.Dir(path), 0o750); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(path, data, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	return dir
}
