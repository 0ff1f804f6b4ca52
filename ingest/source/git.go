package source

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/url"
	"path"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/go-git/go-git/v5"
	"github.com/go-git/go-git/v5/plumbing"
	"github.com/go-git/go-git/v5/plumbing/filemode"
	"github.com/go-git/go-git/v5/plumbing/object"

	"github.com/tributary-kb/tributary"
	"github.com/tributary-kb/tributary/ingest"
)

// repository follows the files of a branch. A document's URI is
// "git:LOCATION/PATH", where LOCATION is that of the source; so a rename is a
// new document and a deletion. A branch is a source, and so the branch is no
// part of the URI.
type repository struct {
	dir      string // of the repository
	base     string // of the URIs, ends in a slash
	branch   string // "" means the one that HEAD names
	scope    scope
	max      int
	maxBytes int64

	mu sync.Mutex // one reader at a time: the library's storage is not made for more
}

func newRepository(s tributary.Source, env Env) (Follower, error) {
	dir := s.Location
	if u, err := url.Parse(s.Location); err == nil && u.Scheme == "file" {
		dir = filepath.FromSlash(u.Path)
	}
	if !filepath.IsAbs(dir) {
		return nil, tributary.Rejectf("location %q is not an absolute path: only repositories of this machine are followed, clone it and follow the clone", location(s.Location))
	}
	within, err := newScope(s.Options)
	if err != nil {
		return nil, tributary.Reject(err)
	}
	env.Ingest.SetDefaults()
	dir = filepath.Clean(dir)
	return &repository{
		dir: dir, base: "git:" + strings.TrimSuffix((&url.URL{Path: filepath.ToSlash(dir)}).EscapedPath(), "/") + "/",
		branch: s.Options.Branch, scope: within, max: s.Options.MaxDocuments, maxBytes: env.Ingest.MaxBytes,
	}, nil
}

// location is what an error may say of a location: no password.
func location(s string) string {
	if u, err := url.Parse(s); err == nil {
		return u.Redacted()
	}
	return s[strings.LastIndexByte(s, '@')+1:]
}

// head opens the repository and returns the commit that the branch names.
func (r *repository) head() (*object.Commit, error) {
	repo, err := git.PlainOpenWithOptions(r.dir, &git.PlainOpenOptions{EnableDotGitCommonDir: true})
	if err != nil {
		return nil, fmt.Errorf("open repository %q: %w", r.dir, err)
	}
	name := plumbing.HEAD
	if r.branch != "" {
		name = plumbing.NewBranchReferenceName(r.branch)
	}
	ref, err := repo.Reference(name, true)
	if err != nil {
		return nil, fmt.Errorf("repository %q: branch %q: %w", r.dir, name.Short(), err)
	}
	commit, err := repo.CommitObject(ref.Hash())
	if err != nil {
		return nil, fmt.Errorf("repository %q: commit %s: %w", r.dir, ref.Hash(), err)
	}
	return commit, nil
}

// gitCursor is what a listing remembers: with the same commit nothing changed.
type gitCursor struct {
	Commit string `json:"commit"`
}

// List walks the tree of the branch's head, without reading a file.
func (r *repository) List(ctx context.Context, cursor json.RawMessage, yield func(Item) error) (Listing, error) {
	r.mu.Lock()
	items, listing, err := r.list(ctx, cursor)
	r.mu.Unlock()
	if err != nil {
		return Listing{}, err
	}
	for _, item := range items {
		if err := yield(item); err != nil {
			return Listing{}, err
		}
	}
	return listing, nil
}

func (r *repository) list(ctx context.Context, cursor json.RawMessage) ([]Item, Listing, error) {
	commit, err := r.head()
	if err != nil {
		return nil, Listing{}, err
	}
	var last gitCursor
	_ = json.Unmarshal(cursor, &last) // what cannot be read is no reason not to look
	now, err := json.Marshal(gitCursor{Commit: commit.Hash.String()})
	if err != nil {
		return nil, Listing{}, err
	}
	listing := Listing{Cursor: now, Authoritative: true}
	if last.Commit == commit.Hash.String() {
		listing.Unchanged = true
		return nil, listing, nil
	}
	tree, err := commit.Tree()
	if err != nil {
		return nil, Listing{}, fmt.Errorf("repository %q: tree of %s: %w", r.dir, commit.Hash, err)
	}
	w := treeWalk{repository: r, modified: commit.Committer.When}
	if err := w.dir(ctx, tree, "", nil); err != nil && !errors.Is(err, errEnough) {
		return nil, Listing{}, fmt.Errorf("repository %q: tree of %s: %w", r.dir, commit.Hash, err)
	}
	listing.Notes = w.said.all()
	return w.items, listing, nil
}

// treeWalk gathers the items of a tree.
type treeWalk struct {
	*repository
	modified time.Time
	items    []Item
	said     notes
}

// dir walks one directory. What .gitignore leaves out is not in the tree, or
// is there on purpose; .tributaryignore counts.
func (w *treeWalk) dir(ctx context.Context, tree *object.Tree, dir string, rules *ingest.Rules) error {
	if err := ctx.Err(); err != nil {
		return err
	}
	if file, err := tree.File(".tributaryignore"); err == nil {
		text, err := file.Contents()
		if err != nil {
			return err
		}
		rules = rules.With(dir, text)
	}
	for _, e := range tree.Entries {
		name := path.Join(dir, e.Name)
		isDir := e.Mode == filemode.Dir
		if strings.HasPrefix(e.Name, ".") || rules.Ignores(name, isDir) {
			continue
		}
		if !isDir {
			if err := w.file(e, name); err != nil {
				return err
			}
			continue
		}
		below, err := tree.Tree(e.Name)
		if err != nil {
			return fmt.Errorf("%s: %w", name, err)
		}
		if err := w.dir(ctx, below, name, rules); err != nil {
			return err
		}
	}
	return nil
}

// file takes in one entry that is no directory.
func (w *treeWalk) file(e object.TreeEntry, name string) error {
	uri := w.base + (&url.URL{Path: name}).EscapedPath()
	switch {
	case !w.scope.holds(name):
		return nil
	case e.Mode == filemode.Submodule:
		w.said.add("left out: %s is a submodule, follow its repository", name)
		return nil
	case !slices.Contains([]filemode.FileMode{filemode.Regular, filemode.Executable, filemode.Deprecated}, e.Mode):
		return nil // a link: what it leads to is in the tree, or outside of it and not meant
	case len(uri) > tributary.MaxURIBytes:
		w.said.add("left out: %.60s...: %d bytes are too long for a name, the limit is %d", name, len(uri), tributary.MaxURIBytes)
		return nil
	case w.max > 0 && len(w.items) == w.max:
		w.said.tooMany(w.max)
		return errEnough
	}
	w.items = append(w.items, Item{URI: uri, Tag: e.Hash.String(), Modified: w.modified})
	return nil
}

// lfsPointer begins a file whose content is kept elsewhere (git-lfs, docs/spec.md).
const lfsPointer = "version https://git-lfs.github.com/spec/"

// Load reads a file as it is at the branch's head.
func (r *repository) Load(_ context.Context, item Item, known Known) (Loaded, error) {
	name, err := r.name(item.URI)
	if err != nil {
		return Loaded{}, err
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	commit, err := r.head()
	if err != nil {
		return Loaded{}, err
	}
	file, err := commit.File(name)
	if errors.Is(err, object.ErrFileNotFound) {
		return Loaded{Verdict: Gone}, nil
	}
	if err != nil {
		return Loaded{}, fmt.Errorf("read %q at %s: %w", item.URI, commit.Hash, err)
	}
	if known.Hash != "" && known.Tag == file.Hash.String() {
		return Loaded{Verdict: Unchanged, Known: known}, nil
	}
	content, err := r.content(file)
	if err != nil {
		return Loaded{}, fmt.Errorf("read %q at %s: %w", item.URI, commit.Hash, err)
	}
	result := loaded(content, file.Hash.String(), known, commit.Committer.When)
	result.Origin = map[string]string{
		"commit": commit.Hash.String(), "commit_time": commit.Committer.When.UTC().Format(time.RFC3339), "path": name,
	}
	return result, nil
}

func (r *repository) content(file *object.File) ([]byte, error) {
	reader, err := file.Reader()
	if err != nil {
		return nil, err
	}
	defer func() { _ = reader.Close() }()
	content, err := readAtMost(reader, r.maxBytes)
	if err == nil && strings.HasPrefix(string(content[:min(len(content), 200)]), lfsPointer) {
		return nil, tributary.Rejectf("it is a pointer of Git LFS, whose content is not in the repository")
	}
	return content, err
}

// name is the path in the repository that uri names.
func (r *repository) name(uri string) (string, error) {
	escaped, ok := strings.CutPrefix(uri, r.base)
	name, err := url.PathUnescape(escaped)
	if !ok || err != nil {
		return "", tributary.Rejectf("%q is not in the repository %q", uri, r.dir)
	}
	return name, nil
}
