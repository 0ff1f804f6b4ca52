package ingest

import (
	"context"
	"fmt"
	"io/fs"
	"net/url"
	"os"
	"path/filepath"
	"slices"
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
}

// File is one file that Walk found.
type File struct {
	Path    string // absolute
	URI     string // the path as a file URI, percent-encoded
	Size    int64  // bytes
	ModTime time.Time
	// Err says why the file, or the directory, cannot be added: it is too
	// large or cannot be read. The walk goes on.
	Err error
}

// Walk calls fn for each regular file below root, in lexical order within each
// directory. It leaves out what .gitignore and .tributaryignore files at and
// below root exclude, hidden files, and symbolic links: what they lead to is
// either in the tree, and found there, or outside of it, and not meant. A root
// that is a file, or a link to one, is always given, whatever it is called.
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
	switch {
	case info.IsDir():
		return w.dir(ctx, path, nil)
	case info.Mode().IsRegular():
		return fn(w.file(path, info))
	}
	return fmt.Errorf("walk %q: it is neither a file nor a directory", root)
}

type walker struct {
	opts WalkOptions
	fn   func(File) error
}

// dir walks one directory; above holds the ignore rules of those above it.
func (w *walker) dir(ctx context.Context, path string, above *ignoreRules) error {
	if err := ctx.Err(); err != nil {
		return fmt.Errorf("walk %q: %w", path, err)
	}
	entries, err := os.ReadDir(path)
	if err != nil {
		if fnErr := w.fn(File{Path: path, URI: fileURI(path), Err: fmt.Errorf("read directory %q: %w", path, err)}); fnErr != nil {
			return fnErr
		}
	}
	rules, err := readIgnoreRules(path, above)
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

func (w *walker) skips(dir string, entry fs.DirEntry, rules *ignoreRules) bool {
	name := entry.Name()
	if name == ".git" || !w.opts.Hidden && strings.HasPrefix(name, ".") {
		return true
	}
	if !entry.IsDir() && !entry.Type().IsRegular() {
		return true
	}
	return rules.ignores(filepath.Join(dir, name), entry.IsDir())
}

func (w *walker) entry(ctx context.Context, path string, entry fs.DirEntry, rules *ignoreRules) error {
	if entry.IsDir() {
		return w.dir(ctx, path, rules)
	}
	info, err := entry.Info()
	if err != nil {
		return w.fn(File{Path: path, URI: fileURI(path), Err: fmt.Errorf("stat %q: %w", path, err)})
	}
	return w.fn(w.file(path, info))
}

func (w *walker) file(path string, info fs.FileInfo) File {
	f := File{Path: path, URI: fileURI(path), Size: info.Size(), ModTime: info.ModTime()}
	if f.Size > w.opts.MaxBytes {
		f.Err = fmt.Errorf("%q has %d bytes, the limit is %d (ingest.max_bytes)", path, f.Size, w.opts.MaxBytes)
	}
	return f
}

// fileURI returns the file URI of an absolute path, percent-encoded.
func fileURI(path string) string {
	p := filepath.ToSlash(path)
	if !strings.HasPrefix(p, "/") {
		p = "/" + p // a drive letter on Windows
	}
	return (&url.URL{Scheme: "file", Path: p}).String()
}

// ignoreRules are the rules of one directory, on top of those above it.
type ignoreRules struct {
	dir   string
	rules []ignoreRule
	above *ignoreRules
}

// readIgnoreRules reads the ignore files of dir; where it has none it returns
// above.
func readIgnoreRules(dir string, above *ignoreRules) (*ignoreRules, error) {
	var rules []ignoreRule
	for _, name := range []string{".gitignore", ".tributaryignore"} {
		path := filepath.Join(dir, name)
		data, err := os.ReadFile(path)
		if os.IsNotExist(err) {
			continue
		}
		if err != nil {
			return nil, fmt.Errorf("read ignore rules: %w", err)
		}
		rules = append(rules, parseIgnoreRules(string(data))...)
	}
	if len(rules) == 0 {
		return above, nil
	}
	return &ignoreRules{dir: dir, rules: rules, above: above}, nil
}

// ignores reports whether the rules leave out the file or directory at path.
// The rules nearest to it decide, and of one directory's the last that
// matches.
func (r *ignoreRules) ignores(path string, isDir bool) bool {
	for ; r != nil; r = r.above {
		rel, err := filepath.Rel(r.dir, path)
		if err != nil {
			continue
		}
		rel = filepath.ToSlash(rel)
		for _, rule := range slices.Backward(r.rules) {
			if rule.matches(rel, isDir) {
				return !rule.negated
			}
		}
	}
	return false
}
