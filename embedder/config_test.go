package embedder

import (
	"strings"
	"testing"
)

func TestNewNamesTheSettingThatIsWrong(t *testing.T) {
	tenth, two := 0.1, 2.0
	for _, c := range []struct {
		name string
		cfg  Config
		want string // beginning of the error, "" for none
	}{
		{"the zero value", Config{}, ""},
		{"a weight", Config{Alpha: &tenth}, ""},
		{"Ollama", Config{Provider: "openai", BaseURL: "http://localhost:11434/v1", Model: "nomic-embed-text"}, ""},
		{"an unknown provider", Config{Provider: "magic"}, `embedder.provider is "magic"`},
		{"no model", Config{Provider: "openai"}, "embedder.model is empty"},
		{"a relative URL", Config{Provider: "openai", Model: "m", BaseURL: "localhost:1"}, "embedder.base_url is"},
		{"a key in the URL", Config{Provider: "openai", Model: "m", BaseURL: "http://u:secret@h/v1"}, "embedder.base_url holds a user name"},
		{"a query in the URL", Config{Provider: "openai", Model: "m", BaseURL: "http://h/v1?key=secret"}, "embedder.base_url must not"},
		{"not a URL", Config{Provider: "openai", Model: "m", BaseURL: "http://h\x7f/secret"}, "embedder.base_url is not a URL"},
		{"an unknown encoding", Config{Provider: "openai", Model: "m", EncodingFormat: "int8"}, "embedder.encoding_format"},
		{"a negative limit", Config{Provider: "openai", Model: "m", MaxInputs: -1}, "embedder.max_inputs is -1"},
		{"a cut TEI vector", Config{Provider: "tei", Model: "m", Dimensions: 64}, "embedder.dimensions is 64"},
		{"a prompt that is not TEI's", Config{Provider: "ollama", Model: "m", QueryPrompt: "q"}, "embedder.query_prompt and"},
		{"a cap without a price", Config{Provider: "jina", Model: "m", SpendCap: 5}, "embedder.spend_cap is 5, it needs embedder.price"},
		{"a weight above one", Config{Alpha: &two}, "embedder.alpha is 2"},
		{"a key file that is not there", Config{Provider: "openai", Model: "m", APIKeyFile: "no/such/file"}, "embedder.api_key_file: "},
		{"an empty variable", Config{Provider: "openai", Model: "m", APIKeyEnv: "TRIBUTARY_TEST_NO_KEY"}, "embedder.api_key_env: "},
	} {
		t.Run(c.name, func(t *testing.T) {
			m, err := New(c.cfg)
			switch {
			case c.want == "" && (err != nil || m == nil):
				t.Errorf("got %v, %v, want a model", m, err)
			case c.want != "" && (err == nil || !strings.HasPrefix(err.Error(), c.want)):
				t.Errorf("got %v, want %q", err, c.want)
			case err != nil && strings.Contains(err.Error(), "secret"):
				t.Errorf("error %q shows the secret", err)
			}
		})
	}
}

func TestPrefixesOfKnownModels(t *testing.T) {
	for _, c := range []struct {
		name            string
		cfg             Config
		query, document string
	}{
		{"with owner and size", Config{Provider: "tei", Model: "intfloat/multilingual-e5-base"}, "query: ", "passage: "},
		{"with a tag of Ollama", Config{Provider: "ollama", Model: "nomic-embed-text:v1.5"}, "search_query: ", "search_document: "},
		{"for queries alone", Config{Provider: "openai", Model: "BAAI/bge-small-en-v1.5"}, representThis, ""},
		{"none wanted", Config{Provider: "openai", Model: "BAAI/bge-m3"}, "", ""},
		{"an unknown model", Config{Provider: "openai", Model: "our-own"}, "", ""},
		{"one was set", Config{Provider: "tei", Model: "intfloat/e5-base", QueryPrefix: "q: "}, "q: ", ""},
		{"prompts of the server", Config{Provider: "tei", Model: "intfloat/e5-base", QueryPrompt: "query"}, "", ""},
		{"switched off", Config{Provider: "tei", Model: "intfloat/e5-base", NoKnownPrefixes: true}, "", ""},
		{"the provider adds its own", Config{Provider: "jina", Model: "nomic-embed-text"}, "", ""},
	} {
		t.Run(c.name, func(t *testing.T) {
			c.cfg.SetDefaults()
			if c.cfg.QueryPrefix != c.query || c.cfg.DocumentPrefix != c.document {
				t.Errorf("prefixes %q and %q, want %q and %q", c.cfg.QueryPrefix, c.cfg.DocumentPrefix, c.query, c.document)
			}
		})
	}
}

func TestAlphaMayBeSet(t *testing.T) {
	fifth := 0.2
	for _, c := range []struct {
		cfg  Config
		want float64
	}{
		{Config{}, 0.25},
		{Config{Alpha: &fifth}, 0.2},
		{Config{Provider: "openai", Model: "m"}, 0.5},
		{Config{Provider: "openai", Model: "m", Alpha: &fifth}, 0.2},
	} {
		m, err := New(c.cfg)
		if err != nil {
			t.Fatal(err)
		}
		if got := m.Alpha(); got != c.want {
			t.Errorf("alpha of %+v is %v, want %v", c.cfg, got, c.want)
		}
	}
}

func TestRemoteFingerprintNamesWhatVectorsDependOn(t *testing.T) {
	base := Config{Provider: "openai", Model: "m"}
	fingerprint := func(edit func(*Config)) string {
		cfg := base
		edit(&cfg)
		m, err := New(cfg)
		if err != nil {
			t.Fatal(err)
		}
		return m.Fingerprint()
	}
	plain := fingerprint(func(*Config) {})
	for name, c := range map[string]struct {
		edit func(*Config)
		same bool
	}{
		"model":           {func(c *Config) { c.Model = "other" }, false},
		"dimensions":      {func(c *Config) { c.Dimensions = 256 }, false},
		"provider":        {func(c *Config) { c.Provider = "ollama" }, false},
		"revision":        {func(c *Config) { c.Revision = "2" }, false},
		"query prefix":    {func(c *Config) { c.QueryPrefix = "query: " }, false},
		"document prefix": {func(c *Config) { c.DocumentPrefix = "passage: " }, false},
		"address":         {func(c *Config) { c.BaseURL = "http://elsewhere/v1" }, true},
		"batches":         {func(c *Config) { c.MaxInputs = 7 }, true},
	} {
		if got := fingerprint(c.edit); (got == plain) != c.same {
			t.Errorf("another %s: %s, before: %s", name, got, plain)
		}
	}
}
