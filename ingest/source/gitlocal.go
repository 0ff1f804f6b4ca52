package source

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"time"

	"github.com/fsnotify/fsnotify"
	"github.com/go-git/go-git/v5"
	"github.com/go-git/go-git/v5/plumbing"
)

// localRepository is one of this machine. It is watched.
type localRepository struct {
	*repository
	local checkout
}

// checkout is the origin of a repository of this machine, with a work tree or
// without.
type checkout struct{ dir, branch string }

// localDir returns the directory that a location names, false if it is no path
// of this machine.
func localDir(location string) (string, bool) {
	if u, err := url.Parse(location); err == nil && u.Scheme == "file" {
		location = filepath.FromSlash(u.Path)
	}
	return filepath.Clean(location), filepath.IsAbs(location)
}

func (c checkout) newest(context.Context, plumbing.Hash) (*git.Repository, plumbing.Hash, error) {
	repo, err := git.PlainOpenWithOptions(c.dir, &git.PlainOpenOptions{EnableDotGitCommonDir: true})
	if err != nil {
		return nil, plumbing.ZeroHash, fmt.Errorf("open: %w", err)
	}
	name := branchRef(c.branch)
	ref, err := repo.Reference(name, true)
	if err != nil {
		return nil, plumbing.ZeroHash, fmt.Errorf("branch %q: %w", name.Short(), err)
	}
	return repo, ref.Hash(), nil
}

func (c checkout) listed(ctx context.Context) (*git.Repository, plumbing.Hash, error) {
	return c.newest(ctx, plumbing.ZeroHash)
}

func (checkout) renew() bool { return false }

// Watch implements Watcher by events of the files that hold references. It
// calls changed once it hears, for what came before.
func (l *localRepository) Watch(ctx context.Context, changed func(uris ...string)) error {
	events, err := fsnotify.NewWatcher()
	if err != nil {
		return explainWatch(l.local.dir, err)
	}
	defer func() { _ = events.Close() }()
	own, common, err := gitDirs(l.local.dir)
	if err != nil {
		return fmt.Errorf("watch %q: %w", l.local.dir, err)
	}
	w := refWatch{events: events, own: own, common: common}
	if err := w.start(); err != nil {
		return err
	}
	changed()
	return w.run(ctx, changed)
}

// gitDirs returns the directory of a repository's HEAD and that of its
// branches, which are two in a linked work tree (gitrepository-layout(5)).
func gitDirs(dir string) (own, common string, err error) {
	own = filepath.Join(dir, ".git")
	info, err := os.Stat(own)
	switch {
	case errors.Is(err, fs.ErrNotExist):
		own = dir // without a work tree
	case err != nil:
		return "", "", err
	case !info.IsDir():
		if own, err = pathIn(own, "gitdir: "); err != nil {
			return "", "", err
		}
	}
	common, err = pathIn(filepath.Join(own, "commondir"), "")
	if errors.Is(err, fs.ErrNotExist) {
		return own, own, nil
	}
	return own, common, err
}

// pathIn reads the path that a file holds, relative to its directory.
func pathIn(file, prefix string) (string, error) {
	text, err := os.ReadFile(file)
	if err != nil {
		return "", err
	}
	path := filepath.FromSlash(strings.TrimSpace(strings.TrimPrefix(string(text), prefix)))
	if !filepath.IsAbs(path) {
		path = filepath.Join(filepath.Dir(file), path)
	}
	return filepath.Clean(path), nil
}

// refWatch is a running Watch.
type refWatch struct {
	events      *fsnotify.Watcher
	own, common string
	pending     settling
}

// start watches HEAD and packed-refs by their directories, as they are replaced
// and not written, and the branches.
func (w *refWatch) start() error {
	for _, dir := range []string{w.own, w.common} {
		if err := w.events.Add(dir); err != nil {
			return explainWatch(dir, err)
		}
	}
	return w.branches(filepath.Join(w.common, "refs", "heads"))
}

// branches watches a directory of branches and those below it: "team/main" is
// a file in one.
func (w *refWatch) branches(root string) error {
	return filepath.WalkDir(root, func(path string, d fs.DirEntry, err error) error {
		if err == nil && d.IsDir() {
			err = w.events.Add(path)
		}
		if err != nil && !errors.Is(err, fs.ErrNotExist) {
			return explainWatch(path, err)
		}
		return nil
	})
}

func (w *refWatch) run(ctx context.Context, changed func(uris ...string)) error {
	var wake <-chan time.Time // nil while nothing is held back
	for {
		select {
		case <-ctx.Done():
			return ctx.Err()
		case event := <-w.events.Events:
			if err := w.hear(event); err != nil {
				return err
			}
		case err := <-w.events.Errors:
			if !errors.Is(err, fsnotify.ErrEventOverflow) {
				return explainWatch(w.common, err)
			}
			w.pending.touch("", time.Now())
		case <-wake:
			report(w.pending.settled(time.Now()), changed)
			wake = nil
		}
		if wake == nil {
			wake = w.pending.wake(time.Now())
		}
	}
}

// hear notes what an event may mean. Of the files beside HEAD, such as the
// index, most say nothing of a branch.
func (w *refWatch) hear(event fsnotify.Event) error {
	dir, name := filepath.Split(event.Name)
	dir = filepath.Clean(dir)
	top := dir == w.own || dir == w.common
	gone := event.Has(fsnotify.Remove) || event.Has(fsnotify.Rename)
	switch {
	case gone && (event.Name == w.own || event.Name == w.common):
		return fmt.Errorf("watch %q: the repository was removed or renamed", event.Name)
	case event.Op == fsnotify.Chmod, strings.HasSuffix(name, ".lock"), top && name != "HEAD" && name != "packed-refs":
		return nil
	}
	w.pending.touch("", time.Now())
	if event.Has(fsnotify.Create) && !top {
		return w.branches(event.Name)
	}
	return nil
}
