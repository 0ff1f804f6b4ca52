package testenv

import (
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"testing"
)

// SharedData returns the folder ../shared/data/name beside the project: real
// corpora that are too large for the repository. The test is skipped, with
// the path as the reason, where they are absent.
func SharedData(tb testing.TB, name string) string {
	tb.Helper()
	dir := filepath.Join(filepath.Dir(ProjectRoot(tb)), "shared", "data", name)
	if _, err := os.Stat(dir); errors.Is(err, fs.ErrNotExist) {
		tb.Skipf("the corpus %s is not here (%s)", name, dir)
	} else if err != nil {
		tb.Fatal(err)
	}
	return dir
}

// ProjectRoot returns the folder of the main module's go.mod, the
// nearest above the test's working directory.
func ProjectRoot(tb testing.TB) string {
	tb.Helper()
	dir, err := os.Getwd()
	if err != nil {
		tb.Fatal(err)
	}
	for {
		if _, err := os.Stat(filepath.Join(dir, "go.mod")); err == nil {
			return dir
		}
		parent := filepath.Dir(dir)
		if parent == dir {
			tb.Fatal("no go.mod above the test")
		}
		dir = parent
	}
}
