package local_test

import (
	"context"
	"crypto/sha1"
	"crypto/sha256"
	"fmt"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/tributary-kb/tributary/embedder/local"
)

const commit = "0123456789abcdef0123456789abcdef01234567"

// A hub serves a model as huggingface.co does: small files with git's checksum
// as their ETag, large ones from elsewhere, with what they are said on the way.
type hub struct {
	*httptest.Server
	files map[string][]byte
	sha   string // of the weights, as the hub says
	cut   int    // how many answers break off after half of what was asked for
	stall int    // how many answers stop in the middle and say nothing more

	mu       sync.Mutex
	requests []string
}

func newHub(t *testing.T) *hub {
	h := &hub{files: map[string][]byte{"README.md": []byte("not wanted"), "pytorch_model.bin": []byte("nor that")}}
	for _, name := range []string{"model.safetensors", "tokenizer.json"} {
		data, err := os.ReadFile("testdata/static/" + name)
		if err != nil {
			t.Fatal(err)
		}
		h.files[name] = data
	}
	h.files["config.json"], h.files["1_Pooling/config.json"] = []byte("{}"), []byte(`{"a":1}`)
	h.sha = fmt.Sprintf("%x", sha256.Sum256(h.files["model.safetensors"]))
	h.Server = httptest.NewServer(h)
	t.Cleanup(h.Close)
	return h
}

func (h *hub) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.requests = append(h.requests, strings.TrimSpace(r.URL.Path+" "+r.Header.Get("Range")))
	name := strings.TrimPrefix(r.URL.Path, "/owner/model/resolve/"+commit+"/")
	data, ok := h.files[name]
	switch {
	case r.URL.Path == "/api/models/owner/model/revision/main", r.URL.Path == "/api/models/owner/model/revision/"+commit:
		h.list(w)
	case r.URL.Path == "/elsewhere":
		h.large(w, r)
	case !ok:
		http.NotFound(w, r)
	case name == "model.safetensors":
		w.Header().Set("X-Linked-Etag", `"`+h.sha+`"`)
		w.Header().Set("X-Linked-Size", fmt.Sprint(len(data)))
		http.Redirect(w, r, "/elsewhere", http.StatusFound)
	default:
		w.Header().Set("ETag", fmt.Sprintf(`"%x"`, sha1.Sum(fmt.Appendf(nil, "blob %d\x00%s", len(data), data))))
		http.ServeContent(w, r, "", time.Time{}, strings.NewReader(string(data)))
	}
}

func (h *hub) list(w http.ResponseWriter) {
	var siblings []string
	for name := range h.files {
		siblings = append(siblings, fmt.Sprintf(`{"rfilename":%q}`, name))
	}
	fmt.Fprintf(w, `{"sha":%q,"siblings":[%s]}`, commit, strings.Join(siblings, ","))
}

func (h *hub) large(w http.ResponseWriter, r *http.Request) {
	data := h.files["model.safetensors"]
	w.Header().Set("ETag", `"something else"`)
	if h.cut > 0 {
		h.cut--
		w = &cutShort{w, len(data) / 4}
	}
	if h.stall > 0 {
		h.stall--
		w.Header().Set("Content-Length", fmt.Sprint(len(data)))
		_, _ = w.Write(data[:len(data)/4])
		_ = http.NewResponseController(w).Flush()
		<-r.Context().Done()
		return
	}
	http.ServeContent(w, r, "", time.Time{}, strings.NewReader(string(data)))
}

// cutShort lets some bytes through; the server then breaks the connection off,
// as fewer came than it has announced.
type cutShort struct {
	http.ResponseWriter
	left int
}

func (c *cutShort) Write(b []byte) (int, error) {
	n, _ := c.ResponseWriter.Write(b[:min(len(b), c.left)])
	c.left -= n
	return n, http.ErrAbortHandler
}

func (h *hub) obtain(t *testing.T, dir string) (string, error) {
	return local.Obtain(t.Context(), local.ObtainConfig{Name: "owner/model", CacheDir: dir, Endpoint: h.URL})
}

func TestModelsAreDownloadedOnce(t *testing.T) {
	h, cache := newHub(t), t.TempDir()
	dir, err := h.obtain(t, cache)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := local.OpenStatic(dir); err != nil {
		t.Error(err)
	}
	for name := range h.files {
		_, err := os.Stat(filepath.Join(dir, name))
		if wanted := name != "README.md" && name != "pytorch_model.bin"; wanted != (err == nil) {
			t.Errorf("%s: %v, wanted %t", name, err, wanted)
		}
	}
	h.Close() // what is there needs no network
	if again, err := h.obtain(t, cache); again != dir || err != nil {
		t.Errorf("again: %s, %v, want %s", again, err, dir)
	}
}

func TestDownloadsGoOnWhereTheyBrokeOff(t *testing.T) {
	h := newHub(t)
	h.cut = 2
	if _, err := h.obtain(t, t.TempDir()); err != nil {
		t.Fatal(err)
	}
	part := len(h.files["model.safetensors"]) / 4
	for _, want := range []string{fmt.Sprintf("/elsewhere bytes=%d-", part), fmt.Sprintf("/elsewhere bytes=%d-", 2*part)} {
		if !slices.Contains(h.requests, want) {
			t.Errorf("requests are %q, want %q among them", h.requests, want)
		}
	}
}

// pipes is a listener whose connections are in memory, on the clock of a test.
type pipes chan net.Conn

func (p pipes) Accept() (net.Conn, error) {
	c, open := <-p
	if !open {
		return nil, net.ErrClosed
	}
	return c, nil
}

func (p pipes) Close() error { close(p); return nil }

func (p pipes) Addr() net.Addr { return &net.TCPAddr{} }

func TestADownloadThatStallsIsAskedForAgain(t *testing.T) {
	h, cache := newHub(t), t.TempDir()
	h.stall = 1
	synctest.Test(t, func(t *testing.T) {
		listener := make(pipes)
		server := &http.Server{Handler: h}
		go func() { _ = server.Serve(listener) }()
		transport := &http.Transport{DialContext: func(context.Context, string, string) (net.Conn, error) {
			here, there := net.Pipe()
			listener <- there
			return here, nil
		}}
		if _, err := local.Obtain(t.Context(), local.ObtainConfig{
			Name: "owner/model", CacheDir: cache, Endpoint: "http://hub", Client: &http.Client{Transport: transport},
		}); err != nil {
			t.Error(err)
		}
		transport.CloseIdleConnections()
		if err := server.Close(); err != nil {
			t.Error(err)
		}
	})
	if want := fmt.Sprintf("/elsewhere bytes=%d-", len(h.files["model.safetensors"])/4); !slices.Contains(h.requests, want) {
		t.Errorf("requests are %q, want %q among them", h.requests, want)
	}
}

func TestDamagedDownloadsAreRefused(t *testing.T) {
	for _, c := range []struct {
		name, want string
		damage     func(*hub)
	}{
		{"a wrong checksum", "the server says 106 bytes with", func(h *hub) { h.sha = strings.Repeat("0", 64) }},
		{"no end", "broke off after", func(h *hub) { h.cut = 3 }},
		{"no weights", "the model has no model.safetensors", func(h *hub) { delete(h.files, "model.safetensors") }},
		{"no checksum", `with "something else"`, func(h *hub) { h.sha = "" }},
	} {
		t.Run(c.name, func(t *testing.T) {
			h, cache := newHub(t), t.TempDir()
			c.damage(h)
			if dir, err := h.obtain(t, cache); err == nil || !strings.Contains(err.Error(), c.want) {
				t.Errorf("got %q, %v, want %q", dir, err, c.want)
			}
			if found, _ := filepath.Glob(filepath.Join(cache, "*", "*", "model.safetensors")); len(found) > 0 {
				t.Errorf("the cache holds %v", found)
			}
		})
	}
}

func TestProcessesObtainAModelTogether(t *testing.T) {
	h, cache := newHub(t), t.TempDir()
	var group sync.WaitGroup
	for range 4 {
		group.Go(func() {
			if _, err := h.obtain(t, cache); err != nil {
				t.Error(err)
			}
		})
	}
	group.Wait()
	if n := len(h.requests); n != 6 { // the list, four files, and one of them elsewhere
		t.Errorf("%d requests, want 6: %q", n, h.requests)
	}
}

func TestNamesOfModelsStayInsideTheCache(t *testing.T) {
	for _, c := range []local.ObtainConfig{
		{Name: ""}, {Name: "model"}, {Name: "../model"}, {Name: "owner/.."}, {Name: "a/b/c"},
		{Name: "owner/model", Revision: "../.."}, {Name: "owner/model", Revision: "a/b"},
	} {
		c.CacheDir, c.Endpoint = t.TempDir(), "http://127.0.0.1:1"
		if _, err := local.Obtain(t.Context(), c); err == nil || !strings.Contains(err.Error(), " is not ") {
			t.Errorf("%+v: got %v", c, err)
		}
	}
}

func TestDownloadsEndWithTheirContext(t *testing.T) {
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	h := newHub(t)
	if _, err := local.Obtain(ctx, local.ObtainConfig{Name: "owner/model", CacheDir: t.TempDir(), Endpoint: h.URL}); err == nil {
		t.Error("got no error")
	}
}
