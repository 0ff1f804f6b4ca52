package config

import (
	"encoding"
	"reflect"
	"strings"
	"time"
)

// EnvPrefix begins every environment variable that is a setting. The rest of
// the name is the setting's key in upper case with _ for the dots:
// nats.max_store_bytes is TRIBUTARY_NATS_MAX_STORE_BYTES.
const EnvPrefix = "TRIBUTARY_"

// envAliases are shorter names for the settings one sets most.
var envAliases = map[string]string{
	"TRIBUTARY_NATS":     "nats.url",
	"TRIBUTARY_WEAVIATE": "weaviate.url",
}

// A setting is one value of a Config, addressed by its key.
type setting struct {
	key    string        // as in the file, with dots between sections
	value  reflect.Value // settable
	secret bool          // not in the file, and never shown
}

// env returns the environment variable of the setting.
func (s setting) env() string {
	return EnvPrefix + strings.ToUpper(strings.ReplaceAll(s.key, ".", "_"))
}

// settings lists the settings of c in the order of the file.
func settings(c *Config) []setting {
	return structSettings("", reflect.ValueOf(c).Elem())
}

func structSettings(prefix string, v reflect.Value) []setting {
	var all []setting
	for i := range v.NumField() {
		f := v.Type().Field(i)
		if !f.IsExported() {
			continue
		}
		name, inline, secret := fieldName(f)
		switch {
		case name == "" && !inline:
		case isSection(f.Type) && inline:
			all = append(all, structSettings(prefix, v.Field(i))...)
		case isSection(f.Type):
			all = append(all, structSettings(prefix+name+".", v.Field(i))...)
		default:
			all = append(all, setting{key: prefix + name, value: v.Field(i), secret: secret})
		}
	}
	return all
}

// fieldName returns the field's name in the file, or for a field that is kept
// out of the file the name its env tag gives it. "" means neither has one.
func fieldName(f reflect.StructField) (name string, inline, secret bool) {
	name, options, _ := strings.Cut(f.Tag.Get("yaml"), ",")
	switch {
	case name == "-":
		env := f.Tag.Get("env")
		return env, false, env != ""
	case strings.Contains(options, "inline"):
		return "", true, false
	case name == "":
		return strings.ToLower(f.Name), false, false
	}
	return name, false, false
}

var (
	textUnmarshaler = reflect.TypeFor[encoding.TextUnmarshaler]()
	durationType    = reflect.TypeFor[time.Duration]()
)

// isSection reports whether t has settings of its own instead of being one.
func isSection(t reflect.Type) bool {
	return t.Kind() == reflect.Struct && !reflect.PointerTo(t).Implements(textUnmarshaler)
}
