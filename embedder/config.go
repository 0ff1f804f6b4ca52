package embedder

import (
	"fmt"
	"maps"
	"net/url"
	"slices"
	"strings"
	"time"
)

// Config chooses a Model. The zero value is the lexical one; a zero field
// means its default. All fields but Provider and Language are for the
// providers that are servers.
type Config struct {
	// Provider is ProviderLexical (default) or another of the Provider
	// constants.
	Provider string `yaml:"provider"`
	// Language is the ISO 639-1 code of the knowledge base for the lexical
	// model, "" for the default of internal/analysis.
	Language string `yaml:"language"`
	// BaseURL is where the server is, for openai, voyage and jina with the
	// version path: "http://localhost:1234/v1". "" means where the provider
	// usually is.
	BaseURL string `yaml:"base_url"`
	// Model is the name under which the server knows the model.
	Model string `yaml:"model"`
	// Revision tells apart what the model's name does not: other weights under
	// the same name, another pooling. It is part of the fingerprint, and
	// compared with what the server says of itself where it does.
	Revision string `yaml:"revision"`
	// ModelDir is the folder of a model that runs in this process. Without
	// one, Obtain downloads Model ("owner/name") at Revision.
	ModelDir string `yaml:"model_dir"`
	// SHA256 are checksums, in hexadecimal digits, that files of a model in
	// this process must have, by their names: "model.safetensors".
	SHA256 map[string]string `yaml:"sha256"`
	// Runtime computes an encoder: local.RuntimeGo or local.RuntimeONNX, ""
	// for what fits the files of the model.
	Runtime string `yaml:"runtime"`
	// ONNXRuntimeLibrary is the path of onnxruntime's shared library, "" for
	// where the system finds it.
	ONNXRuntimeLibrary string `yaml:"onnxruntime_library"`
	// APIKeyFile names a file that holds the key; it is read for every
	// request, so that the key may be replaced. It goes before APIKeyEnv.
	APIKeyFile string `yaml:"api_key_file"`
	// APIKeyEnv names the environment variable that holds the key. Without
	// either, no key is sent.
	APIKeyEnv string `yaml:"api_key_env"`
	// Dimensions asks for vectors of this many components, of models that can
	// be cut; 0 takes what the model gives.
	Dimensions int `yaml:"dimensions"`
	// EncodingFormat is how vectors travel from an openai server, "float"
	// (default) or "base64". Either is understood, whatever the server sends.
	EncodingFormat string `yaml:"encoding_format"`
	// QueryPrefix and DocumentPrefix are put before each text, as some models
	// were trained with ("query: ", "search_document: "). If neither is set
	// they are those of the model, where it is known to want some and the
	// provider does not add them; NoKnownPrefixes leaves them out.
	QueryPrefix     string `yaml:"query_prefix"`
	DocumentPrefix  string `yaml:"document_prefix"`
	NoKnownPrefixes bool   `yaml:"no_known_prefixes"`
	// QueryPrompt and DocumentPrompt name prompts that a tei server's model
	// brings with it, to be used instead of prefixes.
	QueryPrompt    string `yaml:"query_prompt"`
	DocumentPrompt string `yaml:"document_prompt"`
	// MaxInputs bounds the texts of a request; 0 means what the provider
	// takes, which is 32 or more.
	MaxInputs int `yaml:"max_inputs"`
	// MaxTokens bounds the estimated tokens of a request; 0 means what the
	// provider takes, with room for the estimate's error: 80,000 or more.
	MaxTokens int `yaml:"max_tokens"`
	// MaxBytes bounds the bytes of the texts of a request; 0 means 1 MiB.
	MaxBytes int `yaml:"max_bytes"`
	// MaxTextTokens is how many tokens of one text the model reads; longer
	// texts are refused and never cut. 0 means what is known of the model, or
	// what the server tells.
	MaxTextTokens int `yaml:"max_text_tokens"`
	// Attempts bounds how often one request is sent; default 4.
	Attempts int `yaml:"attempts"`
	// Timeout bounds one attempt; default one minute.
	Timeout time.Duration `yaml:"timeout"`
	// MaxWait bounds the pause before another attempt; a server that asks for
	// a longer one is left alone for that long. Default 20 seconds.
	MaxWait time.Duration `yaml:"max_wait"`
	// MaxConcurrency bounds the requests of this process that are in flight;
	// there are fewer while the server is overloaded. Default 8.
	MaxConcurrency int `yaml:"max_concurrency"`
	// CacheBytes bounds the memory for vectors that were paid for, so that
	// work that is tried again does not pay twice. The default, 128 MiB, holds
	// the 8,000 chunks of the largest document with 3,072 dimensions each.
	CacheBytes int `yaml:"cache_bytes"`
	// RequestsPerMinute and TokensPerMinute bound what all workers together
	// ask of the server; 0 is no bound. It needs a Budget, see WithBudget.
	RequestsPerMinute int `yaml:"requests_per_minute"`
	TokensPerMinute   int `yaml:"tokens_per_minute"`
	// PricePerMillionTokens is what the provider charges, in any currency; 0
	// counts no costs.
	PricePerMillionTokens float64 `yaml:"price_per_million_tokens"`
	// SpendCap bounds the cost of one day in UTC, in the same currency, for
	// all workers together; 0 is no bound.
	SpendCap float64 `yaml:"spend_cap"`
	// Alpha overrides the model's default weight in hybrid searches.
	Alpha *float64 `yaml:"alpha"`
}

// SetDefaults replaces zero fields by their defaults.
func (c *Config) SetDefaults() {
	setDefault(&c.Provider, ProviderLexical)
	setDefault(&c.EncodingFormat, encodingFloat)
	setDefault(&c.Attempts, 4)
	setDefault(&c.Timeout, time.Minute)
	setDefault(&c.MaxWait, 20*time.Second)
	setDefault(&c.MaxConcurrency, 8)
	setDefault(&c.CacheBytes, 128<<20)
	p, remote := providers[c.Provider]
	if !remote {
		return
	}
	setDefault(&c.BaseURL, p.baseURL)
	setDefault(&c.MaxInputs, p.limits.Inputs)
	setDefault(&c.MaxTokens, p.limits.Tokens)
	setDefault(&c.MaxBytes, p.limits.Bytes)
	model := known(c.Model)
	setDefault(&c.MaxTextTokens, model.tokens)
	chosen := c.QueryPrefix != "" || c.DocumentPrefix != "" || c.QueryPrompt != "" || c.DocumentPrompt != ""
	if !chosen && !c.NoKnownPrefixes && !p.knowsRoles {
		c.QueryPrefix, c.DocumentPrefix = model.query, model.document
	}
}

// Remote reports whether the provider is a server.
func (c Config) Remote() bool {
	_, ok := providers[c.Provider]
	return ok
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
	if c.Provider == ProviderLexical {
		return nil
	}
	if _, ok := openers[c.Provider]; ok {
		return c.validateInProcess()
	}
	if _, ok := providers[c.Provider]; !ok {
		names := append(slices.Collect(maps.Keys(openers)), slices.AppendSeq([]string{ProviderLexical}, maps.Keys(providers))...)
		slices.Sort(names)
		return fmt.Errorf("embedder.provider is %q, it must be one of %s", c.Provider, strings.Join(names, ", "))
	}
	return c.validateRemote()
}

func (c Config) validateRemote() error {
	if err := checkBaseURL(c.BaseURL); err != nil {
		return err
	}
	if c.Model == "" {
		return fmt.Errorf("embedder.model is empty, the provider %q needs the name of a model", c.Provider)
	}
	if c.EncodingFormat != encodingFloat && c.EncodingFormat != encodingBase64 {
		return fmt.Errorf("embedder.encoding_format is %q, it must be %q or %q", c.EncodingFormat, encodingFloat, encodingBase64)
	}
	if c.Provider == ProviderTEI && c.Dimensions != 0 {
		return fmt.Errorf("embedder.dimensions is %d, it must be 0: a tei server does not cut vectors", c.Dimensions)
	}
	if c.Provider != ProviderTEI && (c.QueryPrompt != "" || c.DocumentPrompt != "") {
		return fmt.Errorf("embedder.query_prompt and embedder.document_prompt are for the provider %q alone", ProviderTEI)
	}
	if err := c.validateNumbers(); err != nil {
		return err
	}
	if c.SpendCap > 0 && c.PricePerMillionTokens == 0 {
		return fmt.Errorf("embedder.spend_cap is %v, it needs embedder.price_per_million_tokens", c.SpendCap)
	}
	return nil
}

func (c Config) validateNumbers() error {
	for _, f := range []struct {
		name  string
		value float64
	}{
		{"dimensions", float64(c.Dimensions)},
		{"max_inputs", float64(c.MaxInputs)},
		{"max_tokens", float64(c.MaxTokens)},
		{"max_bytes", float64(c.MaxBytes)},
		{"max_text_tokens", float64(c.MaxTextTokens)},
		{"attempts", float64(c.Attempts)},
		{"timeout", c.Timeout.Seconds()},
		{"max_wait", c.MaxWait.Seconds()},
		{"max_concurrency", float64(c.MaxConcurrency)},
		{"cache_bytes", float64(c.CacheBytes)},
		{"requests_per_minute", float64(c.RequestsPerMinute)},
		{"tokens_per_minute", float64(c.TokensPerMinute)},
		{"price_per_million_tokens", c.PricePerMillionTokens},
		{"spend_cap", c.SpendCap},
	} {
		if !(f.value >= 0) { // so written, NaN is refused too
			return fmt.Errorf("embedder.%s is %v, it must not be negative", f.name, f.value)
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
