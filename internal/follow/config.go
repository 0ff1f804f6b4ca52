package follow

import (
	"fmt"
	"time"
)

// Config says how sources are followed, unless their own options say
// otherwise.
type Config struct {
	// MinInterval and MaxInterval bound the learned time between two looks at a
	// source or at a page.
	MinInterval time.Duration `yaml:"min_interval"`
	MaxInterval time.Duration `yaml:"max_interval"`
	// Reconcile is how often a source that tells of changes by itself is looked
	// at all the same.
	Reconcile time.Duration `yaml:"reconcile"`
	// MaxDocuments of one source. What is beyond is left out, and said.
	MaxDocuments int `yaml:"max_documents"`
	// Concurrency is the number of documents of one source that are loaded at
	// once, 1 to 256.
	Concurrency int `yaml:"concurrency"`
	// LeaseTTL is after how long the sources of a worker that died go to
	// another, at least 1 s.
	LeaseTTL time.Duration `yaml:"lease"`
	// SubjectMaxBytes bounds what may wait for a source of kind subject, in a
	// stream that is made for it; at least 1 MiB.
	SubjectMaxBytes int64 `yaml:"subject_max_bytes"`
	// RepositoryMaxBytes bounds what is kept of a repository on another machine,
	// and each file in it; at least 1 MiB.
	RepositoryMaxBytes int64 `yaml:"repository_max_bytes"`
	// RepositoryTimeout is how long fetching from a repository may take, at least 1 s.
	RepositoryTimeout time.Duration `yaml:"repository_timeout"`
}

// SetDefaults sets what is zero.
func (c *Config) SetDefaults() {
	setDefault(&c.MinInterval, time.Minute)
	setDefault(&c.MaxInterval, 24*time.Hour)
	setDefault(&c.Reconcile, 5*time.Minute)
	setDefault(&c.MaxDocuments, 100_000)
	setDefault(&c.Concurrency, 4)
	setDefault(&c.LeaseTTL, 6*time.Second)
	setDefault(&c.SubjectMaxBytes, 256<<20)
	setDefault(&c.RepositoryMaxBytes, 512<<20)
	setDefault(&c.RepositoryTimeout, 10*time.Minute)
}

func setDefault[T comparable](v *T, def T) {
	var zero T
	if *v == zero {
		*v = def
	}
}

// Validate reports the first setting that cannot be.
func (c Config) Validate() error {
	switch {
	case c.MinInterval < time.Second:
		return fmt.Errorf("sources.min_interval is %v, want at least 1s", c.MinInterval)
	case c.MaxInterval < c.MinInterval:
		return fmt.Errorf("sources.max_interval is %v, want at least sources.min_interval (%v)", c.MaxInterval, c.MinInterval)
	case c.Reconcile < time.Second:
		return fmt.Errorf("sources.reconcile is %v, want at least 1s", c.Reconcile)
	case c.MaxDocuments < 1:
		return fmt.Errorf("sources.max_documents is %d, want at least 1", c.MaxDocuments)
	case c.Concurrency < 1 || c.Concurrency > 256:
		return fmt.Errorf("sources.concurrency is %d, want 1 to 256", c.Concurrency)
	case c.LeaseTTL < time.Second:
		return fmt.Errorf("sources.lease is %v, want at least 1s", c.LeaseTTL)
	case c.SubjectMaxBytes < 1<<20:
		return fmt.Errorf("sources.subject_max_bytes is %d, want at least 1 MiB", c.SubjectMaxBytes)
	case c.RepositoryMaxBytes < 1<<20:
		return fmt.Errorf("sources.repository_max_bytes is %d, want at least 1 MiB", c.RepositoryMaxBytes)
	case c.RepositoryTimeout < time.Second:
		return fmt.Errorf("sources.repository_timeout is %v, want at least 1s", c.RepositoryTimeout)
	}
	return nil
}
