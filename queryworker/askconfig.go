package queryworker

import (
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/tributary-kb/tributary"
)

// AskConfig says how questions are answered, whatever writes the answer.
type AskConfig struct {
	// Steps are done before the search where a request does not say; each asks
	// the model once. Nil means rewrite, which only follow-up questions of a
	// conversation need; an empty list means none.
	Steps []string `yaml:"steps"`
	// Sources describes sources for the step route: "handbook: rules for
	// employees".
	Sources []string `yaml:"sources"`
	// KBs describes knowledge bases, by name, for the step route: it chooses
	// among those that a request names.
	KBs map[string]string `yaml:"kbs"`
	// MinConfidence is the confidence of the search, 0 to 1, below which the
	// answer is that there is none, and no model is asked. Nil means
	// search.min_confidence for extractive answers, and 0 (ask always) for
	// those of a model, which says itself when nothing fits.
	MinConfidence *float64 `yaml:"min_confidence"`
	// ConversationTTL is how long a conversation is kept after its last turn;
	// 0 means 24h.
	ConversationTTL time.Duration `yaml:"conversation_ttl"`
	// MaxTurns is how many turns of a conversation are kept; 0 means 6.
	MaxTurns int `yaml:"max_turns"`
	// CacheEntries is how many answers of a model one worker keeps in memory;
	// 0 means 1000, a negative number keeps none.
	CacheEntries int `yaml:"cache_entries"`
}

// SetDefaults replaces zeros.
func (c *AskConfig) SetDefaults() {
	if c.Steps == nil {
		c.Steps = []string{tributary.StepRewrite}
	}
	if c.ConversationTTL == 0 {
		c.ConversationTTL = 24 * time.Hour
	}
	if c.MaxTurns == 0 {
		c.MaxTurns = 6
	}
	if c.CacheEntries == 0 {
		c.CacheEntries = 1000
	}
}

// Validate reports every setting that cannot be used, by name.
func (c AskConfig) Validate() error {
	var errs []error
	if err := checkSteps(c.Steps); err != nil {
		errs = append(errs, fmt.Errorf("ask.steps: %w", err))
	}
	for _, s := range c.Sources {
		if name, text, _ := strings.Cut(s, ":"); strings.TrimSpace(name) == "" || strings.TrimSpace(text) == "" {
			errs = append(errs, fmt.Errorf("ask.sources has %q, want \"name: what is in it\"", s))
		}
	}
	for kb, about := range c.KBs {
		if strings.TrimSpace(about) == "" {
			errs = append(errs, fmt.Errorf("ask.kbs has nothing for %q, want what is in it", kb))
		}
		errs = append(errs, checkNamed("ask.kbs", kb))
	}
	if m := c.MinConfidence; m != nil && !(*m >= 0 && *m <= 1) {
		errs = append(errs, fmt.Errorf("ask.min_confidence is %v, want 0 to 1 (or null for the default)", *m))
	}
	if c.ConversationTTL < 0 {
		errs = append(errs, fmt.Errorf("ask.conversation_ttl is %s, want more than 0s (or 0s for the default)", c.ConversationTTL))
	}
	if c.MaxTurns < 0 {
		errs = append(errs, fmt.Errorf("ask.max_turns is %d, want at least 1 (or 0 for the default)", c.MaxTurns))
	}
	return errors.Join(errs...)
}

func (c AskConfig) steps() []string {
	c.SetDefaults()
	return c.Steps
}

func (c AskConfig) maxTurns() int {
	c.SetDefaults()
	return c.MaxTurns
}

// descriptions are the texts of Sources by name.
func (c AskConfig) descriptions() map[string]string {
	all := make(map[string]string, len(c.Sources))
	for _, s := range c.Sources {
		name, text, _ := strings.Cut(s, ":")
		all[strings.TrimSpace(name)] = strings.TrimSpace(text)
	}
	return all
}
