package source

import (
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"syscall"
	"testing"

	"github.com/tributary-kb/tributary"
	"github.com/tributary-kb/tributary/ingest"
)

// asNobody makes permissions count for the rest of the test, which they do not
// for root: the thread's file accesses are those of another user.
func asNobody(t *testing.T, dir string) {
	t.Helper()
	if os.Geteuid() != 0 {
		return
	}
	const nobody = 65534
	fatal(t, os.Chmod(filepath.Dir(dir), 0o755))
	fatal(t, filepath.WalkDir(dir, func(path string, _ os.DirEntry, _ error) error { return os.Chown(path, nobody, nobody) }))
	runtime.LockOSThread() // never unlocked: the thread ends with the test
	fatal(t, syscall.Setfsuid(nobody))
	t.Cleanup(func() { fatal(t, syscall.Setfsuid(0)) })
}

func TestFolderWhoseRootCannotBeReadIsNotEmpty(t *testing.T) {
	root := t.TempDir()
	write(t, root, map[string]string{"a.md": ""})
	asNobody(t, root)
	fatal(t, os.Chmod(root, 0o311))
	err := listFails(t, inFolder(t, root, tributary.SourceOptions{}))
	if !strings.Contains(err.Error(), "permission denied") {
		t.Errorf("error %v", err)
	}
	fatal(t, os.Chmod(root, 0o700))
}

func TestFolderBelowThatCannotBeReadDeletesNothing(t *testing.T) {
	root := t.TempDir()
	write(t, root, map[string]string{"a.md": "", "sub/b.md": "", "z.md": ""})
	asNobody(t, root)
	sub := filepath.Join(root, "sub")
	fatal(t, os.Chmod(sub, 0))
	f := inFolder(t, root, tributary.SourceOptions{})
	items, listing := list(t, f, nil)
	if len(items) != 2 || !listing.Partial || len(listing.Notes) != 1 || !strings.Contains(listing.Notes[0], "sub") {
		t.Errorf("%d items, listing %+v: want a partial one that names the directory", len(items), listing)
	}
	uri := ingest.FileURI(filepath.Join(sub, "b.md"))
	if _, _, err := f.(Looker).Look(t.Context(), uri); err == nil {
		t.Error("a look at a file in it is no error")
	}
	if loaded, err := f.Load(t.Context(), Item{URI: uri}, Known{}); err == nil {
		t.Errorf("a file in it loads as %+v, want an error", loaded)
	}
	fatal(t, os.Chmod(sub, 0o700))
}
