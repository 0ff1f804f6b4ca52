package source

import (
	"os"
	"path/filepath"
	"reflect"
	"strings"
	"testing"
	"time"

	"github.com/go-git/go-git/v5"
	"github.com/go-git/go-git/v5/plumbing"
	"github.com/go-git/go-git/v5/plumbing/object"

	"github.com/tributary-kb/tributary"
)

// repo is a repository with a work tree.
type repo struct {
	*git.Repository
	dir string
}

func newRepo(t *testing.T) *repo {
	t.Helper()
	dir := t.TempDir()
	r, err := git.PlainInit(dir, false)
	fatal(t, err)
	return &repo{Repository: r, dir: dir}
}

// commit writes files, removes those named, and commits everything.
func (r *repo) commit(t *testing.T, files map[string]string, remove ...string) plumbing.Hash {
	t.Helper()
	write(t, r.dir, files)
	for _, name := range remove {
		fatal(t, os.Remove(filepath.Join(r.dir, name)))
	}
	tree, err := r.Worktree()
	fatal(t, err)
	fatal(t, tree.AddWithOptions(&git.AddOptions{All: true}))
	hash, err := tree.Commit("change", &git.CommitOptions{
		Author: &object.Signature{Name: "a", Email: "a@x.example", When: time.Unix(1e9, 0)}, AllowEmptyCommits: true,
	})
	fatal(t, err)
	return hash
}

func TestGitFollowsABranch(t *testing.T) {
	r := newRepo(t)
	first := r.commit(t, map[string]string{"a b.md": "one", "sub/b.md": "b", ".hidden/c.md": "", "sub/.tributaryignore": "no.md", "sub/no.md": ""})
	f := follow(t, tributary.SourceGit, r.dir, tributary.SourceOptions{}, Env{})
	base := "git:" + r.dir + "/"
	items, listing := list(t, f, nil)
	if got := names(items, base); !reflect.DeepEqual(got, []string{"a%20b.md", "sub/b.md"}) || !listing.Authoritative || listing.Partial {
		t.Fatalf("got %q, listing %+v", got, listing)
	}
	got, err := f.Load(t.Context(), items[0], Known{})
	fatal(t, err)
	if string(got.Content) != "one" || got.Origin["commit"] != first.String() || got.Origin["path"] != "a b.md" || got.Known.Tag != items[0].Tag {
		t.Errorf("loaded %+v", got)
	}
	if again, l := list(t, f, listing.Cursor); len(again) != 0 || !l.Unchanged {
		t.Errorf("the same commit: %d items, %+v", len(again), l)
	}
	// A rename is a new document and a deletion; what a commit does not touch keeps its tag.
	fatal(t, os.Rename(filepath.Join(r.dir, "a b.md"), filepath.Join(r.dir, "c.md")))
	r.commit(t, nil)
	after, l := list(t, f, listing.Cursor)
	if got := names(after, base); !reflect.DeepEqual(got, []string{"c.md", "sub/b.md"}) || l.Unchanged || after[1].Tag != items[1].Tag || after[0].Tag != items[0].Tag {
		t.Errorf("after a rename: %+v, listing %+v", after, l)
	}
	if gone, err := f.Load(t.Context(), items[0], got.Known); err != nil || gone.Verdict != Gone {
		t.Errorf("the old name: %+v, %v", gone, err)
	}
	// A force push: the branch moves back.
	fatal(t, r.Storer.SetReference(plumbing.NewHashReference("refs/heads/master", first)))
	if back, _ := list(t, f, l.Cursor); !reflect.DeepEqual(back, items) {
		t.Errorf("after a force push: %+v", back)
	}
}

func TestGitThatCannotBeReadIsNotEmpty(t *testing.T) {
	r := newRepo(t)
	_ = listFails(t, follow(t, tributary.SourceGit, r.dir, tributary.SourceOptions{}, Env{})) // no commit yet
	r.commit(t, map[string]string{"a.md": ""})
	err := listFails(t, follow(t, tributary.SourceGit, r.dir, tributary.SourceOptions{Branch: "none"}, Env{}))
	if !strings.Contains(err.Error(), `branch "none"`) {
		t.Errorf("error %v", err)
	}
	_ = listFails(t, follow(t, tributary.SourceGit, t.TempDir(), tributary.SourceOptions{}, Env{}))
	_, err = New(tributary.Source{Name: "x", Kind: tributary.SourceGit, Location: "https://u:secret@x.example/r.git"}, Env{})
	if outcome(err) != tributary.Rejected || strings.Contains(err.Error(), "secret") {
		t.Errorf("a remote repository: %v", err)
	}
}

func TestGitRefusesPointersOfLFS(t *testing.T) {
	r := newRepo(t)
	r.commit(t, map[string]string{"a.pdf": lfsPointer + "v1\noid sha256:00\nsize 1\n"})
	f := follow(t, tributary.SourceGit, "file://"+r.dir, tributary.SourceOptions{}, Env{})
	items, _ := list(t, f, nil)
	if _, err := f.Load(t.Context(), items[0], Known{}); outcome(err) != tributary.Rejected || !strings.Contains(err.Error(), "LFS") {
		t.Errorf("error %v", err)
	}
}
