package config

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/rogpeppe/go-internal/txtar"
)

// TestBadFiles compares the whole message that each file of testdata/bad is
// refused with.
func TestBadFiles(t *testing.T) {
	names, err := filepath.Glob("testdata/bad/*.txtar")
	if err != nil || len(names) == 0 {
		t.Fatalf("no fixtures: %v", err)
	}
	for _, name := range names {
		t.Run(strings.TrimSuffix(filepath.Base(name), ".txtar"), func(t *testing.T) {
			archive, err := txtar.ParseFile(name)
			if err != nil {
				t.Fatal(err)
			}
			dir := t.TempDir()
			files := map[string]string{}
			for _, f := range archive.Files {
				files[f.Name] = string(f.Data)
			}
			_, err = Load(Sources{File: writeFile(t, dir, "tributary.yaml", files["tributary.yaml"])})
			if err == nil {
				t.Fatal("accepted")
			}
			got := strings.ReplaceAll(err.Error(), dir+string(filepath.Separator), "") + "\n"
			if want := files["error"]; got != want {
				t.Errorf("got\n%s\nwant\n%s", got, want)
			}
			if strings.Contains(got, "hunter2") {
				t.Error("the message holds the secret")
			}
		})
	}
}

func TestFlagsOverEnvironmentOverFileOverDefaults(t *testing.T) {
	file := writeFile(t, t.TempDir(), "tributary.yaml", "kb: file\nlog: {level: error, format: json}\nnats: {replicas: 3}\n")
	l, err := Load(Sources{
		File:  file,
		Env:   []string{"TRIBUTARY_KB=environment", "TRIBUTARY_LOG_LEVEL=warn", "PATH=/bin"},
		Flags: []Flag{{Name: "--kb", Key: "kb", Value: "flag"}},
	})
	if err != nil {
		t.Fatal(err)
	}
	for _, want := range []struct {
		key, value, from string
	}{
		{"kb", "flag", "--kb"},
		{"log.level", "warn", "TRIBUTARY_LOG_LEVEL"},
		{"log.format", "json", file + ":2"},
		{"nats.replicas", "3", file + ":3"},
		{"stages.attempts", "8", "default"},
	} {
		if got := valueOf(t, l, want.key); got != want.value {
			t.Errorf("%s is %s, want %s", want.key, got, want.value)
		}
		if got := l.Origin(want.key); got != want.from {
			t.Errorf("%s comes from %s, want %s", want.key, got, want.from)
		}
	}
}

func TestLoadedWithoutSourcesIsTheDefault(t *testing.T) {
	t.Setenv("XDG_CONFIG_HOME", t.TempDir())
	l, err := Load(Sources{})
	if err != nil {
		t.Fatal(err)
	}
	if l.File != "" {
		t.Errorf("read %s, want no file", l.File)
	}
	l.Data = ""
	if got, want := fmt.Sprintf("%+v", l.Config), fmt.Sprintf("%+v", Default()); got != want {
		t.Errorf("got  %s\nwant %s", got, want)
	}
}

func TestFileIsFound(t *testing.T) {
	dir := t.TempDir()
	t.Setenv("XDG_CONFIG_HOME", dir)
	t.Setenv("HOME", dir)
	usual := DefaultFile()
	if err := os.MkdirAll(filepath.Dir(usual), 0o755); err != nil {
		t.Fatal(err)
	}
	writeFile(t, filepath.Dir(usual), filepath.Base(usual), "kb: usual")
	named := writeFile(t, dir, "named.yaml", "kb: named")
	inEnv := writeFile(t, dir, "env.yaml", "kb: env")
	for _, test := range []struct {
		name string
		src  Sources
		want string
	}{
		{"in the user's configuration folder", Sources{}, "usual"},
		{"by TRIBUTARY_CONFIG", Sources{Env: []string{"TRIBUTARY_CONFIG=" + inEnv}}, "env"},
		{"by name, before all others", Sources{File: named, Env: []string{"TRIBUTARY_CONFIG=" + inEnv}}, "named"},
	} {
		t.Run(test.name, func(t *testing.T) {
			l, err := Load(test.src)
			if err != nil {
				t.Fatal(err)
			}
			if l.KB != test.want {
				t.Errorf("read the file for %s, want %s", l.KB, test.want)
			}
		})
	}
}

func TestNamedFileMustExist(t *testing.T) {
	_, err := Load(Sources{File: filepath.Join(t.TempDir(), "absent.yaml")})
	if err == nil || !strings.Contains(err.Error(), "absent.yaml") {
		t.Errorf("got %v, want an error that names the file", err)
	}
}

func TestFileWithNothingInIt(t *testing.T) {
	for _, text := range []string{"", "# nothing\n", "---\n", "nats:\n", "kb:\nnats:\n  url:\n"} {
		l, err := Load(Sources{File: writeFile(t, t.TempDir(), "empty.yaml", text)})
		if err != nil {
			t.Errorf("%q: %v", text, err)
			continue
		}
		if l.KB != "default" {
			t.Errorf("%q: kb is %q, want the default", text, l.KB)
		}
	}
}

func TestEnvironment(t *testing.T) {
	for _, test := range []struct {
		name, env string
		key, want string // of the setting
		wantErr   string
	}{
		{"a setting of a section", "TRIBUTARY_NATS_MAX_STORE_BYTES=1GiB", "nats.max_store_bytes", "1073741824", ""},
		{"a setting deeper down", "TRIBUTARY_STAGES_CONCURRENCY_EMBED=16", "stages.concurrency.embed", "16", ""},
		{"a duration", "TRIBUTARY_WEAVIATE_TIMEOUT=90s", "weaviate.timeout", "1m30s", ""},
		{"a list", "TRIBUTARY_INGEST_FETCH_ALLOW_HOSTS=wiki.example, git.example:8080", "ingest.fetch.allow_hosts", "[wiki.example git.example:8080]", ""},
		{"a truth value", "TRIBUTARY_INGEST_NO_ISOLATION=true", "ingest.no_isolation", "true", ""},
		{"the short name of the NATS URL", "TRIBUTARY_NATS=nats://nats.example", "nats.url", "nats://nats.example", ""},
		{"the short name of the Weaviate URL", "TRIBUTARY_WEAVIATE=http://index.example", "weaviate.url", "http://index.example", ""},
		{"an empty value, which counts", "TRIBUTARY_METRICS_LISTEN=", "metrics.listen", "", ""},
		{"an empty number, which does not", "TRIBUTARY_NATS_REPLICAS=", "nats.replicas", "1", ""},
		{"what Kubernetes sets for a service", "TRIBUTARY_PORT=tcp://10.0.0.1:4322", "kb", "default", ""},
		{"a slip", "TRIBUTARY_NATS_ULR=nats://nats.example", "", "", "environment: unknown TRIBUTARY_NATS_ULR; did you mean TRIBUTARY_NATS_URL?"},
		{"a wrong value", "TRIBUTARY_NATS_REPLICAS=many", "", "", `TRIBUTARY_NATS_REPLICAS: "many" is not a whole number`},
		{"a value out of range", "TRIBUTARY_NATS_REPLICAS=9", "", "", `nats.replicas is "9" (from TRIBUTARY_NATS_REPLICAS), want 1 to 5`},
	} {
		t.Run(test.name, func(t *testing.T) {
			t.Setenv("XDG_CONFIG_HOME", t.TempDir())
			l, err := Load(Sources{Env: []string{test.env}})
			if got := message(err); got != test.wantErr {
				t.Fatalf("got error %q, want %q", got, test.wantErr)
			}
			if err != nil {
				return
			}
			if got := valueOf(t, l, test.key); got != test.want {
				t.Errorf("%s is %q, want %q", test.key, got, test.want)
			}
		})
	}
}

func TestFullNameBeatsShortName(t *testing.T) {
	l, err := Load(Sources{Env: []string{"TRIBUTARY_NATS=nats://short", "TRIBUTARY_NATS_URL=nats://full"}})
	if err != nil {
		t.Fatal(err)
	}
	if l.NATS.URL != "nats://full" {
		t.Errorf("nats.url is %s, want that of the full name", l.NATS.URL)
	}
}

func TestSizes(t *testing.T) {
	for _, test := range []struct {
		text string
		want int64
	}{
		{"1048576", 1 << 20}, {"64KiB", 64 << 10}, {"32 MiB", 32 << 20}, {"1.5GiB", 3 << 29}, {"2GB", 2e9}, {"512B", 512},
	} {
		l, err := Load(Sources{Env: []string{"TRIBUTARY_INGEST_MAX_BYTES=" + test.text}})
		if err != nil {
			t.Errorf("%s: %v", test.text, err)
			continue
		}
		if l.Ingest.MaxBytes != test.want {
			t.Errorf("%s is %d bytes, want %d", test.text, l.Ingest.MaxBytes, test.want)
		}
	}
}

func TestDefaultsThatDependOnOthers(t *testing.T) {
	l, err := Load(Sources{Env: []string{"TRIBUTARY_CHUNKER_TARGET_TOKENS=400"}})
	if err != nil {
		t.Fatal(err)
	}
	if got, want := l.Chunker.MaxTokens, 600; got != want {
		t.Errorf("chunker.max_tokens is %d, want %d, one and a half times the target", got, want)
	}
}

func TestDataIsAbsolute(t *testing.T) {
	l, err := Load(Sources{Flags: []Flag{{Name: "--data", Key: "data", Value: "here"}}})
	if err != nil {
		t.Fatal(err)
	}
	if !filepath.IsAbs(l.Data) || filepath.Base(l.Data) != "here" {
		t.Errorf("data is %s, want an absolute path that ends in here", l.Data)
	}
}

func TestDataFolderOfThePlatform(t *testing.T) {
	home := func() (string, error) { return "/home/ada", nil }
	for _, test := range []struct {
		name, goos string
		env        map[string]string
		want       string
	}{
		{"Linux", "linux", nil, "/home/ada/.local/share/tributary"},
		{"Linux with XDG_DATA_HOME", "linux", map[string]string{"XDG_DATA_HOME": "/data"}, "/data/tributary"},
		{"Linux with a relative XDG_DATA_HOME", "linux", map[string]string{"XDG_DATA_HOME": "data"}, "/home/ada/.local/share/tributary"},
		{"macOS", "darwin", nil, "/home/ada/Library/Application Support/tributary"},
		{"Windows", "windows", map[string]string{"LocalAppData": "/local"}, "/local/tributary"},
	} {
		t.Run(test.name, func(t *testing.T) {
			got, err := defaultData(test.goos, func(name string) string { return test.env[name] }, home)
			if err != nil {
				t.Fatal(err)
			}
			if want := filepath.FromSlash(test.want); got != want {
				t.Errorf("got %s, want %s", got, want)
			}
		})
	}
}

func TestSettingsHaveNamesOfTheirOwn(t *testing.T) {
	var c Config
	seen := map[string]string{}
	for _, s := range settings(&c) {
		for _, name := range []string{s.key, s.env()} {
			if other := seen[name]; other != "" {
				t.Errorf("%s stands for %s and %s", name, other, s.key)
			}
			seen[name] = s.key
		}
		if err := setText(s, s.value, "0"); err != nil && s.value.Type() != durationType && !strings.Contains(err.Error(), "neither true nor false") && !strings.Contains(err.Error(), "name=value") {
			t.Errorf("%s cannot be set from text: %v", s.key, err)
		}
	}
}

func TestNearest(t *testing.T) {
	names := []string{"nats.url", "nats.user", "nats.listen", "kb", "weaviate"}
	for _, test := range []struct{ word, want string }{
		{"nats.ulr", "nats.url"},
		{"nats.uesr", "nats.user"},
		{"nats.lisn", ""}, // two letters are too many for a word of four
		{"weviate", "weaviate"},
		{"Weaviate", "weaviate"},
		{"kb2", "kb"},
		{"colour", ""},
	} {
		if got := nearest(test.word, names); got != test.want {
			t.Errorf("nearest to %s is %q, want %q", test.word, got, test.want)
		}
	}
}

func TestDurationsPrintShort(t *testing.T) {
	for d, want := range map[time.Duration]string{
		time.Minute: "1m", time.Hour: "1h", 90 * time.Second: "1m30s", 20 * time.Second: "20s", 10 * time.Minute: "10m", 0: "0s",
	} {
		if got := duration(d); got != want {
			t.Errorf("%d prints as %s, want %s", d, got, want)
		}
	}
}

func writeFile(t *testing.T, dir, name, text string) string {
	t.Helper()
	path := filepath.Join(dir, name)
	if err := os.WriteFile(path, []byte(text), 0o644); err != nil {
		t.Fatal(err)
	}
	return path
}

func valueOf(t *testing.T, l *Loaded, key string) string {
	t.Helper()
	for _, v := range l.Effective() {
		if v.Key == key {
			return fmt.Sprint(v.Value)
		}
	}
	t.Fatalf("no setting is called %s", key)
	return ""
}

func message(err error) string {
	if err == nil {
		return ""
	}
	return err.Error()
}
