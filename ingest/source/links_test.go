package source

import (
	"encoding/csv"
	"errors"
	"io"
	"net/http"
	"net/url"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
)

// canonicalDisagreements are the inputs that crawler-commons normalises in
// another way, and why we do not. One that is not listed must agree, and one
// that is listed must not.
var canonicalDisagreements = map[string]string{
	"http://foo.com/\x1a!":                     controls,
	"http://foo.com/\x01!":                     controls,
	"https://example%2Ecom/":                   "escapes in a host are not undone: they are there to deceive",
	"file:///foo/bar.txt":                      notWeb,
	"ftp:/":                                    notWeb,
	"ftp://foo.com/index.html":                 notWeb,
	"file:/path/index.html":                    notWeb,
	"http:////":                                "there is no host",
	"http:///////":                             "there is no host",
	"foo.com/index.html":                       "a URL without a scheme is relative to its page",
	"file:/var/www/html/////./bar/index.html":  notWeb,
	"file:/var/www/html/foo/../bar/index.html": notWeb,
	"http://www.example.com/p%zz%77%v":         badEscape,
	"http://foo.com/index?a=1&b=":              emptyValue,
	"http://foo.com/index?b=&a=1":              emptyValue,
	"https://www.last.fm/music/Prefuse+73/_/90%+of+My+Mind+Is+With+You": badEscape,
}

const (
	controls   = "the parser of the standard library refuses control characters"
	notWeb     = "only http and https are followed"
	badEscape  = "the parser of the standard library refuses malformed escapes in a path"
	emptyValue = "to some servers an empty value is not the same as none"
)

func TestCanonicalFormsOfCrawlerCommons(t *testing.T) {
	file, err := os.Open(filepath.Join("testdata", "crawlercommons", "normalizer", "weirdToNormalizedUrls.csv"))
	if err != nil {
		t.Fatal(err)
	}
	defer file.Close()
	r := csv.NewReader(file)
	r.Comment, r.LazyQuotes, r.FieldsPerRecord = '#', true, -1
	count, seen := 0, make(map[string]bool)
	for {
		record, err := r.Read()
		if errors.Is(err, io.EOF) {
			break
		}
		if err != nil {
			t.Fatal(err)
		}
		if len(record) != 2 {
			continue
		}
		in, want := strings.TrimSpace(record[0]), strings.TrimSpace(record[1])
		count++
		seen[in] = true
		got := ""
		if u, err := url.Parse(in); err == nil {
			if c := canonical(u); c != nil {
				got = c.String()
			}
		}
		if reason, listed := canonicalDisagreements[in]; listed != (got != want) {
			t.Errorf("%q: %q, want %q; listed as a disagreement: %t (%s)", in, got, want, listed, reason)
		}
	}
	for in := range canonicalDisagreements {
		if !seen[in] {
			t.Errorf("%q is listed as a disagreement and does not exist", in)
		}
	}
	if count < 100 {
		t.Errorf("only %d forms are tried", count)
	}
}

func TestCanonical(t *testing.T) {
	for in, want := range map[string]string{
		"HTTP://Example.COM.:80/a/../b/./c?utm_source=x&b=2&a=1&fbclid=y#top": "http://example.com/b/c?a=1&b=2",
		"https://x.example:443":                    "https://x.example/",
		"https://x.example:8443/%7Euser/%e3%83%84": "https://x.example:8443/~user/%E3%83%84",
		"https://x.example/a;jsessionid=1234?x":    "https://x.example/a?x",
		"https://x.example/a%2fb":                  "https://x.example/a%2Fb",
		"http://[2001:DB8::1]:80/":                 "http://[2001:db8::1]/",
		"https://x.example/?b=2&a=2&b=1":           "https://x.example/?a=2&b=2&b=1",
		"https://x.example/dir/..":                 "https://x.example/",
		"https://x.example/dir/.":                  "https://x.example/dir/",
		"ftp://x.example/":                         "",
		"https://user:secret@x.example/":           "",
		"/relative":                                "",
		"mailto:x@x.example":                       "",
	} {
		got := ""
		if c := canonical(mustURL(in)); c != nil {
			got = c.String()
		}
		if got != want {
			t.Errorf("%s: %q, want %q", in, got, want)
		}
	}
}

func TestTraps(t *testing.T) {
	for path, want := range map[string]bool{
		"/a/b/c":            false,
		"/en/docs/en/docs/": false,
		"/a/b/a/b/a/b/a/b":  true,
		"/1/2/3/4/5/6/7/8/9/10/11/12/13/14/15/16/17": true,
		"/?q=" + strings.Repeat("x", 2100):           true,
	} {
		if why := trap(mustURL("https://x.example" + path)); (why != "") != want {
			t.Errorf("%.40s: trap %q, want %t", path, why, want)
		}
	}
}

func TestPagesSayWhatRobotsMayDo(t *testing.T) {
	for _, tt := range []struct {
		header, page      string
		noindex, nofollow bool
	}{
		{"", `<meta name="robots" content="noindex">`, true, false},
		{"", `<META NAME=Robots CONTENT="NoIndex, NoFollow">`, true, true},
		{"", `<meta name="tributary" content="none">`, true, true},
		{"", `<meta name="otherbot" content="noindex">`, false, false},
		{"", `<!-- <meta name="robots" content="noindex"> --><script>'<meta name="robots" content="noindex">'</script>`, false, false},
		{"noindex, nofollow", "", true, true},
		{"otherbot: noindex", "", false, false},
		{"tributary: noindex", "", true, false},
		{"unavailable_after: 25 Jun 2010 15:00:00 PST", "", false, false},
		{"max-snippet:10, noindex", "", true, false},
	} {
		header := http.Header{}
		if tt.header != "" {
			header.Set("X-Robots-Tag", tt.header)
		}
		p := readLinks(mustURL("https://x.example/"), []byte("<html>"+tt.page), "text/html", header, "tributary")
		if p.noindex != tt.noindex || p.nofollow != tt.nofollow {
			t.Errorf("%+v: noindex %t, nofollow %t", tt, p.noindex, p.nofollow)
		}
	}
}

func TestLinksOfOddPages(t *testing.T) {
	at := mustURL("https://x.example/dir/page")
	for _, tt := range []struct {
		name, page, contentType string
		want                    []string
	}{
		{"another charset", "<a href='/caf\xe9'>", "text/html; charset=iso-8859-1", []string{"/caf%C3%A9"}},
		{"broken lines in a link", "<a href=' a\n b\t.html '>", "text/html", []string{"/dir/a%20b.html"}},
		{"nested too deeply for a tree", strings.Repeat("<div>", 5000) + "<a href=deep>", "text/html", []string{"/dir/deep"}},
		{"cut off in a tag", "<a href=one><a href='two", "text/html", []string{"/dir/one"}},
		{"two bases", "<base href=/one/><base href=/two/><a href=x>", "text/html", []string{"/one/x"}},
		{"no type", "<!DOCTYPE html><a href=x>", "", []string{"/dir/x"}},
		{"no page", "<a href=x>", "text/plain", nil},
	} {
		var got []string
		for _, u := range readLinks(at, []byte(tt.page), tt.contentType, nil, "tributary").links {
			got = append(got, strings.TrimPrefix(u.String(), "https://x.example"))
		}
		if !slices.Equal(got, tt.want) {
			t.Errorf("%s: %q, want %q", tt.name, got, tt.want)
		}
	}
}

func FuzzLinks(f *testing.F) {
	f.Add("https://x.example/a", []byte(`<base href="/b/"><a href="../c?utm_x=1&b=2&a=%7e#f"><link rel=canonical href=//y.example>`))
	f.Add("http://[::1]:80/%", []byte("<a href=http:x><a href='?'><a href=//>"))
	f.Fuzz(func(t *testing.T, base string, content []byte) {
		at, err := url.Parse(base)
		if err != nil {
			return
		}
		p := readLinks(at, content, "text/html", nil, "tributary")
		for _, u := range append(p.links, p.canonical) {
			if u == nil {
				continue
			}
			again, err := url.Parse(u.String())
			if err != nil {
				t.Fatalf("%q: %v", u, err)
			}
			if c := canonical(again); c == nil || c.String() != u.String() {
				t.Errorf("the canonical form of %q is %v", u, c)
			}
			if u.Fragment != "" || u.User != nil || len(u.Host) == 0 {
				t.Errorf("link %q", u)
			}
			_ = trap(u)
		}
	})
}
