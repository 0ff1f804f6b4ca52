package source

import (
	"encoding/json"
	"io/fs"
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/mmcdole/gofeed"
	"github.com/mmcdole/gofeed/atom"
	feedjson "github.com/mmcdole/gofeed/json"
	"github.com/mmcdole/gofeed/rss"
	"github.com/tributary-kb/tributary"
)

// feedDisagreements, none at present, are the samples of gofeed whose expected parse is not what
// is parsed here, and why. A sample that is not listed must agree, and one
// that is listed must not.
var feedDisagreements = map[string]string{}

func TestFeedSamplesParseAsExpected(t *testing.T) {
	for dir, all := range map[string]bool{filepath.Join("testdata", "gofeed"): false, shared("feed-gofeed", "testdata"): true} {
		if _, err := os.Stat(dir); err != nil {
			t.Logf("%s is not here", dir)
			continue
		}
		seen := make(map[string]bool)
		err := filepath.WalkDir(dir, func(path string, d fs.DirEntry, err error) error {
			if want := expectation(path); err == nil && want != "" {
				rel, _ := filepath.Rel(dir, path)
				seen[filepath.ToSlash(rel)] = true
				t.Run(filepath.ToSlash(rel), func(t *testing.T) { feedSample(t, filepath.ToSlash(rel), path, want) })
			}
			return err
		})
		if err != nil {
			t.Error(err)
		}
		for rel := range feedDisagreements {
			if all && !seen[rel] {
				t.Errorf("%s is listed as a disagreement and does not exist", rel)
			}
		}
	}
}

// expectation returns the file with the expected parse of the feed at path, ""
// if that is no feed with one.
func expectation(path string) string {
	want := strings.TrimSuffix(path, ".xml") + ".json"
	if !strings.HasSuffix(path, ".xml") {
		want = strings.TrimSuffix(path, ".json") + "_expected.json"
	}
	if _, err := os.Stat(want); err != nil {
		return ""
	}
	return want
}

func feedSample(t *testing.T, rel, path, expected string) {
	content, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	wantJSON, err := os.ReadFile(expected)
	if err != nil {
		t.Fatal(err)
	}
	parsed, err := parseFeed(content)
	if err != nil {
		t.Fatal(err)
	}
	// The expected parse is of the format's own kind, or of the universal one.
	var got, want any = parsed, &gofeed.Feed{}
	switch {
	case strings.HasPrefix(rel, "parser/atom"):
		got, want = parsed.OriginalFeed(), &atom.Feed{}
	case strings.HasPrefix(rel, "parser/rss"):
		got, want = parsed.OriginalFeed(), &rss.Feed{}
	case strings.HasPrefix(rel, "parser/json"):
		got, want = parsed.OriginalFeed(), &feedjson.Feed{}
	case strings.HasPrefix(rel, "extensions") && parsed.FeedType == "rss":
		if strings.Contains(string(wantJSON), `"feedType"`) {
			break
		}
		got, want = parsed.OriginalFeed(), &rss.Feed{}
	}
	if err := json.Unmarshal(wantJSON, want); err != nil {
		t.Fatal(err)
	}
	diff := cmp.Diff(asJSON(t, want), asJSON(t, got))
	if reason, listed := feedDisagreements[rel]; listed != (diff != "") {
		t.Errorf("listed as a disagreement: %t (%s), difference:\n%s", listed, reason, diff)
	}
}

func asJSON(t *testing.T, v any) any {
	t.Helper()
	data, err := json.Marshal(v)
	if err != nil {
		t.Fatal(err)
	}
	var out any
	if err := json.Unmarshal(data, &out); err != nil {
		t.Fatal(err)
	}
	return out
}

// shared returns a path in the shared test corpora, which live beside the
// repository.
func shared(parts ...string) string {
	return filepath.Join(append([]string{"..", "..", "..", "shared", "data"}, parts...)...)
}

func FuzzFeed(f *testing.F) {
	f.Add([]byte(rssFeed))
	f.Add([]byte(`<feed xmlns="http://www.w3.org/2005/Atom"><entry><id>x</id><title>t</title></entry></feed>`))
	f.Add([]byte(`{"version":"https://jsonfeed.org/version/1.1","items":[{"id":"1","content_html":"x"}]}`))
	f.Fuzz(func(t *testing.T, content []byte) {
		parsed, err := parseFeed(content)
		if err != nil {
			return
		}
		if d := feedFresh(parsed); d < 0 || d > maxFeedFresh {
			t.Errorf("fresh for %v", d)
		}
		follower := &feed{}
		at := mustURL("https://x.example/feed")
		for _, entry := range parsed.Items {
			if uri, _ := entryURI(entry, at); uri != "" {
				if item := follower.item(parsed, entry, uri); item.Tag == "" || len(item.Content) == 0 {
					t.Errorf("item %+v", item)
				}
			}
		}
	})
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

// As those of change logs and release notes do.
func TestEntriesThatLeadToOnePageAreDocumentsEach(t *testing.T) {
	const changes = `<?xml version="1.0"?><rss version="2.0"><channel><title>Changes</title>
<item><title>2.0</title><link>/changes#2.0</link><guid>v2</guid><description>Faster</description></item>
<item><title>1.0</title><link>/changes#1.0</link><guid>v1</guid><description>First</description></item>
<item><title>News</title><link>/</link><guid>b</guid><description>Moved</description></item>
<item><title>Older news</title><link>/</link><guid>a</guid><description>Opened</description></item>
<item><title>Twice</title><link>/</link><description>No id</description></item></channel></rss>`
	s := serve(t, map[string]http.HandlerFunc{"/feed": text("application/rss+xml", changes)})
	f := open(t, environ(s), tributary.SourceFeed, s.URL+"/feed", tributary.SourceOptions{})
	items, listing := glance(t, f, nil)
	if got, want := uris(s.URL, items), []string{"/changes#2.0", "/changes#1.0", "/", "/feed#a"}; !slices.Equal(got, want) {
		t.Errorf("items %q, want %q", got, want)
	}
	if len(listing.Notes) != 1 || !strings.Contains(listing.Notes[0], "Twice") {
		t.Errorf("notes %q, want one about the entry that cannot be told apart", listing.Notes)
	}
	f = open(t, environ(s), tributary.SourceFeed, s.URL+"/feed", tributary.SourceOptions{Linked: true})
	if items, _ := glance(t, f, nil); !slices.Equal(uris(s.URL, items), []string{"/changes", "/"}) {
		t.Errorf("with linked the items are %q, want the pages", uris(s.URL, items))
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
	narrow := open(t, environ(s), tributary.SourceFeed, s.URL+"/feed", tributary.SourceOptions{Linked: true, Exclude: []string{"/one"}})
	if loaded, err := narrow.Load(t.Context(), items[0], Known{}); err != nil || loaded.Verdict != Gone {
		t.Errorf("a page that is excluded by now: %+v, %v, want gone", loaded, err)
	}
	s.set("/feed", text("application/rss+xml", rssFeed[:len(rssFeed)/2]))
	if _, err := f.List(t.Context(), nil, func(Item) error { return nil }); err == nil {
		t.Error("a feed that is cut off is no error")
	}
}
