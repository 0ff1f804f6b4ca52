package source

import (
	"fmt"
	"strings"

	"github.com/tributary-kb/tributary"
	"github.com/tributary-kb/tributary/ingest"
)

// A scope is what Include and Exclude leave of a source.
type scope struct{ include, exclude *ingest.Rules }

func newScope(o tributary.SourceOptions) (scope, error) {
	include, err := ingest.NewRules("", o.Include)
	if err != nil {
		return scope{}, fmt.Errorf("include: %w", err)
	}
	exclude, err := ingest.NewRules("", o.Exclude)
	if err != nil {
		return scope{}, fmt.Errorf("exclude: %w", err)
	}
	if len(o.Include) == 0 {
		include = nil
	}
	return scope{include: include, exclude: exclude}, nil
}

// holds reports whether the document at path, relative and separated by
// slashes, is to be followed.
func (s scope) holds(path string) bool {
	return (s.include == nil || covers(s.include, path)) && !covers(s.exclude, path)
}

// covers reports whether rules name path or a directory that it is in. A
// negated rule for the path itself cannot win back what is in a directory that
// is named, as with git.
func covers(rules *ingest.Rules, path string) bool {
	for i := range len(path) {
		if path[i] == '/' && rules.Ignores(path[:i], true) {
			return true
		}
	}
	return rules.Ignores(path, false)
}

// hidden reports whether a file or directory of path is a hidden one.
func hidden(path string) bool {
	return strings.HasPrefix(path, ".") || strings.Contains(path, "/.")
}
