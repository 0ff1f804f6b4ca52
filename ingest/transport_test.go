package ingest

import (
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/tributary-kb/tributary"
)

// through asks for url by the guarded transport.
func through(t *testing.T, cfg FetchConfig, url string) (string, error) {
	t.Helper()
	f, err := NewFetcher(Config{Fetch: cfg})
	if err != nil {
		t.Fatal(err)
	}
	resp, err := (&http.Client{Transport: f.Transport()}).Get(url)
	if err != nil {
		return "", err
	}
	defer resp.Body.Close()
	body, err := io.ReadAll(resp.Body)
	return string(body), err
}

func TestTransportGuardsOtherProtocols(t *testing.T) {
	s := site(t)
	_, err := through(t, FetchConfig{}, s.URL+"/ok")
	if outcome, _ := tributary.OutcomeOf(err); outcome != tributary.Rejected || !strings.Contains(err.Error(), "ingest.fetch.allow_hosts") {
		t.Errorf("error %v, want a refusal that names the setting", err)
	}
	allowed := FetchConfig{AllowHosts: []string{strings.TrimPrefix(s.URL, "http://")}, UserAgent: "agent", Contact: "me"}
	if body, err := through(t, allowed, s.URL+"/ok"); err != nil || body != "agent (me)" {
		t.Errorf("got %q, %v", body, err)
	}
	if _, err := through(t, allowed, s.URL+"/inside"); err == nil || !strings.Contains(err.Error(), "private") {
		t.Errorf("a redirect to another private address: %v", err)
	}
}

func TestConnectionsOfOtherProtocolsAreGuarded(t *testing.T) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = l.Close() })
	dial := func(cfg FetchConfig) (net.Conn, error) {
		f, err := NewFetcher(Config{Fetch: cfg})
		if err != nil {
			t.Fatal(err)
		}
		return f.DialContext(t.Context(), "tcp", l.Addr().String())
	}
	_, err = dial(FetchConfig{})
	if outcome, _ := tributary.OutcomeOf(err); outcome != tributary.Rejected || !strings.Contains(err.Error(), "ingest.fetch.allow_hosts") {
		t.Errorf("error %v, want a refusal that names the setting", err)
	}
	conn, err := dial(FetchConfig{AllowHosts: []string{l.Addr().String()}, Timeout: time.Millisecond})
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = conn.Close() }()
	if _, err := conn.Read(make([]byte, 1)); err == nil || !strings.Contains(err.Error(), "1ms (ingest.fetch.timeout)") {
		t.Errorf("error %v, want one that names the limit", err)
	}
}

func TestTransportGivesUpOnSilence(t *testing.T) {
	s := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Path == "/half" {
			_, _ = io.WriteString(w, "half")
			_ = http.NewResponseController(w).Flush()
		}
		<-r.Context().Done()
	}))
	t.Cleanup(s.Close)
	cfg := FetchConfig{AllowNetworks: []string{"127.0.0.0/8"}, Timeout: 50 * time.Millisecond}
	for _, path := range []string{"/none", "/half"} {
		if _, err := through(t, cfg, s.URL+path); err == nil || !strings.Contains(err.Error(), "50ms (ingest.fetch.timeout)") {
			t.Errorf("%s: error %v, want one that names the limit", path, err)
		}
	}
}
