package config

import (
	"os"
	"strings"
	"testing"
)

// Every example of docs/models.md is a configuration that is accepted.
func TestExamplesOfModelsDocs(t *testing.T) {
	data, err := os.ReadFile("../../docs/models.md")
	if err != nil {
		t.Fatal(err)
	}
	parts := strings.Split(string(data), "```yaml\n")[1:]
	for _, part := range parts {
		example, _, _ := strings.Cut(part, "```")
		l, err := Load(Sources{File: writeFile(t, t.TempDir(), "example.yaml", example)})
		if err != nil {
			t.Errorf("%v\n%s", err, example)
			continue
		}
		if l.Embedder.BaseURL == "" && l.Embedder.ModelDir == "" && l.Embedder.Model == "" && l.Query.Generator.Model == "" {
			t.Errorf("neither a server nor a model is configured by\n%s", example)
		}
	}
	if len(parts) < 7 {
		t.Errorf("%d examples, want one for each provider", len(parts))
	}
}
