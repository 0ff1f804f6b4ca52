package source

import (
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"testing"
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
