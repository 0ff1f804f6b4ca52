package chunker

import "fmt"

// Config holds the sizes of chunks. A zero field means its default.
type Config struct {
	// TargetTokens is the size aimed at, at least 32; default 200.
	TargetTokens int `yaml:"target_tokens"`
	// MaxTokens is never exceeded, as long as a single character does not; at
	// least TargetTokens, default 1.5 times that.
	MaxTokens int `yaml:"max_tokens"`
	// OverlapTokens is how much of the chunk before is repeated within a
	// section, at most half of TargetTokens; default 0.
	OverlapTokens int `yaml:"overlap_tokens"`
	// MaxChunks bounds the chunks of one document; default 8000.
	MaxChunks int `yaml:"max_chunks"`
}

// The defaults of Config and the least target that cuts make sense for.
const (
	DefaultTargetTokens = 200
	DefaultMaxChunks    = 8000

	minTargetTokens = 32
)

// SetDefaults replaces zero fields by their defaults.
func (c *Config) SetDefaults() { *c = c.withDefaults() }

func (c Config) withDefaults() Config {
	if c.TargetTokens == 0 {
		c.TargetTokens = DefaultTargetTokens
	}
	if c.MaxTokens == 0 {
		c.MaxTokens = c.TargetTokens + c.TargetTokens/2
	}
	if c.MaxChunks == 0 {
		c.MaxChunks = DefaultMaxChunks
	}
	return c
}

// Validate reports the first field that makes no sense, by the name of its
// setting.
func (c Config) Validate() error {
	c = c.withDefaults()
	switch {
	case c.TargetTokens < minTargetTokens:
		return fmt.Errorf("chunker.target_tokens is %d, the least is %d", c.TargetTokens, minTargetTokens)
	case c.MaxTokens < c.TargetTokens:
		return fmt.Errorf("chunker.max_tokens is %d, less than chunker.target_tokens (%d)", c.MaxTokens, c.TargetTokens)
	case c.OverlapTokens < 0 || c.OverlapTokens > c.TargetTokens/2:
		return fmt.Errorf("chunker.overlap_tokens is %d, it must be between 0 and half of chunker.target_tokens (%d)",
			c.OverlapTokens, c.TargetTokens/2)
	case c.MaxChunks < 0:
		return fmt.Errorf("chunker.max_chunks is %d, it must not be negative", c.MaxChunks)
	}
	return nil
}

// A window is where a chunk may end, in tokens from its start.
type window struct {
	least int // no cut before
	most  int // a cut at the latest, unless the rest fits
	limit int // the rest of a section may be this long
}

// window lies around the target, so that chunks have that size on average.
func (c Config) window() window {
	limit := c.MaxTokens - c.OverlapTokens
	most := min(c.TargetTokens*7/5, limit)
	return window{least: most * 3 / 7, most: most, limit: limit}
}

// piece is the size in tokens up to which a unit need not be divided: no
// longer unit can reach across the window and leave it without a cut.
func (w window) piece() int { return w.most - w.least }
