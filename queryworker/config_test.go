package queryworker

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"go.yaml.in/yaml/v3"

	"github.com/tributary-kb/tributary"
)

func TestConfigFromYAML(t *testing.T) {
	var got Config
	err := yaml.Unmarshal([]byte(`
search: {max_k: 50, max_wait: 10s, alphas: {wiki: 0.4}, fusions: {wiki: ranked}, document_weight: 0, document_weights: {wiki: 0.5}}
generator:
  provider: openai
  base_url: http://localhost:11434/v1
  model: llama
  api_key_file: /run/secrets/key
  max_context_tokens: 8000
  timeout: 2m
`), &got)
	if err != nil {
		t.Fatal(err)
	}
	got.SetDefaults()
	want := Config{
		Search: SearchConfig{MaxK: 50, MaxQueryBytes: 16384, MaxWait: 10 * time.Second, Fusion: tributary.FusionRelative,
			Alphas: map[string]float64{"wiki": 0.4}, Fusions: map[string]tributary.Fusion{"wiki": tributary.FusionRanked},
			DocumentWeight: new(float64), DocumentWeights: map[string]float64{"wiki": 0.5}},
		Ask: AskConfig{Steps: []string{"rewrite"}, ConversationTTL: 24 * time.Hour, MaxTurns: 6, CacheEntries: 1000},
		Generator: GeneratorConfig{
			Provider: "openai", BaseURL: "http://localhost:11434/v1", Model: "llama",
			APIKeyFile: "/run/secrets/key", MaxContextTokens: 8000, MaxAnswerTokens: 1024, Timeout: 2 * time.Minute, Attempts: 3,
		},
		Reranker: RerankerConfig{Provider: RerankerNone, Top: 50, Timeout: 10 * time.Second},
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("config (-want +got):\n%s", diff)
	}
	if err := got.Validate(); err != nil {
		t.Error(err)
	}
}

func TestZeroConfigIsExtractive(t *testing.T) {
	var c Config
	if err := c.Validate(); err != nil {
		t.Error(err)
	}
	g, err := c.Generator.New(nil, nil)
	if err != nil || g.Name() != "extractive" {
		t.Errorf("got %v, %v", g, err)
	}
}

func TestProvidersWithOneUsualPlaceNeedNoURL(t *testing.T) {
	for provider, want := range map[string]string{
		"anthropic": "https://api.anthropic.com/v1/messages",
		"ollama":    "http://localhost:11434/api/chat",
	} {
		g, err := GeneratorConfig{Provider: provider, Model: "m"}.New(nil, nil)
		if err != nil {
			t.Fatal(err)
		}
		c := g.(*Chat)
		if got := c.wire().endpoint(c.BaseURL); got != want || c.Name() != provider+":m" {
			t.Errorf("%s asks %s, want %s", c.Name(), got, want)
		}
	}
}

func TestConfigNamesWhatIsWrong(t *testing.T) {
	openai := func(base string) Config {
		return Config{Generator: GeneratorConfig{Provider: "openai", BaseURL: base, Model: "m"}}
	}
	tooMuch := 1.5
	tests := []struct {
		name   string
		config Config
		want   []string
	}{
		{"about answers", Config{Ask: AskConfig{
			Steps: []string{"guess"}, Sources: []string{"handbook"}, MinConfidence: &tooMuch, ConversationTTL: -1, MaxTurns: -1,
		}}, []string{`ask.steps: "guess" is no step`, `ask.sources has "handbook"`, "ask.min_confidence is 1.5", "ask.conversation_ttl", "ask.max_turns"}},
		{"about single knowledge bases", Config{
			Search: SearchConfig{Fusion: "best", Alphas: map[string]float64{"wiki": 2, "No!": 0}, Fusions: map[string]tributary.Fusion{"wiki": "best"},
				DocumentWeight: &tooMuch, DocumentWeights: map[string]float64{"wiki": 2, "No!": 0}},
			Ask: AskConfig{KBs: map[string]string{"wiki": " ", "No!": "x"}},
		}, []string{`search.fusion is "best"`, `search.alphas has 2 for "wiki"`, `search.alphas: knowledge base "No!"`, `search.fusions for "wiki" is "best"`, `search.document_weight is 1.5`, `search.document_weights has 2 for "wiki"`, `search.document_weights: knowledge base "No!"`, `ask.kbs: knowledge base "No!"`, `ask.kbs has nothing for "wiki"`}},
		{"an unknown provider", Config{Generator: GeneratorConfig{Provider: "magic"}}, []string{`generator.provider is "magic"`}},
		{"no server and no model", Config{Generator: GeneratorConfig{Provider: "openai"}}, []string{"generator.base_url is empty", "generator.model is empty"}},
		{"no URL", openai("http://a b"), []string{"generator.base_url is not a URL"}},
		{"another scheme", openai("ftp://x"), []string{`generator.base_url is "ftp://x"`}},
		{"a password in the URL", openai("http://u:hunter2@x"), []string{"generator.base_url holds a user or password"}},
		{"a query in the URL", openai("http://x/v1?key=hunter2"), []string{"generator.base_url has a query"}},
		{"two keys", Config{Generator: GeneratorConfig{APIKeyFile: "f", APIKeyEnv: "E"}}, []string{"generator.api_key_file and generator.api_key_env are both set"}},
		{"negative numbers", Config{
			Search:    SearchConfig{MaxK: -1, MaxQueryBytes: -1, MaxWait: -1},
			Generator: GeneratorConfig{MaxContextTokens: -1, MaxAnswerTokens: -1, Timeout: -1, Attempts: -1},
		}, []string{"generator.max_answer_tokens", "generator.attempts", "search.max_k", "search.max_query_bytes", "search.max_wait", "generator.max_context_tokens", "generator.timeout"}},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			err := tt.config.Validate()
			if err == nil {
				t.Fatal("no error")
			}
			for _, want := range tt.want {
				if !strings.Contains(err.Error(), want) {
					t.Errorf("got %q, want it to name %q", err, want)
				}
			}
			if strings.Contains(err.Error(), "hunter2") {
				t.Errorf("the error shows a secret: %v", err)
			}
		})
	}
}

func TestAPIKeyIsReadFromFileOrEnvironment(t *testing.T) {
	file := filepath.Join(t.TempDir(), "key")
	if err := os.WriteFile(file, []byte(" sk-file\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	t.Setenv("TEST_MODEL_KEY", "sk-env")
	base := GeneratorConfig{Provider: "openai", BaseURL: "http://x", Model: "m"}
	for want, c := range map[string]GeneratorConfig{
		"":        {},
		"sk-file": {APIKeyFile: file},
		"sk-env":  {APIKeyEnv: "TEST_MODEL_KEY"},
	} {
		c.Provider, c.BaseURL, c.Model = base.Provider, base.BaseURL, base.Model
		g, err := c.New(nil, nil)
		if err != nil {
			t.Fatalf("key %q: %v", want, err)
		}
		if got, err := g.(*Chat).APIKey(); got != want || err != nil {
			t.Errorf("got %q, %v, want %q", got, err, want)
		}
	}
	for name, c := range map[string]GeneratorConfig{
		"generator.api_key_file": {APIKeyFile: file + "-missing"},
		"generator.api_key_env":  {APIKeyEnv: "TEST_MODEL_KEY_MISSING"},
	} {
		c.Provider, c.BaseURL, c.Model = base.Provider, base.BaseURL, base.Model
		if _, err := c.New(nil, nil); err == nil || !strings.Contains(err.Error(), name) {
			t.Errorf("got %v, want it to name %s", err, name)
		}
	}
}
