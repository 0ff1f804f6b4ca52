package local_test

import (
	"crypto/sha256"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/tributary-kb/tributary/embedder/local"
)

// change replaces the weights on the hub, which says so honestly.
func (h *hub) change(data string) {
	h.files["model.safetensors"] = []byte(data)
	h.sha = fmt.Sprintf("%x", sha256.Sum256([]byte(data)))
}

func TestLaterDownloadsMustGetWhatTheFirstGot(t *testing.T) {
	h, cache := newHub(t), t.TempDir()
	dir, err := h.obtain(t, cache)
	if err != nil {
		t.Fatal(err)
	}
	again := func() error {
		if err := os.RemoveAll(dir); err != nil {
			t.Fatal(err)
		}
		_, err := h.obtain(t, cache)
		return err
	}
	if err := again(); err != nil {
		t.Errorf("the same files: got %v", err)
	}
	h.change("other weights")
	lock := filepath.Join(cache, "owner--model", "tributary-lock.json")
	if err := again(); err == nil || !strings.Contains(err.Error(), "at the first download it had") || !strings.Contains(err.Error(), lock) {
		t.Errorf("other files: got %v", err)
	}
	if _, err := os.Stat(filepath.Join(dir, "model.safetensors")); !os.IsNotExist(err) {
		t.Errorf("the other file was kept: %v", err)
	}
	if err := os.Remove(lock); err != nil {
		t.Fatal(err)
	}
	if err := again(); err != nil {
		t.Errorf("without the lock: got %v", err)
	}
}

// A branch means the commit that it meant first.
func TestLaterDownloadsAskForTheCommitOfTheFirst(t *testing.T) {
	h, cache := newHub(t), t.TempDir()
	dir, err := h.obtain(t, cache)
	if err != nil {
		t.Fatal(err)
	}
	if err := os.RemoveAll(dir); err != nil {
		t.Fatal(err)
	}
	h.requests = nil
	if _, err := h.obtain(t, cache); err != nil {
		t.Fatal(err)
	}
	if want := "/api/models/owner/model/revision/" + commit; h.requests[0] != want {
		t.Errorf("the first request is %s, want %s", h.requests[0], want)
	}
}

func TestPinnedFilesMustBeWhatIsDownloaded(t *testing.T) {
	other := strings.Repeat("ab", 32)
	for _, c := range []struct {
		pins map[string]string
		want string
	}{
		{map[string]string{"model.safetensors": other}, "the setting sha256 wants " + other},
		{map[string]string{"weights": other}, `the setting sha256 names "weights"`},
		{map[string]string{"model.safetensors": "AB"}, `sha256 of "model.safetensors" is "AB"`},
	} {
		h, cache := newHub(t), t.TempDir()
		cfg := local.ObtainConfig{Name: "owner/model", CacheDir: cache, Endpoint: h.URL, SHA256: c.pins}
		for _, when := range []string{"at the first download", "of what is there"} {
			if dir, err := local.Obtain(t.Context(), cfg); err == nil || !strings.Contains(err.Error(), c.want) {
				t.Errorf("%s: got %q, %v, want %q", when, dir, err, c.want)
			}
			if _, err := h.obtain(t, cache); err != nil {
				t.Fatal(err)
			}
		}
	}
	h := newHub(t)
	right := map[string]string{"model.safetensors": h.sha}
	if _, err := local.Obtain(t.Context(), local.ObtainConfig{Name: "owner/model", CacheDir: t.TempDir(), Endpoint: h.URL, SHA256: right}); err != nil {
		t.Errorf("with the right one: %v", err)
	}
}

// What is there already is not downloaded again for a graph that is missing.
func TestGraphsAreDownloadedWhereOnnxruntimeComputes(t *testing.T) {
	h, cache := newHub(t), t.TempDir()
	h.files["onnx/model.onnx"] = []byte("a graph")
	dir, err := h.obtain(t, cache)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := os.Stat(filepath.Join(dir, "onnx/model.onnx")); !os.IsNotExist(err) {
		t.Errorf("a graph that nobody asked for: %v", err)
	}
	h.requests = nil
	cfg := local.ObtainConfig{Name: "owner/model", CacheDir: cache, Endpoint: h.URL, Graph: true}
	if _, err := local.Obtain(t.Context(), cfg); err != nil {
		t.Fatal(err)
	}
	if got, err := os.ReadFile(filepath.Join(dir, "onnx/model.onnx")); string(got) != "a graph" {
		t.Errorf("the graph is %q, %v", got, err)
	}
	if len(h.requests) != 2 { // the list and the graph
		t.Errorf("requests are %q, want 2", h.requests)
	}
	delete(h.files, "onnx/model.onnx")
	cfg.CacheDir = t.TempDir()
	if _, err := local.Obtain(t.Context(), cfg); err == nil || !strings.Contains(err.Error(), "the model has no model.onnx") {
		t.Errorf("of a model without graph: got %v", err)
	}
}
