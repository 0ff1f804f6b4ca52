package source

import (
	"fmt"
	"net/http"
	"slices"
	"strings"
	"testing"

	"github.com/tributary-kb/tributary"
)

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

// A source that is described anew has fewer pages, and asks nobody for the others.
func TestPagesThatASiteDoesNotReachAnyMoreAreGone(t *testing.T) {
	page := text("text/html", "here")
	s := serve(t, map[string]http.HandlerFunc{"/": page, "/old/a": page, "/new": page})
	f := open(t, environ(s), tributary.SourceSite, s.URL, tributary.SourceOptions{Exclude: []string{"/old/"}, Depth: 2})
	for _, tt := range []struct {
		uri   string
		depth int
		want  Verdict
	}{
		{s.URL + "/", 0, Changed},
		{s.URL + "/new", 2, Changed},
		{s.URL + "/new?x", 3, Gone},
		{s.URL + "/old/a", 1, Gone},
		{"https://elsewhere.example/", 1, Gone},
	} {
		if loaded, err := f.Load(t.Context(), Item{URI: tt.uri, Depth: tt.depth}, Known{}); err != nil || loaded.Verdict != tt.want {
			t.Errorf("%s: verdict %d, %v, want %d", tt.uri, loaded.Verdict, err, tt.want)
		}
	}
	if asked := s.requests(); slices.Contains(asked, "/old/a") {
		t.Errorf("asked for %q, want nothing that is excluded", asked)
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
