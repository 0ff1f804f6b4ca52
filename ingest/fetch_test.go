package ingest

import (
	"compress/gzip"
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"testing"
	"time"

	"github.com/tributary-kb/tributary"
)

// site serves the cases of the tests below.
func site(t *testing.T) *httptest.Server {
	t.Helper()
	mux := http.NewServeMux()
	mux.HandleFunc("/ok", func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Content-Type", "text/plain; charset=utf-8")
		fmt.Fprint(w, r.UserAgent())
	})
	for path, status := range map[string]int{"/missing": 404, "/gone": 410, "/forbidden": 403, "/broken": 500} {
		mux.HandleFunc(path, func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(status) })
	}
	mux.HandleFunc("/busy", func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Retry-After", r.URL.Query().Get("after"))
		w.WriteHeader(http.StatusTooManyRequests)
	})
	mux.HandleFunc("/moved", func(w http.ResponseWriter, r *http.Request) { http.Redirect(w, r, "/ok", http.StatusFound) })
	mux.HandleFunc("/circle", func(w http.ResponseWriter, r *http.Request) { http.Redirect(w, r, "/circle", http.StatusFound) })
	mux.HandleFunc("/to-file", func(w http.ResponseWriter, r *http.Request) {
		http.Redirect(w, r, "file:///etc/passwd", http.StatusFound)
	})
	mux.HandleFunc("/inside", func(w http.ResponseWriter, r *http.Request) {
		http.Redirect(w, r, strings.Replace("http://"+r.Host+"/ok", "127.0.0.1", "127.0.0.2", 1), http.StatusFound)
	})
	mux.HandleFunc("/long", func(w http.ResponseWriter, _ *http.Request) { fmt.Fprint(w, strings.Repeat("x", 2000)) })
	mux.HandleFunc("/bomb", func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Encoding", "gzip")
		z := gzip.NewWriter(w)
		fmt.Fprint(z, strings.Repeat("x", 100_000))
		_ = z.Close()
	})
	mux.HandleFunc("/never", func(_ http.ResponseWriter, r *http.Request) { <-r.Context().Done() })
	s := httptest.NewServer(mux)
	t.Cleanup(s.Close)
	return s
}

// fetcher may fetch from the site and has small limits.
func fetcher(t *testing.T, s *httptest.Server) *Fetcher {
	t.Helper()
	f, err := NewFetcher(Config{MaxBytes: 1000, Fetch: FetchConfig{
		AllowHosts: []string{strings.TrimPrefix(s.URL, "http://")}, MaxRedirects: 2, MaxRetryAfter: time.Minute,
		UserAgent: "agent", Contact: "ops@x.example",
	}})
	if err != nil {
		t.Fatal(err)
	}
	return f
}

func TestFetch(t *testing.T) {
	s := site(t)
	for _, path := range []string{"/ok", "/moved"} {
		got, err := fetcher(t, s).Fetch(t.Context(), s.URL+path)
		if err != nil {
			t.Fatal(err)
		}
		want := Fetched{URL: s.URL + "/ok", ContentType: "text/plain; charset=utf-8", Content: []byte("agent (ops@x.example)")}
		if got.URL != want.URL || got.ContentType != want.ContentType || string(got.Content) != string(want.Content) {
			t.Errorf("%s: got %+v, want %+v", path, got, want)
		}
	}
}

func TestFetchChoosesTheOutcome(t *testing.T) {
	s := site(t)
	inFuture := time.Now().Add(30 * time.Second).UTC().Format(http.TimeFormat)
	tests := []struct {
		name, path string
		outcome    tributary.Outcome
		least      time.Duration // and at most a minute, the cap
		say        []string
	}{
		{"forbidden", "/forbidden", tributary.Rejected, 0, []string{"403"}},
		{"a server error", "/broken", tributary.Retry, 0, []string{"500"}},
		{"busy for seconds", "/busy?after=7", tributary.Retry, 7 * time.Second, []string{"429"}},
		{"busy until a date", "/busy?after=" + url.QueryEscape(inFuture), tributary.Retry, 10 * time.Second, nil},
		{"busy for a year", "/busy?after=31536000", tributary.Retry, time.Minute, nil},
		{"busy for nonsense", "/busy?after=soon", tributary.Retry, 0, nil},
		{"too many redirects", "/circle", tributary.Rejected, 0, []string{"limit of 2", "ingest.fetch.max_redirects"}},
		{"a redirect to a file", "/to-file", tributary.Rejected, 0, []string{`scheme "file"`}},
		{"a redirect to a private address", "/inside", tributary.Rejected, 0, []string{"private", "ingest.fetch.allow_hosts"}},
		{"too long", "/long", tributary.Rejected, 0, []string{"limit of 1000", "ingest.max_bytes"}},
		{"too long when decompressed", "/bomb", tributary.Rejected, 0, []string{"limit of 1000", "ingest.max_bytes"}},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			_, err := fetcher(t, s).Fetch(t.Context(), s.URL+tt.path)
			outcome, after := tributary.OutcomeOf(err)
			if err == nil || outcome != tt.outcome || after < tt.least || after > time.Minute {
				t.Errorf("outcome %v after %v of %v, want %v after at least %v", outcome, after, err, tt.outcome, tt.least)
			}
			for _, want := range append(tt.say, s.URL) {
				if !strings.Contains(fmt.Sprint(err), want) {
					t.Errorf("error %q does not say %q", err, want)
				}
			}
		})
	}
}

func TestFetchSaysGone(t *testing.T) {
	s := site(t)
	for _, path := range []string{"/missing", "/gone"} {
		if _, err := fetcher(t, s).Fetch(t.Context(), s.URL+path); !errors.Is(err, ErrGone) {
			t.Errorf("%s: error %v, want ErrGone", path, err)
		}
	}
}

func TestFetchRefusesOddURLs(t *testing.T) {
	f, err := NewFetcher(Config{})
	if err != nil {
		t.Fatal(err)
	}
	for uri, say := range map[string]string{
		"file:///etc/passwd": "only http and https", "ftp://x.example/": "only http and https", "http:///x": "no host",
		"http://user:secret@x.example/": "credentials", "http://%zz": "malformed", "http://u:secret%zz@x.example/": "malformed",
		"http://:80/": "no host",
	} {
		_, err := f.Fetch(t.Context(), uri)
		if outcome, _ := tributary.OutcomeOf(err); outcome != tributary.Rejected || !strings.Contains(err.Error(), say) {
			t.Errorf("%s: outcome %v of %v, want a refusal that says %q", uri, outcome, err, say)
		}
		if err != nil && strings.Contains(err.Error(), "secret") {
			t.Errorf("the error %q tells the password", err)
		}
	}
}

func TestFetchAllowsNamedNetworks(t *testing.T) {
	s := site(t)
	f, err := NewFetcher(Config{Fetch: FetchConfig{AllowNetworks: []string{"127.0.0.0/8"}}})
	if err != nil {
		t.Fatal(err)
	}
	if _, err := f.Fetch(t.Context(), s.URL+"/ok"); err != nil {
		t.Error(err)
	}
}

func TestFetchGivesUpInTime(t *testing.T) {
	s := site(t)
	f := fetcher(t, s)
	f.cfg.Timeout = 50 * time.Millisecond
	_, err := f.Fetch(t.Context(), s.URL+"/never")
	outcome, _ := tributary.OutcomeOf(err)
	if outcome != tributary.Retry || !strings.Contains(err.Error(), "50ms (ingest.fetch.timeout)") {
		t.Errorf("outcome %v of %v, want a retry that names the limit", outcome, err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if _, err := f.Fetch(ctx, s.URL+"/never"); !errors.Is(err, context.Canceled) {
		t.Errorf("error %v, want context canceled", err)
	}
}

func TestUnreachableServerIsWorthARetry(t *testing.T) {
	s := site(t)
	f := fetcher(t, s)
	s.Close()
	_, err := f.Fetch(t.Context(), s.URL+"/ok")
	if outcome, _ := tributary.OutcomeOf(err); err == nil || outcome != tributary.Retry {
		t.Errorf("outcome %v of %v, want retry", outcome, err)
	}
}

func TestConfigIsValidated(t *testing.T) {
	bad := Config{MaxBytes: -1, ParseMemoryBytes: 1, Fetch: FetchConfig{AllowNetworks: []string{"10.0.0.0"}, UserAgent: "1/tributary"}}
	bad.SetDefaults()
	err := bad.Validate()
	for _, setting := range []string{"ingest.max_bytes", "ingest.parse_memory_bytes", "ingest.fetch.allow_networks", "ingest.fetch.user_agent"} {
		if !strings.Contains(fmt.Sprint(err), setting) {
			t.Errorf("error %v does not name %s", err, setting)
		}
	}
	var good Config
	good.SetDefaults()
	if err := good.Validate(); err != nil {
		t.Errorf("the defaults are invalid: %v", err)
	}
}

func TestBodyThatBreaksOffIsAnError(t *testing.T) {
	s := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Length", "100")
		_, _ = io.WriteString(w, "short")
	}))
	t.Cleanup(s.Close)
	if _, err := fetcher(t, s).Fetch(t.Context(), s.URL); !errors.Is(err, io.ErrUnexpectedEOF) {
		t.Errorf("error %v, want unexpected EOF", err)
	}
}
