package source

import (
	"context"
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"reflect"
	"runtime"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/tributary-kb/tributary"
	"github.com/tributary-kb/tributary/ingest"
)

// write makes or replaces files below root. They are as old as a file that
// nobody is writing any more.
func write(t *testing.T, root string, files map[string]string) {
	t.Helper()
	for name, content := range files {
		path := filepath.Join(root, filepath.FromSlash(name))
		fatal(t, os.MkdirAll(filepath.Dir(path), 0o755))
		fatal(t, os.WriteFile(path, []byte(content), 0o600))
		old := time.Now().Add(-time.Hour)
		fatal(t, os.Chtimes(path, old, old))
	}
}

func fatal(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

// follow returns the follower of a source that the test may look at.
func follow(t *testing.T, kind tributary.SourceKind, location string, o tributary.SourceOptions, env Env) Follower {
	t.Helper()
	f, err := New(tributary.Source{Name: "test", Kind: kind, Location: location, Options: o}, env)
	fatal(t, err)
	return f
}

func inFolder(t *testing.T, root string, o tributary.SourceOptions) Follower {
	t.Helper()
	return follow(t, tributary.SourceFolder, root, o, Env{})
}

// list returns the items of a source and what the listing says of itself.
func list(t *testing.T, f Follower, cursor []byte) ([]Item, Listing) {
	t.Helper()
	var items []Item
	listing, err := f.List(t.Context(), cursor, func(i Item) error {
		items = append(items, i)
		return nil
	})
	fatal(t, err)
	return items, listing
}

// names are the ends of the items' URIs after prefix.
func names(items []Item, prefix string) []string {
	var got []string
	for _, i := range items {
		got = append(got, strings.TrimPrefix(i.URI, prefix))
	}
	return got
}

// listFails returns the error that listing must end with.
func listFails(t *testing.T, f Follower) error {
	t.Helper()
	listing, err := f.List(t.Context(), nil, func(Item) error { return nil })
	if err == nil {
		t.Fatalf("listing %+v, want an error", listing)
	}
	return err
}

func outcome(err error) tributary.Outcome {
	o, _ := tributary.OutcomeOf(err)
	return o
}

func TestFolderListsWhatAddWouldAdd(t *testing.T) {
	root := t.TempDir()
	write(t, root, map[string]string{
		".gitignore": "*.log\n", "a.md": "a", "x.log": "", "sub/b c.md": "", ".hidden/h.md": "", "vendor/v.md": "", "sub/old.txt": "",
	})
	base := ingest.FileURI(root) + "/"
	items, listing := list(t, inFolder(t, root, tributary.SourceOptions{}), nil)
	want := []string{"a.md", "sub/b%20c.md", "sub/old.txt", "vendor/v.md"}
	if got := names(items, base); !reflect.DeepEqual(got, want) {
		t.Errorf("got %q, want %q", got, want)
	}
	if !listing.Authoritative || listing.Partial || listing.SecondLook || len(listing.Notes) > 0 {
		t.Errorf("listing %+v", listing)
	}
	if i := items[0]; i.Tag == "" || time.Since(i.Modified) < time.Minute {
		t.Errorf("item %+v", i)
	}
	narrow := inFolder(t, root, tributary.SourceOptions{Include: []string{"*.md"}, Exclude: []string{"vendor/"}})
	items, _ = list(t, narrow, nil)
	if got, want := names(items, base), []string{"a.md", "sub/b%20c.md"}; !reflect.DeepEqual(got, want) {
		t.Errorf("with include and exclude: got %q, want %q", got, want)
	}
}

func TestFolderLeavesOutWhatIsTooMuch(t *testing.T) {
	root := t.TempDir()
	write(t, root, map[string]string{"a": "", "b": "", "c": ""})
	items, listing := list(t, inFolder(t, root, tributary.SourceOptions{MaxDocuments: 2}), nil)
	if len(items) != 2 || len(listing.Notes) != 1 || !strings.Contains(listing.Notes[0], "limit of 2 (max_documents)") {
		t.Errorf("%d items, notes %q", len(items), listing.Notes)
	}
	items, listing = list(t, inFolder(t, root, tributary.SourceOptions{MaxDocuments: 3}), nil)
	if len(items) != 3 || len(listing.Notes) != 0 {
		t.Errorf("at the limit: %d items, notes %q", len(items), listing.Notes)
	}
}

func TestFolderThatIsNotThereIsNotEmpty(t *testing.T) {
	root := t.TempDir()
	write(t, root, map[string]string{"file": ""})
	if err := listFails(t, inFolder(t, filepath.Join(root, "none"), tributary.SourceOptions{})); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("error %v", err)
	}
	if err := listFails(t, inFolder(t, filepath.Join(root, "file"), tributary.SourceOptions{})); !strings.Contains(err.Error(), "not a directory") {
		t.Errorf("error %v", err)
	}
	gone := inFolder(t, filepath.Join(root, "none"), tributary.SourceOptions{})
	item := Item{URI: ingest.FileURI(filepath.Join(root, "none", "a.md"))}
	if loaded, err := gone.Load(t.Context(), item, Known{}); err == nil {
		t.Errorf("loaded %+v of a folder that is away, want an error", loaded)
	}
	if _, _, err := gone.(Looker).Look(t.Context(), item.URI); err == nil {
		t.Error("a look into a folder that is away is no error")
	}
	_, err := New(tributary.Source{Name: "x", Kind: tributary.SourceFolder, Location: "docs"}, Env{})
	if outcome(err) != tributary.Rejected {
		t.Errorf("a relative path: %v", err)
	}
}

func TestFolderThatIsReplacedWhileItIsListed(t *testing.T) {
	root := filepath.Join(t.TempDir(), "docs")
	write(t, root, map[string]string{"a": "", "b/c": ""})
	f := inFolder(t, root, tributary.SourceOptions{})
	_, err := f.List(t.Context(), nil, func(Item) error {
		return os.Rename(root, filepath.Join(t.TempDir(), "docs"))
	})
	if err == nil {
		t.Error("a listing of half a folder is no error")
	}
}

func TestFolderLoadsWhatChanged(t *testing.T) {
	root := t.TempDir()
	write(t, root, map[string]string{"a.md": "one"})
	f := inFolder(t, root, tributary.SourceOptions{})
	items, _ := list(t, f, nil)
	first, err := f.Load(t.Context(), items[0], Known{})
	fatal(t, err)
	if first.Verdict != Changed || string(first.Content) != "one" || first.Known.Tag != items[0].Tag || first.Known.Hash != tributary.Hash([]byte("one")) {
		t.Errorf("loaded %+v", first)
	}
	write(t, root, map[string]string{"a.md": "one"}) // touched
	again, err := f.Load(t.Context(), items[0], first.Known)
	fatal(t, err)
	if again.Verdict != Unchanged || again.Known.Tag == first.Known.Tag {
		t.Errorf("a touched file: %+v", again)
	}
	fatal(t, os.Remove(filepath.Join(root, "a.md")))
	if gone, err := f.Load(t.Context(), items[0], first.Known); err != nil || gone.Verdict != Gone {
		t.Errorf("a removed file: %+v, %v", gone, err)
	}
	outside := Item{URI: "file:///etc/passwd"}
	if _, err := f.Load(t.Context(), outside, Known{}); outcome(err) != tributary.Rejected {
		t.Errorf("a file outside: %v", err)
	}
}

func TestFolderTagSeesAnEditThatSetsTheTimeBack(t *testing.T) {
	if runtime.GOOS != "linux" {
		t.Skip("only Linux is asked for the change time")
	}
	root := t.TempDir()
	path := filepath.Join(root, "a.md")
	write(t, root, map[string]string{"a.md": "one"})
	info, err := os.Stat(path)
	fatal(t, err)
	f := inFolder(t, root, tributary.SourceOptions{})
	before, _ := list(t, f, nil)
	fatal(t, os.WriteFile(path+"~", []byte("two"), 0o600))
	fatal(t, os.Chtimes(path+"~", info.ModTime(), info.ModTime()))
	fatal(t, os.Rename(path+"~", path))
	after, _ := list(t, f, nil)
	if before[0].Tag == after[0].Tag || !before[0].Modified.Equal(after[0].Modified) {
		t.Errorf("tags %q and %q", before[0].Tag, after[0].Tag)
	}
}

func TestFolderRefusesWhatIsTooLarge(t *testing.T) {
	root := t.TempDir()
	write(t, root, map[string]string{"a.md": "12345"})
	f := follow(t, tributary.SourceFolder, root, tributary.SourceOptions{}, Env{Ingest: ingest.Config{MaxBytes: 4}})
	items, _ := list(t, f, nil)
	if len(items) != 1 {
		t.Fatalf("%d items, want the large file to be listed: it is not deleted", len(items))
	}
	_, err := f.Load(t.Context(), items[0], Known{})
	if outcome(err) != tributary.Rejected || !strings.Contains(err.Error(), "limit of 4 (ingest.max_bytes)") {
		t.Errorf("error %v", err)
	}
}

func TestFolderWaitsUntilAFileIsWritten(t *testing.T) {
	root := t.TempDir()
	write(t, root, map[string]string{"a.md": "half"})
	path := filepath.Join(root, "a.md")
	f := inFolder(t, root, tributary.SourceOptions{})
	items, _ := list(t, f, nil)
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	future := time.Now()
	fatal(t, os.Chtimes(path, future, future)) // somebody has just written
	if _, err := f.Load(ctx, items[0], Known{}); !errors.Is(err, context.Canceled) {
		t.Errorf("error %v, want a wait that ends with its context", err)
	}
	fatal(t, os.WriteFile(path, []byte("whole"), 0o600))
	loaded, err := f.Load(t.Context(), items[0], Known{})
	if err != nil || string(loaded.Content) != "whole" {
		t.Errorf("loaded %+v, %v", loaded, err)
	}
	if time.Since(loaded.Modified) < 100*time.Millisecond {
		t.Errorf("the file was read %v after it was written", time.Since(loaded.Modified))
	}
}

func TestFolderReadsNothingOutside(t *testing.T) {
	outside, root := t.TempDir(), t.TempDir()
	write(t, outside, map[string]string{"secret.md": "secret"})
	write(t, root, map[string]string{"a.md": "a", "sub/b.md": "b", ".data/c.md": "c", "d.md": "d"})
	for name, target := range map[string]string{
		"out": outside, "out.md": filepath.Join(outside, "secret.md"), "self": root, "gone.md": "nowhere", "loop.md": "loop.md",
		"c.md": ".data/c.md", "abs.md": filepath.Join(root, "a.md"), "up.md": "../" + filepath.Base(outside) + "/secret.md", "chain.md": "out.md",
	} {
		fatal(t, os.Symlink(target, filepath.Join(root, name)))
	}
	pipe(t, filepath.Join(root, "pipe.md"))
	f := inFolder(t, root, tributary.SourceOptions{})
	items, _ := list(t, f, nil)
	base := ingest.FileURI(root) + "/"
	if got, want := names(items, base), []string{"a.md", "abs.md", "c.md", "d.md", "sub/b.md"}; !reflect.DeepEqual(got, want) {
		t.Errorf("got %q, want %q", got, want)
	}
	for _, name := range []string{"out.md", "up.md", "chain.md", "out/secret.md", "sub/../out.md", "self/out.md", "gone.md", "loop.md", "pipe.md"} {
		loaded, err := f.Load(t.Context(), Item{URI: base + name}, Known{})
		if err == nil && loaded.Verdict != Gone {
			t.Errorf("%s: loaded %+v", name, loaded)
		}
		if _, found, _ := f.(Looker).Look(t.Context(), base+name); found {
			t.Errorf("%s: it is found", name)
		}
	}
	loaded, err := f.Load(t.Context(), Item{URI: base + "c.md"}, Known{})
	if err != nil || string(loaded.Content) != "c" {
		t.Errorf("a link to a hidden file: %+v, %v", loaded, err)
	}
	// What was a file when it was listed may be a link by now.
	fatal(t, os.Remove(filepath.Join(root, "d.md")))
	fatal(t, os.Symlink(filepath.Join(outside, "secret.md"), filepath.Join(root, "d.md")))
	if loaded, err := f.Load(t.Context(), Item{URI: base + "d.md"}, Known{}); err != nil || loaded.Verdict != Gone {
		t.Errorf("a file that became a link: %+v, %v", loaded, err)
	}
}

func TestFolderLooksAsItLists(t *testing.T) {
	root := t.TempDir()
	write(t, root, map[string]string{
		".gitignore": "*.log\nskip/\n", "a.md": "", "x.log": "", "sub/b.md": "", "sub/.tributaryignore": "c.md", "sub/c.md": "",
		"skip/d.md": "", ".h/e.md": "", "no/f.md": "",
	})
	f := inFolder(t, root, tributary.SourceOptions{Exclude: []string{"no"}})
	items, _ := list(t, f, nil)
	base := ingest.FileURI(root) + "/"
	for _, name := range []string{"a.md", "x.log", "sub/b.md", "sub/c.md", "skip/d.md", ".h/e.md", "no/f.md", "none.md", "a.md/x", "sub"} {
		item, found, err := f.(Looker).Look(t.Context(), base+name)
		fatal(t, err)
		i := slices.IndexFunc(items, func(i Item) bool { return i.URI == base+name })
		if found != (i >= 0) || found && !reflect.DeepEqual(item, items[i]) {
			t.Errorf("%s: found %v as %+v, in the listing at %d", name, found, item, i)
		}
	}
}

// BenchmarkUnchangedFolder lists 10,000 files in 100 directories, which is all
// that a look costs at a folder in which nothing changed.
func BenchmarkUnchangedFolder(b *testing.B) {
	const dirs, files = 100, 100
	root := b.TempDir()
	for d := range dirs {
		dir := filepath.Join(root, strconv.Itoa(d))
		if err := os.Mkdir(dir, 0o700); err != nil {
			b.Fatal(err)
		}
		for n := range files {
			if err := os.WriteFile(filepath.Join(dir, strconv.Itoa(n)+".md"), []byte("# Note\n"), 0o600); err != nil {
				b.Fatal(err)
			}
		}
	}
	f, err := New(tributary.Source{Name: "bench", Kind: tributary.SourceFolder, Location: root}, Env{})
	if err != nil {
		b.Fatal(err)
	}
	for b.Loop() {
		count := 0
		if _, err := f.List(b.Context(), nil, func(Item) error { count++; return nil }); err != nil || count != dirs*files {
			b.Fatalf("%d files are listed, %v", count, err)
		}
	}
	b.ReportMetric(float64(b.Elapsed().Microseconds())/float64(b.N*dirs*files), "µs/file")
}
