package source

import (
	"compress/gzip"
	"fmt"
	"net/http"
	"net/url"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/tributary-kb/tributary"
)

func mustURL(s string) *url.URL {
	u, err := url.Parse(s)
	if err != nil {
		panic(err)
	}
	return u
}

// The samples of crawler-commons, with what its own tests expect: how many
// URLs, whether it is an index, and what is among them. Where we disagree,
// why says so and error or urls is ours.
var sitemapSamples = []struct {
	file  string
	urls  int
	index bool
	has   string
	error string
	why   string
}{
	{file: "sitemaps/atom.xml", urls: 1, has: "http://example.org/2003/12/13/atom03"},
	{file: "sitemaps/sitemap-with-bom.txt", urls: 2, has: "http://www.domain.com/page1.html"},
	{file: "sitemaps/sitemap.badns.xml", urls: 2, has: "http://www.example.com/2"},
	{file: "sitemaps/sitemap.index.xml", error: "none of its 15 entries is a URL",
		why: "they expect 15 files; the URLs stand in the sitemap elements without a loc, and guessing at what a broken file means may empty a source"},
	{file: "sitemaps/sitemap.ns.xml", urls: 2, has: "http://www.example.com/1"},
	{file: "sitemaps/sitemap.txt", urls: 2, has: "http://www.domain.com/page2.html"},
	{file: "sitemaps/do-not-visit.txt", urls: 1, has: "http://www.example.com/do-not-visit-here"},
	{file: "sitemaps/sitemap.txt.gz", urls: 5, has: "http://www.example.com/catalog?desc=vacation_usa&item=83"},
	{file: "sitemaps/xmlSitemap.gz", urls: 5, has: "http://www.example.com/catalog?desc=vacation_hawaii&item=12"},
	{file: "sitemaps/extension/pagemaps-sitemap.xml", urls: 2, has: "http://www.example.com/bar"},
	{file: "sitemaps/extension/sitemap-images.xml", urls: 1, has: "http://www.example.com/images/some_image_landing_page.html"},
	{file: "sitemaps/extension/sitemap-links.xml", urls: 3, has: "http://www.example.com/schweiz-deutsch/"},
	{file: "sitemaps/extension/sitemap-mobile.xml", urls: 3, has: "http://www.example.com/no-mobile/"},
	{file: "sitemaps/extension/sitemap-news.xml", urls: 2, has: "http://www.example.org/business/article55.html"},
	{file: "sitemaps/extension/sitemap-videos-tvshow.xml", urls: 1, has: "https://example.org/my-tv-show/23/13/"},
	{file: "sitemaps/extension/sitemap-videos.xml", urls: 3, has: "http://www.example.com/videos/some_video_landing_page.html"},
	{file: "rss/feed.rss", urls: 4, has: "https://www.example.com/guid.html"},
	{file: "rss/xmlRss_pubDate.xml", urls: 7, has: "http://www.example.com/article_1"},
}

func TestSitemapSamples(t *testing.T) {
	for _, tt := range sitemapSamples {
		t.Run(tt.file, func(t *testing.T) {
			content, err := os.ReadFile(filepath.Join("testdata", "crawlercommons", filepath.FromSlash(tt.file)))
			if err != nil {
				t.Fatal(err)
			}
			f, err := parseSitemap(mustURL("http://www.example.com/sitemap.xml"), content)
			if tt.error != "" {
				if err == nil || !strings.Contains(err.Error(), tt.error) {
					t.Errorf("%+v, error %v, want one that says %q (%s)", f, err, tt.error, tt.why)
				}
				return
			}
			var locs []string
			for _, e := range f.entries {
				locs = append(locs, e.loc.String())
			}
			if err != nil || len(locs) != tt.urls || f.index != tt.index || !strings.Contains("\n"+strings.Join(locs, "\n")+"\n", "\n"+tt.has+"\n") {
				t.Errorf("%q, index %t, %v, want %d with %s", locs, f.index, err, tt.urls, tt.has)
			}
		})
	}
}

func FuzzSitemap(f *testing.F) {
	for _, tt := range sitemapSamples {
		if content, err := os.ReadFile(filepath.Join("testdata", "crawlercommons", filepath.FromSlash(tt.file))); err == nil {
			f.Add(content)
		}
	}
	at := mustURL("http://www.example.com/sitemap.xml")
	f.Fuzz(func(t *testing.T, content []byte) {
		file, err := parseSitemap(at, content)
		if err != nil {
			return
		}
		for _, e := range file.entries {
			if e.loc == nil || e.loc.Scheme != "http" && e.loc.Scheme != "https" || e.loc.Host == "" || e.loc.Fragment != "" {
				t.Errorf("entry %v", e.loc)
			}
		}
	})
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
	f = open(t, environ(s), tributary.SourceSitemap, s.URL+"/few.txt", tributary.SourceOptions{Exclude: []string{"/1*"}})
	f.(*sitemap).most = 4 // as if the files were large
	if items, listing := glance(t, f, nil); len(items) != 4 || !listing.Partial || !strings.Contains(fmt.Sprint(listing.Notes), "5 URLs left out") {
		t.Errorf("%d items of %+v, want 4, partial, and those noted that are too many", len(items), listing)
	}
	index := sitemapFile{index: true, entries: slices.Repeat([]sitemapEntry{{loc: mustURL("https://x.example/1.xml")}}, 3*maxSitemaps)}
	if n := len(index.names()); n != maxSitemaps+1 {
		t.Errorf("%d files of an index are remembered, want no more than are read", n)
	}
	f = open(t, environ(s), tributary.SourceSitemap, s.URL+"/bomb", tributary.SourceOptions{})
	if _, err := f.List(t.Context(), nil, func(Item) error { return nil }); err == nil || !strings.Contains(err.Error(), "decompressed") {
		t.Errorf("error %v, want one about the decompressed size", err)
	}
}
