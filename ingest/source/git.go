package source

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"net/url"
	"path/filepath"
	"strings"
	"sync"
	"time"

	"github.com/go-git/go-git/v5"
	"github.com/go-git/go-git/v5/plumbing"

	"github.com/tributary-kb/tributary"
)

// repository follows the files of a branch. A document's URI is
// "git:LOCATION/PATH", where LOCATION is that of the source; so a rename is a
// new document and a deletion. A branch is a source, and so the branch is no
// part of the URI.
type repository struct {
	origin   origin
	location string // for errors and URIs
	base     string // of the URIs, ends in a slash
	scope    scope
	max      int
	maxBytes int64
	// maxEntries is maxEntries, except in tests.
	maxEntries int

	mu sync.Mutex // one reader at a time: the library's storage is not made for more
}

// An origin is where a repository is.
type origin interface {
	// newest returns the repository and the commit at the branch's head. The
	// repository may be nil if that is still the last one.
	newest(ctx context.Context, last plumbing.Hash) (*git.Repository, plumbing.Hash, error)
	// listed returns the repository and a commit that is no older than the one
	// that newest returned last.
	listed(ctx context.Context) (*git.Repository, plumbing.Hash, error)
	// renew throws away what cannot be read, and returns false if there is no
	// other way to get it.
	renew() bool
}

func newRepository(s tributary.Source, env Env) (Follower, error) {
	within, err := newScope(s.Options)
	if err != nil {
		return nil, tributary.Reject(err)
	}
	env.Ingest.SetDefaults()
	r := &repository{scope: within, max: s.Options.MaxDocuments, maxBytes: env.Ingest.MaxBytes, maxEntries: maxEntries}
	dir, ok := localDir(s.Location)
	if !ok {
		far, location, err := newRemote(s, env)
		if err != nil {
			return nil, err
		}
		r.origin = far
		r.at(location)
		return r, nil
	}
	local := checkout{dir: dir, branch: s.Options.Branch}
	r.origin = local
	r.at((&url.URL{Path: filepath.ToSlash(dir)}).EscapedPath())
	return &localRepository{r, local}, nil
}

// at sets where the repository is.
func (r *repository) at(location string) {
	r.location = strings.TrimSuffix(location, "/")
	r.base = "git:" + r.location + "/"
}

// redacted is what an error may say of a location: no password.
func redacted(location string) string {
	if u, err := url.Parse(location); err == nil {
		return u.Redacted()
	}
	return location[strings.LastIndexByte(location, '@')+1:]
}

// branchRef is the name of a reference; "" means the one that HEAD names.
func branchRef(branch string) plumbing.ReferenceName {
	if branch == "" {
		return plumbing.HEAD
	}
	return plumbing.NewBranchReferenceName(branch)
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
	var last gitCursor
	_ = json.Unmarshal(cursor, &last) // what cannot be read is no reason not to look
	repo, head, err := r.origin.newest(ctx, plumbing.NewHash(last.Commit))
	if err != nil {
		return nil, Listing{}, fmt.Errorf("repository %q: %w", r.location, err)
	}
	if last.Commit == head.String() {
		return nil, Listing{Cursor: cursor, Authoritative: true, Unchanged: true}, nil
	}
	var w *treeWalk
	err = r.read(ctx, repo, head, func(at snapshot) error {
		w = &treeWalk{repository: r, snapshot: at}
		return w.root(ctx)
	})
	if err != nil {
		return nil, Listing{}, err
	}
	now, err := json.Marshal(gitCursor{Commit: w.commit.Hash.String()})
	if err != nil {
		return nil, Listing{}, err
	}
	return w.items, Listing{Cursor: now, Authoritative: true, Notes: w.said.all()}, nil
}

// read calls fn with what the repository holds at a commit. If that cannot be
// read, and the repository can be got anew, it does so and calls fn again.
func (r *repository) read(ctx context.Context, repo *git.Repository, hash plumbing.Hash, fn func(snapshot) error) error {
	attempt := func() error {
		at, err := newSnapshot(repo.Storer, hash)
		if err == nil {
			err = fn(at)
		}
		if err != nil {
			return fmt.Errorf("repository %q: at %s: %w", r.location, hash, err)
		}
		return nil
	}
	err := attempt()
	if outcome, _ := tributary.OutcomeOf(err); err == nil || outcome == tributary.Rejected || ctx.Err() != nil || !r.origin.renew() {
		return err
	}
	if repo, hash, err = r.origin.listed(ctx); err != nil {
		return fmt.Errorf("repository %q: %w", r.location, err)
	}
	return attempt()
}

// lfsPointer begins a file whose content is kept elsewhere (git-lfs, docs/spec.md).
const lfsPointer = "version https://git-lfs.github.com/spec/"

// Load reads a file as it is at the branch's head.
func (r *repository) Load(ctx context.Context, item Item, known Known) (Loaded, error) {
	name, err := r.name(item.URI)
	if err != nil {
		return Loaded{}, err
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	repo, head, err := r.origin.listed(ctx)
	if err != nil {
		return Loaded{}, fmt.Errorf("repository %q: %w", r.location, err)
	}
	var result Loaded
	err = r.read(ctx, repo, head, func(at snapshot) (err error) {
		result, err = r.load(at, name, known)
		return err
	})
	if err != nil {
		return Loaded{}, fmt.Errorf("read %q: %w", name, err)
	}
	return result, nil
}

func (r *repository) load(at snapshot, name string, known Known) (Loaded, error) {
	entry, err := at.find(name)
	if err != nil {
		return Loaded{}, err
	}
	if entry == nil || !isFile(entry.Mode) {
		return Loaded{Verdict: Gone}, nil
	}
	tag := entry.Hash.String()
	if known.Hash != "" && known.Tag == tag {
		return Loaded{Verdict: Unchanged, Known: known}, nil
	}
	content, err := at.content(entry.Hash, r.maxBytes)
	if err != nil {
		return Loaded{}, err
	}
	if bytes.HasPrefix(content, []byte(lfsPointer)) {
		return Loaded{Verdict: Hidden, Known: Known{Tag: tag}, Notes: []string{
			"left out: " + name + " is a pointer of Git LFS, its content is not in the repository",
		}}, nil
	}
	when := at.commit.Committer.When
	result := loaded(content, tag, known, when)
	result.Origin = map[string]string{"commit": at.commit.Hash.String(), "commit_time": when.UTC().Format(time.RFC3339), "path": name}
	return result, nil
}

// name is the path in the repository that uri names.
func (r *repository) name(uri string) (string, error) {
	escaped, ok := strings.CutPrefix(uri, r.base)
	name, err := url.PathUnescape(escaped)
	if !ok || err != nil {
		return "", tributary.Rejectf("%q is not in the repository %q", uri, r.location)
	}
	return name, nil
}

func (r *repository) uri(name string) string { return r.base + (&url.URL{Path: name}).EscapedPath() }
