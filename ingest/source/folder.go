package source

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"net/url"
	"os"
	"path/filepath"
	"syscall"
	"time"

	"github.com/tributary-kb/tributary"
	"github.com/tributary-kb/tributary/ingest"
)

// folder follows a local tree of files: those that `tributary add` would add.
type folder struct {
	root     string // absolute
	scope    scope
	max      int // documents, 0 means no bound
	maxBytes int64
}

func newFolder(s tributary.Source, env Env) (Follower, error) {
	if !filepath.IsAbs(s.Location) {
		return nil, tributary.Rejectf("location %q is not an absolute path", s.Location)
	}
	within, err := newScope(s.Options)
	if err != nil {
		return nil, tributary.Reject(err)
	}
	env.Ingest.SetDefaults()
	return &folder{
		root: filepath.Clean(s.Location), scope: within, max: s.Options.MaxDocuments, maxBytes: env.Ingest.MaxBytes,
	}, nil
}

var errEnough = errors.New("enough")

// List costs a stat per file. A root that is not a readable directory is an
// error; a directory below it that cannot be read makes the listing partial,
// so that its documents are not taken for deleted.
func (f *folder) List(ctx context.Context, _ json.RawMessage, yield func(Item) error) (Listing, error) {
	before, err := f.stat()
	if err != nil {
		return Listing{}, err
	}
	listing := Listing{Authoritative: true}
	var said notes
	count := 0
	err = f.walk(ctx, "", func(file ingest.File) error {
		switch {
		case errors.Is(file.Err, fs.ErrNotExist) && file.Path != f.root:
			return nil // gone since its directory was read
		case file.Info == nil && file.Path == f.root:
			return file.Err
		case file.Info == nil:
			listing.Partial = true
			said.add("nothing is deleted while %v", file.Err)
			return nil
		}
		item, ok := f.item(file)
		if !ok {
			return nil
		}
		if f.max > 0 && count == f.max {
			said.tooMany(f.max)
			return errEnough
		}
		count++
		return yield(item)
	})
	if err != nil && !errors.Is(err, errEnough) {
		return Listing{}, err
	}
	if after, err := f.stat(); err != nil || !os.SameFile(before, after) {
		return Listing{}, fmt.Errorf("list %q: the folder was replaced meanwhile", f.root)
	}
	listing.Notes = said.all()
	return listing, nil
}

// stat describes the root, which must be a directory.
func (f *folder) stat() (fs.FileInfo, error) {
	info, err := os.Stat(f.root)
	if err != nil {
		return nil, fmt.Errorf("list %q: %w", f.root, err)
	}
	if !info.IsDir() {
		return nil, fmt.Errorf("list %q: it is not a directory", f.root)
	}
	return info, nil
}

// walk calls fn for the files at and below an absolute path, "" for all.
func (f *folder) walk(ctx context.Context, below string, fn func(ingest.File) error) error {
	return ingest.Walk(ctx, f.root, ingest.WalkOptions{MaxBytes: f.maxBytes, Links: true, Below: below}, fn)
}

// item describes a file, and returns false if it is out of scope. One that is
// too large is an item: Load says so, and what was known of it stays.
func (f *folder) item(file ingest.File) (Item, bool) {
	rel, err := filepath.Rel(f.root, file.Path)
	if err != nil || !f.scope.holds(filepath.ToSlash(rel)) || tributary.CheckURI(file.URI) != nil {
		return Item{}, false
	}
	return Item{URI: file.URI, Tag: fileTag(file.Info), Modified: file.ModTime}, true
}

// path returns the absolute path that uri names below the root.
func (f *folder) path(uri string) (string, error) {
	u, err := url.Parse(uri)
	if err != nil || u.Scheme != "file" {
		return "", tributary.Rejectf("%q is not the URI of a file", uri)
	}
	path := filepath.Clean(filepath.FromSlash(u.Path))
	if rel, err := filepath.Rel(f.root, path); err != nil || !filepath.IsLocal(rel) || rel == "." {
		return "", tributary.Rejectf("%q is not below %q", uri, f.root)
	}
	return path, nil
}

// Look implements Looker: it walks to the one file only.
func (f *folder) Look(ctx context.Context, uri string) (item Item, found bool, err error) {
	path, err := f.path(uri)
	if err != nil {
		return Item{}, false, err
	}
	if _, err := f.stat(); err != nil {
		return Item{}, false, err
	}
	err = f.walk(ctx, path, func(file ingest.File) error {
		switch {
		case file.Path == path && file.Info != nil:
			item, found = f.item(file)
		case file.Err != nil && !errors.Is(file.Err, fs.ErrNotExist):
			return file.Err
		}
		return nil
	})
	return item, found, err
}

const (
	// settle is for how long a file must not have changed before it is read
	// and before an event is reported: whoever writes it may not be done, and
	// two changes within a tick of the file system's clock have one time.
	settle = 150 * time.Millisecond
	// settleTries is how often Load waits for that.
	settleTries = 20
)

var errUnsettled = errors.New("it is still being written")

// Load reads a file that has settled. One that changes while it is read is
// read again; if it never settles, that is a plain error.
func (f *folder) Load(ctx context.Context, item Item, known Known) (Loaded, error) {
	path, err := f.path(item.URI)
	if err != nil {
		return Loaded{}, err
	}
	for range settleTries {
		loaded, err := f.read(path, known)
		if !errors.Is(err, errUnsettled) {
			return loaded, err
		}
		select {
		case <-time.After(settle):
		case <-ctx.Done():
			return Loaded{}, fmt.Errorf("read %q: %w", path, ctx.Err())
		}
	}
	return Loaded{}, fmt.Errorf("read %q: %w", path, errUnsettled)
}

// read reads the file once. It is opened through os.Root, so that no link that
// is put in its way meanwhile leads out of the tree.
func (f *folder) read(path string, known Known) (Loaded, error) {
	root, err := os.OpenRoot(f.root)
	if err != nil {
		return Loaded{}, fmt.Errorf("read %q: %w", path, err)
	}
	defer func() { _ = root.Close() }()
	name, err := f.target(path)
	if err != nil {
		return missing(path, err)
	}
	file, err := root.OpenFile(name, os.O_RDONLY|syscall.O_NONBLOCK, 0) // a pipe must not hold us up
	if err != nil {
		return missing(path, err)
	}
	defer file.Close()
	before, err := file.Stat()
	if err != nil {
		return Loaded{}, fmt.Errorf("read %q: %w", path, err)
	}
	tag := fileTag(before)
	switch age := time.Since(before.ModTime()); {
	case !before.Mode().IsRegular():
		return Loaded{Verdict: Gone}, nil
	case known.Hash != "" && known.Tag == tag:
		return Loaded{Verdict: Unchanged, Known: known}, nil
	case age >= 0 && age < settle:
		return Loaded{}, errUnsettled
	}
	content, err := f.content(path, file)
	if err != nil {
		return Loaded{}, err
	}
	if after, err := root.Stat(name); err != nil || fileTag(after) != tag {
		return Loaded{}, errUnsettled
	}
	return loaded(content, tag, known, before.ModTime()), nil
}

// target returns the name below the root of the file that path leads to.
func (f *folder) target(path string) (string, error) {
	root, err := filepath.EvalSymlinks(f.root)
	if err != nil {
		return "", err
	}
	target, err := filepath.EvalSymlinks(path)
	if err != nil {
		return "", err
	}
	name, err := filepath.Rel(root, target)
	if err != nil || !filepath.IsLocal(name) {
		return "", fmt.Errorf("it leads out of the folder: %w", fs.ErrNotExist)
	}
	return name, nil
}

// missing tells a file that is gone from one that cannot be read.
func missing(path string, err error) (Loaded, error) {
	if errors.Is(err, fs.ErrNotExist) {
		return Loaded{Verdict: Gone}, nil
	}
	return Loaded{}, fmt.Errorf("read %q: %w", path, err)
}

func (f *folder) content(path string, file io.Reader) ([]byte, error) {
	content, err := readAtMost(file, f.maxBytes)
	if err != nil {
		return nil, fmt.Errorf("read %q: %w", path, err)
	}
	return content, nil
}
