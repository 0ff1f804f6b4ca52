package queryworker

import (
	"cmp"
	"errors"
	"fmt"
	"time"
)

// The rerankers that a RerankerConfig can name.
const (
	RerankerNone      = "none"
	RerankerCohere    = "cohere"
	RerankerJina      = "jina"
	RerankerVoyage    = "voyage"
	RerankerTEI       = "tei"
	RerankerGenerator = "generator"
	RerankerLocal     = "local"
)

// RerankerConfig says what scores the best candidates of a search anew.
type RerankerConfig struct {
	// Provider is "none" (the default), "cohere", "jina", "voyage", "tei" (a
	// cross-encoder behind their endpoint), or "generator" (the model that
	// writes the answers puts the passages in order: one call per search), or
	// "local" (a cross-encoder in this process, which the program builds).
	Provider string `yaml:"provider"`
	// BaseURL of the server, without the endpoint's path. "" is the provider's
	// own; tei has none.
	BaseURL string `yaml:"base_url"`
	Model   string `yaml:"model"` // not for tei and generator, which have theirs
	// ModelDir is the folder of a local model. "" downloads Model by its name,
	// "owner/name".
	ModelDir string `yaml:"model_dir"`
	// Revision of a local model is a branch, a tag or a commit, "" for main.
	Revision string `yaml:"revision"`
	// SHA256 are checksums, in hexadecimal digits, that files of a local model
	// must have, by their names: "model.safetensors".
	SHA256 map[string]string `yaml:"sha256"`
	// Runtime computes a local model: "go" or "onnxruntime", "" for what fits
	// its files.
	Runtime string `yaml:"runtime"`
	// ONNXRuntimeLibrary is the path of onnxruntime's shared library, "" for
	// where the system finds it.
	ONNXRuntimeLibrary string `yaml:"onnxruntime_library"`
	// APIKeyFile is a file that holds the key, APIKeyEnv an environment
	// variable that does; at most one is set. Neither: no key is sent.
	APIKeyFile string `yaml:"api_key_file"`
	APIKeyEnv  string `yaml:"api_key_env"`
	// Top is how many candidates are scored, 1 to 1000. 0 means 50, and 20 for
	// generator and local. A search for more hits scores as many as it returns.
	Top int `yaml:"top"`
	// Timeout of the whole reranking; after it the hits come as they are. 0
	// means 10s.
	Timeout time.Duration `yaml:"timeout"`
}

const maxRerankTop = 1000

// SetDefaults fills in what is not set.
func (c *RerankerConfig) SetDefaults() {
	c.Provider = cmp.Or(c.Provider, RerankerNone)
	if w, ok := rerankWires[c.Provider]; ok && c.BaseURL == "" {
		c.BaseURL = w.base
	}
	if c.Top == 0 {
		c.Top = defaultRerankTop
		if c.Provider == RerankerGenerator || c.Provider == RerankerLocal {
			c.Top = 20
		}
	}
	c.Timeout = cmp.Or(c.Timeout, 10*time.Second)
}

// Validate reports every setting that cannot be used, by name.
func (c RerankerConfig) Validate() error {
	var errs []error
	wire, remote := rerankWires[c.Provider]
	switch {
	case remote:
		if err := checkBaseURL("reranker", cmp.Or(c.BaseURL, wire.base)); err != nil {
			errs = append(errs, err)
		}
		if c.Model == "" && c.Provider != RerankerTEI {
			errs = append(errs, errors.New("reranker.model is empty: name the model that the server shall use"))
		}
	case c.Provider == RerankerLocal:
		if c.Model == "" && c.ModelDir == "" {
			errs = append(errs, errors.New("reranker.model and reranker.model_dir are empty: name a model or its folder"))
		}
	case c.Provider != "" && c.Provider != RerankerNone && c.Provider != RerankerGenerator:
		errs = append(errs, fmt.Errorf("reranker.provider is %q, want %q, %q, %q, %q, %q, %q or %q", c.Provider,
			RerankerNone, RerankerCohere, RerankerJina, RerankerVoyage, RerankerTEI, RerankerGenerator, RerankerLocal))
	}
	if c.APIKeyFile != "" && c.APIKeyEnv != "" {
		errs = append(errs, errors.New("reranker.api_key_file and reranker.api_key_env are both set: set one"))
	}
	if c.Top < 0 || c.Top > maxRerankTop {
		errs = append(errs, fmt.Errorf("reranker.top is %d, want 1 to %d (or 0 for the default)", c.Top, maxRerankTop))
	}
	if c.Timeout < 0 {
		errs = append(errs, fmt.Errorf("reranker.timeout is %s, want more than 0s (or 0s for the default)", c.Timeout))
	}
	return errors.Join(errs...)
}

// New builds the reranker that c names, nil for none. Generator is the one
// that writes the answers: RerankerGenerator needs one with a model.
func (c RerankerConfig) New(generator Generator) (Reranker, error) {
	c.SetDefaults()
	if err := c.Validate(); err != nil {
		return nil, err
	}
	if c.Provider == RerankerNone {
		return nil, nil //nolint:nilnil // none is a choice
	}
	if c.Provider == RerankerLocal {
		return nil, errors.New("reranker.provider is local, which is not built here")
	}
	if c.Provider == RerankerGenerator {
		chat, ok := generator.(*Chat)
		if !ok {
			return nil, errors.New("reranker.provider is generator, but generator.provider names no model")
		}
		return &ChatReranker{Chat: chat, Timeout: c.Timeout}, nil
	}
	if _, err := c.apiKey(); err != nil {
		return nil, err
	}
	return &CrossEncoder{Provider: c.Provider, BaseURL: c.BaseURL, Model: c.Model, APIKey: c.apiKey, Timeout: c.Timeout}, nil
}

func (c RerankerConfig) apiKey() (string, error) {
	return readKey("reranker", c.APIKeyFile, c.APIKeyEnv)
}
