package ingest

import (
	"fmt"
	"os"
	"path/filepath"
	"slices"
)

// Rules are the ignore rules of a directory in the manner of .gitignore, on
// top of those above it. nil ignores nothing.
type Rules struct {
	dir   string
	rules []ignoreRule
	above *Rules
}

// NewRules returns the rules that these patterns make in dir. One that is
// malformed, empty or a comment, and so matches nothing, is an error.
func NewRules(dir string, patterns []string) (*Rules, error) {
	r := &Rules{dir: dir}
	for _, pattern := range patterns {
		rule, ok := parseIgnoreRule(pattern)
		if !ok {
			return nil, fmt.Errorf("pattern %q matches nothing", pattern)
		}
		r.rules = append(r.rules, rule)
	}
	return r, nil
}

// With returns r with the rules on top that text, an ignore file in dir, has.
func (r *Rules) With(dir, text string) *Rules {
	rules := parseIgnoreRules(text)
	if len(rules) == 0 {
		return r
	}
	return &Rules{dir: dir, rules: rules, above: r}
}

// readRules reads the ignore files of dir; where it has none it returns above.
func readRules(dir string, above *Rules) (*Rules, error) {
	var text []byte
	for _, name := range IgnoreFiles {
		data, err := os.ReadFile(filepath.Join(dir, name))
		if os.IsNotExist(err) {
			continue
		}
		if err != nil {
			return nil, fmt.Errorf("read ignore rules: %w", err)
		}
		text = append(append(text, data...), '\n')
	}
	return above.With(dir, string(text)), nil
}

// IgnoreFiles are the names of the files that hold ignore rules.
var IgnoreFiles = []string{".gitignore", ".tributaryignore"}

// Ignores reports whether the rules leave out the file or directory at path,
// which stands to the rules' directories as it is written: absolute to
// absolute ones. The rules nearest to it decide, and of one directory's the
// last that matches. What is in a directory that is left out is for the caller
// to leave out.
func (r *Rules) Ignores(path string, isDir bool) bool {
	for ; r != nil; r = r.above {
		rel, err := filepath.Rel(r.dir, path)
		if err != nil {
			continue
		}
		rel = filepath.ToSlash(rel)
		for _, rule := range slices.Backward(r.rules) {
			if rule.matches(rel, isDir) {
				return !rule.negated
			}
		}
	}
	return false
}
