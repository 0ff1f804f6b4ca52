package embedder

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"reflect"
	"strings"
	"testing"

	"github.com/rogpeppe/go-internal/txtar"

	"github.com/tributary-kb/tributary"
)

// A recording is an exchange of testdata/wire. Its server answers what the
// provider's documentation shows, and nothing to a request that is not shown.
type recording struct {
	t       *testing.T
	files   map[string]string
	refuses string // a text of such a request
}

func readRecording(t *testing.T, provider string) *recording {
	t.Helper()
	archive, err := txtar.ParseFile("testdata/wire/" + provider + ".txtar")
	if err != nil {
		t.Fatal(err)
	}
	r := &recording{t: t, files: map[string]string{}}
	for _, f := range archive.Files {
		r.files[f.Name] = strings.TrimSpace(string(f.Data))
	}
	return r
}

func (r *recording) ServeHTTP(w http.ResponseWriter, req *http.Request) {
	body, err := io.ReadAll(req.Body)
	switch {
	case err != nil || req.Header.Get("Authorization") != "Bearer the-key":
		r.t.Errorf("body %v, Authorization %q, want the key", err, req.Header.Get("Authorization"))
	case req.Method == http.MethodGet && req.URL.Path == "/info":
		io.WriteString(w, r.files["info"])
	case r.refuses != "" && strings.Contains(string(body), r.refuses):
		code, answer, _ := strings.Cut(r.files["refusal"], "\n")
		status(atoi(r.t, code), answer)(w)
	case r.shows("document", req, body):
		w.Header().Set("X-Compute-Tokens", "24")
		io.WriteString(w, r.files["reply"])
	case r.shows("query", req, body):
		io.WriteString(w, firstOf(r.t, r.files["reply"]))
	default:
		// The harmless text that follows a refusal, and nothing else.
		if !strings.Contains(string(body), probeText) {
			r.t.Errorf("%s %s %s is not in the recording", req.Method, req.URL.Path, body)
		}
		io.WriteString(w, firstOf(r.t, r.files["reply"]))
	}
}

func (r *recording) shows(name string, req *http.Request, body []byte) bool {
	line, want, _ := strings.Cut(r.files[name], "\n")
	return line == req.Method+" "+req.URL.Path && reflect.DeepEqual(parseJSON(r.t, want), parseJSON(r.t, string(body)))
}

func atoi(t *testing.T, text string) (n int) {
	if _, err := fmt.Sscan(text, &n); err != nil {
		t.Error(err)
	}
	return n
}

func parseJSON(t *testing.T, text string) (v any) {
	if err := json.Unmarshal([]byte(text), &v); err != nil {
		t.Error(err)
	}
	return v
}

// firstOf cuts a reply with two vectors down to the first.
func firstOf(t *testing.T, reply string) string {
	v := parseJSON(t, reply)
	var cut func(v any) any
	cut = func(v any) any {
		switch v := v.(type) {
		case map[string]any:
			for key := range v {
				v[key] = cut(v[key])
			}
		case []any:
			if len(v) == 2 {
				return v[:1]
			}
		}
		return v
	}
	data, err := json.Marshal(cut(v))
	if err != nil {
		t.Error(err)
	}
	return string(data)
}

// recorded lists the providers with the model of their recording.
var recorded = map[string]string{
	ProviderOpenAI: "text-embedding-3-small",
	ProviderOllama: "nomic-embed-text",
	ProviderCohere: "embed-v4.0",
	ProviderVoyage: "voyage-3.5",
	ProviderJina:   "jina-embeddings-v3",
	ProviderTEI:    "BAAI/bge-base-en-v1.5",
}

func (r *recording) model(t *testing.T, provider string) *Remote {
	t.Helper()
	s := httptest.NewServer(r)
	t.Cleanup(s.Close)
	t.Setenv("TRIBUTARY_TEST_KEY", "the-key")
	base := s.URL
	if provider == ProviderOpenAI || provider == ProviderVoyage || provider == ProviderJina {
		base += "/v1"
	}
	m, err := New(Config{Provider: provider, Model: recorded[provider], BaseURL: base, APIKeyEnv: "TRIBUTARY_TEST_KEY"})
	if err != nil {
		t.Fatal(err)
	}
	return m.(*Remote)
}

func TestEveryProviderHasARecording(t *testing.T) {
	for name := range providers {
		if recorded[name] == "" {
			t.Errorf("provider %s has no recording", name)
		}
	}
}

func TestProvidersSpeakAsRecorded(t *testing.T) {
	sky, grass := tributary.Vector{0.6, 0.8, 0}, tributary.Vector{0, -0.6, 0.8}
	for provider := range recorded {
		t.Run(provider, func(t *testing.T) {
			m := readRecording(t, provider).model(t, provider)
			documents, err := m.Embed(t.Context(), []string{"Why is the sky blue?", "Why is the grass green?"}, RoleDocument)
			if err != nil {
				t.Fatal(err)
			}
			query, err := m.Embed(t.Context(), []string{"Why is the sky blue?"}, RoleQuery)
			if err != nil {
				t.Fatal(err)
			}
			got := []tributary.Vector{documents[0], documents[1], query[0]}
			for i, want := range []tributary.Vector{sky, grass, sky} {
				for j := range want {
					if d := got[i][j] - want[j]; d > 1e-6 || d < -1e-6 {
						t.Errorf("vector %d is %v, want %v", i, got[i], want)
						break
					}
				}
			}
			if c := m.Counters(); c.Tokens < 24 {
				t.Errorf("%d tokens counted, the reply says 24", c.Tokens)
			}
		})
	}
}

func TestProvidersRefuseOneTextAlone(t *testing.T) {
	for provider := range recorded {
		t.Run(provider, func(t *testing.T) {
			r := readRecording(t, provider)
			r.refuses = "long"
			_, err := r.model(t, provider).Embed(t.Context(), []string{"a long text"}, RoleDocument)
			failed, _ := errors.AsType[tributary.BatchError](err)
			outcome, _ := tributary.OutcomeOf(failed[0])
			status, ok := errors.AsType[*statusError](failed[0])
			if outcome != tributary.Rejected || !ok || strings.ContainsAny(status.message, "{}") {
				t.Errorf("%v (%v), want a rejection with what the provider says", err, outcome)
			}
		})
	}
}

func TestTEITellsItsLimits(t *testing.T) {
	m := readRecording(t, ProviderTEI).model(t, ProviderTEI)
	if _, err := m.Dimension(t.Context()); err != nil {
		t.Fatal(err)
	}
	if got := m.Limits().Inputs; got != 2 {
		t.Errorf("%d texts a request, the server takes 2", got)
	}
	_, err := m.Embed(t.Context(), []string{strings.Repeat("word ", 513)}, RoleDocument)
	if failed, _ := errors.AsType[tributary.BatchError](err); failed[0] == nil || !strings.Contains(failed[0].Error(), "reads 512 tokens") {
		t.Errorf("%v, want a rejection that names the limit", err)
	}
}

func TestTEIMustServeTheConfiguredModel(t *testing.T) {
	for name, edit := range map[string]func(*Config){
		"another model":    func(c *Config) { c.Model = "BAAI/bge-m3" },
		"another revision": func(c *Config) { c.Revision = "main" },
	} {
		t.Run(name, func(t *testing.T) {
			r := readRecording(t, ProviderTEI)
			cfg := r.model(t, ProviderTEI).cfg
			edit(&cfg)
			m, err := New(cfg)
			if err != nil {
				t.Fatal(err)
			}
			_, err = m.Embed(t.Context(), []string{"text"}, RoleDocument)
			if outcome, _ := tributary.OutcomeOf(err); outcome != tributary.Waiting || !strings.Contains(fmt.Sprint(err), "serves") {
				t.Errorf("%v (%v), want to wait for the right server", err, outcome)
			}
		})
	}
}
