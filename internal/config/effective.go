package config

import (
	"bytes"
	"encoding"
	"fmt"
	"reflect"
	"strings"
	"time"

	"go.yaml.in/yaml/v3"
)

// A Value is one setting as it may be shown.
type Value struct {
	Key   string `json:"key"`
	Value any    `json:"value"` // "(set)" for a secret
	From  string `json:"from"`  // as Origin says
}

// Effective lists all settings in the order of the file, without secrets. A
// secret of the environment is listed only if it is set.
func (l *Loaded) Effective() []Value {
	var values []Value
	for _, s := range settings(&l.Config) {
		if s.secret && s.value.IsZero() {
			continue
		}
		values = append(values, Value{Key: s.key, Value: shown(s), From: l.Origin(s.key)})
	}
	return values
}

// YAML prints Effective in the form of the file, with the origin of every
// value that is not a default beside it.
func (l *Loaded) YAML() ([]byte, error) {
	root := &yaml.Node{Kind: yaml.MappingNode}
	for _, v := range l.Effective() {
		var value yaml.Node
		if err := value.Encode(readable(v)); err != nil {
			return nil, fmt.Errorf("print setting %s: %w", v.Key, err)
		}
		parts := strings.Split(v.Key, ".")
		section := root
		for _, name := range parts[:len(parts)-1] {
			section = subsection(section, name)
		}
		name := &yaml.Node{Kind: yaml.ScalarNode, Value: parts[len(parts)-1]}
		if v.From != "default" {
			comment := &value
			if value.Kind != yaml.ScalarNode {
				comment = name
			}
			comment.LineComment = "from " + v.From
		}
		section.Content = append(section.Content, name, &value)
	}
	var out bytes.Buffer
	enc := yaml.NewEncoder(&out)
	enc.SetIndent(2)
	if err := enc.Encode(root); err != nil {
		return nil, fmt.Errorf("print the configuration: %w", err)
	}
	return out.Bytes(), nil
}

// readable is v's value with a size in the largest unit that divides it.
func readable(v Value) any {
	if !strings.HasSuffix(v.Key, "_bytes") {
		return v.Value
	}
	size := reflect.ValueOf(v.Value)
	if !size.CanInt() || size.Int() == 0 {
		return v.Value
	}
	for i := 3; i >= 0; i-- { // TiB down to KiB
		unit := byteUnits[i]
		if n := size.Int(); n%int64(unit.bytes) == 0 {
			return fmt.Sprintf("%d%s", n/int64(unit.bytes), unit.suffix)
		}
	}
	return v.Value
}

// subsection returns the mapping called name in parent, made if need be.
func subsection(parent *yaml.Node, name string) *yaml.Node {
	for i := 0; i < len(parent.Content); i += 2 {
		if parent.Content[i].Value == name {
			return parent.Content[i+1]
		}
	}
	section := &yaml.Node{Kind: yaml.MappingNode}
	parent.Content = append(parent.Content, &yaml.Node{Kind: yaml.ScalarNode, Value: name}, section)
	return section
}

// shown returns the value of s for people and programs to read.
func shown(s setting) any {
	v := s.value
	if s.secret {
		if v.IsZero() {
			return ""
		}
		return "(set)"
	}
	if m, ok := v.Interface().(encoding.TextMarshaler); ok {
		if text, err := m.MarshalText(); err == nil {
			return string(text)
		}
	}
	switch {
	case v.Type() == durationType:
		return duration(time.Duration(v.Int()))
	case v.Kind() == reflect.String:
		return Redact(v.String())
	}
	return v.Interface()
}

// duration is d.String without the zero parts at its end: 1m, not 1m0s.
func duration(d time.Duration) string {
	text := d.String()
	if strings.HasSuffix(text, "m0s") {
		text = strings.TrimSuffix(text, "0s")
	}
	if strings.HasSuffix(text, "h0m") {
		text = strings.TrimSuffix(text, "0m")
	}
	return text
}
