package source

import (
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"
)

// robotsCase asks the rules of one file of crawler-commons, by the product
// tokens of its tests. Where they expect the contrary, why says so.
type robotsCase struct {
	file, agent, path string
	allowed           bool
	why               string
}

var robotsCases = []robotsCase{
	{"directive-typos-robots.txt", "bot1", "/desallow/", true, "they take desallow for disallow; Google's parser, the reference, does not"},
	{"directive-typos-robots.txt", "bot1", "/dissalow/", false, ""},
	{"directive-typos-robots.txt", "bot2", "/useragent/", false, ""},
	{"directive-typos-robots.txt", "bot3", "/useg-agent/", true, "they take useg-agent for user-agent; Google's parser does not, and this group is bot2's"},
	{"directive-typos-robots.txt", "bot4", "/useragent-no-colon/", false, ""},
	{"format-errors-robots.txt", "bot1", "/whitespace-before-colon/", false, ""},
	{"format-errors-robots.txt", "bot1", "/no-colon/", false, ""},
	{"format-errors-robots.txt", "bot2", "/no-colon-useragent/", false, ""},
	{"format-errors-robots.txt", "bot3", "/whitespace-before-colon/", true, ""},
	{"format-errors-robots.txt", "bot3", "/x", false, ""},
	{"many-user-agents.txt", "wget", "/", false, ""},
	{"many-user-agents.txt", "mysuperlongbotnamethatmatchesnothing", "/", true, ""},
	{"many-user-agents.txt", "mysuperlongbotnamethatmatchesnothing", "/bot-trap/", false, ""},
	{"malformed-path.txt", "bot1", "/wiki/Wikipedia_talk:Mediation_Committee/", false, ""},
	{"malformed-path.txt", "bot1", "/wiki/", true, ""},
	{"dos-line-endings.txt", "bot1", "/", true, ""},
	{"www.flot.com-robots.txt", "foobot", "/img/", false, ""},
	{"robots-with-utf8-bom.txt", "foobot", "/profile", false, ""},
	{"robots-with-utf16be-bom.txt", "foobot", "/profile", false, ""},
	{"robots-with-utf16le-bom.txt", "foobot", "/profile", false, ""},
	{"crawl-delay-group-merging.txt", "mybot", "/private/x", false, ""},
	{"crawl-delay-group-merging.txt", "mybot", "/login/x", true, ""},
	{"crawl-delay-group-merging.txt", "yourbot", "/private/x", false, ""},
	{"crawl-delay-group-merging.txt", "yourbot", "/login/x", false, ""},
	{"crawl-delay-group-merging.txt", "anybot", "/login/x", true, ""},
	{"extensions-group-merging.txt", "mybot", "/private/x", false, ""},
	{"extensions-group-merging.txt", "yourbot", "/login/x", false, ""},
	{"extensions-group-merging.txt", "anybot", "/x", false, ""},
	{"extensions-group-merging.txt", "anybot", "/llms.txt", true, ""},
	{"merge-rules.txt", "testy", "/x", false, ""},
	{"merge-rules.txt", "wget", "/foo/bar", true, ""},
	{"merge-rules.txt", "wget", "/%74mp/bar", false, ""},
	{"merge-rules.txt", "anybot", "/%74mp/bar", false, ""},
	{"merge-rules.txt", "anybot", "/ckh/bar", true, ""},
	{"precedence-of-rules.txt", "testy", "/foo/bar", true, ""},
	{"precedence-of-rules.txt", "testy", "/foo/boo", false, ""},
	{"precedence-of-rules.txt", "wget", "/index.html", true, ""},
	{"precedence-of-rules.txt", "wget", "/x", false, ""},
	{"rfc9309-example-longest-match-robots.txt", "foobot", "/example/page/disallow.gif", true, ""},
	{"rfc9309-example-longest-match-robots.txt", "foobot", "/example/page/disallowed.gif", false, ""},
	{"rfc9309-example-rule-group-merging.txt", "ExampleBot", "/baz", false, ""},
	{"rfc9309-example-rule-group-merging.txt", "BazBot", "/foo", true, ""},
	{"rfc9309-example-rule-group-merging.txt", "other", "/bar", false, ""},
	{"rfc9309-example-simple-robots.txt", "foobot", "/x", false, ""},
	{"rfc9309-example-simple-robots.txt", "foobot", "/example/page.html", true, ""},
	{"rfc9309-example-simple-robots.txt", "bazbot", "/example/page.html", false, ""},
	{"rfc9309-example-simple-robots.txt", "quxbot", "/example/page.html", true, ""},
	{"rfc9309-example-simple-robots.txt", "other", "/x.gif", false, ""},
	{"rfc9309-example-simple-robots.txt", "other", "/publications/", true, ""},
	{"twitter.com-robots.txt", "anybot", "/x?y", false, ""},
	{"twitter.com-robots.txt", "anybot", "/x", true, ""},
	{"extension-robots.txt", "mybot", "/private/", false, ""},
	{"extension-robots.txt", "anybot", "/private/", true, ""},
	{"wildcards.txt", "anybot", "/gp/cart", false, ""},
	{"relative-sitemap-robots.txt", "anybot", "/cache/x", false, ""},
	{"sitemap-robots.txt", "anybot", "/robots.txt", true, ""},
}

func robotsFile(t *testing.T, file string) *robotsRules {
	t.Helper()
	content, err := os.ReadFile(filepath.Join("testdata", "crawlercommons", "robots", file))
	if err != nil {
		t.Fatal(err)
	}
	return parseRobots(content)
}

func TestRobotsSamples(t *testing.T) {
	for _, tt := range robotsCases {
		if got := robotsFile(t, tt.file).allows(tt.agent, mustURL("http://x.example"+tt.path)); got != tt.allowed {
			t.Errorf("%s: %s may fetch %s: %t, want %t (%s)", tt.file, tt.agent, tt.path, got, tt.allowed, tt.why)
		}
	}
}

func TestRobotsDelaysAndSitemaps(t *testing.T) {
	for _, tt := range []struct {
		file, agent string
		delay       time.Duration
		sitemaps    []string
	}{
		{"astore.amazon.com-robots.txt", "x", 5 * time.Second, nil},
		{"dos-line-endings.txt", "x", time.Second, nil},
		{"crawl-delay-group-merging.txt", "mybot", 10 * time.Second, nil},
		{"crawl-delay-group-merging.txt", "yourbot", 0, nil},
		{"crawl-delay-group-merging.txt", "anybot", 30 * time.Second, nil},
		{"twitter.com-robots.txt", "Googlebot", 0, nil},
		{"twitter.com-robots.txt", "slurp", time.Second, nil},
		{"sitemap-robots.txt", "x", 0, []string{"http://domain.com/sitemap.xml", "http://domain.com/dir/MixedCased-sitemap.xml"}},
		{"relative-sitemap-robots.txt", "x", 0, []string{"/sitemap.xml"}},
		{"robots-with-utf16le-bom.txt", "x", 0, []string{"http://www.newsweek.com/sitemap_index.xml"}},
		{"format-errors-robots.txt", "x", 0, []string{"/sitemap.xml"}},
	} {
		r := robotsFile(t, tt.file)
		if got := r.delay(tt.agent); got != tt.delay {
			t.Errorf("%s: delay of %s is %v, want %v", tt.file, tt.agent, got, tt.delay)
		}
		if !slices.Equal(r.sitemaps, tt.sitemaps) {
			t.Errorf("%s: sitemaps %q, want %q", tt.file, r.sitemaps, tt.sitemaps)
		}
	}
}

// The table of RFC 9309, section 2.2.2 and 2.2.3, in both directions.
func TestRobotsCompareEscapes(t *testing.T) {
	for _, tt := range []struct {
		pattern, path string
		matches       bool
	}{
		{"/foo/bar?baz=quz", "/foo/bar?baz=quz", true},
		{"/foo/bar?baz=https://foo.bar", "/foo/bar?baz=https://foo.bar", true},
		{"/foo/bar/ツ", "/foo/bar/%E3%83%84", true},
		{"/foo/bar/%E3%83%84", "/foo/bar/ツ", true},
		{"/foo/bar/%e3%83%84", "/foo/bar/ツ", true},
		{"/foo/bar/%62%61%7A", "/foo/bar/baz", true},
		{"/foo/bar/baz", "/foo/bar/%62%61%7A", true},
		{"/file-with-a-%2A.html", "/file-with-a-*.html", true},
		{"/file-with-a-%2A.html", "/file-with-a-x.html", false},
		{"/foo-%24", "/foo-$", true},
		{"/foo-%24", "/foo-", false},
		{"/a*z$", "/a*z", true},
		{"/a%2Fb", "/a/b", false},
	} {
		r := parseRobots([]byte("User-agent: *\nDisallow: " + tt.pattern + "\n"))
		if got := !r.allows("tributary", mustURL("http://x.example"+tt.path)); got != tt.matches {
			t.Errorf("pattern %s matches %s: %t, want %t", tt.pattern, tt.path, got, tt.matches)
		}
	}
	if r := parseRobots([]byte("User-agent: *\nCrawl-delay: 3600\n")); r.delay("x") != maxCrawlDelay {
		t.Errorf("an endless delay is %v, want %v", r.delay("x"), maxCrawlDelay)
	}
}

func FuzzRobots(f *testing.F) {
	f.Add([]byte("User-agent: *\nDisallow: /a*b$\nCrawl-delay: 1\nSitemap: /x\n"), "/a%2fb")
	f.Fuzz(func(t *testing.T, content []byte, path string) {
		r := parseRobots(content)
		if d := r.delay("x"); d < 0 || d > maxCrawlDelay {
			t.Errorf("delay %v", d)
		}
		if u, err := mustURL("http://x.example/").Parse(strings.ReplaceAll(path, "\x00", "")); err == nil {
			r.allows("x", u)
		}
	})
}
