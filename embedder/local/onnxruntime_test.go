//go:build onnxruntime && cgo

package local_test

import (
	"os"
	"strings"
	"testing"

	"github.com/tributary-kb/tributary/embedder/local"
)

// onnxruntime is that of the library that scripts/onnxruntime gets.
func onnxruntime(t testing.TB) local.Runtime {
	t.Helper()
	path := os.Getenv("TRIBUTARY_TEST_ONNXRUNTIME")
	if path == "" {
		t.Fatal("TRIBUTARY_TEST_ONNXRUNTIME names no library; scripts/onnxruntime test gets one and sets it")
	}
	return local.Runtime{Name: local.RuntimeONNX, Library: path}
}

// withGraph is a model with the graph beside its weights.
func withGraph(t testing.TB, family string) map[string][]byte {
	t.Helper()
	files := model(t, family)
	data, err := os.ReadFile("testdata/" + family + "/model.onnx")
	if err != nil {
		t.Fatal(err)
	}
	files["model.onnx"] = data
	return files
}

func openGraph(t testing.TB, files map[string][]byte, r local.Runtime) *local.Encoder {
	t.Helper()
	e, err := local.OpenEncoder(folder(t, files), r)
	if err != nil {
		t.Fatal(err)
	}
	return e
}

func TestOnnxruntimeComputesWhatGoDoes(t *testing.T) {
	r := onnxruntime(t)
	for _, family := range families() {
		g, files := golden(t, family), withGraph(t, family)
		e := openGraph(t, files, r)
		embed(t, e, g.Texts, g.Mean)
		long := []string{strings.Repeat("the cat sat on ", 20)}
		want, err := openEncoder(t, files).Embed(t.Context(), long)
		if err != nil {
			t.Fatal(err)
		}
		embed(t, e, long, want)
		c, err := local.OpenCrossEncoder(folder(t, files), r)
		if err != nil {
			t.Fatal(err)
		}
		judge(t, c, g)
	}
}

// What Go refuses, onnxruntime computes all the same.
func TestOnnxruntimeComputesFamiliesThatGoDoesNot(t *testing.T) {
	g, files := golden(t, "encoder"), withGraph(t, "encoder")
	files["config.json"] = []byte(strings.Replace(string(files["config.json"]), `"bert"`, `"distilbert"`, 1))
	if _, err := local.OpenEncoder(folder(t, files), local.Runtime{Name: local.RuntimeGo}); err == nil {
		t.Error("Go computes it: the test proves nothing")
	}
	embed(t, openGraph(t, files, onnxruntime(t)), g.Texts, g.Mean)
}

// Who has both files may change the runtime and keep the index; where vectors
// are not the same, or nothing is there to compare with, the revision is
// another.
func TestOnnxruntimeSharesTheRevisionWhereVectorsAgree(t *testing.T) {
	r := onnxruntime(t)
	files := withGraph(t, "encoder")
	want := openEncoder(t, files).Revision()
	if got := openGraph(t, files, r).Revision(); got != want {
		t.Errorf("revision with the same weights is %s, want %s", got, want)
	}
	weights := files["model.safetensors"]
	other := append([]byte(nil), weights...)
	copy(other[len(other)/2:], other[len(other)/2+4096:len(other)/2+8192])
	files["model.safetensors"] = other
	if got := openGraph(t, files, r).Revision(); got == openEncoder(t, files).Revision() {
		t.Error("revision with other weights is the same")
	}
	delete(files, "model.safetensors")
	r.Name = "" // the graph is all there is
	if got := openGraph(t, files, r).Revision(); got == want {
		t.Error("revision without weights to compare with is theirs")
	}
}

func TestOnnxruntimeSaysWhatIsWrong(t *testing.T) {
	r := onnxruntime(t)
	openGraph(t, withGraph(t, "encoder"), r)
	for _, c := range []struct {
		name, want string
		change     func(files map[string][]byte, r *local.Runtime)
	}{
		{"no graph", "has no model.onnx", func(f map[string][]byte, _ *local.Runtime) { delete(f, "model.onnx") }},
		{"a damaged graph", "model.onnx", func(f map[string][]byte, _ *local.Runtime) { f["model.onnx"] = []byte("damaged") }},
		{"a second library", "is loaded from", func(_ map[string][]byte, r *local.Runtime) { r.Library = "/elsewhere.so" }},
	} {
		files, other := withGraph(t, "encoder"), r
		c.change(files, &other)
		if _, err := local.OpenEncoder(folder(t, files), other); err == nil || !strings.Contains(err.Error(), c.want) {
			t.Errorf("%s: got %v, want %q", c.name, err, c.want)
		}
	}
}
