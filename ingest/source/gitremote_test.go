package source

import (
	"io"
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

	"github.com/go-git/go-git/v5/plumbing"

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

// A worker that takes over has no clone.

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

// pack makes a pack of one object, whose header may lie.

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

// options with a file of known hosts that has this key.
