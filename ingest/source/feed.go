package source

import (
	"bytes"
	"cmp"
	"context"
	"encoding/json"
	"fmt"
	"html"
	"net/url"
	"strings"
	"time"

	"github.com/mmcdole/gofeed"

	"github.com/tributary-kb/tributary"
	"github.com/tributary-kb/tributary/ingest"
)

// A feed is its entries: their own text, or with the option linked the pages
// that they lead to. An entry that the feed does not show any more is old, not
// gone.
type feed struct {
	*visitor
	reach  reach
	linked bool
	max    int
}

func newFeed(s tributary.Source, env Env) (Follower, error) {
	if err := onlyOptions(s, "include", "exclude", "max_documents", "hosts", "linked"); err != nil {
		return nil, err
	}
	v, err := newVisitor(s, env)
	if err != nil {
		return nil, err
	}
	r, err := newReach(v, s.Options, false)
	if err != nil {
		return nil, err
	}
	return &feed{visitor: v, reach: r, linked: s.Options.Linked, max: s.Options.MaxDocuments}, nil
}

// feedCursor is what is remembered of the feed.
type feedCursor struct {
	Known Known         `json:"known"`
	Fresh time.Duration `json:"fresh,omitempty"` // as the feed itself says
}

// List implements Follower.
func (f *feed) List(ctx context.Context, cursor json.RawMessage, yield func(Item) error) (Listing, error) {
	var last feedCursor
	if len(cursor) > 0 {
		if err := json.Unmarshal(cursor, &last); err != nil {
			return Listing{}, fmt.Errorf("cursor: %w", err)
		}
	}
	accept := "application/atom+xml,application/rss+xml,application/feed+json,application/xml;q=0.9,*/*;q=0.5"
	fetched, err := f.fetch(ctx, f.location.String(), last.Known, ingest.FetchOptions{Accept: accept})
	if err != nil {
		return Listing{}, err
	}
	listing := Listing{Partial: true, Authoritative: !f.linked, Fresh: max(fetched.Fresh, last.Fresh), Cursor: cursor}
	if fetched.NotModified {
		listing.Unchanged = true
		return listing, nil
	}
	next := feedCursor{Known: validators(f.location.String(), fetched), Fresh: last.Fresh}
	next.Known.Hash = tributary.Hash(fetched.Content)
	if next.Known.Hash == last.Known.Hash {
		listing.Unchanged = true
		listing.Cursor, err = json.Marshal(next)
		return listing, err
	}
	parsed, err := parseFeed(fetched.Content)
	if err != nil {
		return Listing{}, fmt.Errorf("feed %q: %w", f.location.Redacted(), err)
	}
	at, err := url.Parse(fetched.URL)
	if err != nil {
		return Listing{}, fmt.Errorf("feed %q: %w", f.location.Redacted(), err)
	}
	next.Fresh = feedFresh(parsed)
	listing.Fresh = max(fetched.Fresh, next.Fresh)
	if listing.Cursor, err = json.Marshal(next); err != nil {
		return Listing{}, fmt.Errorf("cursor: %w", err)
	}
	listing.Notes, err = f.entries(parsed, at, yield)
	return listing, err
}

// entries yields the items that the entries make.
func (f *feed) entries(parsed *gofeed.Feed, at *url.URL, yield func(Item) error) ([]string, error) {
	var n notes
	list, full := limited(f.max, yield)
	named := make(map[string]bool)
	for _, entry := range parsed.Items {
		uri, u := entryURI(entry, at)
		switch {
		case f.linked && u != nil:
			uri = u.String() // of the page
		case named[uri]: // all entries of some feeds lead to one page
			uri, _ = idURI(entry, at)
		}
		named[uri] = true
		if uri == "" {
			n.add("entry %.100q has neither a link of its own nor an id", entry.Title)
			continue
		}
		if u == nil && f.linked {
			n.add("entry %.200q has no link to follow", uri)
			continue
		}
		if why, ok := f.holds(u); !ok {
			n.add("entry %.200q is %s", uri, why)
			continue
		}
		if err := list(f.item(parsed, entry, uri)); err != nil {
			return nil, err
		}
	}
	if *full {
		n.tooMany(f.max)
	}
	return n.all(), nil
}

// holds says whether an entry with the link u is in scope. The host matters
// only where it is going to be asked.
func (f *feed) holds(u *url.URL) (string, bool) {
	if u == nil {
		return "", true
	}
	if !f.linked && !f.reach.scope.holds(strings.TrimPrefix(u.Path, "/")) {
		return "left out by include and exclude", false
	}
	if f.linked {
		return f.reach.holds(u)
	}
	return "", true
}

func (f *feed) item(parsed *gofeed.Feed, entry *gofeed.Item, uri string) Item {
	body := cmp.Or(entry.Content, entry.Description)
	item := Item{URI: uri, Modified: entryTime(entry)}
	tag := []string{entry.GUID, entry.Updated, entry.Published, entry.Title, body}
	item.Tag = tributary.Hash([]byte(strings.Join(tag, "\x00")))
	if !f.linked {
		item.Attributes = entryAttributes(parsed, entry)
		item.Content, item.ContentType = entryPage(entry.Title, body), "text/html; charset=utf-8"
	}
	return item
}

// Load implements Follower.
func (f *feed) Load(ctx context.Context, item Item, known Known) (Loaded, error) {
	if f.linked {
		if u, err := url.Parse(item.URI); err != nil {
			return Loaded{}, fmt.Errorf("load %q: %w", item.URI, err)
		} else if _, ok := f.reach.holds(u); !ok { // it was, when the source was described in another way
			return Loaded{Verdict: Gone}, nil
		}
		visit := *f.visitor
		visit.polite, visit.allows = true, onHosts(f.reach.hosts)
		loaded, _, err := visit.load(ctx, item, known)
		return loaded, err
	}
	if item.Content == nil {
		// Its feed showed it once. It shows it no more, and nobody else has it.
		return Loaded{Verdict: Unchanged, Known: known}, nil
	}
	loaded := Loaded{Known: Known{Tag: item.Tag, Hash: tributary.Hash(item.Content)}, Modified: item.Modified}
	if loaded.Known.Hash == known.Hash {
		loaded.Verdict = Unchanged
		return loaded, nil
	}
	loaded.Content, loaded.ContentType, loaded.Attributes = item.Content, item.ContentType, item.Attributes
	return loaded, nil
}

// parseFeed reads a feed of any kind.
func parseFeed(content []byte) (*gofeed.Feed, error) {
	parser := gofeed.NewParser()
	parser.KeepOriginalFeed = true // for its ttl
	return parser.Parse(bytes.NewReader(content))
}

// entryURI returns the URI of an entry's document, and the page that it leads
// to, nil if there is none: its link, else its id. Entries of a change log lead
// to places of one page, so the fragment belongs to the URI.
func entryURI(entry *gofeed.Item, at *url.URL) (string, *url.URL) {
	if u, err := at.Parse(strings.TrimSpace(entry.Link)); err == nil && entry.Link != "" {
		if c := canonical(u); c != nil && tributary.CheckURI(c.String()) == nil {
			place := *c
			place.Fragment, place.RawFragment = u.Fragment, u.RawFragment
			if tributary.CheckURI(place.String()) != nil {
				return c.String(), c
			}
			return place.String(), c
		}
	}
	return idURI(entry, at)
}

// idURI is entryURI by the id alone, which is one of the feed's own if it is no
// URI.
func idURI(entry *gofeed.Item, at *url.URL) (string, *url.URL) {
	id := strings.TrimSpace(entry.GUID)
	if id == "" {
		return "", nil
	}
	u, err := url.Parse(id)
	if err == nil {
		if c := canonical(u); c != nil && tributary.CheckURI(c.String()) == nil {
			return c.String(), c
		}
	}
	if err != nil || u.Scheme != "urn" && u.Scheme != "tag" || tributary.CheckURI(id) != nil {
		id = at.String() + "#" + url.QueryEscape(id)
	}
	if tributary.CheckURI(id) != nil {
		return "", nil
	}
	return id, nil
}

// entryTime is when the entry was changed, zero if it does not say.
func entryTime(entry *gofeed.Item) time.Time {
	for _, t := range []*time.Time{entry.UpdatedParsed, entry.PublishedParsed} {
		if t != nil {
			return *t
		}
	}
	return time.Time{}
}

func entryAttributes(parsed *gofeed.Feed, entry *gofeed.Item) tributary.Attributes {
	a := tributary.Attributes{Title: strings.TrimSpace(entry.Title), Metadata: make(map[string]string)}
	a.Language, _, _ = strings.Cut(strings.ToLower(parsed.Language), "-")
	if parsed.Title != "" {
		a.Metadata["site"] = strings.TrimSpace(parsed.Title)
	}
	if entry.PublishedParsed != nil {
		a.Metadata["published"] = entry.PublishedParsed.UTC().Format(time.RFC3339)
	}
	if len(entry.Authors) > 0 && entry.Authors[0] != nil && entry.Authors[0].Name != "" {
		a.Metadata["author"] = entry.Authors[0].Name
	}
	return a
}

// entryPage makes a page of an entry's own text, which is HTML.
func entryPage(title, body string) []byte {
	title = html.EscapeString(strings.TrimSpace(title))
	return []byte("<!DOCTYPE html><html><head><meta charset=\"utf-8\"><title>" + title + "</title></head>" +
		"<body><article><h1>" + title + "</h1>\n" + body + "</article></body></html>\n")
}
