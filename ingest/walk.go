package ingest

import (
	"context"
	"fmt"
	"io/fs"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"time"
)

// WalkOptions narrow a Walk. The zero value suits documents.
type WalkOptions struct {
	// MaxBytes is the size above which a file is reported with an error. 0
	// means 32 MiB, as for Config.MaxBytes.
	MaxBytes int64
	// Hidden includes files and directories whose names start with a dot,
	// except ".git".
	Hidden bool
	// Links follows symbolic links to regular files that stay below root.
	Links bool
	// Below narrows the walk to what is at or below this absolute path, by the
	// rules that hold there. "" means all of root.
	Below string
	// Dir is called with each directory before it is read; nil is no one. Its
	// error stops the walk.
	Dir func(path string) error
}

// File is one file that Walk found.
type File struct {
	Path    string // absolute
	URI     string // the path as a file URI, percent-encoded
	Size    int64  // bytes
	ModTime time.Time
	Info    fs.FileInfo // nil if it could not be had; of a link that is followed, the target's
	// Err says why the file, or the directory, cannot be added: it is too
	// large or cannot be read. The walk goes on.
	Err error
}

// Walk calls fn for each regular file below root, in lexical order within each
// directory. It leaves out what .gitignore and .tributaryignore files at and
// below root exclude, hidden files, and symbolic links: what they lead to is
// either in the tree, and found there, or outside of it, and not meant. (With
// Links, those that lead to a file of the tree are followed, for the file may
// be a hidden one.) A root that is a file, or a link to one, is always given,
// whatever it is called.
//
// Walk stops with fn's error, with ctx's, or if root does not exist; on an
// empty directory it returns nil without calling fn.
func Walk(ctx context.Context, root string, opts WalkOptions, fn func(File) error) error {
	setDefault(&opts.MaxBytes, defaultMaxBytes)
	path, err := filepath.Abs(root)
	if err != nil {
		return fmt.Errorf("walk %q: %w", root, err)
	}
	info, err := os.Stat(path)
	if err != nil {
		return fmt.Errorf("walk %q: %w", root, err)
	}
	w := &walker{opts: opts, fn: fn}
	if w.root, err = filepath.EvalSymlinks(path); err != nil {
		return fmt.Errorf("walk %q: %w", root, err)
	}
	switch {
	case info.IsDir():
		return w.dir(ctx, path, nil)
	case info.Mode().IsRegular():
		return fn(w.file(path, info))
	}
	return fmt.Errorf("walk %q: it is neither a file nor a directory", root)
}

type walker struct {
	root string // without links
	opts WalkOptions
	fn   func(File) error
}

// dir walks one directory; above holds the ignore rules of those above it.
func (w *walker) dir(ctx context.Context, path string, above *Rules) error {
	if err := ctx.Err(); err != nil {
		return fmt.Errorf("walk %q: %w", path, err)
	}
	if w.opts.Dir != nil {
		if err := w.opts.Dir(path); err != nil {
			return err
		}
	}
	entries, err := w.entries(path)
	if err != nil {
		return w.fn(File{Path: path, URI: FileURI(path), Err: fmt.Errorf("read directory %q: %w", path, err)})
	}
	rules, err := readRules(path, above)
	if err != nil {
		return err
	}
	for _, entry := range entries {
		if w.skips(path, entry, rules) {
			continue
		}
		if err := w.entry(ctx, filepath.Join(path, entry.Name()), entry, rules); err != nil {
			return err
		}
	}
	return nil
}

// entries reads a directory; of one above Below only the entry that leads there.
func (w *walker) entries(dir string) ([]fs.DirEntry, error) {
	name, ok := w.towards(dir)
	if !ok {
		return os.ReadDir(dir)
	}
	info, err := os.Lstat(filepath.Join(dir, name))
	if os.IsNotExist(err) {
		return nil, nil
	}
	if err != nil {
		return nil, err
	}
	return []fs.DirEntry{fs.FileInfoToDirEntry(info)}, nil
}

// towards returns the name below path that leads to Below, and false if path
// is not above it.
func (w *walker) towards(path string) (string, bool) {
	if w.opts.Below == "" {
		return "", false
	}
	rel, err := filepath.Rel(path, w.opts.Below)
	if err != nil || !filepath.IsLocal(rel) || rel == "." {
		return "", false
	}
	name, _, _ := strings.Cut(filepath.ToSlash(rel), "/")
	return name, true
}

func (w *walker) skips(dir string, entry fs.DirEntry, rules *Rules) bool {
	name := entry.Name()
	if name == ".git" || !w.opts.Hidden && strings.HasPrefix(name, ".") {
		return true
	}
	path := filepath.Join(dir, name)
	if !entry.IsDir() {
		link := w.opts.Links && entry.Type()&fs.ModeSymlink != 0
		if _, above := w.towards(path); above || !link && !entry.Type().IsRegular() {
			return true
		}
	}
	return rules.Ignores(path, entry.IsDir())
}

func (w *walker) entry(ctx context.Context, path string, entry fs.DirEntry, rules *Rules) error {
	if entry.IsDir() {
		return w.dir(ctx, path, rules)
	}
	info, err := entry.Info()
	if err == nil && entry.Type()&fs.ModeSymlink != 0 {
		info, err = w.target(path)
	}
	switch {
	case err != nil:
		return w.fn(File{Path: path, URI: FileURI(path), Err: fmt.Errorf("stat %q: %w", path, err)})
	case info == nil:
		return nil
	}
	return w.fn(w.file(path, info))
}

// target describes the file that a link leads to, nil if it is none or not
// below root.
func (w *walker) target(path string) (fs.FileInfo, error) {
	target, err := filepath.EvalSymlinks(path)
	if err != nil {
		return nil, nil //nolint:nilerr,nilnil // it leads nowhere, or around in circles
	}
	if rel, err := filepath.Rel(w.root, target); err != nil || !filepath.IsLocal(rel) {
		return nil, nil //nolint:nilerr,nilnil // it leads out of the tree
	}
	info, err := os.Lstat(target)
	if err != nil || !info.Mode().IsRegular() {
		return nil, err
	}
	return info, nil
}

func (w *walker) file(path string, info fs.FileInfo) File {
	f := File{Path: path, URI: FileURI(path), Size: info.Size(), ModTime: info.ModTime(), Info: info}
	if f.Size > w.opts.MaxBytes {
		f.Err = fmt.Errorf("%q has %d bytes, the limit is %d (ingest.max_bytes)", path, f.Size, w.opts.MaxBytes)
	}
	return f
}

// FileURI returns the file URI of an absolute path, percent-encoded.
func FileURI(path string) string {
	p := filepath.ToSlash(path)
	if !strings.HasPrefix(p, "/") {
		p = "/" + p // a drive letter on Windows
	}
	return (&url.URL{Scheme: "file", Path: p}).String()
}
