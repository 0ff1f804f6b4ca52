package source

import (
	"fmt"
	"os"
	"path/filepath"
	"reflect"
	"strings"
	"testing"
	"time"

	"github.com/go-git/go-git/v5"
	"github.com/go-git/go-git/v5/plumbing"
	"github.com/go-git/go-git/v5/plumbing/filemode"
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
	if outcome(err) != tributary.Rejected || strings.Contains(err.Error(), ":secret") {
		t.Errorf("a remote repository: %v", err)
	}
}

func TestGitLeavesOutWhatItDoesNotHold(t *testing.T) {
	r := newRepo(t)
	r.commit(t, map[string]string{"a.pdf": lfsPointer + "v1\noid sha256:00\nsize 1\n", "b.md": "b"})
	f := follow(t, tributary.SourceGit, "file://"+r.dir, tributary.SourceOptions{}, Env{})
	items, _ := list(t, f, nil)
	got, err := f.Load(t.Context(), items[0], Known{})
	if err != nil || got.Verdict != Hidden || len(got.Notes) != 1 || !strings.Contains(got.Notes[0], "a.pdf is a pointer of Git LFS") {
		t.Errorf("a pointer: %+v, %v", got, err)
	}
	index, err := r.Storer.Index()
	fatal(t, err)
	entry := index.Add("lib")
	entry.Mode, entry.Hash = filemode.Submodule, plumbing.NewHash(strings.Repeat("a", 40))
	fatal(t, r.Storer.SetIndex(index))
	tree, err := r.Worktree()
	fatal(t, err)
	_, err = tree.Commit("a submodule", &git.CommitOptions{Author: &object.Signature{Name: "a"}})
	fatal(t, err)
	items, listing := list(t, f, nil)
	if len(items) != 2 || len(listing.Notes) != 1 || !strings.Contains(listing.Notes[0], "lib is a submodule") {
		t.Errorf("%d items, notes %q", len(items), listing.Notes)
	}
}

// An object that is missing is damage, and no deletion.
func TestGitWithoutAnObjectHasLostNoDocument(t *testing.T) {
	r := newRepo(t)
	r.commit(t, map[string]string{"sub/a.md": "a"})
	f := follow(t, tributary.SourceGit, r.dir, tributary.SourceOptions{}, Env{})
	items, _ := list(t, f, nil)
	lose := func(hash string) {
		t.Helper()
		fatal(t, os.Remove(filepath.Join(r.dir, ".git", "objects", hash[:2], hash[2:])))
		if got, err := f.Load(t.Context(), items[0], Known{}); err == nil || outcome(err) != tributary.Retry {
			t.Errorf("loaded %+v, error %v", got, err)
		}
	}
	lose(items[0].Tag)
	head, err := r.Head()
	fatal(t, err)
	commit, err := r.CommitObject(head.Hash())
	fatal(t, err)
	tree, err := commit.Tree()
	fatal(t, err)
	lose(tree.Entries[0].Hash.String())
	_ = listFails(t, f)
}

func TestGitStopsAtATreeThatNamesItselfAgainAndAgain(t *testing.T) {
	r := newRepo(t)
	r.commit(t, map[string]string{"a.md": ""})
	file := plumbing.ComputeHash(plumbing.BlobObject, nil)
	entry := object.TreeEntry{Name: "x", Mode: filemode.Regular, Hash: file}
	for range 10 { // 20 to the power of 10 files
		tree := object.Tree{}
		for i := range 20 {
			entry.Name = fmt.Sprintf("%02d", i)
			tree.Entries = append(tree.Entries, entry)
		}
		o := r.Storer.NewEncodedObject()
		fatal(t, tree.Encode(o))
		hash, err := r.Storer.SetEncodedObject(o)
		fatal(t, err)
		entry = object.TreeEntry{Mode: filemode.Dir, Hash: hash}
	}
	o := r.Storer.NewEncodedObject()
	fatal(t, (&object.Commit{TreeHash: entry.Hash}).Encode(o))
	hash, err := r.Storer.SetEncodedObject(o)
	fatal(t, err)
	fatal(t, r.Storer.SetReference(plumbing.NewHashReference("refs/heads/master", hash)))
	f := follow(t, tributary.SourceGit, r.dir, tributary.SourceOptions{}, Env{})
	f.(*localRepository).maxEntries = 1000
	if err := listFails(t, f); outcome(err) != tributary.Rejected || !strings.Contains(err.Error(), "limit of 1000") {
		t.Errorf("error %v", err)
	}
}

func TestACommitIsHeardOf(t *testing.T) {
	r := newRepo(t)
	r.commit(t, map[string]string{"a.md": "one"})
	bare := t.TempDir()
	_, err := git.PlainClone(bare, true, &git.CloneOptions{URL: r.dir})
	fatal(t, err)
	w := watchFollower(t, follow(t, tributary.SourceGit, r.dir, tributary.SourceOptions{}, Env{}))
	r.commit(t, map[string]string{"a.md": "two"})
	w.anything(t)
	head, err := r.Head()
	fatal(t, err)
	for _, name := range []plumbing.ReferenceName{"refs/heads/team/main", "refs/heads/team/next"} { // a new directory, and then one in it
		fatal(t, r.Storer.SetReference(plumbing.NewHashReference(name, head.Hash())))
		w.anything(t)
	}
	fatal(t, r.Storer.SetReference(plumbing.NewSymbolicReference(plumbing.HEAD, "refs/heads/team/main")))
	w.anything(t)
	fatal(t, os.RemoveAll(filepath.Join(r.dir, ".git")))
	if err := w.end(t); !strings.Contains(err.Error(), "removed or renamed") {
		t.Errorf("the watch ends with %v", err)
	}

	b, err := git.PlainOpen(bare)
	fatal(t, err)
	w = watchFollower(t, follow(t, tributary.SourceGit, bare, tributary.SourceOptions{}, Env{}))
	fatal(t, b.Storer.SetReference(plumbing.NewHashReference("refs/heads/other", head.Hash())))
	w.anything(t)
	fatal(t, os.WriteFile(filepath.Join(bare, "packed-refs"), []byte(head.Hash().String()+" refs/heads/packed\n"), 0o600))
	w.anything(t)
}

// In a linked work tree HEAD and the branches are in different places.
func TestACommitInALinkedWorkTreeIsHeardOf(t *testing.T) {
	r := newRepo(t)
	first := r.commit(t, map[string]string{"a.md": "one"})
	own := filepath.Join(r.dir, ".git", "worktrees", "linked")
	linked := t.TempDir()
	write(t, own, map[string]string{"HEAD": "ref: refs/heads/linked\n", "commondir": "../..\n", "gitdir": filepath.Join(linked, ".git") + "\n"})
	write(t, linked, map[string]string{".git": "gitdir: " + own + "\n"})
	fatal(t, r.Storer.SetReference(plumbing.NewHashReference("refs/heads/linked", first)))
	f := follow(t, tributary.SourceGit, linked, tributary.SourceOptions{}, Env{})
	_, listing := list(t, f, nil)
	w := watchFollower(t, f)
	second := r.commit(t, map[string]string{"a.md": "two"})
	fatal(t, r.Storer.SetReference(plumbing.NewHashReference("refs/heads/linked", second)))
	w.anything(t)
	if _, l := list(t, f, listing.Cursor); l.Unchanged {
		t.Error("the commit is not seen")
	}
}
