package local_test

import (
	"context"
	"encoding/json"
	"math"
	"os"
	"slices"
	"strings"
	"testing"

	"github.com/tributary-kb/tributary/embedder/local"
)

// families are the models in testdata, one of each kind.
func families() []string { return []string{"encoder", "roberta", "xlm-roberta"} }

// recorded is what onnxruntime makes of a model in testdata, in padded batches;
// testdata/golden.mjs makes models and files again.
type recorded struct {
	Texts           []string
	Mean, CLS, Last [][]float32
	Activations     map[string][][]float32 // with mean, of the same weights
	Query           string
	Scores          []float64
}

func golden(t testing.TB, family string) (g recorded) {
	t.Helper()
	data, err := os.ReadFile("testdata/" + family + "/golden.json")
	if err != nil {
		t.Fatal(err)
	}
	if err := json.Unmarshal(data, &g); err != nil {
		t.Fatal(err)
	}
	if len(g.Texts) == 0 {
		t.Fatalf("%s: nothing is recorded", family)
	}
	return g
}

// model returns the files of a model in testdata, to be changed.
func model(t testing.TB, family string) map[string][]byte {
	t.Helper()
	files := map[string][]byte{}
	for _, name := range []string{"model.safetensors", "tokenizer.json", "config.json", "modules.json", "1_Pooling/config.json"} {
		data, err := os.ReadFile("testdata/" + family + "/" + name)
		if err != nil {
			t.Fatal(err)
		}
		files[name] = data
	}
	return files
}

func openEncoder(t testing.TB, files map[string][]byte) *local.Encoder {
	t.Helper()
	e, err := local.OpenEncoder(folder(t, files), local.Runtime{})
	if err != nil {
		t.Fatal(err)
	}
	return e
}

func near(t *testing.T, name string, got, want []float32, tolerance float64) {
	t.Helper()
	if len(got) != len(want) {
		t.Fatalf("%s: %d components, want %d", name, len(got), len(want))
	}
	for i := range want {
		if !(math.Abs(float64(got[i]-want[i])) <= tolerance) {
			t.Fatalf("%s: component %d is %v, want %v", name, i, got[i], want[i])
		}
	}
}

func embed(t *testing.T, e *local.Encoder, texts []string, want [][]float32) {
	t.Helper()
	got, err := e.Embed(t.Context(), texts)
	if err != nil || len(got) != len(want) {
		t.Fatalf("%d vectors, %v, want %d", len(got), err, len(want))
	}
	for i := range got {
		near(t, e.Describe()+" of "+texts[i], got[i], want[i], 1e-5)
	}
}

func TestEncoderComputesWhatOnnxruntimeDoes(t *testing.T) {
	for _, family := range families() {
		t.Run(family, func(t *testing.T) {
			g, files := golden(t, family), model(t, family)
			for mode, want := range map[string][][]float32{
				"pooling_mode_mean_tokens": g.Mean, "pooling_mode_cls_token": g.CLS, "pooling_mode_lasttoken": g.Last,
			} {
				files["1_Pooling/config.json"] = []byte(`{"` + mode + `": true}`)
				embed(t, openEncoder(t, files), g.Texts, want)
			}
		})
	}
}

func TestActivationsAreThoseOfOnnxruntime(t *testing.T) {
	g := golden(t, "encoder")
	if len(g.Activations) != 2 {
		t.Fatalf("%d activations are recorded, want 2", len(g.Activations))
	}
	for name, want := range g.Activations {
		files := model(t, "encoder")
		files["config.json"] = []byte(strings.Replace(string(files["config.json"]), `"gelu"`, `"`+name+`"`, 1))
		embed(t, openEncoder(t, files), g.Texts, want)
	}
}

func TestNeighboursInABatchChangeNothing(t *testing.T) {
	g := golden(t, "encoder")
	e := openEncoder(t, model(t, "encoder"))
	batch, err := e.Embed(t.Context(), g.Texts)
	if err != nil {
		t.Fatal(err)
	}
	for i, text := range g.Texts {
		alone, err := e.Embed(t.Context(), []string{text})
		if err != nil {
			t.Fatal(err)
		}
		near(t, text, alone[0], batch[i], 0)
	}
}

// A text that does not fit is read to its end.
func TestLongTextsAreReadInParts(t *testing.T) {
	e := openEncoder(t, model(t, "encoder"))
	text := strings.Repeat("the cat sat on ", 20)
	got, err := e.Embed(t.Context(), []string{text, text + strings.Repeat("red house ", 20)})
	if err != nil {
		t.Fatal(err)
	}
	if slices.Equal(got[0], got[1]) {
		t.Error("the end of a long text does not count")
	}
}

func TestCrossEncoderComputesWhatOnnxruntimeDoes(t *testing.T) {
	for _, family := range families() {
		g := golden(t, family)
		c, err := local.OpenCrossEncoder("testdata/"+family, local.Runtime{Name: local.RuntimeGo})
		if err != nil {
			t.Fatal(err)
		}
		judge(t, c, g)
	}
}

func judge(t *testing.T, c *local.CrossEncoder, g recorded) {
	t.Helper()
	got, err := c.Rerank(t.Context(), g.Query, g.Texts)
	if err != nil || len(got) != len(g.Scores) {
		t.Fatalf("%d scores, %v, want %d", len(got), err, len(g.Scores))
	}
	for i, want := range g.Scores {
		if !(math.Abs(got[i]-want) <= 1e-5) {
			t.Errorf("score of %q is %v, want %v", g.Texts[i], got[i], want)
		}
	}
}

func TestModelsThatAreNotUnderstoodAreRefused(t *testing.T) {
	for _, c := range []struct{ name, file, from, to, want string }{
		{"another family", "config.json", `"bert"`, `"llama"`, `model_type "llama" is not supported`},
		{"another activation", "config.json", `"gelu"`, `"swish"`, `hidden_act "swish" is not supported`},
		{"heads that do not divide", "config.json", `"num_attention_heads":4`, `"num_attention_heads":5`, "no multiple"},
		{"more layers than weights", "config.json", `"num_hidden_layers":2`, `"num_hidden_layers":3`, "there is no tensor"},
		{"enormous sizes", "config.json", `"hidden_size":32`, `"hidden_size":16000000`, "has shape"},
		{"another pooling", "1_Pooling/config.json", "pooling_mode_mean_tokens", "pooling_mode_max_tokens", "pooling_mode_max_tokens is not supported"},
		{"a further module", "modules.json", "models.Normalize", "models.Dense", "models.Dense is not supported"},
		{"no JSON", "config.json", "{", "[", "config.json"},
	} {
		t.Run(c.name, func(t *testing.T) {
			files := model(t, "encoder")
			files[c.file] = []byte(strings.Replace(string(files[c.file]), c.from, c.to, 1))
			if _, err := local.OpenEncoder(folder(t, files), local.Runtime{}); err == nil || !strings.Contains(err.Error(), c.want) {
				t.Errorf("got %v, want %q", err, c.want)
			}
		})
	}
}

func TestEncoderEndsWithItsContext(t *testing.T) {
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if got, err := openEncoder(t, model(t, "encoder")).Embed(ctx, []string{"cat"}); err == nil {
		t.Errorf("got %v, want an error", got)
	}
}
