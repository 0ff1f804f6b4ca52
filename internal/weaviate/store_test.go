package weaviate

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/google/uuid"

	tributary "github.com/tributary-kb/tributary"
	"github.com/tributary-kb/tributary/internal/testenv"
)

const testDim = 8

var testCollection = Collection{Embedder: "test/1", Dimension: testDim}

// openStore returns a Store on the real server.
func openStore(tb testing.TB) *Store {
	tb.Helper()
	server := testenv.Weaviate(tb)
	return openAt(tb, Config{Address: server.HTTP, GRPCAddress: server.GRPC})
}

func openAt(tb testing.TB, config Config) *Store {
	tb.Helper()
	s, err := Open(tb.Context(), config)
	if err != nil {
		tb.Fatal(err)
	}
	tb.Cleanup(s.Close)
	return s
}

// newKB creates the collection of a knowledge base of the test's own.
func newKB(tb testing.TB, s *Store) string {
	tb.Helper()
	kb := testenv.KB(tb)
	if err := s.EnsureCollection(tb.Context(), kb, testCollection); err != nil {
		tb.Fatal(err)
	}
	tb.Cleanup(func() {
		if err := s.DropCollection(context.WithoutCancel(tb.Context()), kb); err != nil {
			tb.Errorf("clean up: %v", err)
		}
	})
	return kb
}

// newObject returns an object under a new id, with a random vector.
func newObject(document string, birth uint64) tributary.Object {
	return tributary.Object{
		ID:         uuid.NewString(),
		Document:   document,
		URI:        "https://example.org/" + document,
		Birth:      birth,
		Attributes: tributary.Attributes{Title: "Streams"},
		Text:       "A consumer reads the messages of a stream.",
		Hash:       "0123456789abcdef0123456789abcdef",
		Changed:    time.Date(2024, 5, 1, 12, 0, 0, 0, time.UTC),
		Vector:     randomVector(testDim),
	}
}

func newObjects(n int, document string, birth uint64) []tributary.Object {
	out := make([]tributary.Object, n)
	for i := range out {
		out[i] = newObject(document, birth)
	}
	return out
}

func randomVector(dim int) tributary.Vector {
	v := make(tributary.Vector, dim)
	for i := range v {
		v[i] = rand.Float32() - 0.5
	}
	return v
}

func axis(i int) tributary.Vector {
	v := make(tributary.Vector, testDim)
	v[i] = 1
	return v
}

func insert(tb testing.TB, s *Store, kb string, objects ...tributary.Object) {
	tb.Helper()
	if err := s.Insert(tb.Context(), kb, objects); err != nil {
		tb.Fatal(err)
	}
}

func idsOf(objects []tributary.Object) []string {
	out := make([]string, len(objects))
	for i, o := range objects {
		out[i] = o.ID
	}
	return out
}

func count(tb testing.TB, s *Store, kb string) int {
	tb.Helper()
	n, err := s.Count(tb.Context(), kb)
	if err != nil {
		tb.Fatal(err)
	}
	return n
}

func outcome(err error) tributary.Outcome {
	o, _ := tributary.OutcomeOf(err)
	return o
}

// unusedAddress is one on which nobody listens.
func unusedAddress(t *testing.T) string {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = l.Close() }()
	return l.Addr().String()
}

func TestAnOpenStoreIsReadyAndKnowsTheVersion(t *testing.T) {
	s := openStore(t)
	if err := s.Ready(t.Context()); err != nil {
		t.Errorf("Ready() = %v, want nil", err)
	}
	version, err := s.Version(t.Context())
	if err != nil || !strings.HasPrefix(version, "1.") {
		t.Errorf("Version() = %q, %v, want 1.x", version, err)
	}
}

func TestOpenRefusesAnUnusableConfig(t *testing.T) {
	empty := filepath.Join(t.TempDir(), "key")
	if err := os.WriteFile(empty, []byte("\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	for _, test := range []struct {
		name   string
		config Config
		want   string
	}{
		{"scheme", Config{Scheme: "ftp"}, `scheme "ftp": want http or https`},
		{"timeout", Config{Timeout: -1}, "timeout -1ns: want more than 0"},
		{"two keys", Config{APIKey: "secret", APIKeyFile: empty}, "both the key and a file for it are set"},
		{"empty key file", Config{APIKeyFile: empty}, "is empty"},
		{"no key file", Config{APIKeyFile: empty + "x"}, "no such file"},
	} {
		t.Run(test.name, func(t *testing.T) {
			_, err := Open(t.Context(), test.config)
			if err == nil || !strings.Contains(err.Error(), test.want) {
				t.Errorf("Open() = %v, want an error with %q", err, test.want)
			}
			if outcome(err) == tributary.Waiting {
				t.Errorf("Open() = %v, which asks to wait for what waiting does not mend", err)
			}
		})
	}
}

func TestAServerThatIsAwayIsUnavailable(t *testing.T) {
	server := testenv.Weaviate(t)
	for _, test := range []struct {
		name   string
		config Config
	}{
		{"REST", Config{Address: unusedAddress(t)}},
		{"gRPC", Config{Address: server.HTTP, GRPCAddress: unusedAddress(t)}},
	} {
		t.Run(test.name, func(t *testing.T) {
			if _, err := Open(t.Context(), test.config); outcome(err) != tributary.Waiting {
				t.Errorf("Open() = %v, want tributary.Unavailable", err)
			}
		})
	}
}

func TestTheAPIKeyIsSentAndNeverShown(t *testing.T) {
	const key = "s3cr3t"
	file := filepath.Join(t.TempDir(), "key")
	if err := os.WriteFile(file, []byte(" "+key+"\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	var sent string
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if h := r.Header.Get("Authorization"); h != "" {
			sent = h
		}
		if strings.HasSuffix(r.URL.Path, "/meta") {
			_, _ = fmt.Fprint(w, `{"version":"1.35.2"}`)
			return
		}
		if strings.Contains(r.URL.Path, "/schema") {
			w.WriteHeader(http.StatusUnauthorized)
		}
	}))
	defer server.Close()
	address := strings.TrimPrefix(server.URL, "http://")
	s := openAt(t, Config{Address: address, GRPCAddress: address, APIKeyFile: file})
	_, err := s.Collections(t.Context())
	if err == nil || strings.Contains(err.Error(), key) || outcome(err) == tributary.Waiting {
		t.Errorf("Collections() = %v, want a plain error without the key", err)
	}
	if sent != "Bearer "+key {
		t.Errorf("server got authorization %q, want %q", sent, "Bearer "+key)
	}
}

func TestOverloadAndSilenceAreUnavailable(t *testing.T) {
	overload := `{"data":{"Get":null},"errors":[{"message":"429 Too many requests"}]}`
	young := `{"data":{"Get":null},"errors":[{"message":"tried to browse non-existing index for Tributary_docs"}]}`
	for _, test := range []struct {
		name   string
		answer http.HandlerFunc
		want   tributary.Outcome
	}{
		{"429", func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(http.StatusTooManyRequests) }, tributary.Waiting},
		{"503", func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(http.StatusServiceUnavailable) }, tributary.Waiting},
		{"429 inside a 200", func(w http.ResponseWriter, _ *http.Request) { _, _ = fmt.Fprint(w, overload) }, tributary.Waiting},
		{"a collection made a moment ago", func(w http.ResponseWriter, _ *http.Request) { _, _ = fmt.Fprint(w, young) }, tributary.Waiting},
		{"connection cut", func(http.ResponseWriter, *http.Request) { panic(http.ErrAbortHandler) }, tributary.Waiting},
		{"500", func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(http.StatusInternalServerError) }, tributary.Retry},
		{"422", func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(http.StatusUnprocessableEntity) }, tributary.Retry},
	} {
		t.Run(test.name, func(t *testing.T) {
			server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
				if strings.HasSuffix(r.URL.Path, "/graphql") {
					test.answer(w, r)
				}
			}))
			defer server.Close()
			address := strings.TrimPrefix(server.URL, "http://")
			s := openAt(t, Config{Address: address, GRPCAddress: address})
			_, err := s.Count(t.Context(), "docs")
			if err == nil || outcome(err) != test.want {
				t.Errorf("Count() = %v, outcome %v, want %v", err, outcome(err), test.want)
			}
		})
	}
}

func TestATimeoutIsUnavailableAndACancelledContextIsNot(t *testing.T) {
	release := make(chan struct{})
	server := httptest.NewServer(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
		if strings.HasSuffix(r.URL.Path, "/graphql") {
			<-release
		}
	}))
	defer server.Close()
	defer close(release)
	address := strings.TrimPrefix(server.URL, "http://")
	s := openAt(t, Config{Address: address, GRPCAddress: address})

	expired, cancel := context.WithDeadline(t.Context(), time.Now())
	defer cancel()
	if _, err := s.Count(expired, "docs"); outcome(err) != tributary.Waiting || !errors.Is(err, context.DeadlineExceeded) {
		t.Errorf("Count() after the deadline = %v, want tributary.Unavailable by the deadline", err)
	}
	cancelled, cancel := context.WithCancel(t.Context())
	cancel()
	if _, err := s.Count(cancelled, "docs"); !errors.Is(err, context.Canceled) {
		t.Errorf("Count() with a cancelled context = %v, want context.Canceled", err)
	}
}
