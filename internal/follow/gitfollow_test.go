package follow

import (
	"io"
	"net/http/cgi"
	"net/http/httptest"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/go-git/go-billy/v5/memfs"
	"github.com/go-git/go-billy/v5/osfs"
	"github.com/go-git/go-billy/v5/util"
	"github.com/go-git/go-git/v5"
	"github.com/go-git/go-git/v5/plumbing/cache"
	"github.com/go-git/go-git/v5/plumbing/object"
	"github.com/go-git/go-git/v5/storage/filesystem"

	"github.com/tributary-kb/tributary"
	"github.com/tributary-kb/tributary/ingest"
	"github.com/tributary-kb/tributary/ingest/source"
)

// A worker on another machine has no clone of a repository that it takes over.
func TestARepositoryIsTakenOverWithoutItsClone(t *testing.T) {
	path, err := exec.LookPath("git")
	if err != nil {
		t.Skip("git is not installed, and no other server speaks its protocol as servers do")
	}
	check := func(err error) {
		t.Helper()
		if err != nil {
			t.Fatal(err)
		}
	}
	dir := t.TempDir()
	server := httptest.NewServer(&cgi.Handler{Path: path, Args: []string{"http-backend"}, Stderr: io.Discard, Env: []string{
		"GIT_PROJECT_ROOT=" + dir, "GIT_HTTP_EXPORT_ALL=1", "GIT_CONFIG_COUNT=1", "GIT_CONFIG_KEY_0=safe.directory", "GIT_CONFIG_VALUE_0=*",
	}})
	t.Cleanup(server.Close)
	files := memfs.New()
	repo, err := git.Init(filesystem.NewStorage(osfs.New(filepath.Join(dir, "r.git")), cache.NewObjectLRUDefault()), files)
	check(err)
	commit := func() {
		t.Helper()
		tree, err := repo.Worktree()
		check(err)
		check(tree.AddWithOptions(&git.AddOptions{All: true}))
		_, err = tree.Commit("change", &git.CommitOptions{Author: &object.Signature{Name: "a", When: time.Unix(1e9, 0)}})
		check(err)
	}
	for _, name := range strings.Fields("kept.md edited.md renamed.md deleted.md") {
		check(util.WriteFile(files, name, []byte("first "+name), 0o600))
	}
	commit()

	s := tributary.Source{Name: "docs", Kind: tributary.SourceGit, Location: server.URL + "/r.git"}
	b := newBedOf(t, newScript(), s)
	worker := func() *owner {
		t.Helper()
		o := b.owner()
		o.follower, err = source.New(s, source.Env{
			Dir: filepath.Join(t.TempDir(), "clone"), Ingest: ingest.Config{Fetch: ingest.FetchConfig{AllowHosts: []string{"127.0.0.1"}}},
		})
		check(err)
		return o
	}
	b.look(worker())
	requests := func() map[string]uint64 {
		versions := map[string]uint64{}
		for uri, r := range b.requests() {
			versions[uri[strings.LastIndexByte(uri, '/')+1:]] = r.Version
		}
		return versions
	}
	before := requests()

	check(util.WriteFile(files, "edited.md", []byte("second"), 0o600))
	check(files.Rename("renamed.md", "new.md"))
	check(files.Remove("deleted.md"))
	commit()
	o := worker()
	b.look(o)
	var moved []string
	for name, version := range requests() {
		if before[name] != version {
			moved = append(moved, name)
		}
	}
	slices.Sort(moved)
	if want := []string{"deleted.md", "edited.md", "new.md", "renamed.md"}; !slices.Equal(moved, want) {
		t.Errorf("requests for %q, want %q", moved, want)
	}
	var got []string
	for uri, text := range b.index() {
		got = append(got, uri[strings.LastIndexByte(uri, '/')+1:]+": "+text)
	}
	slices.Sort(got)
	if want := []string{"edited.md: second", "kept.md: first kept.md", "new.md: first renamed.md"}; !slices.Equal(got, want) {
		t.Errorf("got %q, want %q", got, want)
	}
	last := requests()
	b.look(worker())
	for name, version := range requests() {
		if last[name] != version {
			t.Errorf("%s is published again", name)
		}
	}
}
