package follow

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"time"

	"golang.org/x/sync/errgroup"

	"github.com/tributary-kb/tributary"
	"github.com/tributary-kb/tributary/ingest/source"
)

// errAbandon is part of the errors after which an owner must not go on.
var errAbandon = errors.New("abandoned")

// fatal reports whether an owner must not go on after err.
func fatal(ctx context.Context, err error) bool {
	return err != nil && (ctx.Err() != nil || errors.Is(err, errFenced) || errors.Is(err, errAbandon))
}

// A look is one visit to a source: a listing, or only the items that are due.
type look struct {
	*owner
	asked   order // as it was when the look began
	began   time.Time
	lane    tributary.Lane
	afresh  bool // load as if nothing were known
	again   bool // publish what is unchanged too
	confirm bool // deletions that were held may happen

	listing source.Listing
	more    bool // it has further pages
	tried   bool // the listing was asked for
	listed  bool // and read
	stay    bool // the cursor must not move: something has to be listed again
	changes int  // under owner.mu
}

// A target is an item that a look loads.
type target struct {
	it     *item // what is remembered; of a new one only Listed is set
	listed source.Item
}

func (o *owner) newLook() *look {
	l := &look{owner: o, asked: o.order, began: o.Clock.Now(), lane: tributary.LaneLive}
	l.again = o.order.Full > o.state.Full
	l.afresh = l.again || o.state.Spec != specOf(o.order.Source)
	l.confirm = o.order.Confirm > o.state.Confirm
	if !o.state.Loaded || l.afresh {
		l.lane = tributary.LaneBulk
	}
	return l
}

// look visits the source now. Its error is fatal.
func (o *owner) look(ctx context.Context) error {
	l := o.newLook()
	var err error
	if o.asked() || !l.began.Before(o.state.Next) {
		err = l.list(ctx)
	} else {
		if err = l.loadDue(ctx); err == nil {
			err = l.drop(ctx, nil)
		}
	}
	return l.settle(ctx, err)
}

// hear acts on reports. Those who wait for that are told once requests and
// state are stored: a stalled owner, whose state is not, takes nothing from
// another one. Its error is fatal.
func (o *owner) hear(ctx context.Context, b batch) error {
	if b.heard != nil {
		b.anything = b.anything || !b.heard.seamless(o.state.Heard)
		o.hearFrom(ctx, *b.heard)
	}
	news := b.refused != "" && b.refused != o.state.Missed
	if b.anything && o.state.Pass != nil {
		o.state.Pass.Again, b.anything, news = true, false, true
	}
	o.state.Missed = cmp.Or(b.refused, o.state.Missed)
	if len(b.uris) == 0 && !b.anything {
		return o.show(ctx, news)
	}
	l := o.newLook()
	var err error
	looker, ok := o.follower.(source.Looker)
	_, long := o.follower.(source.Pager) // a listing of many pages is not begun for a few items
	if ok && !b.anything && (long || o.state.Loaded && o.state.Hold == nil) {
		l.lane = tributary.LaneLive
		slices.Sort(b.uris)
		err = l.lookAt(ctx, looker, slices.Compact(b.uris))
	} else {
		err = l.list(ctx)
	}
	end := l.settle(ctx, err)
	if end == nil && err == nil && o.state.Failures > 0 {
		err = errors.New("the state of the source was not stored")
	}
	for _, done := range b.done {
		done(cmp.Or(end, err))
	}
	return end
}

// show stores the state outside of a look, if there is news.
func (o *owner) show(ctx context.Context, news bool) error {
	if !news {
		return nil
	}
	if err := o.pen.remember(ctx, stateToken, o.state); fatal(ctx, err) {
		return err
	}
	return nil
}

// sight is what looking at one item came to.
type sight struct {
	uri   string
	item  source.Item
	there bool
	err   error // the other side refuses to show it
}

// lookAt visits these items. One that the other side refuses to show stays as
// it is, and does not keep the others waiting.
func (l *look) lookAt(ctx context.Context, looker source.Looker, uris []string) error {
	seen, err := l.glance(ctx, looker, uris)
	if err != nil {
		return err
	}
	var refused error
	var targets []target
	var absent []*item
	for _, s := range seen {
		it := l.items[s.uri]
		switch {
		case s.err != nil:
			refused = s.err
		case s.there && it == nil && len(l.items)+len(targets) >= l.limit():
			l.state.Missed = l.overflow(1)
		case s.there && (it == nil || it.failing() || it.Gone || !it.Missing.IsZero() || it.Known.Tag != s.item.Tag || s.item.Tag == ""):
			targets = append(targets, l.target(s.item))
		case !s.there && it != nil:
			absent = append(absent, it)
		}
	}
	if err := l.loadAll(ctx, targets); err != nil {
		return err
	}
	return cmp.Or(l.drop(ctx, absent), refused)
}

// glance looks at items without loading them.
func (l *look) glance(ctx context.Context, looker source.Looker, uris []string) ([]sight, error) {
	seen := make([]sight, len(uris))
	g, looking := errgroup.WithContext(ctx)
	g.SetLimit(l.Concurrency)
	for i, uri := range uris {
		if looking.Err() != nil {
			break
		}
		g.Go(func() error {
			s := sight{uri: uri}
			err := guard(func() (err error) { s.item, s.there, err = looker.Look(looking, uri); return err })
			if err != nil {
				err = fmt.Errorf("look at %q: %w", uri, err)
			}
			if outcome, _ := tributary.OutcomeOf(err); outcome == tributary.Rejected {
				s.err, err = err, nil
			}
			seen[i] = s
			return err
		})
	}
	return seen, cmp.Or(g.Wait(), ctx.Err())
}

// limit is how many documents the source may have.
func (l *look) limit() int { return cmp.Or(l.asked.Options.MaxDocuments, l.MaxDocuments) }

// overflow says that n documents were left out.
func (l *look) overflow(n int) string {
	return fmt.Sprintf("%d documents were left out, the limit is %d (max_documents of the source, or sources.max_documents)", n, l.limit())
}

// list reads the listing and acts on it.
func (l *look) list(ctx context.Context) error {
	l.tried = true
	if pager, ok := l.follower.(source.Pager); ok {
		return l.page(ctx, pager)
	}
	items, err := l.read(ctx)
	if err != nil {
		return err
	}
	if err := l.step("listed"); err != nil {
		return err
	}
	if l.afresh && l.listing.Unchanged {
		return errors.New("the listing says that nothing changed, but no cursor was given")
	}
	l.listed, l.state.PerItem, l.state.Pass = true, !l.listing.Authoritative, nil
	if l.afresh && l.state.PerItem {
		for _, it := range l.items {
			it.Next = l.began // those too that no listing names
		}
	}
	if l.state.PerItem && l.asked.Sync > l.state.Sync {
		l.hasten()
	}
	if err := l.loadAll(ctx, l.wanted(items)); err != nil {
		return err
	}
	if err := l.loadDue(ctx); err != nil {
		return err
	}
	if l.listing.Unchanged {
		return l.drop(ctx, nil)
	}
	absent, err := l.absent(ctx, items)
	if err != nil {
		return err
	}
	return l.drop(ctx, absent)
}

// read lists the source. What cannot be a document or is too much is left out
// and noted.
func (l *look) read(ctx context.Context) (map[string]source.Item, error) {
	items, over := map[string]source.Item{}, 0
	err := guard(func() (err error) {
		l.listing, err = l.follower.List(ctx, l.cursor(), func(found source.Item) error {
			if err := tributary.CheckURI(found.URI); err != nil {
				return err
			}
			if _, ok := items[found.URI]; !ok && len(items) >= l.limit() {
				over++
				return nil
			}
			items[found.URI] = found
			return nil
		})
		return err
	})
	if over > 0 {
		l.listing.Partial = true // what is left out is not gone
		l.listing.Notes = append(l.listing.Notes, l.overflow(over))
	}
	return items, err
}

// cursor is nil while something has to be listed that may not have changed:
// after a change of the description, or while deletions are not settled.
func (l *look) cursor() []byte {
	if l.afresh || l.state.Hold != nil {
		return nil
	}
	for _, it := range l.items {
		if !it.Missing.IsZero() {
			return nil
		}
	}
	return l.state.Cursor
}

// maxHastened bounds how many items one look loads that are not due.
const maxHastened = 100

// hasten makes items due that are older than the one who asked for the look
// wants them, the oldest first. One that fails keeps its distance.
func (l *look) hasten() {
	var olds []*item
	for _, it := range l.items {
		if it.Verified.Before(l.asked.Fresh) && it.Failures == 0 {
			olds = append(olds, it)
		}
	}
	slices.SortFunc(olds, func(a, b *item) int { return a.Verified.Compare(b.Verified) })
	for _, it := range olds[:min(len(olds), maxHastened)] {
		it.Next = l.began
	}
}

// wanted returns what of a listing has to be loaded.
func (l *look) wanted(items map[string]source.Item) []target {
	var targets []target
	for _, uri := range slices.Sorted(maps.Keys(items)) {
		found := items[uri]
		it, ok := l.items[uri]
		same := ok && it.Known.Tag == found.Tag && (it.Sum != "" || it.Refused) && (found.Tag != "" || !l.state.PerItem || it.Refused)
		switch {
		case l.afresh, !ok, !same && (found.Tag != "" || found.Content != nil):
			targets = append(targets, l.target(found))
		case !same && !it.Next.After(l.began): // nothing tells but loading it
			targets = append(targets, l.target(found))
		}
	}
	return targets
}

func (l *look) target(found source.Item) target {
	if it, ok := l.items[found.URI]; ok {
		return target{it, found}
	}
	return target{&item{}, found}
}

// loadDue loads what is due, and then what that led to.
func (l *look) loadDue(ctx context.Context) error {
	for {
		var due []target
		for _, it := range l.items {
			if !it.Next.IsZero() && !it.Next.After(l.began) {
				due = append(due, target{it, it.Listed})
			}
		}
		if len(due) == 0 {
			break
		}
		if err := l.loadAll(ctx, due); err != nil {
			return err
		}
	}
	return nil
}

func (l *look) loadAll(ctx context.Context, targets []target) error {
	g, loading := errgroup.WithContext(ctx)
	g.SetLimit(l.Concurrency)
	for _, t := range targets {
		if loading.Err() != nil {
			break
		}
		g.Go(func() error { return l.load(loading, t) })
	}
	return cmp.Or(g.Wait(), ctx.Err())
}

// settle decides when to look next and stores the state, the cursor included.
// It returns err if that is fatal.
func (l *look) settle(ctx context.Context, err error) error {
	if fatal(ctx, err) {
		return err
	}
	s := &l.state
	now := l.Clock.Now()
	floor, ceiling := l.asked.Options.Interval(l.MinInterval, l.MaxInterval)
	s.Look = now
	if l.tried && !l.more { // a look at a few items is not what a sync asks for
		s.Sync = l.asked.Sync
		if err == nil && s.Pass != nil {
			s.Sync = s.Pass.Sync
		}
	}
	if !l.more {
		l.Metrics.look(l, err)
	}
	if err != nil {
		l.log.WarnContext(ctx, "look at the source", "error", err)
		s.Failures, s.Error = s.Failures+1, err.Error()
		_, after := tributary.OutcomeOf(err)
		s.Next = now.Add(max(after, backoff(s.Failures, floor, ceiling)))
	} else {
		s.Failures, s.Error, s.Success = 0, "", now
		if l.more {
			s.Next = now
		}
		if l.listed {
			l.settleListing(now, floor, ceiling)
		}
	}
	if !l.more { // of a page, page counts
		l.count()
	}
	if l.listed && err == nil {
		s.Pass, l.ranks = nil, nil
	}
	s.Sent = slices.Clone(l.sent)
	l.latency.note(l.owner)
	s.Due = s.Next
	if s.Failures == 0 {
		s.Due = l.earliest()
	}
	l.Metrics.gauges.set(l.owner)
	if err := l.step("before the cursor"); err != nil {
		return err
	}
	if err := l.pen.remember(ctx, stateToken, s); err != nil {
		if fatal(ctx, err) {
			return err
		}
		l.log.WarnContext(ctx, "the state of the source is not stored", "error", err)
		s.Failures, s.Next = s.Failures+1, now.Add(floor)
	}
	return l.step("after the cursor")
}

func (l *look) settleListing(now time.Time, floor, ceiling time.Duration) {
	s, changes := &l.state, l.changes
	if p := s.Pass; p != nil {
		changes += p.Changes
	}
	if !s.Read.IsZero() {
		s.Rate.saw(changes > 0, now.Sub(s.Read))
	}
	s.Read = now
	interval := s.Rate.interval(floor, ceiling)
	_, watches := l.follower.(source.Watcher)
	if _, listens := l.listens(); watches || listens {
		interval = min(max(l.Reconcile, floor), ceiling)
	}
	interval = cmp.Or(l.asked.Options.Every(), max(interval, min(l.listing.Fresh, ceiling)))
	s.Next, s.Interval = now.Add(interval), interval.Seconds()
	if s.Pass != nil && s.Pass.Again {
		s.Next = now
	}
	s.Loaded, s.Spec = true, specOf(l.asked.Source)
	if l.listing.Unchanged { // what was said of the listing before still holds
		l.note(s.Notes)
	}
	s.Notes, s.Missed = l.listing.Notes, ""
	s.Full, s.Confirm = l.asked.Full, l.asked.Confirm
	if !l.stay {
		s.Cursor = l.listing.Cursor
	}
}

// maxErrors is how many items that cannot be loaded are shown with their error.
const maxErrors = 5

// count sums up the items: how many there are, and since when all of them are
// known to be current.
func (l *look) count() {
	s := &l.state
	s.Documents, s.Failing, s.Errors = 0, 0, nil
	oldest := l.began
	if s.Pass != nil {
		oldest = s.Pass.Began // what the first page had may have changed since
	}
	switch {
	case s.PerItem:
	case !l.listed || s.Failures > 0 || s.Hold != nil: // what is held is not as the source has it
		oldest = s.Verified
	default:
		s.Listed = oldest
	}
	for _, it := range l.items {
		if it.URI != "" {
			s.Documents++
		}
		if it.Failures > 0 {
			s.Failing++
			s.Errors = append(s.Errors, it.Listed.URI+": "+it.Error)
		}
		if (s.PerItem && !it.Refused || it.failing()) && it.Verified.Before(oldest) {
			oldest = it.Verified
		}
	}
	if s.Loaded {
		s.Verified = oldest
	}
	slices.Sort(s.Errors)
	s.Errors = s.Errors[:min(len(s.Errors), maxErrors)]
}
