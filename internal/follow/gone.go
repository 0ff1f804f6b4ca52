package follow

import (
	"context"
	"fmt"
	"iter"
	"maps"
	"slices"
	"time"

	"github.com/tributary-kb/tributary/ingest/source"
)

// absent returns the items that the listing lacks and that are gone by its
// rules. Of the others it remembers that they were missed.
func (l *look) absent(ctx context.Context, items map[string]source.Item) ([]*item, error) {
	var missing []*item
	for uri, it := range l.items {
		_, there := items[uri]
		if there && !it.Missing.IsZero() {
			it.Missing = time.Time{}
			if err := l.pen.remember(ctx, l.token(it), it); err != nil {
				return nil, err
			}
		}
		if err := l.vouch(ctx, it, there); err != nil {
			return nil, err
		}
		if !there && !l.listing.Partial {
			missing = append(missing, it)
		}
	}
	if !l.listing.SecondLook || l.shrunk(missing) {
		return missing, nil
	}
	var gone []*item
	for _, it := range missing {
		if !it.Missing.IsZero() || it.Gone {
			gone = append(gone, it)
			continue
		}
		it.Missing = l.began
		if err := l.pen.remember(ctx, l.token(it), it); err != nil {
			return nil, err
		}
	}
	return gone, nil
}

// vouch remembers whether listings that need not be complete show an item: of
// one that dropped off the end of a feed they do not say how it is.
func (l *look) vouch(ctx context.Context, it *item, there bool) error {
	unlisted := !there && l.listing.Partial && l.listing.Authoritative
	if unlisted == it.Unlisted {
		return nil
	}
	if it.Unlisted = unlisted; unlisted && l.state.Listed.After(it.Verified) {
		it.Verified = l.state.Listed
	}
	return l.pen.remember(ctx, l.token(it), it)
}

// minKnown is how many documents a source must have for its deletions to be
// held: of fewer, half is no flood.
const minKnown = 5

// peakWindow is how long a source is measured by the most documents it had: a
// tree that is removed file by file shrinks as suddenly as one that is missing.
const peakWindow = time.Hour

// notePeak remembers how many documents the source had at most lately. Items
// with schedules of their own are gone through once in the longest interval.
func (l *look) notePeak() {
	s, window := &l.state, peakWindow
	if s.PerItem {
		_, ceiling := l.asked.Options.Interval(l.MinInterval, l.MaxInterval)
		window = max(window, ceiling)
	}
	if n := published(maps.Values(l.items)); n >= s.Peak || l.began.Sub(s.PeakAt) > window {
		s.Peak, s.PeakAt = n, l.began
	}
}

// shrunk reports whether a source without these would be suspiciously small.
func (l *look) shrunk(missing []*item) bool {
	share := 0.5
	if h := l.asked.Options.HoldBelow; h != nil {
		share = *h
	}
	// What this look brought counts too: a move deletes as many as it brings.
	there, lost := published(maps.Values(l.items)), published(slices.Values(missing))
	known := max(l.state.Peak, there)
	return known >= minKnown && lost > 0 && float64(there-lost) < share*float64(known)
}

// published counts the items that were published. To drop others deletes
// nothing: links that lead nowhere are no documents that a source lost.
func published(items iter.Seq[*item]) (n int) {
	for it := range items {
		if it.URI != "" {
			n++
		}
	}
	return n
}

// drop deletes what is absent and what loading found gone, or holds it.
func (l *look) drop(ctx context.Context, absent []*item) error {
	doomed := absent
	for _, it := range l.items {
		if it.Gone && !slices.Contains(absent, it) {
			doomed = append(doomed, it)
		}
	}
	if l.holds(doomed) {
		l.hold(ctx, published(slices.Values(doomed)))
		return nil
	}
	if len(doomed) > 0 || l.listed {
		l.state.Hold = nil
	}
	if err := l.delete(ctx, doomed); err != nil {
		return err
	}
	if l.confirm {
		l.state.Peak = 0
	}
	l.notePeak()
	return nil
}

// holds reports whether deletions must wait for a person. What is held already
// is settled by a listing only: a look at a few documents does not see the rest.
func (l *look) holds(doomed []*item) bool {
	held := l.state.Hold
	if held != nil && !l.listed {
		return true
	}
	return l.shrunk(doomed) && (!l.confirm || held == nil || published(slices.Values(doomed)) > held.Held)
}

func (l *look) hold(ctx context.Context, doomed int) {
	held := l.state.Hold
	if held != nil && !l.listed {
		doomed = max(doomed, held.Held)
	}
	l.state.Hold = &hold{Held: doomed, Reason: fmt.Sprintf(
		"%d documents are gone from the source, which lately had %d: confirm that, or wait until they are back", doomed, max(l.state.Peak, published(maps.Values(l.items))))}
	if held == nil {
		l.log.WarnContext(ctx, "deletions are held", "reason", l.state.Hold.Reason)
	}
	for _, it := range l.items {
		if it.Gone && l.state.PerItem { // it may come back
			it.Next = l.began.Add(l.MaxInterval)
		}
	}
}

func (l *look) delete(ctx context.Context, doomed []*item) error {
	holders := map[string]int{}
	if len(doomed) > 0 {
		for _, it := range l.items {
			holders[it.URI]++
		}
	}
	for _, it := range doomed {
		if holders[it.URI]--; it.URI != "" && holders[it.URI] == 0 {
			if err := l.publishDelete(ctx, it.URI, l.lane); err != nil {
				return err
			}
			if err := l.step("deleted"); err != nil {
				return err
			}
		}
		if err := l.pen.forget(ctx, l.token(it)); err != nil {
			return err
		}
		if err := l.step("forgot"); err != nil {
			return err
		}
		delete(l.items, it.Listed.URI)
		l.changes++
	}
	return nil
}
