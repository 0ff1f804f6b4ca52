package queryworker

import (
	"errors"
	"fmt"
)

// AskConfig says how questions are answered, whatever writes the answer.
type AskConfig struct {
	// MinConfidence is the share, 0 to 1, of the question's words that one
	// passage must have; below it the answer is that there is none, and no
	// model is asked. Nil means 0.4 for extractive answers, and 0 (ask always)
	// for those of a model, which says itself when nothing fits.
	MinConfidence *float64 `yaml:"min_confidence"`
}

// SetDefaults replaces zeros.
func (c *AskConfig) SetDefaults() {}

// Validate reports every setting that cannot be used, by name.
func (c AskConfig) Validate() error {
	var errs []error
	if m := c.MinConfidence; m != nil && !(*m >= 0 && *m <= 1) {
		errs = append(errs, fmt.Errorf("ask.min_confidence is %v, want 0 to 1 (or null for the default)", *m))
	}
	return errors.Join(errs...)
}
