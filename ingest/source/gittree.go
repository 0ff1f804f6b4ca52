package source

import (
	"context"
	"errors"
	"fmt"
	"path"
	"strings"

	"github.com/go-git/go-git/v5/plumbing"
	"github.com/go-git/go-git/v5/plumbing/filemode"
	"github.com/go-git/go-git/v5/plumbing/object"
	"github.com/go-git/go-git/v5/plumbing/storer"

	"github.com/tributary-kb/tributary"
	"github.com/tributary-kb/tributary/ingest"
)

// A snapshot is what a repository holds at a commit. The library's own
// look-ups take an object that is missing for a file that is not there, which
// would delete documents.
type snapshot struct {
	store  storer.EncodedObjectStorer
	commit *object.Commit
}

func newSnapshot(store storer.EncodedObjectStorer, hash plumbing.Hash) (snapshot, error) {
	commit, err := object.GetCommit(store, hash)
	if err != nil {
		return snapshot{}, fmt.Errorf("commit: %w", err)
	}
	return snapshot{store, commit}, nil
}

func (s snapshot) tree(hash plumbing.Hash) (*object.Tree, error) {
	tree, err := object.GetTree(s.store, hash)
	if err != nil {
		return nil, fmt.Errorf("tree %s: %w", hash, err)
	}
	return tree, nil
}

// find returns the entry at a path, nil if there is none.
func (s snapshot) find(name string) (*object.TreeEntry, error) {
	hash := s.commit.TreeHash
	for {
		tree, err := s.tree(hash)
		if err != nil {
			return nil, err
		}
		first, rest, deeper := strings.Cut(name, "/")
		entry := entryOf(tree, first)
		if entry == nil || !deeper {
			return entry, nil
		}
		if entry.Mode != filemode.Dir {
			return nil, nil
		}
		hash, name = entry.Hash, rest
	}
}

func entryOf(tree *object.Tree, name string) *object.TreeEntry {
	for i := range tree.Entries {
		if tree.Entries[i].Name == name {
			return &tree.Entries[i]
		}
	}
	return nil
}

// content reads a file. The library has all of it in memory, so its size is
// asked for first.
func (s snapshot) content(hash plumbing.Hash, limit int64) ([]byte, error) {
	size, err := s.store.EncodedObjectSize(hash)
	if err != nil {
		return nil, fmt.Errorf("file %s: %w", hash, err)
	}
	if size > limit {
		return nil, tooManyBytes(limit)
	}
	blob, err := object.GetBlob(s.store, hash)
	if err != nil {
		return nil, fmt.Errorf("file %s: %w", hash, err)
	}
	reader, err := blob.Reader()
	if err != nil {
		return nil, fmt.Errorf("file %s: %w", hash, err)
	}
	defer func() { _ = reader.Close() }()
	return readAtMost(reader, limit)
}

// isFile reports whether an entry is a file with a content of its own. What a
// link leads to is in the tree, or outside of it and not meant.
func isFile(mode filemode.FileMode) bool {
	return mode == filemode.Regular || mode == filemode.Executable || mode == filemode.Deprecated
}

// maxEntries is how many entries of directories a listing reads. A tree may
// name another one many times, so that a few kilobytes have billions of files.
const maxEntries = 2_000_000

// treeWalk gathers the items of a tree.
type treeWalk struct {
	*repository
	snapshot
	items   []Item
	entries int
	said    notes
}

func (w *treeWalk) root(ctx context.Context) error {
	err := w.dir(ctx, w.commit.TreeHash, "", nil)
	if errors.Is(err, errEnough) {
		return nil
	}
	return err
}

// dir walks one directory. What .gitignore leaves out is not in the tree, or
// is there on purpose; .tributaryignore counts.
func (w *treeWalk) dir(ctx context.Context, hash plumbing.Hash, dir string, rules *ingest.Rules) error {
	if err := ctx.Err(); err != nil {
		return err
	}
	tree, err := w.tree(hash)
	if err != nil {
		return err
	}
	if w.entries += len(tree.Entries); w.entries > w.maxEntries {
		return tributary.Rejectf("more files and directories than the limit of %d (fixed)", w.maxEntries)
	}
	if rules, err = w.rules(tree, dir, rules); err != nil {
		return err
	}
	for _, e := range tree.Entries {
		name := path.Join(dir, e.Name)
		if strings.HasPrefix(e.Name, ".") || rules.Ignores(name, e.Mode == filemode.Dir) {
			continue
		}
		if err := w.entry(ctx, e, name, rules); err != nil {
			return err
		}
	}
	return nil
}

// rules are those that hold in a directory.
func (w *treeWalk) rules(tree *object.Tree, dir string, rules *ingest.Rules) (*ingest.Rules, error) {
	entry := entryOf(tree, ".tributaryignore")
	if entry == nil || !isFile(entry.Mode) {
		return rules, nil
	}
	text, err := w.content(entry.Hash, w.maxBytes)
	if err != nil {
		return nil, err
	}
	return rules.With(dir, string(text)), nil
}

// entry takes in one entry of a directory.
func (w *treeWalk) entry(ctx context.Context, e object.TreeEntry, name string, rules *ingest.Rules) error {
	uri := w.uri(name)
	switch {
	case len(uri) > tributary.MaxURIBytes:
		w.said.add("left out: %.60s...: %d bytes are too long for a name, the limit is %d", name, len(uri), tributary.MaxURIBytes)
		return nil
	case e.Mode == filemode.Dir:
		return w.dir(ctx, e.Hash, name, rules)
	case !w.scope.holds(name):
		return nil
	case e.Mode == filemode.Submodule:
		w.said.add("left out: %s is a submodule, follow its repository", name)
		return nil
	case !isFile(e.Mode):
		return nil
	case w.max > 0 && len(w.items) == w.max:
		w.said.tooMany(w.max)
		return errEnough
	}
	w.items = append(w.items, Item{URI: uri, Tag: e.Hash.String(), Modified: w.commit.Committer.When})
	return nil
}
