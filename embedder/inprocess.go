package embedder

import (
	"context"
	"fmt"
	"path"
	"path/filepath"

	"github.com/tributary-kb/tributary"
	"github.com/tributary-kb/tributary/embedder/local"
)

// The providers that run in this process; see package local.
const (
	ProviderStatic  = "static"  // the mean of the tokens' vectors, as model2vec makes them
	ProviderEncoder = "encoder" // a transformer of the BERT or RoBERTa family
)

// inProcessAlpha is not measured, as no trained weights were at hand. By published
// figures static vectors are the weaker half of a hybrid, and encoders its
// equal.
var inProcessAlpha = map[string]float64{ProviderStatic: 0.4, ProviderEncoder: 0.5}

// An engine computes vectors in this process.
type engine interface {
	Embed(ctx context.Context, texts []string) ([][]float32, error)
	Dimension() int
	Revision() string                  // of the files
	Describe() string                  // how vectors of tokens become those of texts
	Prompts() (query, document string) // that the model's files ask for
}

// openers read the folder of a model, by provider.
var openers = map[string]func(Config) (engine, error){
	ProviderStatic:  func(c Config) (engine, error) { return local.OpenStatic(c.ModelDir) },
	ProviderEncoder: func(c Config) (engine, error) { return local.OpenEncoder(c.ModelDir, c.runtime()) },
}

func (c Config) runtime() local.Runtime {
	return local.Runtime{Name: c.Runtime, Library: c.ONNXRuntimeLibrary}
}

// inProcess is a model that runs in this process.
type inProcess struct {
	engine
	fingerprint string
	alpha       float64
	prefix      map[Role]string
}

func (c Config) validateInProcess() error {
	if c.ModelDir == "" && c.Model == "" {
		return fmt.Errorf("embedder.model and embedder.model_dir are empty, the provider %q needs a name or a folder", c.Provider)
	}
	if err := c.runtime().Validate(); err != nil {
		return fmt.Errorf("embedder.runtime %w", err)
	}
	if err := local.ValidatePins(c.SHA256); err != nil {
		return fmt.Errorf("embedder.sha256 %w", err)
	}
	return nil
}

// Obtain downloads the model that cfg names, if it runs in this process and no
// folder is given, and returns cfg with its folder; see local.Obtain. Any
// other cfg it returns as it is. progress, if not nil, is told what is
// downloaded, the bytes that are there, and those it has.
func Obtain(ctx context.Context, cfg Config, progress func(stage string, done, total int64)) (Config, error) {
	if _, ok := openers[cfg.Provider]; !ok || cfg.ModelDir != "" {
		return cfg, nil
	}
	if err := cfg.Validate(); err != nil {
		return cfg, err
	}
	dir, err := local.Obtain(ctx, local.ObtainConfig{
		Name: cfg.Model, Revision: cfg.Revision, SHA256: cfg.SHA256, Graph: cfg.Runtime == local.RuntimeONNX, Progress: progress,
	})
	if err != nil {
		return cfg, fmt.Errorf("embedder.model (embedder.model_dir takes a folder instead): %w", err)
	}
	cfg.ModelDir = dir
	return cfg, nil
}

func newInProcess(cfg Config) (Model, error) {
	if cfg.ModelDir == "" {
		return nil, fmt.Errorf("embedder.model %q is not at hand: Obtain gets it", cfg.Model)
	}
	if err := local.Verify(cfg.ModelDir, cfg.SHA256); err != nil {
		return nil, fmt.Errorf("embedder.model_dir: %w", err)
	}
	e, err := openers[cfg.Provider](cfg)
	if err != nil {
		return nil, fmt.Errorf("embedder.model_dir: %w", err)
	}
	m := inProcess{engine: e, alpha: inProcessAlpha[cfg.Provider]}
	if cfg.Alpha != nil {
		m.alpha = *cfg.Alpha
	}
	query, document := cfg.prefixes(e)
	m.prefix = map[Role]string{RoleQuery: query, RoleDocument: document}
	m.fingerprint = fmt.Sprintf("%s:%s:%d:%s:%s:%s", cfg.Provider, cfg.modelName(), e.Dimension(), e.Revision(), e.Describe(),
		tributary.Hash([]byte(query + "\x00" + document))[:8])
	return m, nil
}

// prefixes are what is configured, else what the model's files say, else what
// is known of it.
func (c Config) prefixes(e engine) (query, document string) {
	if c.QueryPrefix != "" || c.DocumentPrefix != "" {
		return c.QueryPrefix, c.DocumentPrefix
	}
	query, document = e.Prompts()
	if query == "" && document == "" && !c.NoKnownPrefixes {
		k := known(c.modelName())
		return k.query, k.document
	}
	return query, document
}

// modelName is the last part of the model's name, or of its folder's.
func (c Config) modelName() string {
	if c.Model != "" {
		return path.Base(c.Model)
	}
	return filepath.Base(c.ModelDir)
}

// Embed implements Model.
func (m inProcess) Embed(ctx context.Context, texts []string, role Role) ([]tributary.Vector, error) {
	prefixed := texts
	if prefix := m.prefix[role]; prefix != "" {
		prefixed = make([]string, len(texts))
		for i, text := range texts {
			prefixed[i] = prefix + text
		}
	}
	all, err := m.engine.Embed(ctx, prefixed)
	if err != nil {
		return nil, err
	}
	vectors := make([]tributary.Vector, len(all))
	for i, v := range all {
		vectors[i] = v
	}
	return vectors, nil
}

// Fingerprint implements Model: provider, model, dimension, a checksum over
// its files, pooling, and a checksum over the prefixes.
func (m inProcess) Fingerprint() string { return m.fingerprint }

// Dimension implements Model.
func (m inProcess) Dimension(context.Context) (int, error) { return m.engine.Dimension(), nil }

// Alpha implements Model.
func (m inProcess) Alpha() float64 { return m.alpha }

// Limits implements Model: a batch that does not keep others waiting long.
func (inProcess) Limits() Limits { return Limits{Inputs: 64} }
