package follow

import (
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/nats-io/nats.go/jetstream"

	"github.com/tributary-kb/tributary"
	"github.com/tributary-kb/tributary/internal/bucket"
)

// Sources is what an operator does with sources. Its orders are stored, and
// whichever worker follows the source carries them out. Its errors carry
// protocol codes: CodeInvalid for what cannot be followed, CodeNotFound for a
// source that does not exist.
type Sources struct {
	Store  *Store
	Config Config
}

// Add makes a source followed. One of the same name is changed; the same
// again changes nothing.
func (s Sources) Add(ctx context.Context, kb string, src tributary.Source) (tributary.SourceStatus, error) {
	if err := tributary.CheckKB(kb); err != nil {
		return tributary.SourceStatus{}, tributary.Errorf(tributary.CodeInvalid, "%w", err)
	}
	if err := src.Check(); err != nil {
		return tributary.SourceStatus{}, tributary.Errorf(tributary.CodeInvalid, "%w", err)
	}
	if err := s.checkPushed(ctx, kb, src); err != nil {
		return tributary.SourceStatus{}, tributary.Errorf(tributary.CodeInvalid, "%w", err)
	}
	data, err := json.Marshal(order{Source: src, Added: time.Now().UTC()})
	if err != nil {
		return tributary.SourceStatus{}, fmt.Errorf("encode source %q: %w", src.Name, err)
	}
	_, err = s.Store.orders.Create(ctx, sourceKey(kb, src.Name), data)
	if errors.Is(err, jetstream.ErrKeyExists) {
		if o, err := s.Store.order(ctx, kb, src.Name); err == nil && o.Removing {
			return tributary.SourceStatus{}, tributary.Errorf(tributary.CodeUnavailable, "source %q is being removed: add it again once that is done", src.Name)
		}
		return s.change(ctx, kb, src.Name, func(o *order) { o.Source = src })
	}
	if err != nil {
		return tributary.SourceStatus{}, fmt.Errorf("add source %q: %w", src.Name, err)
	}
	return s.Get(ctx, kb, src.Name)
}

// Pause stops the following of a source until Resume.
func (s Sources) Pause(ctx context.Context, kb, name string) (tributary.SourceStatus, error) {
	return s.change(ctx, kb, name, func(o *order) { o.Paused = true })
}

// Resume undoes Pause.
func (s Sources) Resume(ctx context.Context, kb, name string) (tributary.SourceStatus, error) {
	return s.change(ctx, kb, name, func(o *order) { o.Paused = false })
}

// Confirm lets the deletions happen that are held now. More than those are
// held again.
func (s Sources) Confirm(ctx context.Context, kb, name string) (tributary.SourceStatus, error) {
	return s.change(ctx, kb, name, func(o *order) { o.Confirm++ })
}

// Remove ends the following of a source. With purge its documents are deleted
// too; otherwise they stay. Until a worker has done so the source is shown as
// removing.
func (s Sources) Remove(ctx context.Context, kb, name string, purge bool) (tributary.SourceStatus, error) {
	return s.change(ctx, kb, name, func(o *order) { o.Removing, o.Purge = true, o.Purge || purge })
}

// Sync has the source looked at now, and waits until that is done or ctx ends.
// With full every document is loaded and published again.
func (s Sources) Sync(ctx context.Context, kb, name string, full bool) (tributary.SourceStatus, error) {
	return s.sync(ctx, kb, name, full, time.Time{})
}

// sync is Sync that also has items loaded that were verified before fresh.
func (s Sources) sync(ctx context.Context, kb, name string, full bool, fresh time.Time) (tributary.SourceStatus, error) {
	var want uint64
	st, err := s.change(ctx, kb, name, func(o *order) {
		o.Sync++
		if fresh.After(o.Fresh) {
			o.Fresh = fresh.UTC()
		}
		if full {
			o.Full++
		}
		want = o.Sync
	})
	if err != nil {
		return st, err
	}
	if st.State == tributary.SourcePaused {
		return st, tributary.Errorf(tributary.CodeInvalid, "source %q is paused: resume it first", name)
	}
	if err := s.await(ctx, kb, name, want); err != nil {
		return st, tributary.Errorf(tributary.CodeDeadline, "source %q was asked to be looked at, and that is not done yet: %w", name, err)
	}
	return s.Get(ctx, kb, name)
}

// await waits for the end of the look that a sync asked for.
func (s Sources) await(ctx context.Context, kb, name string, want uint64) error {
	w, err := s.Store.items.Watch(ctx, sourceKey(kb, name)+"."+stateToken, jetstream.IgnoreDeletes())
	if err != nil {
		return err
	}
	defer func() { _ = w.Stop() }()
	for {
		select {
		case <-ctx.Done():
			return ctx.Err()
		case entry, open := <-w.Updates():
			if !open {
				return errors.New("the watch ended early")
			}
			if entry == nil {
				continue
			}
			var st state
			if err := decode(entry, &st); err != nil {
				return err
			}
			if st.Sync >= want {
				return nil
			}
		}
	}
}

// Get returns one source.
func (s Sources) Get(ctx context.Context, kb, name string) (tributary.SourceStatus, error) {
	o, err := s.Store.order(ctx, kb, name)
	if err != nil {
		return tributary.SourceStatus{}, err
	}
	return s.status(ctx, kb, o)
}

// List calls fn with every source of kb, of all knowledge bases if kb is "",
// in order of knowledge base and name. It stops at the first error of fn.
func (s Sources) List(ctx context.Context, kb string, fn func(tributary.SourceStatus) error) error {
	type found struct {
		key   string
		order order
	}
	var all []found
	filter := ">"
	if kb != "" {
		if err := tributary.CheckKB(kb); err != nil {
			return tributary.Errorf(tributary.CodeInvalid, "%w", err)
		}
		filter = kb + ".*"
	}
	err := bucket.Each(ctx, s.Store.js, s.Store.orders, filter, func(entry bucket.Entry) error {
		f := found{key: entry.Key()}
		err := decode(entry, &f.order)
		all = append(all, f)
		return err
	})
	if err != nil {
		return fmt.Errorf("list sources: %w", err)
	}
	slices.SortFunc(all, func(a, b found) int { return cmp.Compare(a.key, b.key) })
	for _, f := range all {
		st, err := s.status(ctx, f.key[:len(f.key)-len(f.order.Name)-1], f.order)
		if err != nil {
			return err
		}
		if err := fn(st); err != nil {
			return err
		}
	}
	return nil
}

// change edits an order, by compare-and-set: operators may be at it together.
func (s Sources) change(ctx context.Context, kb, name string, edit func(*order)) (tributary.SourceStatus, error) {
	for {
		o, err := s.Store.order(ctx, kb, name)
		if err != nil {
			return tributary.SourceStatus{}, err
		}
		before, err := json.Marshal(o)
		if err != nil {
			return tributary.SourceStatus{}, fmt.Errorf("encode source %q: %w", name, err)
		}
		if edit(&o); o.Removing && o.Paused {
			o.Paused = false // it would wait for ever
		}
		data, err := json.Marshal(o)
		if err != nil {
			return tributary.SourceStatus{}, fmt.Errorf("encode source %q: %w", name, err)
		}
		if string(data) != string(before) {
			_, err = s.Store.orders.Update(ctx, sourceKey(kb, name), data, o.rev)
		}
		if isFenced(err) || errors.Is(err, jetstream.ErrKeyExists) {
			continue // somebody else was faster
		}
		if err != nil {
			return tributary.SourceStatus{}, fmt.Errorf("change source %q: %w", name, err)
		}
		return s.status(ctx, kb, o)
	}
}

func (s Sources) status(ctx context.Context, kb string, o order) (tributary.SourceStatus, error) {
	st, err := s.Store.state(ctx, kb, o.Name)
	if err != nil {
		return tributary.SourceStatus{}, err
	}
	out := tributary.SourceStatus{
		KB: kb, Source: o.Source, State: tributary.SourceActive, Documents: st.Documents, Loaded: st.Loaded,
		LastLook: st.Look, LastSuccess: st.Success, Verified: st.Verified, NextLook: st.Due, IntervalS: st.Interval, AgeS: -1,
		SearchableP50: st.P50, SearchableP99: st.P99, Owner: s.Store.owner(ctx, kb, o.Name), Failing: st.Failing, Notes: slices.Concat(st.Notes, st.Errors),
	}
	if !st.Verified.IsZero() {
		out.AgeS = time.Since(st.Verified).Seconds()
	}
	switch {
	case o.Removing:
		out.State = tributary.SourceRemoving
	case o.Paused:
		out.State = tributary.SourcePaused
	case st.Hold != nil:
		out.State, out.Reason = tributary.SourceHeld, st.Hold.Reason
	case st.Failures > 0:
		out.State, out.Reason = tributary.SourceFailing, st.Error
	case st.Documents == 0 && len(st.Errors) > 0: // it lists, and nothing of it can be loaded
		out.State, out.Reason = tributary.SourceFailing, st.Errors[0]
	}
	if st.Missed != "" {
		out.Notes = append(out.Notes, st.Missed)
	}
	if st.Hold != nil {
		out.Held = st.Hold.Held
	}
	return out, nil
}
