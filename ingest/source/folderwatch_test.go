package source

import (
	"context"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/fsnotify/fsnotify"

	"github.com/tributary-kb/tributary"
	"github.com/tributary-kb/tributary/ingest"
)

// watched is a folder that is watched.
type watched struct {
	root   string
	base   string // of its URIs
	told   chan []string
	failed chan error
}

// watch watches root, and waits until it hears.
func watch(t *testing.T, root string) *watched {
	t.Helper()
	w := watchFollower(t, inFolder(t, root, tributary.SourceOptions{}))
	w.root, w.base = root, ingest.FileURI(root)+"/"
	return w
}

// watchFollower watches f, and waits until it hears.
func watchFollower(t *testing.T, f Follower) *watched {
	t.Helper()
	w := &watched{told: make(chan []string, 100), failed: make(chan error, 1)}
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan struct{})
	go func() {
		defer close(done)
		w.failed <- f.(Watcher).Watch(ctx, func(uris ...string) { w.told <- uris })
	}()
	t.Cleanup(func() { cancel(); <-done })
	w.anything(t)
	return w
}

// end waits for the end of the watch, and returns its error.
func (w *watched) end(t *testing.T) error {
	t.Helper()
	select {
	case err := <-w.failed:
		return err
	case <-t.Context().Done():
		return nil
	}
}

// next returns the next report, by names below the root.
func (w *watched) next(t *testing.T) []string {
	t.Helper()
	select {
	case uris := <-w.told:
		var got []string
		for _, uri := range uris {
			got = append(got, strings.TrimPrefix(uri, w.base))
		}
		return got
	case err := <-w.failed:
		t.Fatalf("the watch ended: %v", err)
	case <-t.Context().Done():
	}
	return nil
}

// hears waits until all names have been reported, however many times, or
// anything has.
func (w *watched) hears(t *testing.T, names ...string) {
	t.Helper()
	for len(names) > 0 {
		got := w.next(t)
		names = slices.DeleteFunc(names, func(name string) bool { return len(got) == 0 || slices.Contains(got, name) })
	}
}

// anything waits for the report that says that anything may have changed.
func (w *watched) anything(t *testing.T) {
	t.Helper()
	for w.next(t) != nil {
	}
}

// exactly is the next report, in any order.
func (w *watched) exactly(t *testing.T, names ...string) {
	t.Helper()
	got := w.next(t)
	slices.Sort(got)
	if !slices.Equal(got, names) {
		t.Errorf("told of %q, want %q", got, names)
	}
}

func (w *watched) path(name string) string { return filepath.Join(w.root, filepath.FromSlash(name)) }

func TestWatchHearsFilesThatAreWrittenRemovedAndMoved(t *testing.T) {
	root := t.TempDir()
	write(t, root, map[string]string{"a.md": "one", "sub/b.md": "one", "c.md": ""})
	w := watch(t, root)
	fatal(t, os.WriteFile(w.path("a.md"), []byte("two"), 0o600))
	w.exactly(t, "a.md")
	fatal(t, os.WriteFile(w.path("sub/new.md"), []byte("two"), 0o600))
	w.exactly(t, "sub/new.md")
	fatal(t, os.Remove(w.path("sub/b.md")))
	w.exactly(t, "sub/b.md")
	fatal(t, os.Rename(w.path("c.md"), w.path("sub/c.md")))
	w.exactly(t, "c.md", "sub/c.md")
	fatal(t, os.Rename(w.path("sub/c.md"), filepath.Join(t.TempDir(), "c.md")))
	w.exactly(t, "sub/c.md")
}

func TestWatchHearsEditorsThatWriteByRename(t *testing.T) {
	root := t.TempDir()
	write(t, root, map[string]string{"a.md": "one"})
	w := watch(t, root)
	fatal(t, os.WriteFile(w.path(".a.md.tmp"), []byte("two"), 0o600))
	fatal(t, os.Rename(w.path(".a.md.tmp"), w.path("a.md")))
	w.exactly(t, "a.md")
	// vim, with a backup: the file moves away and a new one takes its place.
	fatal(t, os.Rename(w.path("a.md"), w.path("a.md~")))
	fatal(t, os.WriteFile(w.path("a.md"), []byte("three"), 0o600))
	fatal(t, os.Remove(w.path("a.md~")))
	w.exactly(t, "a.md", "a.md~")
}

func TestWatchHearsManyWritesOnce(t *testing.T) {
	root := t.TempDir()
	write(t, root, map[string]string{"a.md": "", "end.md": ""})
	w := watch(t, root)
	for range 100 {
		fatal(t, os.WriteFile(w.path("a.md"), []byte("x"), 0o600))
	}
	reports := 0
	fatal(t, os.WriteFile(w.path("end.md"), []byte("x"), 0o600))
	for ended := false; !ended; {
		got := w.next(t)
		if slices.Contains(got, "a.md") {
			reports++
		}
		ended = slices.Contains(got, "end.md")
	}
	if reports == 0 || reports > 20 {
		t.Errorf("%d reports of 100 writes", reports)
	}
}

func TestWatchHearsNewDirectories(t *testing.T) {
	root := t.TempDir()
	w := watch(t, root)
	write(t, root, map[string]string{"new/deep/a.md": "", "new/b.md": ""})
	w.hears(t, "new/deep/a.md", "new/b.md")
	fatal(t, os.WriteFile(w.path("new/deep/later.md"), nil, 0o600))
	w.hears(t, "new/deep/later.md")

	elsewhere := t.TempDir()
	write(t, elsewhere, map[string]string{"in/x/a.md": ""})
	fatal(t, os.Rename(filepath.Join(elsewhere, "in"), w.path("in")))
	w.hears(t, "in/x/a.md")
	fatal(t, os.WriteFile(w.path("in/x/later.md"), nil, 0o600))
	w.hears(t, "in/x/later.md")
}

func TestWatchHearsDirectoriesThatMoveAndGo(t *testing.T) {
	root := t.TempDir()
	write(t, root, map[string]string{"old/deep/a.md": "", "b.md": ""})
	w := watch(t, root)
	fatal(t, os.Rename(w.path("old"), w.path("new")))
	w.anything(t)
	fatal(t, os.WriteFile(w.path("new/deep/a.md"), []byte("x"), 0o600))
	w.hears(t, "new/deep/a.md")
	// The way is free for another directory of the same name.
	write(t, root, map[string]string{"old/deep/c.md": ""})
	w.hears(t, "old/deep/c.md")
	fatal(t, os.WriteFile(w.path("old/deep/later.md"), nil, 0o600))
	w.hears(t, "old/deep/later.md")

	fatal(t, os.RemoveAll(w.path("new")))
	w.anything(t)
}

func TestWatchHearsIgnoreFiles(t *testing.T) {
	root := t.TempDir()
	write(t, root, map[string]string{".gitignore": "skip/\n", "skip/a.md": "", "b.md": ""})
	w := watch(t, root)
	fatal(t, os.WriteFile(w.path(".gitignore"), []byte("*.log\n"), 0o600))
	w.anything(t)
	fatal(t, os.WriteFile(w.path("skip/a.md"), []byte("x"), 0o600)) // its directory counts now
	w.exactly(t, "skip/a.md")
}

func TestWatchHearsVolumesThatAreExchanged(t *testing.T) {
	root := t.TempDir()
	write(t, root, map[string]string{"..1/a.md": "one", "..2/a.md": "two"})
	fatal(t, os.Symlink("..1", filepath.Join(root, "..data")))
	fatal(t, os.Symlink("..data/a.md", filepath.Join(root, "a.md")))
	f := inFolder(t, root, tributary.SourceOptions{})
	items, _ := list(t, f, nil)
	w := watch(t, root)
	fatal(t, os.Symlink("..2", w.path("..new")))
	fatal(t, os.Rename(w.path("..new"), w.path("..data")))
	w.anything(t)
	after, _ := list(t, f, nil)
	if len(items) != 1 || len(after) != 1 || items[0].Tag == after[0].Tag {
		t.Errorf("items %+v, then %+v", items, after)
	}
}

func TestWatchEndsWithItsFolder(t *testing.T) {
	root := filepath.Join(t.TempDir(), "docs")
	write(t, root, map[string]string{"a.md": ""})
	w := watch(t, root)
	fatal(t, os.Rename(root, root+"2"))
	if err := <-w.failed; err == nil || !strings.Contains(err.Error(), "removed or renamed") {
		t.Errorf("error %v", err)
	}
	w.failed <- nil
}

func TestWatchThatOverflowedTellsOfAnythingAndHearsWhatIsNew(t *testing.T) {
	root := t.TempDir()
	write(t, root, map[string]string{"a.md": ""})
	events, err := fsnotify.NewWatcher()
	fatal(t, err)
	defer func() { fatal(t, events.Close()) }()
	w := &folderWatch{folder: inFolder(t, root, tributary.SourceOptions{}).(*folder), events: events, dirs: make(map[string]bool)}
	write(t, root, map[string]string{"new/b.md": ""})
	fatal(t, w.missed(t.Context(), fsnotify.ErrEventOverflow))
	if got := w.pending.settled(time.Now().Add(maxSettle)); !slices.Equal(got, []string{""}) || !w.dirs[filepath.Join(root, "new")] {
		t.Errorf("changes %q, directories %v", got, w.dirs)
	}
	var told [][]string
	report([]string{"file:///a", ""}, func(uris ...string) { told = append(told, uris) })
	if len(told) != 1 || len(told[0]) != 0 {
		t.Errorf("told %q, want one report of anything", told)
	}
}

func TestWatchNamesTheLimitsOfTheKernel(t *testing.T) {
	for err, name := range map[error]string{
		syscall.ENOSPC: "fs.inotify.max_user_watches", syscall.EMFILE: "fs.inotify.max_user_instances",
	} {
		if got := explainWatch("/docs", err); !strings.Contains(got.Error(), name) {
			t.Errorf("error %v does not name %s", got, name)
		}
	}
}

func TestChangesAreHeldUntilTheySettle(t *testing.T) {
	var s settling
	start := time.Now()
	at := func(ms int) time.Time { return start.Add(time.Duration(ms) * time.Millisecond) }
	s.touch("a", at(0))
	s.touch("b", at(100))
	if got := s.settled(at(149)); got != nil {
		t.Errorf("early: %q", got)
	}
	if got := s.settled(at(150)); !slices.Equal(got, []string{"a"}) {
		t.Errorf("after 150 ms: %q", got)
	}
	for ms := 100; ms < 1100; ms += 100 {
		s.touch("b", at(ms))
	}
	if got := s.settled(at(1099)); got != nil {
		t.Errorf("while it goes on: %q", got)
	}
	if got := s.settled(at(1100)); !slices.Equal(got, []string{"b"}) {
		t.Errorf("after a second: %q", got)
	}
	if s.wake(at(1100)) != nil {
		t.Error("nothing is held, and yet there is something to wait for")
	}
}
