package config

import (
	"encoding/json"
	"fmt"
	"log/slog"
	"path/filepath"
	"strings"
	"testing"
)

func TestSecretsAreNotShown(t *testing.T) {
	l, err := Load(Sources{Env: []string{
		"TRIBUTARY_NATS_USER=ada",
		"TRIBUTARY_NATS_PASSWORD=hunter2",
		"TRIBUTARY_WEAVIATE_API_KEY=hunter3",
		"TRIBUTARY_NATS_URL=nats://ada:hunter4@one.example:4222,nats://hunter5@two.example:4222",
	}})
	if err != nil {
		t.Fatal(err)
	}
	text, err := l.YAML()
	if err != nil {
		t.Fatal(err)
	}
	values, err := json.Marshal(l.Effective())
	if err != nil {
		t.Fatal(err)
	}
	var logged strings.Builder
	slog.New(slog.NewTextHandler(&logged, nil)).Info("settings", "nats", l.NATS.Password, "weaviate", l.Weaviate)
	for name, shown := range map[string]string{
		"YAML": string(text), "JSON": string(values), "log": logged.String(),
		"%v": fmt.Sprintf("%v %#v", l.NATS.Password, l.Weaviate.APIKey),
	} {
		if strings.Contains(shown, "hunter") {
			t.Errorf("%s shows a secret:\n%s", name, shown)
		}
		if !strings.Contains(shown, "(set)") {
			t.Errorf("%s does not say that a secret is set:\n%s", name, shown)
		}
	}
	if _, password, _ := l.NATS.Credentials(); password != "hunter2" {
		t.Errorf("the password is %q, want that of the environment", password)
	}
}

func TestSecretsFromFiles(t *testing.T) {
	dir := t.TempDir()
	key := writeFile(t, dir, "key", "  s3cret\n")
	empty := writeFile(t, dir, "empty", "\n")
	for _, test := range []struct {
		name, file, env string
		want, wantErr   string
	}{
		{"none", "", "", "", ""},
		{"the file, without white space around it", key, "", "s3cret", ""},
		{"the environment before the file", key, "other", "other", ""},
		{"an empty file", empty, "", "", "weaviate.api_key_file: " + empty + " is empty"},
	} {
		t.Run(test.name, func(t *testing.T) {
			got, err := Weaviate{APIKeyFile: test.file, APIKey: Secret(test.env)}.Key()
			if got != test.want || message(err) != test.wantErr {
				t.Errorf("got %q and error %q, want %q and %q", got, message(err), test.want, test.wantErr)
			}
		})
	}
	if _, err := (Weaviate{APIKeyFile: filepath.Join(dir, "absent")}).Key(); err == nil {
		t.Error("a file that is absent gives no error")
	}
}

func TestRedact(t *testing.T) {
	for text, want := range map[string]string{
		"":                                  "",
		"nats://one:4222":                   "nats://one:4222",
		"nats://ada:pw@one:4222":            "nats://ada:(set)@one:4222",
		"nats://token@one":                  "nats://(set)@one",
		"nats://a:p@one,nats://b:q@two/x":   "nats://a:(set)@one,nats://b:(set)@two/x",
		"https://example.com/@ada":          "https://example.com/@ada",
		"ada@example.com":                   "ada@example.com",
		"nats://a:p@ss@one:4222":            "nats://a:(set)@one:4222",
		"+https://github.com/x (me@host.x)": "+https://github.com/x (me@host.x)",
	} {
		if got := Redact(text); got != want {
			t.Errorf("Redact(%q) is %q, want %q", text, got, want)
		}
	}
}
