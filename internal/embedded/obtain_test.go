package embedded

import (
	"archive/tar"
	"archive/zip"
	"bytes"
	"compress/gzip"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"flag"
	"fmt"
	"net/http"
	"net/http/httptest"
	"os"
	"path"
	"path/filepath"
	"runtime"
	"strings"
	"sync"
	"testing"
)

var update = flag.Bool("update", false, "write the files that a test compares")

func TestEmbeddedModuleIsTheOneInDeploy(t *testing.T) {
	for _, name := range []string{"go.mod", "go.sum"} {
		want, err := os.ReadFile(filepath.Join("..", "..", "deploy", "weaviate", name))
		if err != nil {
			t.Fatal(err)
		}
		embedded := filepath.Join("weaviatebuild", name+".txt")
		if *update {
			if err := os.WriteFile(embedded, want, 0o644); err != nil {
				t.Fatal(err)
			}
			continue
		}
		got, err := weaviateModule.ReadFile(filepath.ToSlash(embedded))
		if err != nil {
			t.Fatal(err)
		}
		if !bytes.Equal(got, want) {
			t.Errorf("%s differs from deploy/weaviate/%s: run go generate ./internal/embedded", embedded, name)
		}
	}
}

func TestPinnedModuleIsTheVersion(t *testing.T) {
	text, err := weaviateModule.ReadFile("weaviatebuild/go.mod.txt")
	if err != nil {
		t.Fatal(err)
	}
	for _, want := range []string{"github.com/weaviate/weaviate v" + WeaviateVersion, "tool " + serverPackage} {
		if !strings.Contains(string(text), want) {
			t.Errorf("deploy/weaviate/go.mod has no %q", want)
		}
	}
}

func TestReleaseAssetIsNamedAsPublished(t *testing.T) {
	tests := []struct{ goos, goarch, want string }{
		{"linux", "amd64", "weaviate-v1.35.2-linux-amd64.tar.gz"},
		{"linux", "arm64", "weaviate-v1.35.2-linux-arm64.tar.gz"},
		{"darwin", "arm64", "weaviate-v1.35.2-darwin-all.zip"},
		{"windows", "amd64", "weaviate-v1.35.2-windows-amd64.zip"},
		{"linux", "riscv64", ""},
	}
	for _, test := range tests {
		got, err := releaseAsset(test.goos, test.goarch)
		if got != test.want || (err != nil) != (test.want == "") {
			t.Errorf("%s/%s: got %q, error %v; want %q", test.goos, test.goarch, got, err, test.want)
		}
	}
}

const fakeServer = "the server"

// archive is a release archive of this system with the named file in it.
func archive(t *testing.T, name string) []byte {
	t.Helper()
	asset, err := releaseAsset(runtime.GOOS, runtime.GOARCH)
	if err != nil {
		t.Skip(err)
	}
	var buf bytes.Buffer
	if strings.HasSuffix(asset, ".zip") {
		z := zip.NewWriter(&buf)
		w, err := z.Create(name)
		if err == nil {
			_, err = w.Write([]byte(fakeServer))
		}
		if err := errors.Join(err, z.Close()); err != nil {
			t.Fatal(err)
		}
		return buf.Bytes()
	}
	gz := gzip.NewWriter(&buf)
	w := tar.NewWriter(gz)
	err = w.WriteHeader(&tar.Header{Name: name, Mode: 0o755, Size: int64(len(fakeServer)), Typeflag: tar.TypeReg})
	if err == nil {
		_, err = w.Write([]byte(fakeServer))
	}
	if err := errors.Join(err, w.Close(), gz.Close()); err != nil {
		t.Fatal(err)
	}
	return buf.Bytes()
}

func sumOf(text []byte) string {
	sum := sha256.Sum256(text)
	return hex.EncodeToString(sum[:])
}

// releases serves an archive and its checksum file; an empty one is absent.
// It counts the requests for archives.
type releases struct {
	archive  []byte
	checksum string
	cut      bool // break off in the middle

	mu       sync.Mutex
	archives int
}

func (r *releases) ServeHTTP(w http.ResponseWriter, req *http.Request) {
	if strings.HasSuffix(req.URL.Path, ".sha256") {
		if r.checksum == "" {
			http.NotFound(w, req)
			return
		}
		fmt.Fprintln(w, r.checksum)
		return
	}
	r.mu.Lock()
	r.archives++
	r.mu.Unlock()
	switch {
	case r.archive == nil || !strings.HasPrefix(path.Base(req.URL.Path), "weaviate-v"+WeaviateVersion):
		http.NotFound(w, req)
	case r.cut:
		w.Header().Set("Content-Length", fmt.Sprint(len(r.archive)))
		w.Write(r.archive[:len(r.archive)/2])
	default:
		w.Write(r.archive)
	}
}

// obtainFrom obtains from r, with an empty cache and no Go toolchain unless
// the test has set one up. It returns what Progress was told.
func obtainFrom(t *testing.T, r *releases, cache string) (path string, stages []string, err error) {
	t.Helper()
	srv := httptest.NewServer(r)
	defer srv.Close()
	path, err = ObtainWeaviate(t.Context(), ObtainConfig{
		CacheDir:   cache,
		ReleaseURL: srv.URL,
		Progress: func(stage string, done, total int64) {
			stages = append(stages, fmt.Sprintf("%s %d/%d", stage, done, total))
		},
	})
	return path, stages, err
}

func TestArchiveWithTheRightChecksumIsUsedOnce(t *testing.T) {
	t.Setenv("PATH", "")
	text := archive(t, executable("weaviate"))
	for _, checksum := range []string{sumOf(text), strings.ToUpper(sumOf(text)), sumOf(text) + "  weaviate.tar.gz"} {
		cache := t.TempDir()
		r := &releases{archive: text, checksum: checksum}
		file, stages, err := obtainFrom(t, r, cache)
		if err != nil {
			t.Fatal(err)
		}
		wantServer(t, file)
		if all := strings.Join(stages, "\n"); !strings.Contains(all, fmt.Sprintf("downloading %d/%d", len(text), len(text))) {
			t.Errorf("got progress %q, want the whole download in it", all)
		}
		again, stages, err := obtainFrom(t, r, cache)
		if err != nil || again != file || r.archives != 1 || len(stages) != 0 {
			t.Errorf("second time: got %s, error %v, %d downloads, progress %q; want %s, none, 1 and none",
				again, err, r.archives, stages, file)
		}
		wantCleanCache(t, filepath.Dir(file))
	}
}

func wantServer(t *testing.T, file string) {
	t.Helper()
	text, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	if string(text) != fakeServer {
		t.Errorf("got binary %q, want %q", text, fakeServer)
	}
	if info, err := os.Stat(file); err != nil || runtime.GOOS != "windows" && info.Mode().Perm() != 0o755 {
		t.Errorf("got %v, error %v; want an executable", info.Mode(), err)
	}
}

// wantCleanCache fails when something other than the binary is left.
func wantCleanCache(t *testing.T, dir string) {
	t.Helper()
	entries, err := os.ReadDir(dir)
	if err != nil {
		t.Fatal(err)
	}
	for _, e := range entries {
		switch e.Name() {
		case "lock", executable("weaviate"), executable("weaviate") + ".sha256":
		default:
			t.Errorf("%s is left in the cache", e.Name())
		}
	}
}

func TestUntrustworthyArchiveIsRefused(t *testing.T) {
	good := archive(t, executable("weaviate"))
	other := archive(t, "README.md")
	tests := []struct {
		name string
		r    *releases
		want string
	}{
		{"no checksum published", &releases{archive: good}, ".sha256: status 404"},
		{"a checksum that is none", &releases{archive: good, checksum: "<html>"}, "no SHA-256"},
		{"a short checksum", &releases{archive: good, checksum: "abcd"}, "no SHA-256"},
		{"another checksum", &releases{archive: good, checksum: sumOf(other)}, "published is " + sumOf(other)},
		{"no archive", &releases{checksum: sumOf(good)}, "status 404"},
		{"a truncated archive", &releases{archive: good, checksum: sumOf(good), cut: true}, "unexpected EOF"},
		{"an archive without the server", &releases{archive: other, checksum: sumOf(other)}, "no file named weaviate"},
		{"no archive at all in it", &releases{archive: []byte("x"), checksum: sumOf([]byte("x"))}, "unpack"},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			t.Setenv("PATH", "")
			cache := t.TempDir()
			file, stages, err := obtainFrom(t, test.r, cache)
			if err == nil {
				t.Fatalf("got %s, want an error", file)
			}
			if !strings.Contains(err.Error(), test.want) || !strings.Contains(err.Error(), "Go toolchain is not on PATH") {
				t.Errorf("got error %q, want %q and the absent toolchain in it", err, test.want)
			}
			if all := strings.Join(stages, "\n"); !strings.Contains(all, "release archive not used") {
				t.Errorf("got progress %q, want the refusal in it", all)
			}
			wantCleanCache(t, filepath.Join(cache, cacheName()))
		})
	}
}

func TestDamagedCacheIsReplaced(t *testing.T) {
	t.Setenv("PATH", "")
	text := archive(t, executable("weaviate"))
	cache := t.TempDir()
	r := &releases{archive: text, checksum: sumOf(text)}
	file, _, err := obtainFrom(t, r, cache)
	if err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(file, []byte("damaged"), 0o755); err != nil {
		t.Fatal(err)
	}
	file, stages, err := obtainFrom(t, r, cache)
	if err != nil {
		t.Fatal(err)
	}
	wantServer(t, file)
	if all := strings.Join(stages, "\n"); !strings.Contains(all, "cached binary not used") {
		t.Errorf("got progress %q, want the damage in it", all)
	}
}

func TestServerIsBuiltWithoutAnArchive(t *testing.T) {
	useFakeGo(t, "gotool")
	file, stages, err := obtainFrom(t, &releases{}, t.TempDir())
	if err != nil {
		t.Fatal(err)
	}
	wantServer(t, file)
	wantCleanCache(t, filepath.Dir(file))
	all := strings.Join(stages, "\n")
	for _, want := range []string{
		"release archive not used", "status 404",
		"fetching modules 1/0",
		"compiling packages 0/2", "compiling packages 2/2",
	} {
		if !strings.Contains(all, want) {
			t.Errorf("got progress %q, want %q in it", all, want)
		}
	}
}

func TestFailedBuildTellsWhy(t *testing.T) {
	useFakeGo(t, "brokengotool")
	_, _, err := obtainFrom(t, &releases{}, t.TempDir())
	if err == nil || !strings.Contains(err.Error(), "go list: exit status 1:\ngo: no such module") {
		t.Errorf("got error %v, want the go command's", err)
	}
}

// useFakeGo puts this binary on PATH as the go command.
func useFakeGo(t *testing.T, role string) {
	t.Helper()
	self, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	dir := t.TempDir()
	if err := os.Symlink(self, filepath.Join(dir, executable("go"))); err != nil {
		t.Fatal(err)
	}
	t.Setenv("PATH", dir)
	t.Setenv(helperEnv, role)
}

// playGoTool answers as "go list" and "go build" do.
func playGoTool(args []string) {
	if _, err := os.Stat("go.sum"); err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1) //nolint:forbidigo // plays a go command that fails
	}
	switch args[0] {
	case "list":
		fmt.Fprintln(os.Stderr, "go: downloading example.com/m v1.0.0")
		fmt.Println("a/b\n\nc")
	case "build":
		fmt.Fprintln(os.Stderr, "a/b\nc")
		for i, arg := range args {
			if arg == "-o" {
				_ = os.WriteFile(args[i+1], []byte(fakeServer), 0o644)
			}
		}
	}
}

func TestTwoThatObtainAtOnceWorkOnce(t *testing.T) {
	t.Setenv("PATH", "")
	text := archive(t, executable("weaviate"))
	cache := t.TempDir()
	r := &releases{archive: text, checksum: sumOf(text)}
	var wg sync.WaitGroup
	for range 4 {
		wg.Go(func() {
			if _, _, err := obtainFrom(t, r, cache); err != nil {
				t.Error(err)
			}
		})
	}
	wg.Wait()
	if r.archives != 1 {
		t.Errorf("got %d downloads, want 1", r.archives)
	}
}

func TestInterruptedObtainDoesNotBuild(t *testing.T) {
	ctx, cancel := context.WithCancel(t.Context())
	srv := httptest.NewServer(http.HandlerFunc(func(_ http.ResponseWriter, req *http.Request) {
		cancel()
		<-req.Context().Done()
	}))
	defer srv.Close()
	var stages []string
	_, err := ObtainWeaviate(ctx, ObtainConfig{
		CacheDir: t.TempDir(), ReleaseURL: srv.URL,
		Progress: func(stage string, _, _ int64) { stages = append(stages, stage) },
	})
	if !errors.Is(err, context.Canceled) {
		t.Errorf("got error %v, want %v", err, context.Canceled)
	}
	if len(stages) != 1 {
		t.Errorf("got stages %q, want the first only", stages)
	}
}
