package follow

import (
	"cmp"
	"context"
	"slices"
	"sort"
	"time"

	"github.com/tributary-kb/tributary"
	"github.com/tributary-kb/tributary/ingest/source"
)

// A pass is a listing of several pages that is under way. It is stored after
// each page that was acted upon, and whoever owns the source goes on from there.
type pass struct {
	Began   time.Time `json:"began"`
	Before  time.Time `json:"before,omitzero"`   // the look before it
	Through string    `json:"through,omitempty"` // the place up to which it has come
	// What was asked for when it began. If something else is, it begins anew;
	// only a further sync waits for the next one.
	Spec    string `json:"spec"`
	Sync    uint64 `json:"sync,omitempty"`
	Full    uint64 `json:"full,omitempty"`
	Confirm uint64 `json:"confirm,omitempty"`

	Changes int      `json:"changes,omitempty"`
	Over    int      `json:"over,omitempty"` // documents that were left out
	Notes   []string `json:"notes,omitempty"`
	// Again says that something may have changed behind it, nobody knows what.
	Again bool `json:"again,omitempty"`
}

// pass returns the listing that is under way, or begins one.
func (l *look) pass(pager source.Pager) *pass {
	s, o := &l.state, l.order
	if p := s.Pass; p == nil || p.Spec != specOf(o.Source) || p.Full != o.Full || p.Confirm != o.Confirm {
		s.Pass = &pass{Began: l.began, Before: s.Look, Spec: specOf(o.Source), Sync: o.Sync, Full: o.Full, Confirm: o.Confirm}
		l.ranks = nil
	}
	if l.ranks == nil {
		l.ranks = rank(pager, l.items)
	}
	return s.Pass
}

// page reads the next page of a listing and acts on it. What no page has is
// deleted after the last one.
func (l *look) page(ctx context.Context, pager source.Pager) error {
	p := l.pass(pager)
	items, over, err := l.readPage(ctx, pager, p.Through)
	if err != nil {
		return err
	}
	if err := l.step("listed"); err != nil {
		return err
	}
	l.state.PerItem = false
	l.state.Documents -= l.publishedOf(items)
	if err := l.loadAll(ctx, l.wanted(items)); err != nil {
		return err
	}
	if err := l.miss(ctx, items, l.ranks.between(p.Through, l.listing.Through)); err != nil {
		return err
	}
	if l.listing.Through == "" {
		return l.finish(ctx, pager, p, over)
	}
	l.more = true
	l.state.Documents += l.publishedOf(items)
	l.sum(p)
	p.Through, p.Changes, p.Over, p.Notes = l.listing.Through, p.Changes+l.changes, p.Over+over, l.listing.Notes
	return nil
}

// publishedOf counts which of a page's items are documents of the source. To
// count all of them after each page takes longer than the page.
func (l *look) publishedOf(items map[string]source.Item) (n int) {
	for uri := range items {
		if it, ok := l.items[uri]; ok && it.URI != "" {
			n++
		}
	}
	return n
}

// sum adds the notes of the pages before to those of this one.
func (l *look) sum(p *pass) {
	notes := l.listing.Notes
	l.listing.Notes = slices.Clone(p.Notes)
	l.note(notes)
}

// readPage lists one page. New documents that are more than the source may have
// are counted and left out.
func (l *look) readPage(ctx context.Context, pager source.Pager, after string) (items map[string]source.Item, over int, err error) {
	items = map[string]source.Item{}
	fresh := 0
	err = guard(func() (err error) {
		l.listing, err = pager.Page(ctx, after, func(found source.Item) error {
			if err := tributary.CheckURI(found.URI); err != nil {
				return err
			}
			if _, known := l.items[found.URI]; !known {
				if len(l.items)+fresh >= l.limit() {
					over++
					return nil
				}
				fresh++
			}
			items[found.URI] = found
			return nil
		})
		return err
	})
	return items, over, err
}

// miss remembers which of the items that a page should have it lacks.
func (l *look) miss(ctx context.Context, items map[string]source.Item, ranked ranks) error {
	for _, r := range ranked {
		_, there := items[r.item.Listed.URI]
		if l.items[r.item.Listed.URI] != r.item || there == r.item.Missing.IsZero() {
			continue
		}
		r.item.Missing = time.Time{}
		if !there {
			r.item.Missing = l.began
		}
		if err := l.pen.remember(ctx, l.token(r.item), r.item); err != nil {
			return err
		}
	}
	return nil
}

// finish deletes what a complete listing lacks, or holds that. Of what the
// pages of former looks lacked some may be there again.
func (l *look) finish(ctx context.Context, pager source.Pager, p *pass, over int) error {
	var absent []*item
	for _, it := range l.items {
		if !it.Missing.IsZero() {
			absent = append(absent, it)
		}
	}
	l.listed = true
	if p.Through != "" && !l.holds(absent) {
		var err error
		if absent, err = l.stillAbsent(ctx, pager, absent); err != nil {
			return err
		}
	}
	if err := l.loadDue(ctx); err != nil {
		return err
	}
	l.sum(p)
	if over += p.Over; over > 0 {
		l.note([]string{l.overflow(over)})
	}
	return l.drop(ctx, absent)
}

// stillAbsent returns those of the items that are really not there, and loads
// the others. Where the other side refuses to say so the listing has.
func (l *look) stillAbsent(ctx context.Context, pager source.Pager, absent []*item) ([]*item, error) {
	uris := make([]string, len(absent))
	for i, it := range absent {
		uris[i] = it.Listed.URI
	}
	seen, err := l.glance(ctx, pager, uris)
	if err != nil {
		return nil, err
	}
	var back []target
	var gone []*item
	for i, s := range seen {
		if s.there && s.err == nil {
			back = append(back, target{absent[i], s.item})
		} else {
			gone = append(gone, absent[i])
		}
	}
	return gone, l.loadAll(ctx, back)
}

// ranks are the items that were known when a listing began, or was gone on
// with, in the order of their places.
type ranks []ranked

type ranked struct {
	place string
	item  *item
}

func rank(pager source.Pager, items map[string]*item) ranks {
	all := make(ranks, 0, len(items))
	for uri, it := range items {
		all = append(all, ranked{pager.Place(uri), it})
	}
	slices.SortFunc(all, func(a, b ranked) int { return cmp.Compare(a.place, b.place) })
	return all
}

// between returns those after one place up to another. "" is before the first,
// with what has no place, and behind the last.
func (r ranks) between(after, through string) ranks {
	first, last := 0, len(r)
	if after != "" {
		first = sort.Search(len(r), func(i int) bool { return r[i].place > after })
	}
	if through != "" {
		last = sort.Search(len(r), func(i int) bool { return r[i].place > through })
	}
	return r[first:last]
}
