package ingest

import (
	"context"
	"errors"
	"os"
	"path/filepath"
	"reflect"
	"runtime"
	"strings"
	"testing"
)

// tree writes files below a new directory and returns it.
func tree(t *testing.T, files map[string]string) string {
	t.Helper()
	root := t.TempDir()
	for name, content := range files {
		path := filepath.Join(root, filepath.FromSlash(name))
		if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(path, []byte(content), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	return root
}

// walked returns the slash-separated paths below root that Walk gives, those
// with an error marked.
func walked(t *testing.T, root, base string, opts WalkOptions) []string {
	t.Helper()
	var got []string
	err := Walk(t.Context(), root, opts, func(f File) error {
		rel, err := filepath.Rel(base, f.Path)
		if err != nil {
			t.Fatal(err)
		}
		name := filepath.ToSlash(rel)
		if f.Err != nil {
			name += "!"
		}
		got = append(got, name)
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	return got
}

func TestWalkFollowsIgnoreRules(t *testing.T) {
	root := tree(t, map[string]string{
		".gitignore":       "*.log\n/build/\n!keep.log\ndocs/*.tmp\n# comment\nfoo/**/bar\nsp ace\n[ab]?.txt\n",
		".tributaryignore": "secret.md\n",
		"a.md":             "", "x.log": "", "keep.log": "", "secret.md": "", "a1.txt": "", "c1.txt": "", "sp ace": "",
		"build/out.md": "", "sub/build/out.md": "", "docs/a.tmp": "", "docs/deep/a.tmp": "",
		"foo/bar": "", "foo/x/y/bar": "", "foo/x/baz": "",
		"sub/.gitignore": "!x.log\nlocal\n",
		"sub/x.log":      "", "sub/local/a.md": "", "other/local/a.md": "",
		".hidden/a.md": "", ".env": "", ".git/config": "",
		"node/.tributaryignore": "*\n!*.md\n", "node/a.js": "", "node/a.md": "",
		"übung/mit leer % #.txt": "",
	})
	want := []string{
		"a.md", "c1.txt", "docs/deep/a.tmp", "foo/x/baz", "keep.log", "node/a.md", "other/local/a.md",
		"sub/build/out.md", "sub/x.log", "übung/mit leer % #.txt",
	}
	if got := walked(t, root, root, WalkOptions{}); !reflect.DeepEqual(got, want) {
		t.Errorf("got  %q\nwant %q", got, want)
	}
}

func TestWalkHidden(t *testing.T) {
	root := tree(t, map[string]string{".github/a.md": "", ".git/config": "", "b.md": ""})
	want := []string{".github/a.md", "b.md"}
	if got := walked(t, root, root, WalkOptions{Hidden: true}); !reflect.DeepEqual(got, want) {
		t.Errorf("got %q, want %q", got, want)
	}
	if got := walked(t, filepath.Join(root, ".github"), root, WalkOptions{}); !reflect.DeepEqual(got, []string{".github/a.md"}) {
		t.Errorf("a hidden directory that is named: got %q", got)
	}
}

func TestWalkGivesANamedFileAlways(t *testing.T) {
	root := tree(t, map[string]string{".gitignore": "*", ".env": "x"})
	if got := walked(t, filepath.Join(root, ".env"), root, WalkOptions{}); !reflect.DeepEqual(got, []string{".env"}) {
		t.Errorf("got %q", got)
	}
}

func TestWalkDescribesFiles(t *testing.T) {
	root := tree(t, map[string]string{"a b%#?.md": "12345", "big.md": "123456"})
	var files []File
	err := Walk(t.Context(), root, WalkOptions{MaxBytes: 5}, func(f File) error {
		files = append(files, f)
		return nil
	})
	if err != nil || len(files) != 2 {
		t.Fatalf("files %+v, error %v", files, err)
	}
	if f := files[0]; f.Size != 5 || f.ModTime.IsZero() || f.Err != nil || !strings.HasPrefix(f.URI, "file:///") || !strings.HasSuffix(f.URI, "/a%20b%25%23%3F.md") {
		t.Errorf("file %+v", f)
	}
	if f := files[1]; f.Err == nil || !strings.Contains(f.Err.Error(), "6 bytes, the limit is 5 (ingest.max_bytes)") {
		t.Errorf("file %+v, want an error that names the limit", f)
	}
}

func TestWalkDoesNotFollowLinks(t *testing.T) {
	if runtime.GOOS == "windows" {
		return // links need a privilege there
	}
	outside := tree(t, map[string]string{"secret.md": ""})
	root := tree(t, map[string]string{"a.md": ""})
	for name, target := range map[string]string{"out": outside, "out.md": filepath.Join(outside, "secret.md"), "self": root, "gone": "nowhere"} {
		if err := os.Symlink(target, filepath.Join(root, name)); err != nil {
			t.Fatal(err)
		}
	}
	if got := walked(t, root, root, WalkOptions{}); !reflect.DeepEqual(got, []string{"a.md"}) {
		t.Errorf("got %q", got)
	}
}

func TestWalkStops(t *testing.T) {
	root := tree(t, map[string]string{"a.md": "", "b.md": ""})
	enough := errors.New("enough")
	calls := 0
	err := Walk(t.Context(), root, WalkOptions{}, func(File) error { calls++; return enough })
	if !errors.Is(err, enough) || calls != 1 {
		t.Errorf("error %v after %d calls, want %v after 1", err, calls, enough)
	}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if err := Walk(ctx, root, WalkOptions{}, func(File) error { return nil }); !errors.Is(err, context.Canceled) {
		t.Errorf("error %v, want context canceled", err)
	}
	if err := Walk(t.Context(), filepath.Join(root, "none"), WalkOptions{}, nil); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("error %v, want not exist", err)
	}
}

func FuzzIgnoreRules(f *testing.F) {
	f.Add("*.log\n!a[!b-]\n/x/**/y/\n\\#a\n[", "x/a/y")
	f.Fuzz(func(_ *testing.T, rules, path string) {
		for _, rule := range parseIgnoreRules(rules) {
			rule.matches(path, true)
		}
	})
}
