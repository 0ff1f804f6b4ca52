package website

import (
	"bytes"
	"cmp"
	"encoding/xml"
	"fmt"
	"maps"
	"net/http"
	"slices"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/tributary-kb/tributary"
)

// Paths of what is not a page.
const (
	robotsPath  = "/robots.txt"
	sitemapPath = "/sitemap.xml"
	feedPath    = "/feed.atom"
)

// feedEntries is how many commits the feed shows, the newest first.
const feedEntries = 20

// A Site serves one commit of a history at a time. It is safe for concurrent
// use.
type Site struct {
	commits []*Commit
	faults  *faults

	mu    sync.Mutex
	now   int
	files map[string]*Page // sitemap and feed of the commit that is shown
	count Count
	told  map[string]bool // pages that were answered truly, by path and ETag
}

// A Count is what a site was asked for, and what it sent.
type Count struct {
	Requests map[string]int // by what was asked for and what came of it: "page 200", "sitemap 304", "page fault: stalled"
	Bytes    int            // of all bodies, as far as they were sent
	Pages    map[string]int // pages that were sent whole and well, by path and ETag
}

// New returns a site that shows the first commit. Of the first requests for
// a version of a page or listing, share fail (0 to 1): which and how follows
// from the seed, not from the order of the requests. The same request succeeds
// the second or third time.
func New(commits []*Commit, seed uint64, share float64) *Site {
	s := &Site{commits: commits, faults: &faults{seed: seed, share: share, tries: map[string]int{}}, told: map[string]bool{}}
	s.count = Count{Requests: map[string]int{}, Pages: map[string]int{}}
	s.Show(0)
	return s
}

// Show makes the site what it was at the n-th commit.
func (s *Site) Show(n int) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.now, s.files = n, map[string]*Page{}
}

// Heal ends all faults.
func (s *Site) Heal() { s.faults.heal() }

// Count returns the counts as they stand.
func (s *Site) Count() Count {
	s.mu.Lock()
	defer s.mu.Unlock()
	return Count{Requests: maps.Clone(s.count.Requests), Bytes: s.count.Bytes, Pages: maps.Clone(s.count.Pages)}
}

// Untrue is how many pages of the commit that is shown were not yet answered
// as they are: any other answer may have been a lie. One that was is never
// answered wrongly again.
func (s *Site) Untrue() int {
	s.mu.Lock()
	defer s.mu.Unlock()
	n := 0
	for _, page := range s.commits[s.now].Pages {
		if !s.told[page.key()] {
			n++
		}
	}
	return n
}

// Sum is how many requests there were.
func (c Count) Sum() int {
	sum := 0
	for _, n := range c.Requests {
		sum += n
	}
	return sum
}

// Least is the least that somebody has to ask for who looks once at each
// commit and wants every version of every page: sitemap and feed each time,
// the pages that are new, and robots.txt once. What is gone costs nothing.
func (s *Site) Least(base string) (requests, bytes int) {
	requests, bytes = 1, len(s.robots(base))
	for n, c := range s.commits {
		requests += 2 + len(c.Changed)
		bytes += len(sitemapOf(base, c)) + len(s.feed(base, n))
		for _, path := range c.Changed {
			bytes += len(c.Pages[path].Content)
		}
	}
	return requests, bytes
}

// ServeHTTP implements http.Handler.
func (s *Site) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	out := &reply{ResponseWriter: w, status: http.StatusOK}
	defer s.counted(out) // a fault may end the request by a panic
	s.serve(out, r, "http://"+r.Host)
}

func (s *Site) counted(out *reply) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.count.Requests[out.kind+" "+cmp.Or(out.fault, strconv.Itoa(out.status))]++
	s.count.Bytes += out.sent
	if out.page == nil {
		return
	}
	s.told[out.page.key()] = true
	if out.status == http.StatusOK {
		s.count.Pages[out.page.key()]++
	}
}

func (s *Site) serve(w *reply, r *http.Request, base string) {
	if r.URL.Path == robotsPath { // without faults: a host without rules is left alone for minutes, as it should be
		w.kind = "robots"
		w.Header().Set("Content-Type", "text/plain; charset=utf-8")
		_, _ = w.Write(s.robots(base))
		return
	}
	file, kind, contentType := s.find(r.URL.Path, base)
	w.kind = kind
	if file == nil {
		http.NotFound(w, r)
		return
	}
	w.Header().Set("Content-Type", contentType)
	if fault := s.faults.next(r, file); fault != nil {
		w.fault = fault.name
		fault.serve(w, r, file)
		return
	}
	if kind == "page" {
		w.page = file
	}
	w.Header().Set("ETag", file.ETag)
	http.ServeContent(w, r, "", file.Modified, bytes.NewReader(file.Content))
}

// find returns what stands at a path now, nil if nothing does.
func (s *Site) find(path, base string) (page *Page, kind, contentType string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	c := s.commits[s.now]
	switch path {
	case sitemapPath:
		return s.file(path, c.At, func() []byte { return sitemapOf(base, c) }), "sitemap", "application/xml; charset=utf-8"
	case feedPath:
		return s.file(path, c.At, func() []byte { return s.feed(base, s.now) }), "feed", "application/atom+xml; charset=utf-8"
	}
	return c.Pages[path], "page", "text/markdown; charset=utf-8"
}

// file returns a listing of the commit that is shown; mu is held.
func (s *Site) file(path string, at time.Time, write func() []byte) *Page {
	if s.files[path] == nil {
		content := write()
		s.files[path] = &Page{Path: path, Content: content, Modified: at, ETag: `"` + tributary.Hash(content)[:16] + `"`}
	}
	return s.files[path]
}

func (s *Site) robots(base string) []byte {
	return []byte("User-agent: *\nDisallow: /private/\n\nSitemap: " + base + sitemapPath + "\n")
}

func sitemapOf(base string, c *Commit) []byte {
	type entry struct {
		Loc     string `xml:"loc"`
		LastMod string `xml:"lastmod"`
	}
	doc := struct {
		XMLName xml.Name `xml:"http://www.sitemaps.org/schemas/sitemap/0.9 urlset"`
		URLs    []entry  `xml:"url"`
	}{}
	for _, path := range slices.Sorted(maps.Keys(c.Pages)) {
		doc.URLs = append(doc.URLs, entry{base + path, c.Pages[path].Modified.Format(time.RFC3339)})
	}
	return marshal(doc)
}

// feed tells of the last commits up to now: one entry each, with the paths
// that it touched.
func (s *Site) feed(base string, now int) []byte {
	type link struct {
		Href string `xml:"href,attr"`
	}
	type entry struct {
		ID      string `xml:"id"`
		Title   string `xml:"title"`
		Updated string `xml:"updated"`
		Link    link   `xml:"link"`
		Content string `xml:"content"`
	}
	doc := struct {
		XMLName xml.Name `xml:"http://www.w3.org/2005/Atom feed"`
		ID      string   `xml:"id"`
		Title   string   `xml:"title"`
		Updated string   `xml:"updated"`
		Entries []entry  `xml:"entry"`
	}{ID: base + feedPath, Title: "Changes", Updated: s.commits[now].At.Format(time.RFC3339)}
	for n := now; n >= 0 && n > now-feedEntries; n-- {
		c := s.commits[n]
		at := fmt.Sprintf("%s/changes/%s", base, c.ID[:12])
		doc.Entries = append(doc.Entries, entry{
			at, "Commit " + c.ID[:12], c.At.Format(time.RFC3339), link{at},
			"Changed: " + strings.Join(c.Changed, ", ") + ". Gone: " + strings.Join(c.Gone, ", ") + ".",
		})
	}
	return marshal(doc)
}

func marshal(doc any) []byte {
	data, err := xml.Marshal(doc)
	if err != nil {
		panic(err) // strings always marshal
	}
	return append([]byte(xml.Header), data...)
}

// A reply notes what is asked for and what is sent.
type reply struct {
	http.ResponseWriter
	kind, fault  string
	page         *Page // if one is sent as it is
	status, sent int
}

func (r *reply) WriteHeader(status int) {
	r.status = status
	r.ResponseWriter.WriteHeader(status)
}

func (r *reply) Write(b []byte) (int, error) {
	n, err := r.ResponseWriter.Write(b) //nolint:gosec // a page of the fixture, for a crawler
	r.sent += n
	return n, err
}

// Unwrap lets http.ResponseController through.
func (r *reply) Unwrap() http.ResponseWriter { return r.ResponseWriter }
