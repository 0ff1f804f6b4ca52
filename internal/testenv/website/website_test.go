package website_test

import (
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/tributary-kb/tributary/internal/testenv/website"
)

// history makes a repository: b.md is empty at first, a.md moves at the end.
func history(t *testing.T) []*website.Commit {
	t.Helper()
	dir := t.TempDir()
	git := func(args ...string) {
		t.Helper()
		cmd := exec.CommandContext(t.Context(), "git", append([]string{"-C", dir, "-c", "user.name=a", "-c", "user.email=a@example.com"}, args...)...)
		cmd.Env = append(os.Environ(), "GIT_COMMITTER_DATE=2022-01-01T00:00:00Z")
		if out, err := cmd.CombinedOutput(); err != nil {
			t.Fatalf("git %v: %v\n%s", args, err, out)
		}
	}
	git("init", "--quiet", "-b", "main")
	for _, files := range []map[string]string{
		{"a.md": "# A\n", "b.md": ""},
		{"b.md": "# B\n"},
		{"a.md": "", "c/a.md": "# A\n"},
	} {
		for name, text := range files {
			path := filepath.Join(dir, name)
			if err := os.MkdirAll(filepath.Dir(path), 0o700); err != nil {
				t.Fatal(err)
			}
			if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
				t.Fatal(err)
			}
		}
		git("add", "-A")
		git("commit", "--quiet", "-m", "x")
	}
	commits, err := website.Read(t.Context(), dir, "main", 0, 2)
	if err != nil {
		t.Fatal(err)
	}
	return commits
}

func get(t *testing.T, url, etag string) (status int, body string, header http.Header, err error) {
	t.Helper()
	req, err := http.NewRequestWithContext(t.Context(), http.MethodGet, url, http.NoBody)
	if err != nil {
		t.Fatal(err)
	}
	req.Header.Set("If-None-Match", etag)
	resp, err := http.DefaultTransport.RoundTrip(req)
	if err != nil {
		return 0, "", nil, err
	}
	defer resp.Body.Close()
	content, err := io.ReadAll(resp.Body)
	return resp.StatusCode, string(content), resp.Header, err
}

func TestASiteShowsOneCommitAfterTheOther(t *testing.T) {
	commits := history(t)
	for i, want := range []string{"[/a.md] []", "[/b.md] []", "[/c/a.md] [/a.md]"} {
		if got := strings.Join([]string{"[" + strings.Join(commits[i].Changed, " ") + "]", "[" + strings.Join(commits[i].Gone, " ") + "]"}, " "); got != want {
			t.Errorf("commit %d changed and removed %s, want %s", i, got, want)
		}
	}
	if d := commits[2].At.Sub(commits[0].At); d != 2*time.Second {
		t.Errorf("commits of the same second are %v apart, want a second each", d)
	}
	site := website.New(commits, 1, 0)
	s := httptest.NewServer(site)
	t.Cleanup(s.Close)

	_, first, _, err := get(t, s.URL+"/sitemap.xml", "")
	if err != nil || strings.Count(first, "<url>") != 1 || !strings.Contains(first, s.URL+"/a.md</loc><lastmod>2022-01-01T00:00:00Z<") {
		t.Errorf("the first sitemap is %s, %v", first, err)
	}
	_, body, header, err := get(t, s.URL+"/a.md", "")
	if err != nil || body != "# A\n" || header.Get("Content-Type") != "text/markdown; charset=utf-8" || header.Get("Last-Modified") == "" {
		t.Errorf("a.md is %q with %v, %v", body, header, err)
	}
	if status, _, _, err := get(t, s.URL+"/a.md", header.Get("ETag")); status != http.StatusNotModified || err != nil {
		t.Errorf("on condition the status is %d, %v, want 304", status, err)
	}
	if n := site.Untrue(); n != 0 {
		t.Errorf("%d pages of the first commit were not answered truly, want none", n)
	}
	site.Show(2)
	if n := site.Untrue(); n != 2 {
		t.Errorf("%d pages of the last commit were not answered truly, want both", n)
	}
	if status, _, _, _ := get(t, s.URL+"/a.md", ""); status != http.StatusNotFound {
		t.Errorf("after the move the status is %d, want 404", status)
	}
	_, feed, _, _ := get(t, s.URL+"/feed.atom", "")
	if strings.Count(feed, "<entry>") != 3 || !strings.Contains(feed, "Changed: /c/a.md. Gone: /a.md.") {
		t.Errorf("the feed is %s", feed)
	}
	got := site.Count()
	for what, want := range map[string]int{"page 200": 1, "page 304": 1, "page 404": 1, "sitemap 200": 1, "feed 200": 1} {
		if got.Requests[what] != want {
			t.Errorf("%d requests are counted as %q, want %d: %v", got.Requests[what], what, want, got.Requests)
		}
	}
	if want := len(first) + len(feed) + len("# A\n") + len("404 page not found\n"); got.Bytes != want || got.Sum() != 5 {
		t.Errorf("%d requests with %d bytes are counted, want 5 with %d", got.Sum(), got.Bytes, want)
	}
	if requests, _ := site.Least(s.URL); requests != 1+3+3+3 {
		t.Errorf("the least is %d requests, want robots.txt, 3 sitemaps, 3 feeds and 3 pages", requests)
	}
}

// Each page fails in its way, and then not any more.
func TestFaultsPass(t *testing.T) {
	c := &website.Commit{Pages: map[string]*website.Page{}}
	content := strings.Repeat("A line of text.\n", 1000)
	for n := range 100 {
		path := "/" + string(rune('a'+n/20)) + string(rune('a'+n%20))
		c.Pages[path] = &website.Page{Path: path, Content: []byte(content), ETag: `"1"`}
	}
	site := website.New([]*website.Commit{c}, 7, 1)
	s := httptest.NewServer(site)
	t.Cleanup(s.Close)
	client := http.Client{Timeout: time.Second}
	if n := site.Untrue(); n != len(c.Pages) {
		t.Errorf("%d pages are yet to be answered truly, want all", n)
	}
	var asking sync.WaitGroup
	for path := range c.Pages {
		asking.Go(func() {
			for getWell(&client, s.URL+path) != content { // until it is well
			}
			getWell(&client, s.URL+path) // slow is well, and may be so twice
			getWell(&client, s.URL+path)
		})
	}
	asking.Wait()
	if n := site.Untrue(); n != 0 {
		t.Errorf("%d of the pages were not answered truly in the end", n)
	}
	var seen []string
	for what := range site.Count().Requests {
		if strings.HasPrefix(what, "page fault: ") {
			seen = append(seen, what)
		}
	}
	if slices.Sort(seen); len(seen) != 13 {
		t.Errorf("%d kinds of faults were seen, want 13: %v", len(seen), seen)
	}
}

// getWell returns the body of a reply that has validators, "" if there is none.
func getWell(client *http.Client, url string) string {
	resp, err := client.Get(url)
	if err != nil {
		return ""
	}
	defer resp.Body.Close()
	body, err := io.ReadAll(resp.Body)
	if err != nil || resp.Header.Get("ETag") == "" {
		return ""
	}
	return string(body)
}
