// Package website serves the git history of a documentation site as a site
// that changes: commits come in, and an HTTP handler comes out that shows one
// of them, fails as servers do, and counts what it was asked for.
package website

import (
	"bufio"
	"bytes"
	"context"
	"fmt"
	"io"
	"os/exec"
	"slices"
	"strconv"
	"strings"
	"time"
)

// A Page is one version of a page.
type Page struct {
	Path     string // with the slash that it begins with
	Content  []byte // Markdown, UTF-8
	ETag     string
	Modified time.Time // of this version, in whole seconds
}

// key names the version.
func (p *Page) key() string { return p.Path + " " + p.ETag }

// A Commit is the site at one moment.
type Commit struct {
	ID      string
	At      time.Time
	Pages   map[string]*Page // by path
	Changed []string         // paths that are new or have another content than in the commit before, in order
	Gone    []string         // paths that the commit before had, in order
}

// Read reads commit from of the repository in dir and the following ones, in
// the order of first parents. from counts from the first commit, which is 0.
// Empty files are no pages. Commits are at least a second apart, whatever
// their authors' clocks said.
func Read(ctx context.Context, dir, branch string, from, following int) ([]*Commit, error) {
	log, err := git(ctx, dir, nil, "log", "--first-parent", "--reverse", "--format=%H %ct", branch)
	if err != nil {
		return nil, err
	}
	all := strings.Split(strings.TrimSpace(string(log)), "\n")
	if from+following >= len(all) {
		return nil, fmt.Errorf("history of %s: %d commits, want more than %d", dir, len(all), from+following)
	}
	r := &reader{dir: dir}
	for _, line := range all[from : from+following+1] {
		if err := r.commit(ctx, line); err != nil {
			return nil, err
		}
	}
	return r.commits, r.contents(ctx)
}

// A reader reads commits, one after the other.
type reader struct {
	dir     string
	commits []*Commit
	shown   []shown
}

// shown is a page that waits for its content.
type shown struct {
	page *Page
	blob string
}

func (r *reader) commit(ctx context.Context, line string) error {
	id, seconds, _ := strings.Cut(line, " ")
	unix, err := strconv.ParseInt(seconds, 10, 64)
	if err != nil {
		return fmt.Errorf("time of commit %s: %w", id, err)
	}
	c := &Commit{ID: id, At: time.Unix(unix, 0).UTC(), Pages: map[string]*Page{}}
	before := &Commit{}
	if n := len(r.commits); n > 0 {
		before = r.commits[n-1]
		if next := before.At.Add(time.Second); c.At.Before(next) {
			c.At = next
		}
	}
	tree, err := git(ctx, r.dir, nil, "ls-tree", "-r", "-l", "-z", id)
	if err != nil {
		return err
	}
	for entry := range strings.SplitSeq(strings.TrimSuffix(string(tree), "\x00"), "\x00") {
		info, path, _ := strings.Cut(entry, "\t")
		f := strings.Fields(info) // mode, type, object, size
		if len(f) != 4 || f[1] != "blob" || f[3] == "0" {
			continue
		}
		r.page(c, before, "/"+path, f[2])
	}
	for path := range before.Pages {
		if c.Pages[path] == nil {
			c.Gone = append(c.Gone, path)
		}
	}
	slices.Sort(c.Changed)
	slices.Sort(c.Gone)
	r.commits = append(r.commits, c)
	return nil
}

func (r *reader) page(c, before *Commit, path, blob string) {
	etag := `"` + blob[:16] + `"`
	if p := before.Pages[path]; p != nil && p.ETag == etag {
		c.Pages[path] = p
		return
	}
	p := &Page{Path: path, ETag: etag, Modified: c.At}
	c.Pages[path] = p
	c.Changed = append(c.Changed, path)
	r.shown = append(r.shown, shown{p, blob})
}

// contents fills in the contents of all pages.
func (r *reader) contents(ctx context.Context) error {
	var names bytes.Buffer
	for _, s := range r.shown {
		names.WriteString(s.blob + "\n")
	}
	out, err := git(ctx, r.dir, &names, "cat-file", "--batch")
	if err != nil {
		return err
	}
	objects := bufio.NewReader(bytes.NewReader(out))
	for _, s := range r.shown {
		var name, kind string
		var size int
		if _, err := fmt.Fscanf(objects, "%s %s %d\n", &name, &kind, &size); err != nil {
			return fmt.Errorf("read object %s: %w", s.blob, err)
		}
		s.page.Content = make([]byte, size)
		if _, err := io.ReadFull(objects, s.page.Content); err != nil {
			return fmt.Errorf("read object %s: %w", s.blob, err)
		}
		if _, err := objects.Discard(1); err != nil { // the line's end
			return fmt.Errorf("read object %s: %w", s.blob, err)
		}
	}
	return nil
}

func git(ctx context.Context, dir string, stdin io.Reader, args ...string) ([]byte, error) {
	cmd := exec.CommandContext(ctx, "git", append([]string{"-C", dir}, args...)...)
	cmd.Stdin = stdin
	out, err := cmd.Output()
	if err != nil {
		return nil, fmt.Errorf("git %s in %s: %w", args[0], dir, err)
	}
	return out, nil
}
