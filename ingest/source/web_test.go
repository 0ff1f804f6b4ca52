package source

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/tributary-kb/tributary"
	"github.com/tributary-kb/tributary/ingest"
)

// A webServer serves pages by their paths and remembers what it was asked.

type webServer struct {
	*httptest.Server
	mu    sync.Mutex
	pages map[string]http.HandlerFunc
	asked []string // paths, in order
}

func serve(t *testing.T, pages map[string]http.HandlerFunc) *webServer {
	t.Helper()
	s := &webServer{pages: pages}
	s.Server = httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		s.mu.Lock()
		page := s.pages[r.URL.Path]
		s.asked = append(s.asked, r.URL.Path)
		s.mu.Unlock()
		if page == nil {
			http.NotFound(w, r)
			return
		}
		page(w, r)
	}))
	t.Cleanup(s.Close)
	return s
}

func (s *webServer) set(path string, page http.HandlerFunc) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.pages[path] = page
}

// requests returns what was asked since the last call, robots.txt left out.

func (s *webServer) requests() []string {
	s.mu.Lock()
	defer s.mu.Unlock()
	asked := slices.DeleteFunc(s.asked, func(p string) bool { return p == "/robots.txt" })
	s.asked = nil
	return asked
}

// text serves a page with a validator; a request that has it gets a 304.

func text(contentType, body string, header ...string) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		body := strings.ReplaceAll(body, "HOST", "http://"+r.Host)
		etag := `"` + tributary.Hash([]byte(body)) + `"`
		w.Header().Set("ETag", etag)
		w.Header().Set("Content-Type", contentType)
		for i := 0; i+1 < len(header); i += 2 {
			w.Header().Set(header[i], header[i+1])
		}
		if r.Header.Get("If-None-Match") == etag {
			w.WriteHeader(http.StatusNotModified)
			return
		}
		_, _ = io.WriteString(w, body)
	}
}

func answers(code int, header ...string) http.HandlerFunc {
	return func(w http.ResponseWriter, _ *http.Request) {
		for i := 0; i+1 < len(header); i += 2 {
			w.Header().Set(header[i], header[i+1])
		}
		w.WriteHeader(code)
	}
}

// environ allows the servers by name.

func environ(servers ...*webServer) Env {
	var cfg ingest.Config
	for _, s := range servers {
		cfg.Fetch.AllowHosts = append(cfg.Fetch.AllowHosts, strings.TrimPrefix(s.URL, "http://"))
	}
	return Env{Ingest: cfg}
}

func open(t *testing.T, env Env, kind tributary.SourceKind, location string, o tributary.SourceOptions) Follower {
	t.Helper()
	f, err := New(tributary.Source{Name: "test", Kind: kind, Location: location, Options: o}, env)
	if err != nil {
		t.Fatal(err)
	}
	return f
}

func glance(t *testing.T, f Follower, cursor json.RawMessage) ([]Item, Listing) {
	t.Helper()
	var items []Item
	listing, err := f.List(t.Context(), cursor, func(i Item) error {
		items = append(items, i)
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	return items, listing
}

func uris(base string, items []Item) []string {
	out := make([]string, len(items))
	for i, item := range items {
		out[i] = strings.TrimPrefix(item.URI, base)
	}
	return out
}

// The server never stops sending what unpacks to a thousand times its size.

// The secret goes to the location's own host, and not where it redirects to.

func TestSecretStaysAtHome(t *testing.T) {
	var away []string
	other := serve(t, map[string]http.HandlerFunc{"/x": func(w http.ResponseWriter, r *http.Request) {
		away = append(away, r.Header.Get("Authorization"))
		fmt.Fprint(w, "elsewhere")
	}})
	var home []string
	s := serve(t, map[string]http.HandlerFunc{"/a": func(w http.ResponseWriter, r *http.Request) {
		home = append(home, r.Header.Get("Authorization"))
		http.Redirect(w, r, other.URL+"/x", http.StatusFound)
	}})
	file := filepath.Join(t.TempDir(), "secret")
	t.Setenv("TEST_SECRET", "from-env")
	tests := []struct {
		options tributary.SourceOptions
		want    string
	}{
		{tributary.SourceOptions{SecretFile: file}, "Bearer from-file"},
		{tributary.SourceOptions{User: "me", SecretEnv: "TEST_SECRET"}, "Basic bWU6ZnJvbS1lbnY="},
	}
	for _, tt := range tests {
		if err := os.WriteFile(file, []byte("from-file\n"), 0o600); err != nil {
			t.Fatal(err)
		}
		f := open(t, environ(s, other), tributary.SourcePage, s.URL+"/a", tt.options)
		if _, err := f.Load(t.Context(), Item{URI: s.URL + "/a"}, Known{}); err != nil {
			t.Fatal(err)
		}
		if got := home[len(home)-1]; got != tt.want {
			t.Errorf("authorization %q, want %q", got, tt.want)
		}
		if got := away[len(away)-1]; got != "" {
			t.Errorf("the other host was sent %q", got)
		}
	}
	f := open(t, environ(s, other), tributary.SourcePage, s.URL+"/a", tributary.SourceOptions{SecretFile: file + "-missing"})
	if _, err := f.Load(t.Context(), Item{URI: s.URL + "/a"}, Known{}); err == nil || !strings.Contains(err.Error(), "secret_file") {
		t.Errorf("error %v, want one that names secret_file", err)
	}
}

// recordingGate writes down who enters and how they leave.

type recordingGate struct {
	mu    sync.Mutex
	notes []string
}

func (g *recordingGate) Enter(_ context.Context, host string, pause time.Duration) (func(time.Duration), error) {
	return func(backoff time.Duration) {
		g.mu.Lock()
		defer g.mu.Unlock()
		g.notes = append(g.notes, fmt.Sprintf("%s pause %v backoff %v", host, pause, backoff))
	}, nil
}

func TestEveryRequestPassesTheGate(t *testing.T) {
	s := serve(t, map[string]http.HandlerFunc{
		"/robots.txt": text("text/plain", "User-agent: *\nCrawl-delay: 2\n"),
		"/":           answers(302, "Location", "/busy"),
		"/busy":       answers(503, "Retry-After", "11"),
	})
	gate, env := &recordingGate{}, environ(s)
	env.Gate = gate
	f := open(t, env, tributary.SourceSite, s.URL+"/", tributary.SourceOptions{})
	if _, err := f.Load(t.Context(), Item{URI: s.URL + "/"}, Known{}); err == nil {
		t.Fatal("no error of a busy server")
	}
	host := strings.TrimPrefix(s.URL, "http://")
	want := []string{host + " pause 0s backoff 0s", host + " pause 2s backoff 0s", host + " pause 2s backoff 11s"}
	if !slices.Equal(gate.notes, want) {
		t.Errorf("the gate saw %q, want %q", gate.notes, want)
	}
}

func TestSourcesThatCannotBeFollowed(t *testing.T) {
	hold := 0.5
	tests := map[string]tributary.Source{
		"absolute URL":       {Kind: tributary.SourcePage, Location: "/etc/passwd"},
		"http or https":      {Kind: tributary.SourceSite, Location: "ftp://x.example/"},
		"secret_file":        {Kind: tributary.SourceFeed, Location: "https://u:secret@x.example/"},
		"user is set":        {Kind: tributary.SourceFeed, Location: "https://x.example/", Options: tributary.SourceOptions{User: "me"}},
		"option depth means": {Kind: tributary.SourcePage, Location: "https://x.example/", Options: tributary.SourceOptions{Depth: 2, HoldBelow: &hold}},
		"option linked":      {Kind: tributary.SourceSite, Location: "https://x.example/", Options: tributary.SourceOptions{Linked: true}},
		"option branch":      {Kind: tributary.SourceSitemap, Location: "https://x.example/", Options: tributary.SourceOptions{Branch: "x"}},
		"include: pattern":   {Kind: tributary.SourceSitemap, Location: "https://x.example/", Options: tributary.SourceOptions{Include: []string{"#"}}},
	}
	for say, s := range tests {
		s.Name = "test"
		_, err := New(s, Env{})
		if err == nil || !strings.Contains(err.Error(), say) {
			t.Errorf("%+v: error %v, want one that says %q", s, err, say)
		}
		if err != nil && strings.Contains(err.Error(), "u:secret") {
			t.Errorf("the error %q tells the password", err)
		}
	}
}

// A sitemap that cannot be read whole must not look like an empty one.

func TestUnreachableRobotsAllowNothingForAWhile(t *testing.T) {
	s := serve(t, map[string]http.HandlerFunc{"/robots.txt": answers(500), "/": text("text/html", "x")})
	env := environ(s)
	web, err := NewWeb(env.Ingest, nil)
	if err != nil {
		t.Fatal(err)
	}
	now := time.Date(2026, 3, 3, 10, 0, 0, 0, time.UTC)
	web.now = func() time.Time { return now }
	env.Web = web
	f := open(t, env, tributary.SourceSite, s.URL, tributary.SourceOptions{})
	load := func() error { _, err := f.Load(t.Context(), Item{URI: s.URL + "/"}, Known{}); return err }
	for range 2 {
		if outcome, after := tributary.OutcomeOf(load()); outcome != tributary.Retry || after != robotsRetry {
			t.Errorf("outcome %v after %v, want another attempt after %v", outcome, after, robotsRetry)
		}
	}
	if asked := len(s.asked); asked != 1 {
		t.Errorf("robots.txt was asked for %d times, want once", asked)
	}
	now = now.Add(robotsUnreachable + time.Hour)
	if err := load(); err != nil {
		t.Errorf("after a month: %v, want it to count as not there", err)
	}
	s.set("/robots.txt", text("text/plain", "User-agent: *\nDisallow: /\n"))
	now = now.Add(robotsRetry + time.Second)
	if outcome, _ := tributary.OutcomeOf(load()); outcome != tributary.Rejected {
		t.Errorf("outcome %v, want refused by the rules", outcome)
	}
	s.set("/robots.txt", answers(503))
	now = now.Add(robotsFresh + time.Second)
	if outcome, _ := tributary.OutcomeOf(load()); outcome != tributary.Rejected {
		t.Errorf("outcome %v, want the old rules while there are no new ones", outcome)
	}
	s.set("/robots.txt", answers(404))
	now = now.Add(robotsRetry + time.Second)
	if err := load(); err != nil {
		t.Errorf("without a robots.txt: %v", err)
	}
}

func TestLoadStopsWithItsContext(t *testing.T) {
	s := serve(t, map[string]http.HandlerFunc{"/": func(_ http.ResponseWriter, r *http.Request) { <-r.Context().Done() }})
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	for _, kind := range []tributary.SourceKind{tributary.SourcePage, tributary.SourceSite} {
		f := open(t, environ(s), kind, s.URL+"/", tributary.SourceOptions{})
		if _, err := f.Load(ctx, Item{URI: s.URL + "/"}, Known{}); !errors.Is(err, context.Canceled) {
			t.Errorf("%s: error %v, want context canceled", kind, err)
		}
	}
}
