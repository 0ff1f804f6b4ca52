//go:build unix

package local_test

import (
	"fmt"
	"math/rand/v2"
	"os"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/tributary-kb/tributary/embedder/local"
)

// modelOfBenchmarks names a folder in the shape of MiniLM-L6 with a graph for
// onnxruntime, as "node golden.mjs speed FOLDER" makes it.
const modelOfBenchmarks = "TRIBUTARY_BENCH_MODEL"

// miniLM is the folder of a model in the shape of MiniLM-L6, 6 layers of 384,
// with random weights and 100 words.
func miniLM(b *testing.B) string {
	b.Helper()
	if dir := os.Getenv(modelOfBenchmarks); dir != "" {
		return dir
	}
	const hidden, up, layers = 384, 1536, 6
	r := rand.New(rand.NewPCG(1, 2))
	tensors := map[string]tensor{}
	add := func(name string, shape ...int) {
		n := 1
		for _, d := range shape {
			n *= d
		}
		data := make([]float32, n)
		for i := range data {
			data[i] = float32(r.NormFloat64()) / 16
		}
		tensors[name] = tensor{shape, data}
	}
	layer := func(name string, out, in int) { add(name+".weight", out, in); add(name+".bias", out) }
	norm := func(name string) { add(name+".weight", hidden); add(name+".bias", hidden) }
	vocabulary := []string{"[PAD]", "[UNK]", "[CLS]", "[SEP]"}
	for i := range 96 {
		vocabulary = append(vocabulary, fmt.Sprint("w", i))
	}
	add("embeddings.word_embeddings.weight", len(vocabulary), hidden)
	add("embeddings.position_embeddings.weight", 512, hidden)
	add("embeddings.token_type_embeddings.weight", 2, hidden)
	norm("embeddings.LayerNorm")
	for i := range layers {
		at := fmt.Sprintf("encoder.layer.%d.", i)
		for _, name := range []string{"attention.self.query", "attention.self.key", "attention.self.value", "attention.output.dense"} {
			layer(at+name, hidden, hidden)
		}
		norm(at + "attention.output.LayerNorm")
		layer(at+"intermediate.dense", up, hidden)
		layer(at+"output.dense", hidden, up)
		norm(at + "output.LayerNorm")
	}
	return folder(b, map[string][]byte{
		"model.safetensors": safetensors(b, tensors), "tokenizer.json": words(b, vocabulary...),
		"config.json": fmt.Appendf(nil, `{"model_type":"bert","hidden_size":%d,"num_hidden_layers":%d,"num_attention_heads":12,"intermediate_size":%d,
			"max_position_embeddings":512,"type_vocab_size":2,"vocab_size":%d}`, hidden, layers, up, len(vocabulary)),
	})
}

func BenchmarkEncoder(b *testing.B) {
	benchmark(b, miniLM(b), local.Runtime{Name: local.RuntimeGo})
}

// benchmark embeds what a search and what an import embeds.
func benchmark(b *testing.B, dir string, r local.Runtime) {
	b.Helper()
	e, err := local.OpenEncoder(dir, r)
	if err != nil {
		b.Fatal(err)
	}
	for _, c := range []struct {
		name          string
		texts, tokens int
	}{{"a query of 16 tokens", 1, 16}, {"32 passages of 200 tokens", 32, 200}} {
		text := strings.Repeat("w1 w2 w3 w4 ", c.tokens)
		text = strings.Join(strings.Fields(text)[:c.tokens-2], " ") // the model adds two
		texts := strings.Split(strings.Repeat(text+"\n", c.texts-1)+text, "\n")
		b.Run(c.name, func(b *testing.B) {
			before := processorTime(b)
			for b.Loop() {
				if _, err := e.Embed(b.Context(), texts); err != nil {
					b.Fatal(err)
				}
			}
			b.ReportMetric(float64((processorTime(b)-before).Microseconds())/1000/float64(b.N), "cpu-ms/op")
			b.ReportMetric(float64(b.N*c.texts*c.tokens)/b.Elapsed().Seconds(), "tokens/s")
		})
	}
}

// processorTime is what this process has had so far, which others on the same
// machine change less than they do the time that passes.
func processorTime(b *testing.B) time.Duration {
	b.Helper()
	var u syscall.Rusage
	if err := syscall.Getrusage(syscall.RUSAGE_SELF, &u); err != nil {
		b.Fatal(err)
	}
	return time.Duration(u.Utime.Nano() + u.Stime.Nano())
}
