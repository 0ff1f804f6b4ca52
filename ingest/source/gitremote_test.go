package source

import (
	"bytes"
	"compress/zlib"
	"context"
	"crypto/ed25519"
	"encoding/base64"
	"encoding/pem"
	"io"
	"net"
	"net/http"
	"net/http/cgi"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"reflect"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/go-git/go-git/v5/plumbing"
	"golang.org/x/crypto/ssh"

	"github.com/tributary-kb/tributary"
	"github.com/tributary-kb/tributary/ingest"
)

// needGit skips a test where there is no git to serve a repository.
func needGit(t *testing.T) string {
	t.Helper()
	path, err := exec.LookPath("git")
	if err != nil {
		t.Skip("git is not installed, and no other server speaks its protocol as servers do")
	}
	return path
}

// gitServer serves a repository over http as git itself does.
type gitServer struct {
	*httptest.Server
	*repo
	mu       sync.Mutex
	requests []*http.Request
	answer   func(w http.ResponseWriter, r *http.Request) bool // instead of git, if it returns true
}

func newGitServer(t *testing.T) *gitServer {
	t.Helper()
	s := &gitServer{repo: newRepo(t)}
	backend := &cgi.Handler{
		Path: needGit(t), Args: []string{"http-backend"}, Stderr: io.Discard,
		Env: []string{"GIT_PROJECT_ROOT=" + filepath.Dir(s.dir), "GIT_HTTP_EXPORT_ALL=1",
			"GIT_CONFIG_COUNT=1", "GIT_CONFIG_KEY_0=safe.directory", "GIT_CONFIG_VALUE_0=*"},
	}
	s.Server = httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		s.mu.Lock()
		s.requests = append(s.requests, r)
		s.mu.Unlock()
		if s.answer == nil || !s.answer(w, r) {
			backend.ServeHTTP(w, r)
		}
	}))
	t.Cleanup(s.Close)
	return s
}

func (s *gitServer) url() string { return s.URL + "/" + filepath.Base(s.dir) + "/.git" }

// fetches counts the packs that were asked for.
func (s *gitServer) fetches() int {
	s.mu.Lock()
	defer s.mu.Unlock()
	n := 0
	for _, r := range s.requests {
		if r.Method == http.MethodPost {
			n++
		}
	}
	return n
}

// near is the surroundings of a worker that may connect to this machine.
func near(t *testing.T) Env {
	t.Helper()
	return Env{Dir: filepath.Join(t.TempDir(), "clone"), Ingest: ingest.Config{Fetch: ingest.FetchConfig{AllowHosts: []string{"127.0.0.1"}}}}
}

func (s *gitServer) follow(t *testing.T, o tributary.SourceOptions, env Env) Follower {
	t.Helper()
	return follow(t, tributary.SourceGit, s.url(), o, env)
}

// contents loads all items.
func contents(t *testing.T, f Follower, items []Item) map[string]string {
	t.Helper()
	got := map[string]string{}
	for _, item := range items {
		l, err := f.Load(t.Context(), item, Known{})
		fatal(t, err)
		got[item.URI[strings.LastIndexByte(item.URI, '/')+1:]] = string(l.Content)
	}
	return got
}

func TestGitFollowsARemoteRepository(t *testing.T) {
	s := newGitServer(t)
	first := s.commit(t, map[string]string{"a.md": "one", "b.md": "b"})
	f := s.follow(t, tributary.SourceOptions{}, near(t))
	if _, ok := f.(Watcher); ok {
		t.Error("a remote repository tells nothing by itself")
	}
	items, listing := list(t, f, nil)
	if got := names(items, "git:"+s.url()+"/"); !reflect.DeepEqual(got, []string{"a.md", "b.md"}) {
		t.Fatalf("got %q", got)
	}
	if got, want := contents(t, f, items), map[string]string{"a.md": "one", "b.md": "b"}; !reflect.DeepEqual(got, want) {
		t.Errorf("got %v, want %v", got, want)
	}
	if again, l := list(t, f, listing.Cursor); len(again) != 0 || !l.Unchanged || s.fetches() != 1 {
		t.Errorf("the same commit: %d items, %+v, %d fetches", len(again), l, s.fetches())
	}
	fatal(t, os.Rename(filepath.Join(s.dir, "a.md"), filepath.Join(s.dir, "c.md")))
	s.commit(t, map[string]string{"d.md": "d"}, "b.md")
	after, l := list(t, f, listing.Cursor)
	if got := names(after, "git:"+s.url()+"/"); !reflect.DeepEqual(got, []string{"c.md", "d.md"}) || after[0].Tag != items[0].Tag {
		t.Errorf("after a rename and a deletion: %+v", after)
	}
	if got, err := f.Load(t.Context(), items[1], Known{}); err != nil || got.Verdict != Gone {
		t.Errorf("what was deleted: %+v, %v", got, err)
	}
	// A force push back to where the branch was costs nothing, one to elsewhere
	// what is new there.
	fatal(t, s.Storer.SetReference(plumbing.NewHashReference("refs/heads/master", first)))
	back, l := list(t, f, l.Cursor)
	if !reflect.DeepEqual(back, items) || s.fetches() != 2 {
		t.Errorf("after a force push: %+v, %d fetches", back, s.fetches())
	}
	fatal(t, s.Storer.RemoveReference("refs/heads/master"))
	s.commit(t, map[string]string{"e.md": "e"}, "c.md", "d.md")
	runGit(t, s.dir, "reflog", "expire", "--expire=now", "--all")
	runGit(t, s.dir, "gc", "--quiet", "--prune=now")
	if _, err := s.CommitObject(first); err == nil {
		t.Fatal("the commit that was seen last is still there")
	}
	items, _ = list(t, f, l.Cursor)
	if got, want := contents(t, f, items), map[string]string{"e.md": "e"}; !reflect.DeepEqual(got, want) {
		t.Errorf("another history: got %v, want %v", got, want)
	}
}

func runGit(t *testing.T, dir string, args ...string) {
	t.Helper()
	if out, err := exec.CommandContext(t.Context(), "git", append([]string{"-C", dir}, args...)...).CombinedOutput(); err != nil {
		t.Fatalf("git %q: %v\n%s", args, err, out)
	}
}

func TestGitFetchesWhatIsNewAlone(t *testing.T) {
	s := newGitServer(t)
	files := map[string]string{}
	for _, name := range strings.Fields("a b c d e f g h") {
		files[name+".md"] = name + string(random(t, 20_000))
	}
	s.commit(t, files)
	env := near(t)
	f := s.follow(t, tributary.SourceOptions{}, env)
	_, listing := list(t, f, nil)
	before := diskSize(t, env.Dir)
	s.commit(t, map[string]string{"z.md": "new"})
	items, _ := list(t, f, listing.Cursor)
	if grown := diskSize(t, env.Dir) - before; len(items) != 9 || grown > 10_000 {
		t.Errorf("%d items, the clone grew by %d bytes", len(items), grown)
	}
	if got := contents(t, f, items)["z.md"]; got != "new" {
		t.Errorf("loaded %q", got)
	}
}

func random(t *testing.T, n int) []byte {
	t.Helper()
	text := make([]byte, n)
	x := uint32(1)
	for i := range text {
		x = x*1664525 + 1013904223
		text[i] = 'a' + byte(x>>24)%26
	}
	return text
}

func diskSize(t *testing.T, dir string) (n int64) {
	t.Helper()
	fatal(t, filepath.WalkDir(dir, func(_ string, d os.DirEntry, err error) error {
		if err == nil && !d.IsDir() {
			info, err := d.Info()
			fatal(t, err)
			n += info.Size()
		}
		return err
	}))
	return n
}

// A worker that takes over has no clone.
func TestGitGoesOnWithoutAClone(t *testing.T) {
	s := newGitServer(t)
	s.commit(t, map[string]string{"a.md": "one", "b.md": "b", "c.md": "c"})
	f := s.follow(t, tributary.SourceOptions{}, near(t))
	items, listing := list(t, f, nil)
	known, err := f.Load(t.Context(), items[0], Known{})
	fatal(t, err)

	fresh := s.follow(t, tributary.SourceOptions{}, near(t))
	fetched := s.fetches()
	if _, l := list(t, fresh, listing.Cursor); !l.Unchanged || s.fetches() != fetched {
		t.Errorf("nothing changed, and yet: %+v, %d fetches", l, s.fetches()-fetched)
	}
	if got, err := fresh.Load(t.Context(), items[0], known.Known); err != nil || got.Verdict != Unchanged {
		t.Errorf("loaded before it listed: %+v, %v", got, err)
	}

	s.commit(t, map[string]string{"b.md": "two"}, "c.md")
	fresh = s.follow(t, tributary.SourceOptions{}, near(t))
	after, l := list(t, fresh, listing.Cursor)
	if len(after) != 2 || after[0].Tag != items[0].Tag || after[1].Tag == items[1].Tag || l.Partial || !l.Authoritative {
		t.Errorf("after a takeover: %+v, listing %+v", after, l)
	}
	// The first worker is back, with a clone that is behind what was listed.
	if _, l := list(t, f, l.Cursor); !l.Unchanged {
		t.Errorf("listing %+v", l)
	}
	if got, err := f.Load(t.Context(), after[1], Known{}); err != nil || string(got.Content) != "two" {
		t.Errorf("loaded %q, %v", got.Content, err)
	}
	// So it is if it loads something before it lists.
	behind := near(t)
	list(t, s.follow(t, tributary.SourceOptions{}, behind), nil)
	s.commit(t, map[string]string{"b.md": "three"})
	if got, err := s.follow(t, tributary.SourceOptions{}, behind).Load(t.Context(), after[1], Known{}); err != nil || string(got.Content) != "three" {
		t.Errorf("loaded %q, %v", got.Content, err)
	}
}

func TestGitMakesADamagedCloneAnew(t *testing.T) {
	s := newGitServer(t)
	s.commit(t, map[string]string{"a.md": "one", "b.md": string(random(t, 20_000))})
	each := func(env Env, name string, damage func(path string) error) {
		t.Helper()
		n := 0
		fatal(t, filepath.WalkDir(env.Dir, func(path string, d os.DirEntry, err error) error {
			if ok, _ := filepath.Match(name, filepath.Base(path)); ok && err == nil && !d.IsDir() {
				n++
				fatal(t, os.Chmod(path, 0o600))
				return damage(path)
			}
			return err
		}))
		if n == 0 {
			t.Fatalf("no %s in the clone", name)
		}
	}
	empty := func(path string) error { return os.Truncate(path, 0) }
	spoil := func(path string) error {
		data, err := os.ReadFile(path)
		fatal(t, err)
		for i := 20; i < len(data)-20; i++ {
			data[i] ^= 0x55
		}
		return os.WriteFile(path, data, 0o600)
	}
	for _, tt := range []struct {
		name, file string
		damage     func(path string) error
	}{
		{"an empty pack", "*.pack", empty}, {"a spoiled pack", "*.pack", spoil}, {"no pack", "*.pack", os.Remove},
		{"a spoiled index", "*.idx", spoil}, {"no index", "*.idx", os.Remove}, {"no head", "HEAD", os.Remove}, {"no reference", "held", os.Remove},
	} {
		t.Run(tt.name, func(t *testing.T) {
			env := near(t)
			f := s.follow(t, tributary.SourceOptions{}, env)
			items, _ := list(t, f, nil)
			each(env, tt.file, tt.damage)
			for name, f := range map[string]Follower{"the same worker": f, "another one": s.follow(t, tributary.SourceOptions{}, env)} {
				got := contents(t, f, items)
				if got["a.md"] != "one" || len(got["b.md"]) != 20_000 {
					t.Errorf("%s: loaded %d items", name, len(got))
				}
				if again, _ := list(t, f, nil); !reflect.DeepEqual(again, items) {
					t.Errorf("%s: listed %+v", name, again)
				}
			}
		})
	}
}

func TestGitThrowsAwayWhatAnotherLocationLeft(t *testing.T) {
	one, two := newGitServer(t), newGitServer(t)
	one.commit(t, map[string]string{"a.md": "one"})
	two.commit(t, map[string]string{"a.md": "two"})
	env := near(t)
	for want, s := range map[string]*gitServer{"one": one, "two": two} {
		f := s.follow(t, tributary.SourceOptions{}, env)
		items, _ := list(t, f, nil)
		if got := contents(t, f, items)["a.md"]; got != want {
			t.Errorf("got %q, want %q", got, want)
		}
		entries, err := os.ReadDir(env.Dir)
		if err != nil || len(entries) != 1 {
			t.Errorf("%d clones, %v", len(entries), err)
		}
	}
}

func TestGitFollowsABranchOfARemote(t *testing.T) {
	s := newGitServer(t)
	f := s.follow(t, tributary.SourceOptions{}, near(t))
	if err := listFails(t, f); outcome(err) != tributary.Retry || !strings.Contains(err.Error(), "no commit yet") {
		t.Errorf("an empty repository: %v", err)
	}
	first := s.commit(t, map[string]string{"a.md": ""})
	s.commit(t, map[string]string{"b.md": ""})
	fatal(t, s.Storer.SetReference(plumbing.NewHashReference("refs/heads/team/old", first)))
	if items, _ := list(t, s.follow(t, tributary.SourceOptions{Branch: "team/old"}, near(t)), nil); len(items) != 1 {
		t.Errorf("items %+v", items)
	}
	if err := listFails(t, s.follow(t, tributary.SourceOptions{Branch: "none"}, near(t))); !strings.Contains(err.Error(), `branch "none"`) {
		t.Errorf("error %v", err)
	}
}

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

func TestGitIsBounded(t *testing.T) {
	s := newGitServer(t)
	s.commit(t, map[string]string{"a.md": string(random(t, 100_000))})
	env := near(t)
	env.RepositoryMaxBytes = 10_000
	err := listFails(t, s.follow(t, tributary.SourceOptions{}, env))
	if outcome(err) != tributary.Rejected || !strings.Contains(err.Error(), "limit of 10000 (sources.repository_max_bytes)") {
		t.Errorf("a large repository: %v", err)
	}
	// What grew beyond the limit by changes is made anew within it.
	env.RepositoryMaxBytes = 100_000
	f := s.follow(t, tributary.SourceOptions{}, env)
	_, listing := list(t, f, nil)
	s.commit(t, map[string]string{"a.md": strings.ToUpper(string(random(t, 90_000)))})
	items, _ := list(t, f, listing.Cursor)
	if got := contents(t, f, items)["a.md"]; len(got) != 90_000 || diskSize(t, env.Dir) > 110_000 {
		t.Errorf("loaded %d bytes, the clone has %d", len(got), diskSize(t, env.Dir))
	}
	s.answer = func(_ http.ResponseWriter, r *http.Request) bool { <-r.Context().Done(); return true }
	env.RepositoryTimeout = time.Millisecond
	if err := listFails(t, s.follow(t, tributary.SourceOptions{}, env)); outcome(err) != tributary.Retry || !strings.Contains(err.Error(), "1ms (sources.repository_timeout)") {
		t.Errorf("a slow server: %v", err)
	}
	env.RepositoryTimeout, env.Ingest.Fetch.Timeout = 0, time.Millisecond
	if err := listFails(t, s.follow(t, tributary.SourceOptions{}, env)); outcome(err) != tributary.Retry || !strings.Contains(err.Error(), "1ms (ingest.fetch.timeout)") {
		t.Errorf("a silent server: %v", err)
	}
}

func TestGitMakesACloneOfManyFilesAnew(t *testing.T) {
	s := newGitServer(t)
	f := s.follow(t, tributary.SourceOptions{}, near(t))
	c := &f.(*repository).origin.(*remote).clone
	c.files = 20
	s.commit(t, map[string]string{"a.md": "0"})
	_, listing := list(t, f, nil)
	for i := range 10 { // each adds a commit, a tree and a file
		s.commit(t, map[string]string{"a.md": strings.Repeat("x", i)})
		var items []Item
		items, listing = list(t, f, listing.Cursor)
		if got := contents(t, f, items)["a.md"]; len(got) != i {
			t.Errorf("loaded %q", got)
		}
	}
	files := 0
	fatal(t, filepath.WalkDir(c.dir, func(_ string, d os.DirEntry, err error) error {
		if err == nil && !d.IsDir() {
			files++
		}
		return err
	}))
	if files > 23 {
		t.Errorf("the clone has %d files", files)
	}
}

// pack makes a pack of one object, whose header may lie.
func pack(kind plumbing.ObjectType, size int, before, content []byte) []byte {
	var b bytes.Buffer
	b.WriteString("PACK\x00\x00\x00\x02\x00\x00\x00\x01")
	first := byte(kind)<<4 | byte(size&15)
	for size >>= 4; size > 0; size >>= 7 {
		b.WriteByte(first | 0x80)
		first = byte(size & 127)
	}
	b.WriteByte(first)
	b.Write(before)
	z := zlib.NewWriter(&b)
	_, _ = z.Write(content)
	_ = z.Close()
	b.Write(make([]byte, 20))
	return b.Bytes()
}

func TestPacksThatCostMoreThanTheyLookLikeAreRefused(t *testing.T) {
	zeros := make([]byte, 1<<20)
	delta := append([]byte{10}, 0xff, 0xff, 0xff, 0xff, 0x7f) // from 10 bytes to 34 GB
	for _, tt := range []struct {
		name string
		pack []byte
		want string // "" for a pack that is fine
	}{
		{"a file", pack(plumbing.BlobObject, 100, nil, zeros[:100]), ""},
		{"a large file", pack(plumbing.BlobObject, len(zeros), nil, zeros), "limit of 1000 (sources.repository_max_bytes)"},
		{"a file larger than it says", pack(plumbing.BlobObject, 10, nil, zeros), "inflated"},
		{"a delta that makes a large file", pack(plumbing.REFDeltaObject, len(delta), make([]byte, 20), delta), "limit of 1000"},
		{"a delta of nothing", pack(plumbing.REFDeltaObject, 0, make([]byte, 20), nil), "limit of 1000"},
		{"many objects", append([]byte("PACK\x00\x00\x00\x02\x7f\x00\x00\x00"), zeros[:30]...), "objects are more than"},
		{"no pack", []byte("<html>"), "pack file signature"},
	} {
		err := checkPack(t.Context(), bytes.NewReader(tt.pack), 1000)
		if tt.want == "" && err != nil || tt.want != "" && (err == nil || !strings.Contains(err.Error(), tt.want)) {
			t.Errorf("%s: error %v, want %q", tt.name, err, tt.want)
		}
	}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if err := checkPack(ctx, bytes.NewReader(pack(plumbing.BlobObject, 1, nil, zeros[:1])), 1000); err == nil {
		t.Error("it does not end with its context")
	}
}

func FuzzCheckPack(f *testing.F) {
	f.Add(pack(plumbing.BlobObject, 3, nil, []byte("abc")))
	f.Add(pack(plumbing.REFDeltaObject, 2, make([]byte, 20), []byte{1, 1}))
	f.Fuzz(func(t *testing.T, data []byte) {
		_ = checkPack(t.Context(), bytes.NewReader(data), 1<<10)
	})
}

func TestRemoteLocations(t *testing.T) {
	key := tributary.SourceOptions{SecretEnv: "TEST_NONE", KnownHosts: "/none"}
	for _, tt := range []struct {
		location string
		options  tributary.SourceOptions
		want     string // of the URIs, or of the error
		fails    bool
	}{
		{"https://x.example/a/b.git/", tributary.SourceOptions{}, "git:https://x.example/a/b.git/", false},
		{"git@x.example:a/b.git", key, "git:ssh://git@x.example/a/b.git/", false},
		{"ssh://x.example:2222/a b", key, "git:ssh://x.example:2222/a%20b/", false},
		{"https://u:secret@x.example/r.git", tributary.SourceOptions{}, "secret_file", true},
		{"https://secret@x.example/r.git", tributary.SourceOptions{}, "secret_file", true},
		{"ssh://u:secret@x.example/r.git", key, "secret_file", true},
		{"git://x.example/r.git", tributary.SourceOptions{}, "https, http and ssh only", true},
		{"some/path", tributary.SourceOptions{}, "neither an absolute path nor a URL", true},
		{"https://x.example/r.git?a=b", tributary.SourceOptions{}, "query", true},
		{"https://x.example/r.git", tributary.SourceOptions{KnownHosts: "/none"}, "known_hosts means nothing", true},
		{"https://x.example/r.git", tributary.SourceOptions{User: "me"}, "user is set without", true},
		{"git@x.example:r.git", tributary.SourceOptions{KnownHosts: "/none"}, "private key", true},
		{"git@x.example:r.git", tributary.SourceOptions{SecretEnv: "TEST_NONE"}, "known_hosts", true},
	} {
		f, err := New(tributary.Source{Name: "x", Kind: tributary.SourceGit, Location: tt.location, Options: tt.options}, Env{Dir: t.TempDir()})
		switch {
		case tt.fails:
			if outcome(err) != tributary.Rejected || !strings.Contains(err.Error(), tt.want) || strings.Contains(err.Error(), "u:secret") {
				t.Errorf("%s: error %v, want %q", tt.location, err, tt.want)
			}
		case err != nil:
			t.Errorf("%s: %v", tt.location, err)
		case f.(*repository).base != tt.want:
			t.Errorf("%s: URIs begin with %s, want %s", tt.location, f.(*repository).base, tt.want)
		}
	}
}

// sshServer runs upload-pack for whoever has the right key.
type sshServer struct {
	net.Listener
	*repo
	host   ssh.Signer
	client ssh.Signer
	pem    []byte // of the client's private key
}

func newKey(t *testing.T, seed byte) (ssh.Signer, []byte) {
	t.Helper()
	key := ed25519.NewKeyFromSeed(bytes.Repeat([]byte{seed}, ed25519.SeedSize))
	signer, err := ssh.NewSignerFromKey(key)
	fatal(t, err)
	block, err := ssh.MarshalPrivateKey(key, "")
	fatal(t, err)
	return signer, pem.EncodeToMemory(block)
}

func newSSHServer(t *testing.T) *sshServer {
	t.Helper()
	needGit(t)
	s := &sshServer{repo: newRepo(t)}
	s.host, _ = newKey(t, 1)
	s.client, s.pem = newKey(t, 2)
	config := &ssh.ServerConfig{PublicKeyCallback: func(meta ssh.ConnMetadata, key ssh.PublicKey) (*ssh.Permissions, error) {
		if meta.User() != "git" || !bytes.Equal(key.Marshal(), s.client.PublicKey().Marshal()) {
			return nil, ssh.ErrNoAuth
		}
		return nil, nil
	}}
	config.AddHostKey(s.host)
	var err error
	s.Listener, err = net.Listen("tcp", "127.0.0.1:0")
	fatal(t, err)
	var wg sync.WaitGroup
	wg.Go(func() {
		for {
			conn, err := s.Accept()
			if err != nil {
				return
			}
			wg.Go(func() { s.serve(conn, config) })
		}
	})
	t.Cleanup(func() { _ = s.Close(); wg.Wait() })
	return s
}

func (s *sshServer) serve(conn net.Conn, config *ssh.ServerConfig) {
	defer func() { _ = conn.Close() }()
	_, channels, requests, err := ssh.NewServerConn(conn, config)
	if err != nil {
		return
	}
	go ssh.DiscardRequests(requests)
	for next := range channels {
		channel, requests, err := next.Accept()
		if err != nil {
			return
		}
		for r := range requests {
			_ = r.Reply(true, nil)
			cmd := exec.Command("sh", "-c", "git "+strings.TrimPrefix(string(r.Payload[4:]), "git-"))
			cmd.Stdout, cmd.Stderr = channel, channel.Stderr()
			in, err := cmd.StdinPipe()
			if err != nil {
				return
			}
			go func() { _, _ = io.Copy(in, channel); _ = in.Close() }()
			status := []byte{0, 0, 0, 0}
			if cmd.Run() != nil {
				status[3] = 1
			}
			_, _ = channel.SendRequest("exit-status", false, status)
			_ = channel.Close()
		}
	}
}

// options with a file of known hosts that has this key.
func (s *sshServer) options(t *testing.T, host ssh.Signer) tributary.SourceOptions {
	t.Helper()
	dir := t.TempDir()
	addr := strings.Replace(s.Addr().String(), "127.0.0.1", "[127.0.0.1]", 1)
	write(t, dir, map[string]string{"key": string(s.pem), "known": addr + " " + string(ssh.MarshalAuthorizedKey(host.PublicKey()))})
	return tributary.SourceOptions{SecretFile: filepath.Join(dir, "key"), KnownHosts: filepath.Join(dir, "known")}
}

func TestGitIsFetchedOverSSH(t *testing.T) {
	s := newSSHServer(t)
	s.commit(t, map[string]string{"it's.md": "one"})
	location := "ssh://git@" + s.Addr().String() + s.dir
	f := follow(t, tributary.SourceGit, location, s.options(t, s.host), near(t))
	items, listing := list(t, f, nil)
	if got := contents(t, f, items); got["it%27s.md"] != "one" && got["it's.md"] != "one" {
		t.Errorf("got %v", got)
	}
	s.commit(t, map[string]string{"b.md": "two"})
	items, listing = list(t, f, listing.Cursor)
	if got := contents(t, f, items); got["b.md"] != "two" || len(got) != 2 {
		t.Errorf("got %v", got)
	}
	if _, l := list(t, f, listing.Cursor); !l.Unchanged {
		t.Errorf("listing %+v", l)
	}

	other, otherPEM := newKey(t, 3)
	unknown := s.options(t, s.host)
	fatal(t, os.WriteFile(unknown.KnownHosts, nil, 0o600))
	stranger := s.options(t, s.host)
	fatal(t, os.WriteFile(stranger.SecretFile, otherPEM, 0o600))
	noKey := s.options(t, s.host)
	fatal(t, os.WriteFile(noKey.SecretFile, []byte("hush"), 0o600))
	for _, tt := range []struct {
		name, location string
		options        tributary.SourceOptions
		env            Env
		want           string
		outcome        tributary.Outcome
	}{
		{"another host", location, s.options(t, other), near(t), "another one", tributary.Rejected},
		{"an unknown host", location, unknown, near(t), "is not in", tributary.Rejected},
		{"another key", location, stranger, near(t), "log in as git", tributary.Retry},
		{"no key", location, noKey, near(t), "no private key", tributary.Rejected},
		{"no repository", location + "/none", s.options(t, s.host), near(t), "the server says", tributary.Rejected},
		{"a private address", location, s.options(t, s.host), Env{Dir: t.TempDir()}, "ingest.fetch.allow_hosts", tributary.Rejected},
	} {
		err := listFails(t, follow(t, tributary.SourceGit, tt.location, tt.options, tt.env))
		if outcome(err) != tt.outcome || !strings.Contains(err.Error(), tt.want) || strings.Contains(err.Error(), "hush") {
			t.Errorf("%s: error %v", tt.name, err)
		}
	}
}

func TestGitOverSSHGivesUpOnSilence(t *testing.T) {
	s := newSSHServer(t)
	silent, err := net.Listen("tcp", "127.0.0.1:0")
	fatal(t, err)
	t.Cleanup(func() { _ = silent.Close() })
	env := near(t)
	env.Ingest.Fetch.Timeout = time.Millisecond
	location := "ssh://git@" + silent.Addr().String() + "/r"
	if err := listFails(t, follow(t, tributary.SourceGit, location, s.options(t, s.host), env)); !strings.Contains(err.Error(), "1ms (ingest.fetch.timeout)") {
		t.Errorf("error %v", err)
	}
	env.Ingest.Fetch.Timeout, env.RepositoryTimeout = time.Hour, time.Millisecond
	if err := listFails(t, follow(t, tributary.SourceGit, location, s.options(t, s.host), env)); !strings.Contains(err.Error(), "1ms (sources.repository_timeout)") {
		t.Errorf("error %v", err)
	}
}
