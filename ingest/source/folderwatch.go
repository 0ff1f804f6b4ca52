package source

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"time"

	"github.com/fsnotify/fsnotify"

	"github.com/tributary-kb/tributary/ingest"
)

// Watch implements Watcher by file system events. It calls changed without
// URIs once it hears, for what came before. A link is not heard of when the
// file that it leads to changes.
func (f *folder) Watch(ctx context.Context, changed func(uris ...string)) error {
	events, err := fsnotify.NewWatcher()
	if err != nil {
		return explainWatch(f.root, err)
	}
	defer func() { _ = events.Close() }()
	w := &folderWatch{folder: f, events: events, dirs: make(map[string]bool)}
	if err := w.add(ctx, f.root); err != nil {
		return err
	}
	changed()
	return w.run(ctx, changed)
}

// folderWatch is a running Watch.
type folderWatch struct {
	folder  *folder
	events  *fsnotify.Watcher
	dirs    map[string]bool // those that are watched
	pending settling
}

// run hears events and reports them once they have settled.
func (w *folderWatch) run(ctx context.Context, changed func(uris ...string)) error {
	var wake <-chan time.Time // nil while nothing is held back
	for {
		select {
		case <-ctx.Done():
			return ctx.Err()
		case event := <-w.events.Events:
			if err := w.hear(ctx, event); err != nil {
				return err
			}
		case err := <-w.events.Errors:
			if err := w.missed(ctx, err); err != nil {
				return err
			}
		case <-wake:
			report(w.pending.settled(time.Now()), changed)
			wake = nil
		}
		if wake == nil {
			wake = w.pending.wake(time.Now())
		}
	}
}

// missed deals with an error of the watcher. After an overflow of the kernel's
// queue directories may have come that nobody told of.
func (w *folderWatch) missed(ctx context.Context, err error) error {
	if !errors.Is(err, fsnotify.ErrEventOverflow) {
		return explainWatch(w.folder.root, err)
	}
	w.pending.touch("", time.Now())
	return w.add(ctx, w.folder.root)
}

// report tells of settled changes, of anything at all if "" is among them.
func report(uris []string, changed func(uris ...string)) {
	switch {
	case slices.Contains(uris, ""):
		changed()
	case len(uris) > 0:
		changed(uris...)
	}
}

// hear notes what an event may mean.
func (w *folderWatch) hear(ctx context.Context, event fsnotify.Event) error {
	name := filepath.Base(event.Name)
	gone := event.Has(fsnotify.Remove) || event.Has(fsnotify.Rename)
	switch {
	case gone && event.Name == w.folder.root:
		return fmt.Errorf("watch %q: the folder was removed or renamed", w.folder.root)
	case gone && w.dirs[event.Name]:
		w.forget(event.Name)
		w.pending.touch("", time.Now())
	case event.Op == fsnotify.Chmod:
		// Neither the content nor the name has changed.
	case slices.Contains(ingest.IgnoreFiles, name):
		w.pending.touch("", time.Now())
		return w.add(ctx, w.folder.root)
	case event.Has(fsnotify.Create):
		return w.created(ctx, event.Name)
	case !strings.HasPrefix(name, "."):
		w.pending.touch(ingest.FileURI(event.Name), time.Now())
	}
	return nil
}

// created notes a new file, or all files of a new directory. A hidden link may
// lead anywhere: a volume of Kubernetes is updated by exchanging one.
func (w *folderWatch) created(ctx context.Context, path string) error {
	hidden := strings.HasPrefix(filepath.Base(path), ".")
	info, err := os.Lstat(path)
	switch {
	case err == nil && info.IsDir():
		return w.add(ctx, path)
	case hidden && err == nil && info.Mode()&fs.ModeSymlink != 0:
		w.pending.touch("", time.Now())
	case !hidden:
		w.pending.touch(ingest.FileURI(path), time.Now())
	}
	return nil
}

// add watches the directory at path and those below it, and notes the files
// that they hold; of the root's nothing is noted, its callers tell of anything.
// Each directory is watched before it is read, so that nothing falls in between.
func (w *folderWatch) add(ctx context.Context, path string) error {
	opts := ingest.WalkOptions{Links: true, Below: path, Dir: w.watch}
	err := ingest.Walk(ctx, w.folder.root, opts, func(file ingest.File) error {
		if file.Info != nil && path != w.folder.root {
			w.pending.touch(file.URI, time.Now())
		}
		return nil
	})
	if err != nil {
		return fmt.Errorf("watch %q: %w", w.folder.root, err)
	}
	return nil
}

// watch adds one directory; one that is gone already is none.
func (w *folderWatch) watch(path string) error {
	if w.dirs[path] {
		return nil
	}
	err := w.events.Add(path)
	if errors.Is(err, fs.ErrNotExist) || errors.Is(err, fs.ErrPermission) {
		return nil // the listing says which directories cannot be read
	}
	if err != nil {
		return explainWatch(path, err)
	}
	w.dirs[path] = true
	return nil
}

// forget ends the watches of a directory that is gone and of those below it,
// which a move would leave behind under their old names.
func (w *folderWatch) forget(path string) {
	for dir := range w.dirs {
		if dir == path || strings.HasPrefix(dir, path+string(filepath.Separator)) {
			_ = w.events.Remove(dir) // the kernel may have been faster
			delete(w.dirs, dir)
		}
	}
}

// explainWatch names the limits of the kernel.
func explainWatch(path string, err error) error {
	switch {
	case errors.Is(err, syscall.ENOSPC):
		return fmt.Errorf("watch %q: more directories than the kernel watches for one user (sysctl fs.inotify.max_user_watches): %w", path, err)
	case errors.Is(err, syscall.EMFILE):
		return fmt.Errorf("watch %q: more watchers or open files than allowed (sysctl fs.inotify.max_user_instances, ulimit -n): %w", path, err)
	}
	return fmt.Errorf("watch %q: %w", path, err)
}
