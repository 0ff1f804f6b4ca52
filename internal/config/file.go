package config

import (
	"errors"
	"fmt"
	"io"
	"reflect"
	"strconv"
	"strings"

	"go.yaml.in/yaml/v3"
)

// A fileError is something wrong in the configuration file, and on which line.
type fileError struct {
	file string
	line int
	err  error
}

func (e *fileError) Error() string { return fmt.Sprintf("%s:%d: %v", e.file, e.line, e.err) }
func (e *fileError) Unwrap() error { return e.err }

// fileReader puts the values of one file into settings.
type fileReader struct {
	name     string
	settings map[string]setting // those that a file may hold
	sections map[string]bool
	origins  map[string]string
	errs     []error
}

// readFile puts what r holds over the settings and notes in origins the line
// of each. All errors of the file are reported together.
func readFile(name string, r io.Reader, all []setting, origins map[string]string) error {
	f := fileReader{name: name, settings: map[string]setting{}, sections: map[string]bool{}, origins: origins}
	for _, s := range all {
		if s.secret {
			continue
		}
		f.settings[s.key] = s
		for i, c := range s.key {
			if c == '.' {
				f.sections[s.key[:i]] = true
			}
		}
	}
	dec := yaml.NewDecoder(r)
	var doc yaml.Node
	if err := dec.Decode(&doc); errors.Is(err, io.EOF) {
		return nil
	} else if err != nil {
		return syntaxError(name, err)
	}
	var second yaml.Node
	if err := dec.Decode(&second); !errors.Is(err, io.EOF) {
		return fmt.Errorf("%s: holds more than one YAML document", name)
	}
	f.section("", doc.Content[0])
	return errors.Join(f.errs...)
}

// syntaxError is the parser's "yaml: line 3: ..." in the form of the others.
func syntaxError(name string, err error) error {
	text := strings.TrimPrefix(err.Error(), "yaml: ")
	if line, rest, ok := strings.Cut(strings.TrimPrefix(text, "line "), ": "); ok {
		if n, err := strconv.Atoi(line); err == nil {
			return &fileError{name, n, errors.New(rest)}
		}
	}
	return fmt.Errorf("%s: %s", name, text)
}

func (f *fileReader) failf(n *yaml.Node, format string, args ...any) {
	f.errs = append(f.errs, &fileError{f.name, n.Line, fmt.Errorf(format, args...)})
}

// section reads the mapping n, whose keys stand below prefix.
func (f *fileReader) section(prefix string, n *yaml.Node) {
	n = resolve(n)
	if isNull(n) {
		return
	}
	if n.Kind != yaml.MappingNode {
		f.failf(n, "%s: want a section of settings, got %s", sectionName(prefix), kindName(n))
		return
	}
	seen := map[string]int{}
	for i := 0; i+1 < len(n.Content); i += 2 {
		name, value := n.Content[i], n.Content[i+1]
		if line, twice := seen[name.Value]; twice {
			f.failf(name, "%q stands here twice, first on line %d", name.Value, line)
			continue
		}
		seen[name.Value] = name.Line
		f.entry(prefix, name, value)
	}
}

func (f *fileReader) entry(prefix string, name, value *yaml.Node) {
	key := prefix + name.Value
	if f.sections[key] {
		f.section(key+".", value)
		return
	}
	s, ok := f.settings[key]
	if !ok {
		f.failf(name, "unknown key %q%s", key, f.suggest(prefix, key))
		return
	}
	value = resolve(value)
	if isNull(value) && s.value.Kind() != reflect.Pointer {
		return // `key:` with nothing after it leaves the default
	}
	if err := setNode(s, value); err != nil {
		f.failf(value, "%s: %w", key, err)
		return
	}
	if s.value.Kind() == reflect.String && holdsPassword(s.value.String()) {
		f.failf(value, "%s: holds a secret, and this file must not; set %s, or the user and a file with the password", key, s.env())
		return
	}
	f.origins[key] = fmt.Sprintf("%s:%d", f.name, name.Line)
}

// suggest returns words that point to the known key nearest to an unknown
// one: a neighbour in its section, else the same name in another section.
func (f *fileReader) suggest(prefix, key string) string {
	var near, elsewhere []string
	for k := range f.settings {
		near = append(near, k)
		if lastPart(k) == lastPart(key) {
			elsewhere = append(elsewhere, k)
		}
	}
	for k := range f.sections {
		near = append(near, k)
	}
	near = filter(near, func(k string) bool {
		return strings.HasPrefix(k, prefix) && !strings.Contains(k[len(prefix):], ".")
	})
	if best := nearest(key, near); best != "" {
		return fmt.Sprintf("; did you mean %q?", best)
	}
	if len(elsewhere) == 1 {
		return fmt.Sprintf("; did you mean %q?", elsewhere[0])
	}
	return ""
}

// setNode sets s from a scalar, a list, or a mapping of names to scalars.
func setNode(s setting, n *yaml.Node) error {
	kind := s.value.Kind()
	switch {
	case isNull(n):
		s.value.SetZero()
		return nil
	case n.Kind == yaml.ScalarNode && kind != reflect.Map:
		return setText(s, s.value, n.Value)
	case n.Kind == yaml.SequenceNode && kind == reflect.Slice:
		items, err := scalars(n.Content)
		if err != nil {
			return err
		}
		return setList(s, s.value, items)
	case n.Kind == yaml.MappingNode && kind == reflect.Map:
		items, err := scalars(n.Content)
		if err != nil {
			return err
		}
		pairs := make([]string, 0, len(items)/2)
		for i := 0; i+1 < len(items); i += 2 {
			pairs = append(pairs, items[i]+"="+items[i+1])
		}
		return setPairs(s, s.value, pairs)
	}
	return fmt.Errorf("got %s, want %s", kindName(n), wantedKind(kind))
}

func scalars(nodes []*yaml.Node) ([]string, error) {
	out := make([]string, len(nodes))
	for i, n := range nodes {
		if n = resolve(n); n.Kind != yaml.ScalarNode {
			return nil, fmt.Errorf("got %s inside, want single values", kindName(n))
		}
		out[i] = resolve(n).Value
	}
	return out, nil
}

func wantedKind(k reflect.Kind) string {
	switch k {
	case reflect.Slice:
		return "a list"
	case reflect.Map:
		return "names with values"
	}
	return "a single value"
}

func kindName(n *yaml.Node) string {
	switch n.Kind {
	case yaml.SequenceNode:
		return "a list"
	case yaml.MappingNode:
		return "a section"
	}
	return fmt.Sprintf("%q", n.Value)
}

func sectionName(prefix string) string {
	if prefix == "" {
		return "the file"
	}
	return strings.TrimSuffix(prefix, ".")
}

func resolve(n *yaml.Node) *yaml.Node {
	for n.Kind == yaml.AliasNode {
		n = n.Alias
	}
	return n
}

func isNull(n *yaml.Node) bool { return n.Kind == yaml.ScalarNode && n.Tag == "!!null" }
