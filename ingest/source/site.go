package source

import (
	"cmp"
	"context"
	"encoding/json"
	"fmt"
	"maps"
	"net/url"
	"path"
	"slices"
	"strings"
	"sync"

	lru "github.com/hashicorp/golang-lru/v2"

	"github.com/tributary-kb/tributary"
)

const (
	defaultDepth = 8
	// maxQueries is how many queries of one path are followed: more are a
	// calendar, a search, or a shop's filters.
	maxQueries = 100
	// queryPaths is for how many paths the queries are remembered.
	queryPaths = 10_000
)

// A site is the pages that a start page leads to. List names the start page,
// and each Load what its page leads to: its caller does the walking. What is
// not linked any more stays until it is gone.
type site struct {
	*visitor
	reach reach
	start *url.URL
	depth int

	mu      sync.Mutex
	queries *lru.Cache[string, map[string]bool] // seen of a path of a host
}

func newSite(s tributary.Source, env Env) (Follower, error) {
	if err := onlyOptions(s, "include", "exclude", "max_documents", "depth", "hosts"); err != nil {
		return nil, err
	}
	v, err := newVisitor(s, env)
	if err != nil {
		return nil, err
	}
	r, err := newReach(v, s.Options, true)
	if err != nil {
		return nil, err
	}
	start := canonical(v.location)
	if start == nil {
		return nil, fmt.Errorf("location %q: malformed URL", s.Location)
	}
	queries, err := lru.New[string, map[string]bool](queryPaths)
	if err != nil {
		return nil, err
	}
	v.polite, v.allows = true, onHosts(r.hosts)
	return &site{visitor: v, reach: r, start: start, depth: cmp.Or(s.Options.Depth, defaultDepth), queries: queries}, nil
}

// List implements Follower.
func (s *site) List(_ context.Context, _ json.RawMessage, yield func(Item) error) (Listing, error) {
	return Listing{Partial: true}, yield(Item{URI: s.start.String()})
}

// Load implements Follower. What is out of reach was found when the source was
// described in another way.
func (s *site) Load(ctx context.Context, item Item, known Known) (Loaded, error) {
	if !s.includes(item) {
		return Loaded{Verdict: Gone}, nil
	}
	loaded, fetched, err := s.load(ctx, item, known)
	if err != nil || loaded.Verdict == Gone || fetched.NotModified {
		return loaded, err
	}
	at, err := url.Parse(fetched.URL)
	if err != nil {
		return Loaded{}, fmt.Errorf("load %q: %w", item.URI, err)
	}
	page := readLinks(at, fetched.Content, fetched.ContentType, fetched.Header, s.web.product)
	loaded.URI = s.identity(item.URI, at, page.canonical)
	if page.noindex {
		loaded.Verdict, loaded.Content = Hidden, nil
	}
	if !page.nofollow && item.Depth < s.depth {
		loaded.Links, loaded.Notes = s.follow(ctx, page.links, item)
	}
	return loaded, nil
}

func (s *site) includes(item Item) bool {
	u, err := url.Parse(item.URI)
	if err != nil || item.Depth > s.depth {
		return false
	}
	_, ok := s.reach.holds(u)
	return ok || item.URI == s.start.String()
}

// identity is the URI of the document that was found at a URL: what the page
// says, else where it was found, as far as that is in reach.
func (s *site) identity(uri string, at, named *url.URL) string {
	for _, u := range []*url.URL{named, canonical(at)} {
		if u == nil {
			continue
		}
		if _, ok := s.reach.holds(u); ok && u.String() != uri {
			return u.String()
		} else if ok {
			return ""
		}
	}
	return ""
}

// follow returns the items that links lead to, and notes about the others.
func (s *site) follow(ctx context.Context, links []*url.URL, from Item) (items []Item, said []string) {
	left := make(map[string]int)
	for _, u := range links {
		if why := s.refuses(ctx, u); why != "" {
			left[why]++
			continue
		}
		if u.String() != from.URI {
			items = append(items, Item{URI: u.String(), Depth: from.Depth + 1})
		}
	}
	for _, why := range slices.Sorted(maps.Keys(left)) {
		if !strings.Contains(why, "(trap)") && !strings.Contains(why, "robots") {
			continue // what is out of scope is what was asked for
		}
		said = append(said, fmt.Sprintf("%s: %d links left out %s", from.URI, left[why], why))
	}
	return items, said
}

// refuses says why u is not followed, "" if it is.
func (s *site) refuses(ctx context.Context, u *url.URL) string {
	if why, ok := s.reach.holds(u); !ok {
		return why
	}
	if notDocuments[strings.ToLower(path.Ext(u.Path))] {
		return "that are no documents"
	}
	if why := trap(u); why != "" {
		return why
	}
	if _, err := s.web.permit(ctx, u); err != nil {
		if outcome, _ := tributary.OutcomeOf(err); outcome == tributary.Rejected {
			return "that robots.txt does not allow"
		}
	}
	if !s.fewQueries(u) {
		return "of paths with more than 100 queries (trap)"
	}
	return ""
}

// fewQueries reports whether u's path has not been seen with too many others.
func (s *site) fewQueries(u *url.URL) bool {
	if u.RawQuery == "" {
		return true
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	key := u.Host + u.Path
	seen, ok := s.queries.Get(key)
	if !ok {
		seen = make(map[string]bool)
		s.queries.Add(key, seen)
	}
	if !seen[u.RawQuery] && len(seen) >= maxQueries {
		return false
	}
	seen[u.RawQuery] = true
	return true
}

// notDocuments are extensions of what carries no text.
var notDocuments = map[string]bool{
	".avi": true, ".avif": true, ".bmp": true, ".bz2": true, ".css": true, ".deb": true, ".dmg": true, ".eot": true, ".exe": true,
	".gif": true, ".gz": true, ".ico": true, ".iso": true, ".jar": true, ".jpeg": true, ".jpg": true, ".js": true, ".m4a": true,
	".mkv": true, ".mov": true, ".mp3": true, ".mp4": true, ".msi": true, ".ogg": true, ".otf": true, ".png": true, ".rpm": true,
	".rar": true, ".svg": true, ".tar": true, ".tgz": true, ".tif": true, ".tiff": true, ".ttf": true, ".wasm": true, ".wav": true,
	".webm": true, ".webp": true, ".woff": true, ".woff2": true, ".xz": true, ".zip": true, ".7z": true,
}
