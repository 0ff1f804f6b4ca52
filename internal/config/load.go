package config

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"reflect"
	"slices"
	"strings"
)

// Sources are what a configuration is made of, besides the defaults.
type Sources struct {
	// File is the YAML file. "" means TRIBUTARY_CONFIG of Env, or else
	// DefaultFile, which need not exist.
	File string
	// Env holds NAME=value, as os.Environ returns it. Only names that begin
	// with EnvPrefix matter.
	Env []string
	// Flags are the flags that were given.
	Flags []Flag
}

// A Flag is a command line flag that stands for a setting.
type Flag struct {
	Name  string // with its dashes, e.g. "--nats"
	Key   string // of the setting, e.g. "nats.url"
	Value string
}

// Loaded is a Config, and where its values came from.
type Loaded struct {
	Config
	// File is the configuration file that was read, "" if none was.
	File    string
	origins map[string]string
}

// Origin says where the value of the setting with this key came from:
// "default", "FILE:LINE", the name of an environment variable or of a flag.
func (l *Loaded) Origin(key string) string {
	if origin := l.origins[key]; origin != "" {
		return origin
	}
	return "default"
}

// Load puts the sources over the defaults (file, environment, flags, in this
// order) and validates the result. The error lists everything that is wrong,
// one per line.
func Load(src Sources) (*Loaded, error) {
	l := &Loaded{Config: base(), origins: map[string]string{}}
	all := settings(&l.Config)
	env := environ(src.Env)
	if err := l.loadFile(src.File, env, all); err != nil {
		return nil, err
	}
	if err := errors.Join(l.loadEnv(env, all), l.loadFlags(src.Flags, all)); err != nil {
		return nil, err
	}
	l.setDefaults()
	if err := l.resolveData(); err != nil {
		return nil, err
	}
	if err := l.validate(); err != nil {
		return nil, err
	}
	return l, nil
}

func (l *Loaded) loadFile(name string, env map[string]string, all []setting) error {
	optional := false
	if name == "" {
		name = env[EnvPrefix+"CONFIG"]
	}
	if name == "" {
		name, optional = DefaultFile(), true
	}
	if name == "" {
		return nil
	}
	f, err := os.Open(name)
	if optional && errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	if err != nil {
		return fmt.Errorf("read the configuration: %w", err)
	}
	defer f.Close()
	l.File = name
	return readFile(name, f, all, l.origins)
}

// environ returns the settings among the variables of env.
func environ(env []string) map[string]string {
	vars := map[string]string{}
	for _, entry := range env {
		if name, value, ok := strings.Cut(entry, "="); ok && strings.HasPrefix(name, EnvPrefix) {
			vars[name] = value
		}
	}
	return vars
}

// loadEnv puts the environment over the settings. A variable that is close to
// a setting's is an error, for it is a slip; others belong to somebody else
// (Kubernetes sets TRIBUTARY_PORT for a service that is called tributary).
func (l *Loaded) loadEnv(env map[string]string, all []setting) error {
	byName := map[string]setting{}
	for _, s := range all {
		byName[s.env()] = s
	}
	for alias, key := range envAliases {
		if i := slices.IndexFunc(all, func(s setting) bool { return s.key == key }); i >= 0 {
			if _, both := env[all[i].env()]; !both {
				byName[alias] = all[i]
			}
		}
	}
	var errs []error
	for _, name := range sortedKeys(env) {
		s, known := byName[name]
		switch {
		case known && env[name] == "" && !mayBeEmpty(s):
		case known:
			errs = append(errs, l.set(s, name, env[name]))
		case name != EnvPrefix+"CONFIG" && envAliases[name] == "":
			if near := nearest(name, sortedKeys(byName)); near != "" {
				errs = append(errs, fmt.Errorf("environment: unknown %s; did you mean %s?", name, near))
			}
		}
	}
	return errors.Join(errs...)
}

// mayBeEmpty reports whether "" is a value of s. For a number, say, an empty
// variable is one that was not set.
func mayBeEmpty(s setting) bool {
	switch s.value.Kind() {
	case reflect.String, reflect.Slice, reflect.Map:
		return true
	}
	return false
}

func (l *Loaded) loadFlags(flags []Flag, all []setting) error {
	var errs []error
	for _, f := range flags {
		i := slices.IndexFunc(all, func(s setting) bool { return s.key == f.Key })
		if i < 0 {
			panic(fmt.Sprintf("config: flag %s stands for the unknown setting %q", f.Name, f.Key))
		}
		errs = append(errs, l.set(all[i], f.Name, f.Value))
	}
	return errors.Join(errs...)
}

func (l *Loaded) set(s setting, origin, text string) error {
	if err := setText(s, s.value, text); err != nil {
		if s.secret {
			err = errors.New("not a usable value")
		}
		return fmt.Errorf("%s: %w", origin, err)
	}
	l.origins[s.key] = origin
	return nil
}

// resolveData makes Data an absolute path.
func (l *Loaded) resolveData() error {
	dir := l.Data
	if dir == "" {
		var err error
		if dir, err = DefaultData(); err != nil {
			return err
		}
	}
	abs, err := filepath.Abs(dir)
	if err != nil {
		return fmt.Errorf("data: %w", err)
	}
	l.Data = abs
	return nil
}

func sortedKeys[V any](m map[string]V) []string {
	names := make([]string, 0, len(m))
	for name := range m {
		names = append(names, name)
	}
	slices.Sort(names)
	return names
}
