package source

import (
	"encoding/json"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/mmcdole/gofeed"
	"github.com/mmcdole/gofeed/atom"
	feedjson "github.com/mmcdole/gofeed/json"
	"github.com/mmcdole/gofeed/rss"
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
