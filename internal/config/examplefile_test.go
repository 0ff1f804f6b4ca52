package config

import (
	"os"
	"reflect"
	"strings"
	"testing"

	"go.yaml.in/yaml/v3"
)

const exampleFile = "../../tributary.example.yaml"

func TestExampleFileHasTheDefaults(t *testing.T) {
	l, err := Load(Sources{File: exampleFile})
	if err != nil {
		t.Fatal(err)
	}
	got, defaults := l.Config, Default()
	got.Data = "" // Load makes it a path of this machine
	want := map[string]any{}
	for _, s := range settings(&defaults) {
		want[s.key] = s.value.Interface()
	}
	for _, s := range settings(&got) {
		if k := s.value.Kind(); (k == reflect.Slice || k == reflect.Map) && s.value.Len() == 0 && reflect.ValueOf(want[s.key]).Len() == 0 {
			continue // an empty list and none are the same
		}
		if v := s.value.Interface(); !reflect.DeepEqual(v, want[s.key]) {
			t.Errorf("%s is %v in the example file, the default is %v", s.key, v, want[s.key])
		}
	}
}

func TestExampleFileMentionsEverySetting(t *testing.T) {
	l, err := Load(Sources{File: exampleFile})
	if err != nil {
		t.Fatal(err)
	}
	for _, s := range settings(&l.Config) {
		if !s.secret && l.Origin(s.key) == "default" {
			t.Errorf("%s does not stand in the example file", s.key)
		}
	}
}

func TestExampleFileFitsATerminal(t *testing.T) {
	data, err := os.ReadFile(exampleFile)
	if err != nil {
		t.Fatal(err)
	}
	for i, line := range strings.Split(string(data), "\n") {
		if len(line) > 80 {
			t.Errorf("line %d has %d characters, want at most 80", i+1, len(line))
		}
	}
}

// The effective configuration is a configuration file: read again, it gives
// the same values.
func TestEffectiveConfigurationReadsBack(t *testing.T) {
	first, err := Load(Sources{Env: []string{
		"TRIBUTARY_NATS_URL=nats://one:4222,nats://two:4222", "TRIBUTARY_INGEST_FETCH_ALLOW_HOSTS=a.example,b.example",
		"TRIBUTARY_INGEST_MAX_BYTES=1000000", "TRIBUTARY_WEAVIATE_TIMEOUT=1h",
	}})
	if err != nil {
		t.Fatal(err)
	}
	text, err := first.YAML()
	if err != nil {
		t.Fatal(err)
	}
	second, err := Load(Sources{File: writeFile(t, t.TempDir(), "printed.yaml", string(text))})
	if err != nil {
		t.Fatalf("%v\n%s", err, text)
	}
	if !strings.Contains(string(text), "url: nats://one:4222,nats://two:4222 # from TRIBUTARY_NATS_URL\n") {
		t.Errorf("the origin of nats.url is not shown:\n%s", text)
	}
	a, b := first.Effective(), second.Effective()
	for i := range a {
		got, want := marshal(t, b[i].Value), marshal(t, a[i].Value)
		if a[i].Key != b[i].Key || got != want {
			t.Errorf("%s is %s, want %s", b[i].Key, got, want)
		}
	}
}

func marshal(t *testing.T, v any) string {
	t.Helper()
	data, err := yaml.Marshal(v)
	if err != nil {
		t.Fatal(err)
	}
	return string(data)
}

func FuzzFile(f *testing.F) {
	data, err := os.ReadFile(exampleFile)
	if err != nil {
		f.Fatal(err)
	}
	f.Add(string(data))
	f.Add("nats: &a {url: x}\nweaviate: *a\n")
	f.Add("a: &a [*a]")
	f.Fuzz(func(t *testing.T, text string) {
		c := base()
		origins := map[string]string{}
		err := readFile("fuzz.yaml", strings.NewReader(text), settings(&c), origins)
		for key, origin := range origins {
			if err == nil && !strings.HasPrefix(origin, "fuzz.yaml:") {
				t.Errorf("%s comes from %s", key, origin)
			}
		}
	})
}
