package source

import (
	"encoding/json"
	"fmt"
	"maps"
	"slices"

	"github.com/tributary-kb/tributary"
)

// options of the web kinds that all of them have.
var webOptions = []string{
	"every_seconds", "min_seconds", "max_seconds", "hold_below", "host", "user", "secret_file", "secret_env", "language", "metadata",
}

// onlyOptions reports an option that a source of the web has and its kind does
// not: it is not among these and webOptions.
func onlyOptions(s tributary.Source, more ...string) error {
	return checkOptions(s, slices.Concat(webOptions, more))
}

// checkOptions reports an option that is not among the allowed ones.
func checkOptions(s tributary.Source, allowed []string) error {
	data, err := json.Marshal(s.Options)
	if err != nil {
		return fmt.Errorf("options: %w", err)
	}
	var set map[string]json.RawMessage
	if err := json.Unmarshal(data, &set); err != nil {
		return fmt.Errorf("options: %w", err)
	}
	for _, name := range slices.Sorted(maps.Keys(set)) {
		if !slices.Contains(allowed, name) {
			return fmt.Errorf("option %s means nothing for kind %s", name, s.Kind)
		}
	}
	return nil
}
