package source

import (
	"net/http"
	"os"
	"path/filepath"
	"reflect"
	"strings"
	"testing"
	"time"

	"github.com/tributary-kb/tributary"
)

func TestGitFetchesWhatIsNewAlone(t *testing.T) {
	s := newGitServer(t)
	files := map[string]string{}
	for _, name := range strings.Fields("a b c d e f g h") {
		files[name+".md"] = name + string(random(t, 20_000))
	}
	s.commit(t, files)
	env := near(t)
	f := s.follow(t, tributary.SourceOptions{}, env)
	_, listing := list(t, f, nil)
	before := diskSize(t, env.Dir)
	s.commit(t, map[string]string{"z.md": "new"})
	items, _ := list(t, f, listing.Cursor)
	if grown := diskSize(t, env.Dir) - before; len(items) != 9 || grown > 10_000 {
		t.Errorf("%d items, the clone grew by %d bytes", len(items), grown)
	}
	if got := contents(t, f, items)["z.md"]; got != "new" {
		t.Errorf("loaded %q", got)
	}
}

func random(t *testing.T, n int) []byte {
	t.Helper()
	text := make([]byte, n)
	x := uint32(1)
	for i := range text {
		x = x*1664525 + 1013904223
		text[i] = 'a' + byte(x>>24)%26
	}
	return text
}

func diskSize(t *testing.T, dir string) (n int64) {
	t.Helper()
	fatal(t, filepath.WalkDir(dir, func(_ string, d os.DirEntry, err error) error {
		if err == nil && !d.IsDir() {
			info, err := d.Info()
			fatal(t, err)
			n += info.Size()
		}
		return err
	}))
	return n
}

func TestGitGoesOnWithoutAClone(t *testing.T) {
	s := newGitServer(t)
	s.commit(t, map[string]string{"a.md": "one", "b.md": "b", "c.md": "c"})
	f := s.follow(t, tributary.SourceOptions{}, near(t))
	items, listing := list(t, f, nil)
	known, err := f.Load(t.Context(), items[0], Known{})
	fatal(t, err)

	fresh := s.follow(t, tributary.SourceOptions{}, near(t))
	fetched := s.fetches()
	if _, l := list(t, fresh, listing.Cursor); !l.Unchanged || s.fetches() != fetched {
		t.Errorf("nothing changed, and yet: %+v, %d fetches", l, s.fetches()-fetched)
	}
	if got, err := fresh.Load(t.Context(), items[0], known.Known); err != nil || got.Verdict != Unchanged {
		t.Errorf("loaded before it listed: %+v, %v", got, err)
	}

	s.commit(t, map[string]string{"b.md": "two"}, "c.md")
	fresh = s.follow(t, tributary.SourceOptions{}, near(t))
	after, l := list(t, fresh, listing.Cursor)
	if len(after) != 2 || after[0].Tag != items[0].Tag || after[1].Tag == items[1].Tag || l.Partial || !l.Authoritative {
		t.Errorf("after a takeover: %+v, listing %+v", after, l)
	}
	// The first worker is back, with a clone that is behind what was listed.
	if _, l := list(t, f, l.Cursor); !l.Unchanged {
		t.Errorf("listing %+v", l)
	}
	if got, err := f.Load(t.Context(), after[1], Known{}); err != nil || string(got.Content) != "two" {
		t.Errorf("loaded %q, %v", got.Content, err)
	}
	// So it is if it loads something before it lists.
	behind := near(t)
	list(t, s.follow(t, tributary.SourceOptions{}, behind), nil)
	s.commit(t, map[string]string{"b.md": "three"})
	if got, err := s.follow(t, tributary.SourceOptions{}, behind).Load(t.Context(), after[1], Known{}); err != nil || string(got.Content) != "three" {
		t.Errorf("loaded %q, %v", got.Content, err)
	}
}

func TestGitMakesADamagedCloneAnew(t *testing.T) {
	s := newGitServer(t)
	s.commit(t, map[string]string{"a.md": "one", "b.md": string(random(t, 20_000))})
	each := func(env Env, name string, damage func(path string) error) {
		t.Helper()
		n := 0
		fatal(t, filepath.WalkDir(env.Dir, func(path string, d os.DirEntry, err error) error {
			if ok, _ := filepath.Match(name, filepath.Base(path)); ok && err == nil && !d.IsDir() {
				n++
				fatal(t, os.Chmod(path, 0o600))
				return damage(path)
			}
			return err
		}))
		if n == 0 {
			t.Fatalf("no %s in the clone", name)
		}
	}
	empty := func(path string) error { return os.Truncate(path, 0) }
	spoil := func(path string) error {
		data, err := os.ReadFile(path)
		fatal(t, err)
		for i := 20; i < len(data)-20; i++ {
			data[i] ^= 0x55
		}
		return os.WriteFile(path, data, 0o600)
	}
	for _, tt := range []struct {
		name, file string
		damage     func(path string) error
	}{
		{"an empty pack", "*.pack", empty}, {"a spoiled pack", "*.pack", spoil}, {"no pack", "*.pack", os.Remove},
		{"a spoiled index", "*.idx", spoil}, {"no index", "*.idx", os.Remove}, {"no head", "HEAD", os.Remove}, {"no reference", "held", os.Remove},
	} {
		t.Run(tt.name, func(t *testing.T) {
			env := near(t)
			f := s.follow(t, tributary.SourceOptions{}, env)
			items, _ := list(t, f, nil)
			each(env, tt.file, tt.damage)
			for name, f := range map[string]Follower{"the same worker": f, "another one": s.follow(t, tributary.SourceOptions{}, env)} {
				got := contents(t, f, items)
				if got["a.md"] != "one" || len(got["b.md"]) != 20_000 {
					t.Errorf("%s: loaded %d items", name, len(got))
				}
				if again, _ := list(t, f, nil); !reflect.DeepEqual(again, items) {
					t.Errorf("%s: listed %+v", name, again)
				}
			}
		})
	}
}

func TestGitThrowsAwayWhatAnotherLocationLeft(t *testing.T) {
	one, two := newGitServer(t), newGitServer(t)
	one.commit(t, map[string]string{"a.md": "one"})
	two.commit(t, map[string]string{"a.md": "two"})
	env := near(t)
	for want, s := range map[string]*gitServer{"one": one, "two": two} {
		f := s.follow(t, tributary.SourceOptions{}, env)
		items, _ := list(t, f, nil)
		if got := contents(t, f, items)["a.md"]; got != want {
			t.Errorf("got %q, want %q", got, want)
		}
		entries, err := os.ReadDir(env.Dir)
		if err != nil || len(entries) != 1 {
			t.Errorf("%d clones, %v", len(entries), err)
		}
	}
}

func TestGitIsBounded(t *testing.T) {
	s := newGitServer(t)
	s.commit(t, map[string]string{"a.md": string(random(t, 100_000))})
	env := near(t)
	env.RepositoryMaxBytes = 10_000
	err := listFails(t, s.follow(t, tributary.SourceOptions{}, env))
	if outcome(err) != tributary.Rejected || !strings.Contains(err.Error(), "limit of 10000 (sources.repository_max_bytes)") {
		t.Errorf("a large repository: %v", err)
	}
	// What grew beyond the limit by changes is made anew within it.
	env.RepositoryMaxBytes = 100_000
	f := s.follow(t, tributary.SourceOptions{}, env)
	_, listing := list(t, f, nil)
	s.commit(t, map[string]string{"a.md": strings.ToUpper(string(random(t, 90_000)))})
	items, _ := list(t, f, listing.Cursor)
	if got := contents(t, f, items)["a.md"]; len(got) != 90_000 || diskSize(t, env.Dir) > 110_000 {
		t.Errorf("loaded %d bytes, the clone has %d", len(got), diskSize(t, env.Dir))
	}
	s.answer = func(_ http.ResponseWriter, r *http.Request) bool { <-r.Context().Done(); return true }
	env.RepositoryTimeout = time.Millisecond
	if err := listFails(t, s.follow(t, tributary.SourceOptions{}, env)); outcome(err) != tributary.Retry || !strings.Contains(err.Error(), "1ms (sources.repository_timeout)") {
		t.Errorf("a slow server: %v", err)
	}
	env.RepositoryTimeout, env.Ingest.Fetch.Timeout = 0, time.Millisecond
	if err := listFails(t, s.follow(t, tributary.SourceOptions{}, env)); outcome(err) != tributary.Retry || !strings.Contains(err.Error(), "1ms (ingest.fetch.timeout)") {
		t.Errorf("a silent server: %v", err)
	}
}

func TestGitMakesACloneOfManyFilesAnew(t *testing.T) {
	s := newGitServer(t)
	f := s.follow(t, tributary.SourceOptions{}, near(t))
	c := &f.(*repository).origin.(*remote).clone
	c.files = 20
	s.commit(t, map[string]string{"a.md": "0"})
	_, listing := list(t, f, nil)
	for i := range 10 { // each adds a commit, a tree and a file
		s.commit(t, map[string]string{"a.md": strings.Repeat("x", i)})
		var items []Item
		items, listing = list(t, f, listing.Cursor)
		if got := contents(t, f, items)["a.md"]; len(got) != i {
			t.Errorf("loaded %q", got)
		}
	}
	files := 0
	fatal(t, filepath.WalkDir(c.dir, func(_ string, d os.DirEntry, err error) error {
		if err == nil && !d.IsDir() {
			files++
		}
		return err
	}))
	if files > 23 {
		t.Errorf("the clone has %d files", files)
	}
}
