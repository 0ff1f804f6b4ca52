package source

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/url"
	"slices"
	"time"

	"github.com/tributary-kb/tributary"
	"github.com/tributary-kb/tributary/ingest"
)

const (
	maxSitemaps     = 1000 // files of one source
	maxSitemapDepth = 3    // of indexes in indexes; the protocol has none
	// maxSitemapURLs bounds the entries of all files, which are in memory
	// together. A thousand files may have fifty millions.
	maxSitemapURLs = 500_000
)

// A sitemap is followed from its file, an index of files, or the host whose
// robots.txt names them.
type sitemap struct {
	*visitor
	reach reach
	max   int
	most  int // entries in memory
}

func newSitemap(s tributary.Source, env Env) (Follower, error) {
	if err := onlyOptions(s, "include", "exclude", "max_documents", "hosts"); err != nil {
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
	v.polite, v.allows = true, onHosts(r.hosts)
	return &sitemap{visitor: v, reach: r, max: s.Options.MaxDocuments, most: max(maxSitemapURLs, s.Options.MaxDocuments)}, nil
}

// Load implements Follower.
func (s *sitemap) Load(ctx context.Context, item Item, known Known) (Loaded, error) {
	loaded, _, err := s.load(ctx, item, known)
	return loaded, err
}

// sitemapCursor is what is remembered of the files, in the order of reading.
type sitemapCursor struct {
	Files []fileState `json:"files"`
}

type fileState struct {
	URL      string   `json:"url"`
	Known    Known    `json:"known,omitzero"`
	Children []string `json:"children,omitempty"` // of an index
}

// List implements Follower. Files are asked for on condition; if one has
// changed, those that have not are read again, because what they list must not
// seem to be gone.
func (s *sitemap) List(ctx context.Context, cursor json.RawMessage, yield func(Item) error) (Listing, error) {
	var last sitemapCursor
	if len(cursor) > 0 {
		if err := json.Unmarshal(cursor, &last); err != nil {
			return Listing{}, fmt.Errorf("cursor: %w", err)
		}
	}
	w := &sitemapWalk{
		sitemap: s, known: make(map[string]fileState), vouched: make(map[string]bool),
		files: make(map[string]*sitemapFile), outside: make(map[string]int), listing: Listing{SecondLook: true},
	}
	for _, f := range last.Files {
		w.known[f.URL] = f
	}
	if err := w.roots(ctx); err != nil {
		return Listing{}, err
	}
	if len(last.Files) > 0 && !w.changed && len(w.states) == len(last.Files) {
		w.listing.Unchanged = true
		return w.finish()
	}
	if err := w.again(ctx); err != nil {
		return Listing{}, err
	}
	if err := w.yield(yield); err != nil {
		return Listing{}, err
	}
	return w.finish()
}

// A sitemapWalk is one look at all files.
type sitemapWalk struct {
	*sitemap
	known   map[string]fileState    // of the look before
	vouched map[string]bool         // named by the host's robots.txt, wherever they are (sitemaps.org)
	files   map[string]*sitemapFile // nil: as known, and not read
	states  []fileState             // of this look, in the order of reading
	outside map[string]int          // entries out of reach, by the reason
	kept    int                     // entries within
	over    int                     // entries that are too many
	changed bool
	notes   notes
	listing Listing
}

// roots looks at the files that the location names, and at those below them.
func (w *sitemapWalk) roots(ctx context.Context) error {
	if p := w.location.Path; p != "" && p != "/" && p != "/robots.txt" {
		return w.look(ctx, w.location, 0)
	}
	rules, err := w.web.robotsOf(ctx, w.location)
	if err != nil {
		return err
	}
	roots := rules.sitemaps
	if len(roots) == 0 {
		roots = []string{"/sitemap.xml"}
	}
	for _, root := range roots {
		u, err := w.location.Parse(root)
		if err != nil {
			w.notes.add("robots.txt names a malformed sitemap %.200q", root)
			continue
		}
		w.vouched[u.String()] = true
		if err := w.look(ctx, u, 0); err != nil {
			return err
		}
	}
	return nil
}

// look gets one file, on condition where it is known, and those it names.
func (w *sitemapWalk) look(ctx context.Context, u *url.URL, depth int) error {
	uri := u.String()
	if _, seen := w.files[uri]; seen {
		return nil
	}
	if len(w.files) == maxSitemaps || depth > maxSitemapDepth {
		w.leaveOut("sitemap %s left out: more than %d files, or more than %d levels", uri, maxSitemaps, maxSitemapDepth)
		return nil
	}
	w.files[uri] = nil
	before := w.known[uri]
	file, state, err := w.get(ctx, uri, before.Known)
	if errors.Is(err, ingest.ErrGone) && depth > 0 {
		w.changed = w.changed || before.URL != ""
		w.leaveOut("sitemap %s does not exist", uri)
		return nil
	}
	if err != nil {
		return err
	}
	state.Children = before.Children
	if file != nil {
		w.changed = true
		state.Children = file.names()
	}
	w.files[uri], w.states = file, append(w.states, state)
	return w.below(ctx, state.Children, depth)
}

// below looks at the files that an index names.
func (w *sitemapWalk) below(ctx context.Context, children []string, depth int) error {
	for _, child := range children {
		u, err := url.Parse(child)
		if err != nil {
			continue // it was written by url.URL
		}
		if err := w.allows(u); err != nil {
			w.leaveOut("sitemap %s left out: it is on another host (hosts)", child)
			continue
		}
		if err := w.look(ctx, u, depth+1); err != nil {
			return err
		}
	}
	return nil
}

// leaveOut notes a file whose entries are not known: nothing follows from the
// absence of any.
func (w *sitemapWalk) leaveOut(format string, args ...any) {
	w.listing.Partial = true
	w.notes.add(format, args...)
}

// get returns a file, nil if it is as known.
func (w *sitemapWalk) get(ctx context.Context, uri string, known Known) (*sitemapFile, fileState, error) {
	visit := *w.visitor
	visit.polite = false // a sitemap is there to be read by robots
	if w.vouched[uri] {
		visit.allows = nil
	}
	fetched, err := visit.fetch(ctx, uri, known, ingest.FetchOptions{Accept: "application/xml,text/xml,text/plain,*/*;q=0.5", MaxBytes: sitemapBytes})
	if err != nil {
		return nil, fileState{}, err
	}
	state := fileState{URL: uri, Known: known}
	w.fresh(fetched.Fresh)
	if fetched.NotModified {
		return nil, state, nil
	}
	state.Known = validators(uri, fetched)
	state.Known.Hash = tributary.Hash(fetched.Content)
	if state.Known.Hash == known.Hash {
		return nil, state, nil
	}
	at, err := url.Parse(fetched.URL)
	if err != nil {
		return nil, fileState{}, fmt.Errorf("sitemap %q: %w", uri, err)
	}
	file, err := parseSitemap(at, fetched.Content)
	if err != nil {
		return nil, fileState{}, fmt.Errorf("sitemap %q: %w", uri, err)
	}
	w.keep(&file)
	return &file, state, nil
}

// fresh keeps the shortest freshness of all files.
func (w *sitemapWalk) fresh(d time.Duration) {
	if len(w.states) == 0 || d < w.listing.Fresh {
		w.listing.Fresh = d
	}
}

// again reads the files that were as known.
func (w *sitemapWalk) again(ctx context.Context) error {
	for i, state := range w.states {
		if w.files[state.URL] != nil {
			continue
		}
		file, fresh, err := w.get(ctx, state.URL, Known{})
		if err != nil {
			return err
		}
		fresh.Children = file.names()
		w.files[state.URL], w.states[i] = file, fresh
	}
	return nil
}

// names are the files that an index names. Of too many one is kept, so that
// the others are noted.
func (f *sitemapFile) names() (urls []string) {
	if f.index {
		for _, e := range f.entries[:min(len(f.entries), maxSitemaps+1)] {
			urls = append(urls, e.loc.String())
		}
	}
	return urls
}

// keep leaves of a file what is within reach and not too much.
func (w *sitemapWalk) keep(file *sitemapFile) {
	if file.index {
		return
	}
	file.entries = slices.DeleteFunc(file.entries, func(e sitemapEntry) bool {
		why, ok := w.reach.holds(e.loc)
		switch {
		case !ok:
			w.outside[why]++
		case w.kept == w.most:
			w.over++
		default:
			w.kept++
			return false
		}
		return true
	})
}

// yield lists the entries of all files.
func (w *sitemapWalk) yield(yield func(Item) error) error {
	list, full := limited(w.max, yield)
	for _, state := range w.states {
		file := w.files[state.URL]
		w.remark(state.URL, file)
		if file.index {
			continue
		}
		for _, e := range file.entries {
			if err := list(Item{URI: e.loc.String(), Tag: e.lastmod, Modified: e.modified}); err != nil {
				return err
			}
		}
	}
	if w.over > 0 {
		w.leaveOut("%d URLs left out: a sitemap has more than %d in all", w.over, w.most)
	}
	for why, n := range w.outside {
		w.notes.add("%d URLs %s", n, why)
	}
	if *full {
		w.listing.Partial = true
		w.notes.tooMany(w.max)
	}
	return nil
}

// remark notes what is odd about a file.
func (w *sitemapWalk) remark(uri string, file *sitemapFile) {
	if file.odd > 0 {
		w.notes.add("sitemap %s: %d entries without a URL", uri, file.odd)
	}
	if file.partial {
		w.leaveOut("sitemap %s does not list all there is: a feed, or more than %d URLs", uri, sitemapURLs)
	}
}

func (w *sitemapWalk) finish() (Listing, error) {
	cursor, err := json.Marshal(sitemapCursor{Files: w.states})
	if err != nil {
		return Listing{}, fmt.Errorf("cursor: %w", err)
	}
	w.listing.Cursor, w.listing.Notes = cursor, w.notes.all()
	return w.listing, nil
}
