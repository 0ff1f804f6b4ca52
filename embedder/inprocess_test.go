package embedder

import (
	"crypto/sha256"
	"fmt"
	"math"
	"os"
	"reflect"
	"strings"
	"testing"
)

func TestModelsInThisProcessEmbed(t *testing.T) {
	for _, c := range []struct {
		provider, dir, fingerprint string
		dimension                  int
	}{
		{ProviderStatic, "local/testdata/static", "static:static:2:", 2},
		{ProviderEncoder, "local/testdata/encoder", "encoder:encoder:32:", 32},
	} {
		t.Run(c.provider, func(t *testing.T) {
			m, err := New(Config{Provider: c.provider, ModelDir: c.dir, QueryPrefix: "green "})
			if err != nil {
				t.Fatal(err)
			}
			if got := m.Fingerprint(); !strings.HasPrefix(got, c.fingerprint) {
				t.Errorf("fingerprint is %s", got)
			}
			if got, err := m.Dimension(t.Context()); got != c.dimension || err != nil {
				t.Errorf("dimension is %d, %v, want %d", got, err, c.dimension)
			}
			if query, document := digest(t, m, "red", RoleQuery), digest(t, m, "green red", RoleDocument); query != document {
				t.Errorf("a query %v with its prefix differs from a document %v with the same words", query, document)
			}
		})
	}
}

// digest returns the product of a vector with fixed numbers, and checks its
// length.
func digest(t *testing.T, m Model, text string, role Role) (sum float64) {
	t.Helper()
	vectors, err := m.Embed(t.Context(), []string{text}, role)
	if err != nil || len(vectors) != 1 {
		t.Fatalf("%d vectors, %v", len(vectors), err)
	}
	squares := 0.0
	for i, x := range vectors[0] {
		sum += float64(x) * float64(i+1)
		squares += float64(x) * float64(x)
	}
	if math.Abs(squares-1) > 1e-5 {
		t.Errorf("the vector's length squared is %v", squares)
	}
	return sum
}

func TestFingerprintsChangeWithThePrefixes(t *testing.T) {
	with := func(prefix string) string {
		m, err := New(Config{Provider: ProviderStatic, ModelDir: "local/testdata/static", QueryPrefix: prefix})
		if err != nil {
			t.Fatal(err)
		}
		return m.Fingerprint()
	}
	first, other, again := with("a "), with("b "), with("a ")
	if first == other || first != again {
		t.Errorf("fingerprints are %s, %s and again %s", first, other, again)
	}
}

func TestModelsInThisProcessNeedTheirFolder(t *testing.T) {
	for _, c := range []struct{ dir, runtime, want string }{
		{"", "", "embedder.model and embedder.model_dir are empty"},
		{t.TempDir(), "", "embedder.model_dir: open static model: "},
		{t.TempDir(), "java", `embedder.runtime is "java"`},
	} {
		if _, err := New(Config{Provider: ProviderStatic, ModelDir: c.dir, Runtime: c.runtime}); err == nil || !strings.HasPrefix(err.Error(), c.want) {
			t.Errorf("got %v, want %q", err, c.want)
		}
	}
}

// Without the tag the error names it, with it the library that is not there.
func TestTheConfiguredRuntimeComputes(t *testing.T) {
	cfg := Config{Provider: ProviderEncoder, ModelDir: "local/testdata/encoder", Runtime: "onnxruntime", ONNXRuntimeLibrary: "nowhere/libonnxruntime.so"}
	_, err := New(cfg)
	if err == nil || !strings.Contains(err.Error(), "-tags onnxruntime") && !strings.Contains(err.Error(), "nowhere/libonnxruntime.so (onnxruntime_library)") {
		t.Errorf("got %v", err)
	}
}

func TestFilesOfAModelMustBeThePinnedOnes(t *testing.T) {
	const sum = "17e42ec8a1e0e32f1c3a15fe33a0b0f8d45d7b4ab40dbdb33b54a6e8d8ce6f5b"
	for _, c := range []struct{ file, sum, want string }{
		{"model.safetensors", sum, "the setting sha256 wants " + sum},
		{"model.bin", sum, `the setting sha256 names "model.bin"`},
		{"../model.bin", sum, "is outside of the model's folder"},
		{"model.safetensors", "17e42e", `embedder.sha256 of "model.safetensors" is "17e42e"`},
	} {
		cfg := Config{Provider: ProviderStatic, ModelDir: "local/testdata/static", SHA256: map[string]string{c.file: c.sum}}
		if _, err := New(cfg); err == nil || !strings.Contains(err.Error(), c.want) {
			t.Errorf("got %v, want %q", err, c.want)
		}
	}
	data, err := os.ReadFile("local/testdata/static/model.safetensors")
	if err != nil {
		t.Fatal(err)
	}
	right := map[string]string{"model.safetensors": fmt.Sprintf("%x", sha256.Sum256(data))}
	if _, err := New(Config{Provider: ProviderStatic, ModelDir: "local/testdata/static", SHA256: right}); err != nil {
		t.Errorf("with the right one: %v", err)
	}
}

func TestObtainLeavesAloneWhatIsAtHand(t *testing.T) {
	for _, cfg := range []Config{{}, {Provider: ProviderTEI, Model: "m"}, {Provider: ProviderStatic, ModelDir: "here", Model: "owner/model"}} {
		if got, err := Obtain(t.Context(), cfg, nil); !reflect.DeepEqual(got, cfg) || err != nil {
			t.Errorf("got %+v, %v, want %+v", got, err, cfg)
		}
	}
	cfg := Config{Provider: ProviderStatic, Model: "model"}
	if _, err := Obtain(t.Context(), cfg, nil); err == nil || !strings.HasPrefix(err.Error(), "embedder.model ") {
		t.Errorf("of a name without an owner: got %v", err)
	}
	if _, err := New(cfg); err == nil || !strings.Contains(err.Error(), "is not at hand") {
		t.Errorf("of a model that was not obtained: got %v", err)
	}
}
