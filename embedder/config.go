package embedder

import (
	"fmt"
	"net/url"
	"time"
)

// The providers.
const (
	ProviderLexical = "lexical" // built in, see lexical.go
	ProviderOpenAI  = "openai"  // any server with OpenAI's POST /embeddings
)

// Config chooses a Model. The zero value is the lexical one; a zero field
// means its default. All fields but Provider and Language are for the openai
// provider.
type Config struct {
	// Provider is ProviderLexical (default) or ProviderOpenAI.
	Provider string `yaml:"provider"`
	// Language is the ISO 639-1 code of the knowledge base for the lexical
	// model, "" for the default of internal/analysis.
	Language string `yaml:"language"`
	// BaseURL is what "/embeddings" is appended to, for example
	// "http://localhost:11434/v1"; default "https://api.openai.com/v1".
	BaseURL string `yaml:"base_url"`
	// Model is the name under which the server knows the model.
	Model string `yaml:"model"`
	// APIKeyFile names a file that holds the key; it is read for every
	// request, so that the key may be replaced. It goes before APIKeyEnv.
	APIKeyFile string `yaml:"api_key_file"`
	// APIKeyEnv names the environment variable that holds the key. Without
	// either, no key is sent.
	APIKeyEnv string `yaml:"api_key_env"`
	// Dimensions asks for vectors of this many components, of models that can
	// be cut; 0 takes what the model gives.
	Dimensions int `yaml:"dimensions"`
	// EncodingFormat is how vectors travel, "float" (default) or "base64".
	// Either is understood, whatever the server sends.
	EncodingFormat string `yaml:"encoding_format"`
	// QueryPrefix and DocumentPrefix are put before each text, as some models
	// were trained with ("query: ", "search_document: ").
	QueryPrefix    string `yaml:"query_prefix"`
	DocumentPrefix string `yaml:"document_prefix"`
	// MaxInputs bounds the texts of a request; default 32, which every known
	// server accepts.
	MaxInputs int `yaml:"max_inputs"`
	// MaxTokens bounds the estimated tokens of a request; default 100,000,
	// which leaves room for the estimate's error.
	MaxTokens int `yaml:"max_tokens"`
	// MaxBytes bounds the bytes of the texts of a request; default 1 MiB.
	MaxBytes int `yaml:"max_bytes"`
	// Attempts bounds how often one request is sent; default 4.
	Attempts int `yaml:"attempts"`
	// Timeout bounds one attempt; default one minute.
	Timeout time.Duration `yaml:"timeout"`
	// MaxWait bounds the pause before another attempt; a server that asks for
	// a longer one is left alone for that long. Default 20 seconds.
	MaxWait time.Duration `yaml:"max_wait"`
	// Alpha overrides the model's default weight in hybrid searches.
	Alpha *float64 `yaml:"alpha"`
}

// SetDefaults replaces zero fields by their defaults.
func (c *Config) SetDefaults() {
	setDefault(&c.Provider, ProviderLexical)
	setDefault(&c.BaseURL, "https://api.openai.com/v1")
	setDefault(&c.EncodingFormat, encodingFloat)
	setDefault(&c.MaxInputs, 32)
	setDefault(&c.MaxTokens, 100_000)
	setDefault(&c.MaxBytes, 1<<20)
	setDefault(&c.Attempts, 4)
	setDefault(&c.Timeout, time.Minute)
	setDefault(&c.MaxWait, 20*time.Second)
}

func setDefault[T comparable](field *T, value T) {
	var zero T
	if *field == zero {
		*field = value
	}
}

// Validate reports the first field that makes no sense, by the name of its
// setting.
func (c Config) Validate() error {
	c.SetDefaults()
	if c.Alpha != nil && !(*c.Alpha >= 0 && *c.Alpha <= 1) {
		return fmt.Errorf("embedder.alpha is %v, it must be between 0 and 1", *c.Alpha)
	}
	switch c.Provider {
	case ProviderLexical:
		return nil
	case ProviderOpenAI:
		return c.validateOpenAI()
	}
	return fmt.Errorf("embedder.provider is %q, it must be %q or %q", c.Provider, ProviderLexical, ProviderOpenAI)
}

func (c Config) validateOpenAI() error {
	if err := checkBaseURL(c.BaseURL); err != nil {
		return err
	}
	if c.Model == "" {
		return fmt.Errorf("embedder.model is empty, the provider %q needs the name of a model", c.Provider)
	}
	if c.EncodingFormat != encodingFloat && c.EncodingFormat != encodingBase64 {
		return fmt.Errorf("embedder.encoding_format is %q, it must be %q or %q", c.EncodingFormat, encodingFloat, encodingBase64)
	}
	for _, f := range []struct {
		name  string
		value int64
	}{
		{"dimensions", int64(c.Dimensions)},
		{"max_inputs", int64(c.MaxInputs)},
		{"max_tokens", int64(c.MaxTokens)},
		{"max_bytes", int64(c.MaxBytes)},
		{"attempts", int64(c.Attempts)},
		{"timeout", int64(c.Timeout)},
		{"max_wait", int64(c.MaxWait)},
	} {
		if f.value < 0 {
			return fmt.Errorf("embedder.%s is %d, it must not be negative", f.name, f.value)
		}
	}
	return nil
}

// checkBaseURL keeps keys out of a URL that errors and logs show.
func checkBaseURL(raw string) error {
	u, err := url.Parse(raw)
	switch {
	case err != nil:
		return fmt.Errorf("embedder.base_url is not a URL") // the error would repeat it
	case u.User != nil:
		return fmt.Errorf("embedder.base_url holds a user name or password; use embedder.api_key_file or embedder.api_key_env")
	case u.Scheme != "http" && u.Scheme != "https", u.Host == "":
		return fmt.Errorf("embedder.base_url is %q, it must be an absolute http or https URL", raw)
	case u.RawQuery != "", u.Fragment != "":
		return fmt.Errorf("embedder.base_url must not have a query or fragment")
	}
	return nil
}
