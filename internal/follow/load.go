package follow

import (
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"slices"
	"time"

	"github.com/tributary-kb/tributary"
	"github.com/tributary-kb/tributary/ingest/source"
)

// load gets one item, publishes what changed, and then remembers it. An item
// that cannot be loaded is remembered as failing; an error is returned only if
// the look cannot go on.
func (l *look) load(ctx context.Context, t target) error {
	l.mu.Lock()
	next := *t.it
	l.mu.Unlock()
	known := next.Known
	if l.afresh {
		known = source.Known{}
	}
	var loaded source.Loaded
	err := guard(func() (err error) { loaded, err = l.follower.Load(ctx, t.listed, known); return err })
	if ctx.Err() != nil {
		return ctx.Err()
	}
	if err := l.step("loaded"); err != nil {
		return err
	}
	next.Listed = t.listed
	next.Listed.Content = nil
	l.note(loaded.Notes)
	changed := false
	switch {
	case err != nil:
		l.failed(&next, t.listed, err)
		return l.keep(ctx, next, false)
	case loaded.Verdict == source.Gone:
		l.gone(next)
		return nil
	case loaded.Verdict == source.Changed:
		if changed, err = l.publish(ctx, &next, loaded); err != nil {
			return err
		}
		if err := l.links(ctx, loaded.Links); err != nil {
			return err
		}
	case loaded.Verdict == source.Hidden:
		if err := l.links(ctx, loaded.Links); err != nil {
			return err
		}
		if next.URI != "" { // it was published before it asked not to be
			l.gone(next)
			return nil
		}
	}
	next.Known = loaded.Known
	next.Known.Tag = t.listed.Tag
	next.Failures, next.Error, next.Refused, next.Gone, next.Missing = 0, "", false, false, time.Time{}
	l.schedule(&next, t.it.Verified, changed, loaded.Fresh)
	next.Verified = l.began
	return l.keep(ctx, next, changed)
}

// maxNotes bounds the notes of one look.
const maxNotes = 20

// note adds to what a person is told of the look.
func (l *look) note(notes []string) {
	l.mu.Lock()
	defer l.mu.Unlock()
	for _, n := range notes {
		if len(l.listing.Notes) < maxNotes && !slices.Contains(l.listing.Notes, n) {
			l.listing.Notes = append(l.listing.Notes, n)
		}
	}
}

// schedule decides when an item is loaded by itself.
func (l *look) schedule(it *item, previous time.Time, changed bool, fresh time.Duration) {
	it.Next = time.Time{}
	if !l.state.PerItem {
		return
	}
	floor, ceiling := l.asked.Options.Interval(l.MinInterval, l.MaxInterval)
	now := l.Clock.Now()
	if !previous.IsZero() {
		it.Rate.saw(changed, now.Sub(previous))
	}
	interval := max(it.Rate.interval(floor, ceiling), min(fresh, ceiling))
	it.Next = now.Add(cmp.Or(l.asked.Options.Every(), interval))
}

// failed notes why an item was not loaded and when to try again. One that is
// itself at fault is not tried again before it changes.
func (l *look) failed(it *item, listed source.Item, err error) {
	floor, ceiling := l.asked.Options.Interval(l.MinInterval, l.MaxInterval)
	outcome, after := tributary.OutcomeOf(err)
	it.Failures, it.Error = it.Failures+1, err.Error()
	it.Refused = outcome == tributary.Rejected
	it.Next = l.Clock.Now().Add(max(after, backoff(it.Failures, floor, ceiling)))
	if it.Refused {
		it.Known.Tag = listed.Tag
		it.Next = time.Time{}
		if l.state.PerItem {
			it.Next = l.Clock.Now().Add(ceiling)
		}
		return
	}
	if listed.Content != nil { // it is in the listing alone
		l.mu.Lock()
		l.stay = true
		l.mu.Unlock()
	}
}

// gone marks an item whose document does not exist; the look deletes it at its
// end, together with the others. One that was never published is forgotten.
func (l *look) gone(next item) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if it, ok := l.items[next.Listed.URI]; ok {
		next.Gone, next.Next = true, time.Time{}
		*it = next
	}
}

// keep stores an item, and then shows it to the rest of the look.
func (l *look) keep(ctx context.Context, next item, changed bool) error {
	if err := l.pen.remember(ctx, l.token(&next), next); err != nil {
		return err
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	if changed {
		l.changes++
	}
	if it, ok := l.items[next.Listed.URI]; ok {
		*it = next
	} else {
		l.items[next.Listed.URI] = &next
	}
	return l.step("remembered")
}

// links remembers the items that a page leads to, before the page itself is
// remembered as done.
func (l *look) links(ctx context.Context, links []source.Item) error {
	limit, left := cmp.Or(l.asked.Options.MaxDocuments, l.MaxDocuments), false
	for _, link := range links {
		if tributary.CheckURI(link.URI) != nil {
			continue
		}
		l.mu.Lock()
		_, known := l.items[link.URI]
		full := len(l.items) >= limit
		if full && !known {
			left = true
		}
		l.mu.Unlock()
		if known || full {
			continue
		}
		if err := l.keep(ctx, item{Listed: link, Next: l.began}, false); err != nil {
			return err
		}
	}
	if left {
		l.note([]string{fmt.Sprintf("pages were left out, the limit is %d (max_documents of the source, or sources.max_documents)", limit)})
	}
	return l.step("linked")
}

// publish sends what was loaded, unless it is what was sent before, and
// reports whether it was something new.
func (l *look) publish(ctx context.Context, it *item, loaded source.Loaded) (bool, error) {
	uri := cmp.Or(loaded.URI, it.Listed.URI)
	req := tributary.Request{
		Head: l.head(uri, l.lane), Attributes: l.attributes(it.Listed, loaded), Op: tributary.OpPut,
		Content: loaded.Content, Origin: loaded.Origin,
	}
	if req.Content == nil {
		req.Content = []byte{}
	}
	if uri != it.Listed.URI {
		req.Origin = maps.Clone(req.Origin)
		if req.Origin == nil {
			req.Origin = map[string]string{}
		}
		req.Origin[listedKey] = it.Listed.URI
	}
	sum := sumOf(req)
	changed := sum != it.Sum || uri != it.URI
	if !changed && !l.again {
		return false, nil
	}
	if it.URI != "" && it.URI != uri && !l.shared(it.URI, it.Listed.URI) {
		if err := l.publishDelete(ctx, it.URI, l.lane); err != nil {
			return false, err
		}
	}
	if it.URI != uri {
		if err := l.intend(ctx, *it, uri); err != nil {
			return false, err
		}
	}
	version, err := l.pen.request(ctx, req)
	if err != nil {
		return false, err
	}
	l.Metrics.request(l.kb, l.name, tributary.OpPut, len(req.Content))
	l.published(req.Document, version)
	l.latency.expect(l.owner, req.Document, version, l.since(it, loaded))
	it.URI, it.Sum, it.Version = uri, sum, version
	return changed, l.step("published")
}

// intend remembers under what name an item is about to be published. Without
// it, a document that is published by an owner that crashes, and that is gone
// before the next owner looks, would be known to nobody and stay for ever.
func (l *look) intend(ctx context.Context, it item, uri string) error {
	it.URI, it.Sum, it.Known = uri, "", source.Known{} // to be loaded again
	return l.keep(ctx, it, false)
}

// since is when a change happened: as the source says, if that is later than
// the look before, or else when it was seen.
func (l *look) since(it *item, loaded source.Loaded) time.Time {
	at := it.Listed.Modified
	if at.IsZero() {
		at = loaded.Modified
	}
	last := l.state.Look
	if p := l.state.Pass; p != nil {
		last = p.Before
	}
	if at.After(last) && at.Before(l.began) && l.state.Loaded {
		return at
	}
	return l.began
}

// shared reports whether another item than that of a listing's URI was
// published under uri.
func (l *look) shared(uri, except string) bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	for _, it := range l.items {
		if it.URI == uri && it.Listed.URI != except {
			return true
		}
	}
	return false
}

// attributes puts together what source, listing and server say of a document.
func (l *look) attributes(listed source.Item, loaded source.Loaded) tributary.Attributes {
	a, b := listed.Attributes, loaded.Attributes
	out := tributary.Attributes{
		Title:       cmp.Or(a.Title, b.Title),
		Source:      l.name,
		ContentType: cmp.Or(loaded.ContentType, listed.ContentType, b.ContentType, a.ContentType),
		Language:    cmp.Or(a.Language, b.Language, l.asked.Options.Language),
	}
	if len(a.Metadata)+len(b.Metadata)+len(l.asked.Options.Metadata) > 0 {
		out.Metadata = map[string]string{}
		maps.Copy(out.Metadata, b.Metadata)
		maps.Copy(out.Metadata, a.Metadata)
		maps.Copy(out.Metadata, l.asked.Options.Metadata)
	}
	return out
}

// sumOf covers what decides whether a request brings anything new. Where the
// content came from does not.
func sumOf(req tributary.Request) string {
	data, err := json.Marshal(struct {
		tributary.Attributes
		Content string
	}{req.Attributes, tributary.Hash(req.Content)})
	if err != nil {
		panic(errors.Join(errors.New("follow: attributes"), err)) // strings and maps of strings always marshal
	}
	return tributary.Hash(data)
}
