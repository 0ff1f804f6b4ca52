package source

import (
	"compress/gzip"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/tributary-kb/tributary"
	"github.com/tributary-kb/tributary/ingest"
)

// A webServer serves pages by their paths and remembers what it was asked.
type webServer struct {
	*httptest.Server
	mu    sync.Mutex
	pages map[string]http.HandlerFunc
	asked []string // paths, in order
}

func serve(t *testing.T, pages map[string]http.HandlerFunc) *webServer {
	t.Helper()
	s := &webServer{pages: pages}
	s.Server = httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		s.mu.Lock()
		page := s.pages[r.URL.Path]
		s.asked = append(s.asked, r.URL.Path)
		s.mu.Unlock()
		if page == nil {
			http.NotFound(w, r)
			return
		}
		page(w, r)
	}))
	t.Cleanup(s.Close)
	return s
}

func (s *webServer) set(path string, page http.HandlerFunc) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.pages[path] = page
}

// requests returns what was asked since the last call, robots.txt left out.
func (s *webServer) requests() []string {
	s.mu.Lock()
	defer s.mu.Unlock()
	asked := slices.DeleteFunc(s.asked, func(p string) bool { return p == "/robots.txt" })
	s.asked = nil
	return asked
}

// text serves a page with a validator; a request that has it gets a 304.
func text(contentType, body string, header ...string) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		body := strings.ReplaceAll(body, "HOST", "http://"+r.Host)
		etag := `"` + tributary.Hash([]byte(body)) + `"`
		w.Header().Set("ETag", etag)
		w.Header().Set("Content-Type", contentType)
		for i := 0; i+1 < len(header); i += 2 {
			w.Header().Set(header[i], header[i+1])
		}
		if r.Header.Get("If-None-Match") == etag {
			w.WriteHeader(http.StatusNotModified)
			return
		}
		_, _ = io.WriteString(w, body)
	}
}

func answers(code int, header ...string) http.HandlerFunc {
	return func(w http.ResponseWriter, _ *http.Request) {
		for i := 0; i+1 < len(header); i += 2 {
			w.Header().Set(header[i], header[i+1])
		}
		w.WriteHeader(code)
	}
}

// environ allows the servers by name.
func environ(servers ...*webServer) Env {
	var cfg ingest.Config
	for _, s := range servers {
		cfg.Fetch.AllowHosts = append(cfg.Fetch.AllowHosts, strings.TrimPrefix(s.URL, "http://"))
	}
	return Env{Ingest: cfg}
}

func open(t *testing.T, env Env, kind tributary.SourceKind, location string, o tributary.SourceOptions) Follower {
	t.Helper()
	f, err := New(tributary.Source{Name: "test", Kind: kind, Location: location, Options: o}, env)
	if err != nil {
		t.Fatal(err)
	}
	return f
}

func glance(t *testing.T, f Follower, cursor json.RawMessage) ([]Item, Listing) {
	t.Helper()
	var items []Item
	listing, err := f.List(t.Context(), cursor, func(i Item) error {
		items = append(items, i)
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	return items, listing
}

func uris(base string, items []Item) []string {
	out := make([]string, len(items))
	for i, item := range items {
		out[i] = strings.TrimPrefix(item.URI, base)
	}
	return out
}

func TestPageIsLoadedOnceWhileItStaysTheSame(t *testing.T) {
	s := serve(t, map[string]http.HandlerFunc{"/a": text("text/plain", "one", "Cache-Control", "max-age=60", "Last-Modified", "Tue, 03 Mar 2026 10:00:00 GMT")})
	f := open(t, environ(s), tributary.SourcePage, s.URL+"/a", tributary.SourceOptions{})
	items, _ := glance(t, f, nil)
	if len(items) != 1 || items[0].URI != s.URL+"/a" {
		t.Fatalf("items %v, want the page", items)
	}
	first, err := f.Load(t.Context(), items[0], Known{})
	if err != nil || first.Verdict != Changed || string(first.Content) != "one" || first.ContentType != "text/plain" {
		t.Fatalf("loaded %+v, %v", first, err)
	}
	if first.Fresh != time.Minute || first.Modified.Year() != 2026 || first.Known.ETag == "" || first.Known.LastModified == "" {
		t.Errorf("loaded %+v, want freshness, time and validators", first)
	}
	again, err := f.Load(t.Context(), items[0], first.Known)
	if err != nil || again.Verdict != Unchanged || again.Known != first.Known {
		t.Errorf("on condition %+v, %v, want unchanged", again, err)
	}
	s.set("/a", func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Type", "text/plain")
		fmt.Fprint(w, "one")
	})
	same, err := f.Load(t.Context(), items[0], first.Known)
	if err != nil || same.Verdict != Unchanged || same.Known.ETag != "" || same.Known.Hash != first.Known.Hash {
		t.Errorf("the same content from a server without validators: %+v, %v, want unchanged", same, err)
	}
	s.set("/a", text("text/plain; charset=utf-16le", "one"))
	if other, err := f.Load(t.Context(), items[0], same.Known); err != nil || other.Verdict != Changed {
		t.Errorf("the same bytes in another charset: %+v, %v, want changed", other, err)
	}
	s.set("/a", text("text/plain", "two"))
	if next, err := f.Load(t.Context(), items[0], same.Known); err != nil || string(next.Content) != "two" {
		t.Errorf("after an edit %+v, %v", next, err)
	}
}

// The server never stops sending what unpacks to a thousand times its size.
func TestAPageThatUnpacksWithoutEndIsRefusedByTheLimitOfBytes(t *testing.T) {
	s := serve(t, map[string]http.HandlerFunc{"/bomb": func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Content-Encoding", "gzip")
		w.Header().Set("Content-Type", "text/plain")
		z := gzip.NewWriter(w)
		for zeros := make([]byte, 1<<20); r.Context().Err() == nil; {
			if _, err := z.Write(zeros); err != nil {
				return
			}
		}
	}})
	env := environ(s)
	env.Ingest.MaxBytes = 100_000
	f := open(t, env, tributary.SourcePage, s.URL+"/bomb", tributary.SourceOptions{})
	_, err := f.Load(t.Context(), Item{URI: s.URL + "/bomb"}, Known{})
	if outcome(err) != tributary.Rejected || !strings.Contains(err.Error(), "more bytes than the limit of 100000 (ingest.max_bytes)") {
		t.Errorf("error %v, want a refusal that names the limit and its setting", err)
	}
}

func TestPageOutcomes(t *testing.T) {
	s := serve(t, map[string]http.HandlerFunc{
		"/gone": answers(410), "/busy": answers(429, "Retry-After", "7"), "/down": answers(503, "Retry-After", "9"),
		"/forbidden": answers(403), "/moved": answers(301, "Location", "/target"), "/target": text("text/plain", "there"),
		"/circle":  answers(302, "Location", "/circle"),
		"/coded":   answers(200, "Content-Encoding", "br"),
		"/304":     answers(304),
		"/headers": func(w http.ResponseWriter, _ *http.Request) { w.Header().Set("X", strings.Repeat("x", 2<<20)) },
		"/short": func(w http.ResponseWriter, _ *http.Request) {
			w.Header().Set("Content-Length", "1000")
			fmt.Fprint(w, "beginning")
		},
		"/brokengzip": func(w http.ResponseWriter, _ *http.Request) {
			w.Header().Set("Content-Encoding", "gzip")
			z := gzip.NewWriter(w)
			fmt.Fprint(z, strings.Repeat("beginning", 1000))
			_ = z.Flush() // and no end
		},
		"/cut": func(w http.ResponseWriter, _ *http.Request) {
			fmt.Fprint(w, "beginning")
			_ = http.NewResponseController(w).Flush()
			panic(http.ErrAbortHandler) // in the middle of a chunked body
		},
	})
	tests := []struct {
		path    string
		verdict Verdict
		outcome tributary.Outcome
		after   time.Duration
	}{
		{"/missing", Gone, tributary.Done, 0},
		{"/gone", Gone, tributary.Done, 0},
		{"/moved", Changed, tributary.Done, 0},
		{"/busy", 0, tributary.Retry, 7 * time.Second},
		{"/down", 0, tributary.Retry, 9 * time.Second},
		{"/forbidden", 0, tributary.Rejected, 0},
		{"/circle", 0, tributary.Rejected, 0},
		{"/coded", 0, tributary.Rejected, 0},
		{"/304", 0, tributary.Rejected, 0}, // nobody asked on condition
		{"/headers", 0, tributary.Retry, 0},
		{"/short", 0, tributary.Retry, 0},
		{"/brokengzip", 0, tributary.Retry, 0},
		{"/cut", 0, tributary.Retry, 0},
	}
	for _, tt := range tests {
		t.Run(tt.path, func(t *testing.T) {
			f := open(t, environ(s), tributary.SourcePage, s.URL+tt.path, tributary.SourceOptions{})
			loaded, err := f.Load(t.Context(), Item{URI: s.URL + tt.path}, Known{})
			outcome, after := tributary.OutcomeOf(err)
			if outcome != tt.outcome || after != tt.after || loaded.Verdict != tt.verdict || loaded.URI != "" {
				t.Errorf("%+v, outcome %v after %v of %v, want %+v", loaded, outcome, after, err, tt)
			}
		})
	}
}

// The secret goes to the location's own host, and not where it redirects to.
func TestSecretStaysAtHome(t *testing.T) {
	var away []string
	other := serve(t, map[string]http.HandlerFunc{"/x": func(w http.ResponseWriter, r *http.Request) {
		away = append(away, r.Header.Get("Authorization"))
		fmt.Fprint(w, "elsewhere")
	}})
	var home []string
	s := serve(t, map[string]http.HandlerFunc{"/a": func(w http.ResponseWriter, r *http.Request) {
		home = append(home, r.Header.Get("Authorization"))
		http.Redirect(w, r, other.URL+"/x", http.StatusFound)
	}})
	file := filepath.Join(t.TempDir(), "secret")
	t.Setenv("TEST_SECRET", "from-env")
	tests := []struct {
		options tributary.SourceOptions
		want    string
	}{
		{tributary.SourceOptions{SecretFile: file}, "Bearer from-file"},
		{tributary.SourceOptions{User: "me", SecretEnv: "TEST_SECRET"}, "Basic bWU6ZnJvbS1lbnY="},
	}
	for _, tt := range tests {
		if err := os.WriteFile(file, []byte("from-file\n"), 0o600); err != nil {
			t.Fatal(err)
		}
		f := open(t, environ(s, other), tributary.SourcePage, s.URL+"/a", tt.options)
		if _, err := f.Load(t.Context(), Item{URI: s.URL + "/a"}, Known{}); err != nil {
			t.Fatal(err)
		}
		if got := home[len(home)-1]; got != tt.want {
			t.Errorf("authorization %q, want %q", got, tt.want)
		}
		if got := away[len(away)-1]; got != "" {
			t.Errorf("the other host was sent %q", got)
		}
	}
	f := open(t, environ(s, other), tributary.SourcePage, s.URL+"/a", tributary.SourceOptions{SecretFile: file + "-missing"})
	if _, err := f.Load(t.Context(), Item{URI: s.URL + "/a"}, Known{}); err == nil || !strings.Contains(err.Error(), "secret_file") {
		t.Errorf("error %v, want one that names secret_file", err)
	}
}

// recordingGate writes down who enters and how they leave.
type recordingGate struct {
	mu    sync.Mutex
	notes []string
}

func (g *recordingGate) Enter(_ context.Context, host string, pause time.Duration) (func(time.Duration), error) {
	return func(backoff time.Duration) {
		g.mu.Lock()
		defer g.mu.Unlock()
		g.notes = append(g.notes, fmt.Sprintf("%s pause %v backoff %v", host, pause, backoff))
	}, nil
}

func TestEveryRequestPassesTheGate(t *testing.T) {
	s := serve(t, map[string]http.HandlerFunc{
		"/robots.txt": text("text/plain", "User-agent: *\nCrawl-delay: 2\n"),
		"/":           answers(302, "Location", "/busy"),
		"/busy":       answers(503, "Retry-After", "11"),
	})
	gate, env := &recordingGate{}, environ(s)
	env.Gate = gate
	f := open(t, env, tributary.SourceSite, s.URL+"/", tributary.SourceOptions{})
	if _, err := f.Load(t.Context(), Item{URI: s.URL + "/"}, Known{}); err == nil {
		t.Fatal("no error of a busy server")
	}
	host := strings.TrimPrefix(s.URL, "http://")
	want := []string{host + " pause 0s backoff 0s", host + " pause 2s backoff 0s", host + " pause 2s backoff 11s"}
	if !slices.Equal(gate.notes, want) {
		t.Errorf("the gate saw %q, want %q", gate.notes, want)
	}
}

func TestSourcesThatCannotBeFollowed(t *testing.T) {
	hold := 0.5
	tests := map[string]tributary.Source{
		"absolute URL":       {Kind: tributary.SourcePage, Location: "/etc/passwd"},
		"http or https":      {Kind: tributary.SourceSite, Location: "ftp://x.example/"},
		"secret_file":        {Kind: tributary.SourceFeed, Location: "https://u:secret@x.example/"},
		"user is set":        {Kind: tributary.SourceFeed, Location: "https://x.example/", Options: tributary.SourceOptions{User: "me"}},
		"option depth means": {Kind: tributary.SourcePage, Location: "https://x.example/", Options: tributary.SourceOptions{Depth: 2, HoldBelow: &hold}},
		"option linked":      {Kind: tributary.SourceSite, Location: "https://x.example/", Options: tributary.SourceOptions{Linked: true}},
		"option branch":      {Kind: tributary.SourceSitemap, Location: "https://x.example/", Options: tributary.SourceOptions{Branch: "x"}},
		"include: pattern":   {Kind: tributary.SourceSitemap, Location: "https://x.example/", Options: tributary.SourceOptions{Include: []string{"#"}}},
	}
	for say, s := range tests {
		s.Name = "test"
		_, err := New(s, Env{})
		if err == nil || !strings.Contains(err.Error(), say) {
			t.Errorf("%+v: error %v, want one that says %q", s, err, say)
		}
		if err != nil && strings.Contains(err.Error(), "u:secret") {
			t.Errorf("the error %q tells the password", err)
		}
	}
}

func TestSiteIsWalkedInItsReach(t *testing.T) {
	s := serve(t, map[string]http.HandlerFunc{
		"/robots.txt": text("text/plain", "User-agent: *\nDisallow: /docs/private\n"),
		"/docs/": text("text/html", `<html><head><base href="/docs/deep/"></head><body>
			<a href="a.html?utm_source=x#top">a</a> <a href="HOST/docs/deep/a.html">again</a> <a href="../b">b</a>
			<a href="/other">outside the folder</a> <a href="https://elsewhere.example/docs/">other host</a>
			<a href="/docs/private/x">not allowed</a> <a rel="nofollow" href="/docs/ad">ad</a> <a href="/docs/pic.PNG">picture</a>
			<a href="mailto:x@x.example">m</a> <a href="javascript:x()">j</a> <a href="/docs/x/x/x/x/x">trap</a></body></html>`),
		"/docs/b": text("text/html", `<link rel="canonical" href="/docs/b.html"><a href="/docs/c">c</a>`),
		"/docs/c": text("text/html", `<meta name="robots" content="noindex"><a href="/docs/d">d</a>`),
		"/docs/d": text("text/html", `<a href="/docs/e">e</a>`, "X-Robots-Tag", "tributary: nofollow"),
	})
	f := open(t, environ(s), tributary.SourceSite, s.URL+"/docs/", tributary.SourceOptions{Depth: 2})
	items, listing := glance(t, f, nil)
	if !listing.Partial || !slices.Equal(uris(s.URL, items), []string{"/docs/"}) {
		t.Fatalf("listing %+v of %v, want the start page", listing, items)
	}
	start, err := f.Load(t.Context(), items[0], Known{})
	if err != nil {
		t.Fatal(err)
	}
	if got, want := uris(s.URL, start.Links), []string{"/docs/deep/a.html", "/docs/b"}; !slices.Equal(got, want) {
		t.Errorf("links %q, want %q", got, want)
	}
	if said := strings.Join(start.Notes, "\n"); !strings.Contains(said, "robots.txt") || !strings.Contains(said, "(trap)") {
		t.Errorf("notes %q, want what robots.txt and traps left out", said)
	}
	b, err := f.Load(t.Context(), start.Links[1], Known{})
	if err != nil || b.URI != s.URL+"/docs/b.html" || len(b.Links) != 1 || b.Links[0].Depth != 2 {
		t.Fatalf("loaded %+v, %v, want the canonical URI and a link of depth 2", b, err)
	}
	c, err := f.Load(t.Context(), Item{URI: s.URL + "/docs/c", Depth: 1}, Known{})
	if err != nil || c.Verdict != Hidden || c.Content != nil || len(c.Links) != 1 || c.Known.Hash == "" {
		t.Errorf("a page that asks not to be indexed: %+v, %v, want hidden, with its links", c, err)
	}
	if deepest, err := f.Load(t.Context(), Item{URI: s.URL + "/docs/b", Depth: 2}, Known{}); err != nil || len(deepest.Links) > 0 {
		t.Errorf("at the greatest depth: %v, %v, want no links", deepest.Links, err)
	}
	if d, err := f.Load(t.Context(), Item{URI: s.URL + "/docs/d"}, Known{}); err != nil || d.Verdict != Changed || len(d.Links) > 0 {
		t.Errorf("a page that asks not to be followed: %+v, %v, want no links", d, err)
	}
	if gone, err := f.Load(t.Context(), Item{URI: s.URL + "/docs/e"}, Known{}); err != nil || gone.Verdict != Gone {
		t.Errorf("a link that leads nowhere: %+v, %v, want gone", gone, err)
	}
}

func TestSiteDoesNotLeaveItsHosts(t *testing.T) {
	other := serve(t, map[string]http.HandlerFunc{"/": text("text/html", "elsewhere")})
	s := serve(t, map[string]http.HandlerFunc{"/": answers(302, "Location", other.URL+"/")})
	f := open(t, environ(s, other), tributary.SourceSite, s.URL, tributary.SourceOptions{})
	if _, err := f.Load(t.Context(), Item{URI: s.URL + "/"}, Known{}); err == nil || !strings.Contains(err.Error(), "option hosts") {
		t.Errorf("error %v, want one that names the option hosts", err)
	}
	if asked := other.requests(); len(asked) > 0 {
		t.Errorf("the other host was asked for %q", asked)
	}
	f = open(t, environ(s, other), tributary.SourceSite, s.URL, tributary.SourceOptions{Hosts: []string{strings.TrimPrefix(other.URL, "http://")}})
	if loaded, err := f.Load(t.Context(), Item{URI: s.URL + "/"}, Known{}); err != nil || loaded.URI != other.URL+"/" {
		t.Errorf("loaded %+v, %v, want the page of the other host", loaded, err)
	}
}

func TestSiteFollowsFewQueriesOfAPath(t *testing.T) {
	var body strings.Builder
	for i := range 3 * maxQueries {
		fmt.Fprintf(&body, `<a href="/calendar?day=%d">%d</a>`, i, i)
	}
	s := serve(t, map[string]http.HandlerFunc{"/": text("text/html", body.String())})
	f := open(t, environ(s), tributary.SourceSite, s.URL, tributary.SourceOptions{})
	loaded, err := f.Load(t.Context(), Item{URI: s.URL + "/"}, Known{})
	if err != nil || len(loaded.Links) != maxQueries || len(loaded.Notes) != 1 {
		t.Errorf("%d links, notes %q, %v, want %d links and a note", len(loaded.Links), loaded.Notes, err, maxQueries)
	}
}

const rssFeed = `<?xml version="1.0"?><rss version="2.0" xmlns:sy="http://purl.org/rss/1.0/modules/syndication/"><channel><title>News</title><language>en-us</language><ttl>90</ttl>
<item><title>First &amp; best</title><link>/one?utm_medium=rss</link><guid>1</guid><description>&lt;p&gt;Hello&lt;/p&gt;</description><pubDate>Tue, 03 Mar 2026 10:00:00 GMT</pubDate></item>
<item><title>No link</title><guid isPermaLink="false">two</guid><description>Second</description></item>
<item><title>Elsewhere</title><link>https://elsewhere.example/3</link><description>Third</description></item>
<item><title>Nothing</title></item></channel></rss>`

func TestFeedEntriesAreDocuments(t *testing.T) {
	s := serve(t, map[string]http.HandlerFunc{"/feed": text("application/rss+xml", rssFeed)})
	f := open(t, environ(s), tributary.SourceFeed, s.URL+"/feed", tributary.SourceOptions{})
	items, listing := glance(t, f, nil)
	if got, want := uris(s.URL, items), []string{"/one", "/feed#two", "https://elsewhere.example/3"}; !slices.Equal(got, want) {
		t.Fatalf("items %q, want %q", got, want)
	}
	if !listing.Partial || !listing.Authoritative || listing.Fresh != 90*time.Minute || len(listing.Notes) != 1 {
		t.Errorf("listing %+v, want partial, authoritative, fresh for its ttl, and a note", listing)
	}
	loaded, err := f.Load(t.Context(), items[0], Known{})
	if err != nil || !strings.Contains(string(loaded.Content), "<title>First &amp; best</title>") || !strings.Contains(string(loaded.Content), "<p>Hello</p>") {
		t.Errorf("loaded %s, %v, want the entry as a page", loaded.Content, err)
	}
	if a := loaded.Attributes; a.Title != "First & best" || a.Language != "en" || a.Metadata["published"] == "" || loaded.Modified.Year() != 2026 {
		t.Errorf("attributes %+v", a)
	}
	if again, err := f.Load(t.Context(), items[0], loaded.Known); err != nil || again.Verdict != Unchanged {
		t.Errorf("loaded again %+v, %v, want unchanged", again, err)
	}
	if more, next := glance(t, f, listing.Cursor); len(more) > 0 || !next.Unchanged || next.Fresh != 90*time.Minute {
		t.Errorf("an unchanged feed gives %v and %+v", more, next)
	}
	s.set("/feed", text("application/rss+xml", strings.Replace(rssFeed, "Hello", "Hello again", 1)))
	edited, _ := glance(t, f, listing.Cursor)
	if len(edited) != 3 || edited[0].Tag == items[0].Tag || edited[1].Tag != items[1].Tag {
		t.Errorf("after an edit of the first entry %+v", edited)
	}
	if got := s.requests(); !slices.Equal(got, []string{"/feed", "/feed", "/feed"}) {
		t.Errorf("asked for %q, want the feed alone", got)
	}
}

func TestFeedLeadsToPages(t *testing.T) {
	s := serve(t, map[string]http.HandlerFunc{"/feed": text("application/rss+xml", rssFeed), "/one": text("text/html", "<p>The page")})
	f := open(t, environ(s), tributary.SourceFeed, s.URL+"/feed", tributary.SourceOptions{Linked: true})
	items, listing := glance(t, f, nil)
	if !slices.Equal(uris(s.URL, items), []string{"/one"}) || listing.Authoritative || len(listing.Notes) != 3 {
		t.Fatalf("items %v of %+v, want the page on the feed's host and notes about the others", items, listing)
	}
	if loaded, err := f.Load(t.Context(), items[0], Known{}); err != nil || string(loaded.Content) != "<p>The page" {
		t.Errorf("loaded %s, %v", loaded.Content, err)
	}
	s.set("/feed", text("application/rss+xml", rssFeed[:len(rssFeed)/2]))
	if _, err := f.List(t.Context(), nil, func(Item) error { return nil }); err == nil {
		t.Error("a feed that is cut off is no error")
	}
}

func urlset(entries ...string) string {
	return `<?xml version="1.0"?><urlset xmlns="http://www.sitemaps.org/schemas/sitemap/0.9">` + strings.Join(entries, "") + `</urlset>`
}

func TestSitemapIndexIsFollowed(t *testing.T) {
	one := urlset("<url><loc>HOST/a</loc><lastmod>2026-03-03</lastmod></url>", "<url><loc>https://elsewhere.example/</loc></url>")
	pages := map[string]http.HandlerFunc{
		"/robots.txt": text("text/plain", "Sitemap: HOST/index.xml\nUser-agent: *\nDisallow: /secret\n"),
		"/index.xml": text("text/xml", `<sitemapindex xmlns="http://www.sitemaps.org/schemas/sitemap/0.9">
			<sitemap><loc>HOST/one.xml</loc></sitemap><sitemap><loc>HOST/two.txt</loc></sitemap></sitemapindex>`),
		"/one.xml": text("text/xml", one), "/two.txt": text("text/plain", "HOST/b\nHOST/secret\n"), "/secret": text("text/html", "x"),
	}
	s := serve(t, pages)
	f := open(t, environ(s), tributary.SourceSitemap, s.URL+"/robots.txt", tributary.SourceOptions{})
	items, listing := glance(t, f, nil)
	if got, want := uris(s.URL, items), []string{"/a", "/b", "/secret"}; !slices.Equal(got, want) {
		t.Fatalf("items %q, want %q", got, want)
	}
	if items[0].Tag != "2026-03-03" || items[0].Modified.Month() != time.March || !listing.SecondLook || listing.Partial || len(listing.Notes) != 1 {
		t.Errorf("item %+v of %+v", items[0], listing)
	}
	if _, err := f.Load(t.Context(), items[2], Known{}); err == nil || !strings.Contains(err.Error(), "robots.txt") {
		t.Errorf("error %v, want one that names robots.txt", err)
	}
	s.requests()
	if again, next := glance(t, f, listing.Cursor); len(again) > 0 || !next.Unchanged {
		t.Errorf("an unchanged sitemap gives %v and %+v", again, next)
	}
	if got := s.requests(); len(got) != 3 {
		t.Errorf("an unchanged sitemap costs %q, want a request per file", got)
	}
	s.set("/two.txt", text("text/plain", "HOST/b\nHOST/c\n"))
	changed, after := glance(t, f, listing.Cursor)
	if got, want := uris(s.URL, changed), []string{"/a", "/b", "/c"}; !slices.Equal(got, want) {
		t.Errorf("after a change of one file %q, want the entries of all: %q", got, want)
	}
	s.set("/one.xml", nil)
	fewer, last := glance(t, f, after.Cursor)
	if !last.Partial || !slices.Equal(uris(s.URL, fewer), []string{"/b", "/c"}) {
		t.Errorf("with a file missing %q of %+v, want partial", uris(s.URL, fewer), last)
	}
}

// A sitemap that cannot be read whole must not look like an empty one.
func TestBrokenSitemapIsAnError(t *testing.T) {
	whole := urlset("<url><loc>HOST/a</loc></url>", "<url><loc>HOST/b</loc></url>")
	for name, page := range map[string]http.HandlerFunc{
		"cut off":            text("text/xml", whole[:len(whole)-12]),
		"cut in an element":  text("text/xml", whole[:len(whole)-30]),
		"empty":              text("text/xml", ""),
		"a page of an error": text("text/html", "<!DOCTYPE html><html><body>Sorry</body></html>"),
		"text":               text("text/plain", "Service unavailable"),
		"without a URL":      text("text/xml", urlset("<url></url>")),
		"malformed":          text("text/xml", urlset("<url><loc>HOST/a</url>")),
		"missing":            nil,
		"down":               answers(500),
		"cut gzip":           text("application/gzip", "\x1f\x8b\x08\x00\x00\x00\x00\x00"),
	} {
		t.Run(name, func(t *testing.T) {
			s := serve(t, map[string]http.HandlerFunc{"/sitemap.xml": page})
			f := open(t, environ(s), tributary.SourceSitemap, s.URL+"/sitemap.xml", tributary.SourceOptions{})
			if listing, err := f.List(t.Context(), nil, func(Item) error { return nil }); err == nil {
				t.Errorf("no error, and %+v", listing)
			}
		})
	}
}

func TestSitemapIsBounded(t *testing.T) {
	var lines strings.Builder
	for i := range 20 {
		fmt.Fprintf(&lines, "HOST/%d\n", i)
	}
	s := serve(t, map[string]http.HandlerFunc{
		"/few.txt": text("text/plain", lines.String()),
		"/bomb": func(w http.ResponseWriter, _ *http.Request) {
			z := gzip.NewWriter(w)
			chunk := make([]byte, 1<<20)
			for range sitemapBytes>>20 + 1 {
				_, _ = z.Write(chunk)
			}
			_ = z.Close()
		},
	})
	f := open(t, environ(s), tributary.SourceSitemap, s.URL+"/few.txt", tributary.SourceOptions{MaxDocuments: 3})
	if items, listing := glance(t, f, nil); len(items) != 3 || !listing.Partial || !strings.Contains(fmt.Sprint(listing.Notes), "max_documents") {
		t.Errorf("%d items of %+v, want 3, partial, and the option named", len(items), listing)
	}
	f = open(t, environ(s), tributary.SourceSitemap, s.URL+"/bomb", tributary.SourceOptions{})
	if _, err := f.List(t.Context(), nil, func(Item) error { return nil }); err == nil || !strings.Contains(err.Error(), "decompressed") {
		t.Errorf("error %v, want one about the decompressed size", err)
	}
}

func TestUnreachableRobotsAllowNothingForAWhile(t *testing.T) {
	s := serve(t, map[string]http.HandlerFunc{"/robots.txt": answers(500), "/": text("text/html", "x")})
	env := environ(s)
	web, err := NewWeb(env.Ingest, nil)
	if err != nil {
		t.Fatal(err)
	}
	now := time.Date(2026, 3, 3, 10, 0, 0, 0, time.UTC)
	web.now = func() time.Time { return now }
	env.Web = web
	f := open(t, env, tributary.SourceSite, s.URL, tributary.SourceOptions{})
	load := func() error { _, err := f.Load(t.Context(), Item{URI: s.URL + "/"}, Known{}); return err }
	for range 2 {
		if outcome, after := tributary.OutcomeOf(load()); outcome != tributary.Retry || after != robotsRetry {
			t.Errorf("outcome %v after %v, want another attempt after %v", outcome, after, robotsRetry)
		}
	}
	if asked := len(s.asked); asked != 1 {
		t.Errorf("robots.txt was asked for %d times, want once", asked)
	}
	now = now.Add(robotsUnreachable + time.Hour)
	if err := load(); err != nil {
		t.Errorf("after a month: %v, want it to count as not there", err)
	}
	s.set("/robots.txt", text("text/plain", "User-agent: *\nDisallow: /\n"))
	now = now.Add(robotsRetry + time.Second)
	if outcome, _ := tributary.OutcomeOf(load()); outcome != tributary.Rejected {
		t.Errorf("outcome %v, want refused by the rules", outcome)
	}
	s.set("/robots.txt", answers(503))
	now = now.Add(robotsFresh + time.Second)
	if outcome, _ := tributary.OutcomeOf(load()); outcome != tributary.Rejected {
		t.Errorf("outcome %v, want the old rules while there are no new ones", outcome)
	}
	s.set("/robots.txt", answers(404))
	now = now.Add(robotsRetry + time.Second)
	if err := load(); err != nil {
		t.Errorf("without a robots.txt: %v", err)
	}
}

func TestLoadStopsWithItsContext(t *testing.T) {
	s := serve(t, map[string]http.HandlerFunc{"/": func(_ http.ResponseWriter, r *http.Request) { <-r.Context().Done() }})
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	for _, kind := range []tributary.SourceKind{tributary.SourcePage, tributary.SourceSite} {
		f := open(t, environ(s), kind, s.URL+"/", tributary.SourceOptions{})
		if _, err := f.Load(ctx, Item{URI: s.URL + "/"}, Known{}); !errors.Is(err, context.Canceled) {
			t.Errorf("%s: error %v, want context canceled", kind, err)
		}
	}
}
