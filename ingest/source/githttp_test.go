package source

import (
	"encoding/base64"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/tributary-kb/tributary"
)

func TestGitConnectsToPublicAddressesOnly(t *testing.T) {
	s := newGitServer(t)
	s.commit(t, map[string]string{"a.md": ""})
	guarded := Env{Dir: t.TempDir()}
	if err := listFails(t, s.follow(t, tributary.SourceOptions{}, guarded)); outcome(err) != tributary.Rejected || !strings.Contains(err.Error(), "ingest.fetch.allow_hosts") {
		t.Errorf("error %v", err)
	}
	// A redirect is no way around.
	other := httptest.NewServer(http.NotFoundHandler())
	t.Cleanup(other.Close)
	s.answer = func(w http.ResponseWriter, r *http.Request) bool {
		http.Redirect(w, r, other.URL+r.URL.RequestURI(), http.StatusFound)
		return true
	}
	env := near(t)
	env.Ingest.Fetch.AllowHosts = []string{strings.TrimPrefix(s.URL, "http://")}
	if err := listFails(t, s.follow(t, tributary.SourceOptions{}, env)); outcome(err) != tributary.Rejected || !strings.Contains(err.Error(), "private") {
		t.Errorf("error %v", err)
	}
}

func TestGitShowsItsSecretToItsOwnHostOnly(t *testing.T) {
	s := newGitServer(t)
	s.commit(t, map[string]string{"a.md": "secret"})
	want := "Basic " + base64.StdEncoding.EncodeToString([]byte("me:hush-hush"))
	s.answer = func(w http.ResponseWriter, r *http.Request) bool {
		if r.Header.Get("Authorization") != want {
			w.WriteHeader(http.StatusUnauthorized)
			_, _ = io.WriteString(w, "who are you, "+r.Header.Get("Authorization"))
			return true
		}
		return false
	}
	t.Setenv("TEST_GIT_SECRET", "hush-hush")
	own := tributary.SourceOptions{User: "me", SecretEnv: "TEST_GIT_SECRET"}
	f := s.follow(t, own, near(t))
	items, _ := list(t, f, nil)
	if got := contents(t, f, items); got["a.md"] != "secret" {
		t.Errorf("got %v", got)
	}
	err := listFails(t, s.follow(t, tributary.SourceOptions{}, near(t)))
	if outcome(err) != tributary.Rejected || !strings.Contains(err.Error(), "401") {
		t.Errorf("without the secret: %v", err)
	}

	// Another host sends us here, and gets us to come without the secret.
	stranger := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.Header.Get("Authorization") == "" {
			t.Error("the location's own host is not shown the secret")
		}
		http.Redirect(w, r, s.URL+r.URL.RequestURI(), http.StatusFound)
	}))
	t.Cleanup(stranger.Close)
	err = listFails(t, follow(t, tributary.SourceGit, strings.Replace(s.url(), s.URL, stranger.URL, 1), own, near(t)))
	if outcome(err) != tributary.Rejected || !strings.Contains(err.Error(), "401") || strings.Contains(err.Error(), "hush") {
		t.Errorf("redirected to another host: %v", err)
	}
	// Where that one asks for nothing, the repository is read there.
	s.answer = func(_ http.ResponseWriter, r *http.Request) bool {
		if r.Header.Get("Authorization") != "" {
			t.Errorf("%s %s carries the secret of another host", r.Method, r.URL)
		}
		return false
	}
	f = follow(t, tributary.SourceGit, strings.Replace(s.url(), s.URL, stranger.URL, 1), own, near(t))
	items, _ = list(t, f, nil)
	if got := contents(t, f, items); got["a.md"] != "secret" {
		t.Errorf("got %v", got)
	}
}

func TestGitDoesAsServersSay(t *testing.T) {
	s := newGitServer(t)
	s.commit(t, map[string]string{"a.md": ""})
	for _, tt := range []struct {
		name, want string
		answer     func(w http.ResponseWriter, r *http.Request)
		outcome    tributary.Outcome
	}{
		{"busy", "429", func(w http.ResponseWriter, _ *http.Request) {
			w.Header().Set("Retry-After", "77")
			w.WriteHeader(http.StatusTooManyRequests)
		}, tributary.Retry},
		{"broken", "500", func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(http.StatusInternalServerError) }, tributary.Retry},
		{"not there", "404", http.NotFound, tributary.Retry},
		{"no git", "", func(w http.ResponseWriter, _ *http.Request) { _, _ = io.WriteString(w, "<html>") }, tributary.Retry},
		{"in a circle", "ingest.fetch.max_redirects", func(w http.ResponseWriter, r *http.Request) {
			http.Redirect(w, r, r.URL.RequestURI(), http.StatusFound)
		}, tributary.Rejected},
	} {
		s.answer = func(w http.ResponseWriter, r *http.Request) bool { tt.answer(w, r); return true }
		err := listFails(t, s.follow(t, tributary.SourceOptions{}, near(t)))
		got, after := tributary.OutcomeOf(err)
		if got != tt.outcome || !strings.Contains(err.Error(), tt.want) {
			t.Errorf("%s: outcome %v, error %v", tt.name, got, err)
		}
		if tt.name == "busy" && after != 77*time.Second {
			t.Errorf("comes again after %v", after)
		}
	}
	// So it does in the middle of a fetch.
	s.answer = func(w http.ResponseWriter, r *http.Request) bool {
		if r.Method == http.MethodPost {
			w.WriteHeader(http.StatusServiceUnavailable)
		}
		return r.Method == http.MethodPost
	}
	f := s.follow(t, tributary.SourceOptions{}, near(t))
	if err := listFails(t, f); outcome(err) != tributary.Retry || !strings.Contains(err.Error(), "503") {
		t.Errorf("error %v", err)
	}
	s.answer = nil
	if items, _ := list(t, f, nil); len(items) != 1 {
		t.Errorf("afterwards: %d items", len(items))
	}
}
