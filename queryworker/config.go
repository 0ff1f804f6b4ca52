package queryworker

import (
	"cmp"
	"errors"
	"fmt"
	"net/url"
	"os"
	"strings"
	"time"

	"github.com/tributary-kb/tributary"
)

// Config is what a user may set about queries and answers.
type Config struct {
	Search    SearchConfig    `yaml:"search"`
	Ask       AskConfig       `yaml:"ask"`
	Generator GeneratorConfig `yaml:"generator"`
	Reranker  RerankerConfig  `yaml:"reranker"`
}

// SetDefaults fills in what is not set.
func (c *Config) SetDefaults() {
	c.Search.SetDefaults()
	c.Ask.SetDefaults()
	c.Generator.SetDefaults()
	c.Reranker.SetDefaults()
}

// Validate reports every setting that cannot be used, by name.
func (c Config) Validate() error {
	return errors.Join(c.Search.Validate(), c.Ask.Validate(), c.Generator.Validate(), c.Reranker.Validate())
}

// SearchConfig bounds what one request may ask for.
type SearchConfig struct {
	MaxK          int           `yaml:"max_k"`           // most hits of one search; 0 means 100
	MaxQueryBytes int           `yaml:"max_query_bytes"` // longest query, in bytes; 0 means 16384
	MaxWait       time.Duration `yaml:"max_wait"`        // longest wait for at_least, and for looks that max_age_seconds demands; 0 means 30s
	// MinConfidence is the confidence below which a reply says that it has no
	// good answer, 0 to 1. Nil means 0.5.
	MinConfidence *float64 `yaml:"min_confidence"`
	// Fusion joins the rankings where a request does not say; "" means
	// tributary.FusionRelative.
	Fusion tributary.Fusion `yaml:"fusion"`
	// Alphas and Fusions are those of single knowledge bases, by name.
	Alphas  map[string]float64          `yaml:"alphas"`
	Fusions map[string]tributary.Fusion `yaml:"fusions"`
	// DocumentWeight is what the score of a document counts in that of its
	// passages where a request does not say, 0 to 1. Nil means 0.2 under
	// tributary.FusionRelative, else 0. DocumentWeights are those of single
	// knowledge bases, by name.
	DocumentWeight  *float64           `yaml:"document_weight"`
	DocumentWeights map[string]float64 `yaml:"document_weights"`
}

// SetDefaults replaces zeros.
func (c *SearchConfig) SetDefaults() {
	if c.MaxK == 0 {
		c.MaxK = 100
	}
	if c.MaxQueryBytes == 0 {
		c.MaxQueryBytes = 16 << 10
	}
	if c.MaxWait == 0 {
		c.MaxWait = 30 * time.Second
	}
	if c.Fusion == "" {
		c.Fusion = tributary.FusionRelative
	}
}

func (c SearchConfig) minConfidence() float64 {
	if c.MinConfidence == nil {
		return 0.5
	}
	return *c.MinConfidence
}

// documentWeight is that of a knowledge base whose rankings are joined so.
func (c SearchConfig) documentWeight(kb string, f tributary.Fusion) float64 {
	own, ok := c.DocumentWeights[kb]
	switch {
	case ok:
		return own
	case c.DocumentWeight != nil:
		return *c.DocumentWeight
	case f == tributary.FusionRelative:
		return defaultDocumentWeight
	}
	return 0
}

// Validate reports every setting that cannot be used, by name.
func (c SearchConfig) Validate() error {
	var errs []error
	if c.MaxK < 0 || c.MaxK > maxCandidates {
		errs = append(errs, fmt.Errorf("search.max_k is %d, want 1 to %d (or 0 for the default)", c.MaxK, maxCandidates))
	}
	if c.MaxQueryBytes < 0 {
		errs = append(errs, fmt.Errorf("search.max_query_bytes is %d, want at least 1 (or 0 for the default)", c.MaxQueryBytes))
	}
	if c.MaxWait < 0 {
		errs = append(errs, fmt.Errorf("search.max_wait is %s, want more than 0s (or 0s for the default)", c.MaxWait))
	}
	if m := c.minConfidence(); !(m >= 0 && m <= 1) {
		errs = append(errs, fmt.Errorf("search.min_confidence is %v, want 0 to 1", m))
	}
	if c.Fusion != "" {
		errs = append(errs, checkFusion("search.fusion", c.Fusion))
	}
	for kb, alpha := range c.Alphas {
		if !(alpha >= 0 && alpha <= 1) {
			errs = append(errs, fmt.Errorf("search.alphas has %v for %q, want 0 to 1", alpha, kb))
		}
		errs = append(errs, checkNamed("search.alphas", kb))
	}
	if w := c.DocumentWeight; w != nil && !(*w >= 0 && *w <= 1) {
		errs = append(errs, fmt.Errorf("search.document_weight is %v, want 0 to 1", *w))
	}
	for kb, weight := range c.DocumentWeights {
		if !(weight >= 0 && weight <= 1) {
			errs = append(errs, fmt.Errorf("search.document_weights has %v for %q, want 0 to 1", weight, kb))
		}
		errs = append(errs, checkNamed("search.document_weights", kb))
	}
	for kb, fusion := range c.Fusions {
		errs = append(errs, checkFusion(fmt.Sprintf("search.fusions for %q", kb), fusion), checkNamed("search.fusions", kb))
	}
	return errors.Join(errs...)
}

func checkFusion(name string, f tributary.Fusion) error {
	if f != tributary.FusionRelative && f != tributary.FusionRanked {
		return fmt.Errorf("%s is %q, want %q or %q", name, f, tributary.FusionRelative, tributary.FusionRanked)
	}
	return nil
}

// checkNamed checks the name of a knowledge base in a setting.
func checkNamed(key, kb string) error {
	if err := tributary.CheckKB(kb); err != nil {
		return fmt.Errorf("%s: %w", key, err)
	}
	return nil
}

// The generators that a GeneratorConfig can name.
const (
	ProviderExtractive = "extractive"
	ProviderOpenAI     = "openai"
	ProviderAnthropic  = "anthropic"
	ProviderOllama     = "ollama"
)

const defaultContextTokens = 3000

// GeneratorConfig says what writes the answers.
type GeneratorConfig struct {
	// Provider is "extractive" (the default: sentences copied from the
	// passages, no model), "openai" (any server with an OpenAI-compatible chat
	// endpoint), "anthropic" (the Messages API) or "ollama" (its own endpoint,
	// which is asked for a window that the prompt fits into).
	Provider string `yaml:"provider"`
	// BaseURL of the server. For openai with its version path
	// ("http://localhost:8000/v1"); without any path, /v1 is added. "" is
	// https://api.anthropic.com for anthropic and http://localhost:11434 for
	// ollama.
	BaseURL string `yaml:"base_url"`
	Model   string `yaml:"model"`
	// APIKeyFile is a file that holds the key, APIKeyEnv an environment
	// variable that does; at most one is set. Neither: no key is sent.
	APIKeyFile string `yaml:"api_key_file"`
	APIKeyEnv  string `yaml:"api_key_env"`
	// MaxContextTokens bounds the passages that a model is given, in estimated
	// tokens. 0 means 3000.
	MaxContextTokens int `yaml:"max_context_tokens"`
	// MaxAnswerTokens bounds what anthropic and ollama may write; servers of
	// the openai form keep their own bound. 0 means 1024.
	MaxAnswerTokens int `yaml:"max_answer_tokens"`
	// Timeout is the longest silence of the model, before its first word and
	// between two of them, and the longest pause that a busy server may ask
	// for. 0 means 60s.
	Timeout time.Duration `yaml:"timeout"`
	// Attempts is how often one question is sent to a server that is busy.
	// 0 means 3.
	Attempts int `yaml:"attempts"`
}

// SetDefaults fills in what is not set.
func (c *GeneratorConfig) SetDefaults() {
	if c.Provider == "" {
		c.Provider = ProviderExtractive
	}
	if c.BaseURL == "" {
		c.BaseURL = defaultBaseURL[c.Provider]
	}
	if c.MaxContextTokens == 0 {
		c.MaxContextTokens = defaultContextTokens
	}
	if c.MaxAnswerTokens == 0 {
		c.MaxAnswerTokens = defaultAnswerTokens
	}
	if c.Timeout == 0 {
		c.Timeout = time.Minute
	}
	if c.Attempts == 0 {
		c.Attempts = defaultAttempts
	}
}

// defaultBaseURL is where a provider is that has one usual place.
var defaultBaseURL = map[string]string{
	ProviderAnthropic: "https://api.anthropic.com",
	ProviderOllama:    "http://localhost:11434",
}

// Validate reports every setting that cannot be used, by name.
func (c GeneratorConfig) Validate() error {
	var errs []error
	switch c.Provider {
	case "", ProviderExtractive:
	case ProviderOpenAI, ProviderAnthropic, ProviderOllama:
		if err := checkBaseURL("generator", cmp.Or(c.BaseURL, defaultBaseURL[c.Provider])); err != nil {
			errs = append(errs, err)
		}
		if c.Model == "" {
			errs = append(errs, errors.New("generator.model is empty: name the model that the server shall use"))
		}
	default:
		errs = append(errs, fmt.Errorf("generator.provider is %q, want %q, %q, %q or %q",
			c.Provider, ProviderExtractive, ProviderOpenAI, ProviderAnthropic, ProviderOllama))
	}
	if c.APIKeyFile != "" && c.APIKeyEnv != "" {
		errs = append(errs, errors.New("generator.api_key_file and generator.api_key_env are both set: set one"))
	}
	for _, n := range []struct {
		key   string
		value int
	}{
		{"generator.max_context_tokens", c.MaxContextTokens},
		{"generator.max_answer_tokens", c.MaxAnswerTokens},
		{"generator.attempts", c.Attempts},
	} {
		if n.value < 0 {
			errs = append(errs, fmt.Errorf("%s is %d, want at least 1 (or 0 for the default)", n.key, n.value))
		}
	}
	if c.Timeout < 0 {
		errs = append(errs, fmt.Errorf("generator.timeout is %s, want more than 0s (or 0s for the default)", c.Timeout))
	}
	return errors.Join(errs...)
}

func checkBaseURL(section, base string) error {
	u, err := url.Parse(base)
	switch {
	case base == "":
		return fmt.Errorf("%s.base_url is empty: give the server's address, such as http://localhost:11434/v1", section)
	case err != nil:
		// The error would repeat the address, which may hold a password.
		return fmt.Errorf("%s.base_url is not a URL", section)
	case u.User != nil:
		return fmt.Errorf("%s.base_url holds a user or password: use %s.api_key_file instead", section, section)
	case u.Scheme != "http" && u.Scheme != "https" || u.Host == "":
		return fmt.Errorf("%s.base_url is %q, want http://HOST or https://HOST", section, base)
	case u.RawQuery != "" || u.Fragment != "":
		return fmt.Errorf("%s.base_url has a query or fragment: remove what follows the path", section)
	}
	return nil
}

// New builds the generator that c names. Terms and weight are those of the
// extractive one and may be nil. The API key is read anew for every answer, so that it can be
// replaced while the worker runs; New reads it once to report a missing one.
func (c GeneratorConfig) New(terms func(text, lang string) []string, weight func(term string) float64) (Generator, error) {
	c.SetDefaults()
	if err := c.Validate(); err != nil {
		return nil, err
	}
	if c.Provider == ProviderExtractive {
		return &Extractive{Terms: terms, Weight: weight}, nil
	}
	if _, err := c.apiKey(); err != nil {
		return nil, err
	}
	return &Chat{
		Provider: c.Provider, BaseURL: c.BaseURL, Model: c.Model, APIKey: c.apiKey, Timeout: c.Timeout,
		MaxContextTokens: c.MaxContextTokens, MaxAnswerTokens: c.MaxAnswerTokens, Attempts: c.Attempts,
	}, nil
}

func (c GeneratorConfig) apiKey() (string, error) {
	return readKey("generator", c.APIKeyFile, c.APIKeyEnv)
}

// readKey returns the key of a section without surrounding white space, "" if
// none is set.
func readKey(section, file, env string) (string, error) {
	switch {
	case file != "":
		data, err := os.ReadFile(file)
		if err != nil {
			return "", fmt.Errorf("read the key that %s.api_key_file names: %w", section, err)
		}
		key := strings.TrimSpace(string(data))
		if key == "" {
			return "", fmt.Errorf("the file %q that %s.api_key_file names is empty", file, section)
		}
		return key, nil
	case env != "":
		key := strings.TrimSpace(os.Getenv(env))
		if key == "" {
			return "", fmt.Errorf("the environment variable %s that %s.api_key_env names is empty", env, section)
		}
		return key, nil
	}
	return "", nil
}
