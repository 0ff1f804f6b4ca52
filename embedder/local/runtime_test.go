//go:build !onnxruntime || !cgo

package local_test

import (
	"strings"
	"testing"

	"github.com/tributary-kb/tributary/embedder/local"
)

func TestWithoutTheTagModelsForOnnxruntimeAreRefusedByIt(t *testing.T) {
	files := model(t, "encoder")
	delete(files, "model.safetensors")
	files["onnx/model.onnx"] = []byte("a graph")
	dir := folder(t, files)
	for _, name := range []string{"", local.RuntimeONNX} {
		if _, err := local.OpenEncoder(dir, local.Runtime{Name: name}); err == nil || !strings.Contains(err.Error(), "-tags onnxruntime") {
			t.Errorf("encoder with runtime %q: got %v", name, err)
		}
	}
	if _, err := local.OpenCrossEncoder(dir, local.Runtime{}); err == nil || !strings.Contains(err.Error(), "-tags onnxruntime") {
		t.Errorf("cross-encoder: got %v", err)
	}
	if err := (local.Runtime{Name: "tensorflow"}).Validate(); err == nil || !strings.Contains(err.Error(), `"onnxruntime"`) {
		t.Errorf("another runtime: got %v", err)
	}
}
