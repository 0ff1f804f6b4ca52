// Package indexer makes versions visible: embedded chunks come in, a
// committed manifest goes out.
//
// # Why this is safe
//
// Any number of workers may index versions of the same document at the same
// time, be interrupted between any two steps, or be handed the same message
// again. For every document the steps are
//
//  1. read the record: the base manifest
//  2. write the chunks that the base does not have, under ids that belong to
//     this attempt alone
//  3. move the record from the base to the new manifest by compare-and-set,
//     only upward in version
//  4. sweep: delete the document's objects of a birth up to the committed
//     version which its manifest does not name
//
// Claim: a committed manifest only ever names objects that are in the index.
//
//   - What a manifest names was either written by its own attempt before the
//     commit, or named by its base, and the base was current at the moment of
//     the commit, or the compare-and-set would have failed.
//   - Nobody writes an object twice, so no write can damage one: ids contain a
//     token of the attempt. Nobody deletes before writing either. After a write
//     of unknown outcome the next attempt starts afresh, with a new token.
//   - A sweep for the manifest of version v deletes only births up to v that
//     this manifest does not name. A later manifest w names births up to v only
//     if its base did, and so, link by link, only if v's manifest does. An
//     attempt at a version up to v that is still running cannot commit any
//     more. An attempt at a higher version writes births above v, and if it
//     counted on chunks that v dropped, its compare-and-set fails.
//
// So every step may run twice, at any time. What an attempt leaves behind that
// never committed is invisible, because readers follow manifests, and is
// removed by the sweep that its message, handled again, performs.
//
// interleaving_test.go enumerates the interleavings and checks the claim.
package indexer

import (
	"context"
	"fmt"
	"runtime/debug"
	"sync"
	"time"

	"github.com/tributary-kb/tributary"
)

// An Index stores objects.
type Index interface {
	// Insert writes objects whose ids were never written before. After an
	// error any of them may be there or not.
	Insert(ctx context.Context, kb string, objects []tributary.Object) error
	// Sweep deletes the document's objects with Birth <= birth whose ID is not
	// in keep, and returns how many.
	Sweep(ctx context.Context, kb, document string, birth uint64, keep []string) (int, error)
}

// Records holds one record per document.
type Records interface {
	// Get returns a record with Revision 0 for a document it does not know.
	Get(ctx context.Context, kb, document string) (tributary.Record, error)
	// Put replaces the record if it still has rec.Revision. Otherwise it
	// returns an error for which Conflict is true.
	Put(ctx context.Context, rec tributary.Record) (tributary.Record, error)
}

// An Indexer commits versions. All fields but Log are needed.
type Indexer struct {
	Store   Index
	Records Records
	// Conflict tells Put's compare-and-set failures from other errors.
	Conflict func(error) bool
	// Vectors embeds chunks that counted on a base which has moved.
	Vectors func(ctx context.Context, a tributary.Attributes, chunks []tributary.Chunk) ([]tributary.Vector, error)
	// Attempt returns a token that no attempt had before.
	Attempt func() string
	Now     func() time.Time
}

// An attempt is one try to commit one version.
type attempt struct {
	in       tributary.Embedded
	base     tributary.Record
	manifest tributary.Manifest
	objects  []tributary.Object // to be written before the commit
	done     bool               // there is nothing to write: superseded or committed already
}

// Index commits a batch of versions, of any documents, and returns a commit
// for each: of the version itself, or a zero Commit where a higher version had
// been committed before. A tributary.BatchError names those that failed.
func (x *Indexer) Index(ctx context.Context, in []tributary.Embedded) ([]tributary.Commit, error) {
	commits := make([]tributary.Commit, len(in))
	failed := tributary.BatchError{}
	attempts := make([]*attempt, len(in))
	each(failed, len(in), func(i int) (err error) {
		attempts[i], err = x.prepare(ctx, in[i])
		return err
	})
	x.writeAll(ctx, attempts, failed)
	each(failed, len(in), func(i int) (err error) {
		commits[i], err = x.finish(ctx, attempts[i])
		return err
	})
	if len(failed) > 0 {
		return commits, failed
	}
	return commits, nil
}

// atOnce is how many documents of a batch read or move their records at once.
// Each waits for the registry's disk; the waits add up unless they overlap.
const atOnce = 8

// each calls do for the items that have not failed, some at once, and notes
// the errors. Items of one document may meet: that is what the compare-and-set
// is for.
func each(failed tributary.BatchError, n int, do func(i int) error) {
	var (
		wg    sync.WaitGroup
		mu    sync.Mutex
		slots = make(chan struct{}, atOnce)
	)
	for i := range n {
		if mu.Lock(); failed[i] != nil {
			mu.Unlock()
			continue
		}
		mu.Unlock()
		slots <- struct{}{}
		wg.Go(func() {
			defer func() { <-slots }()
			if err := contained(do, i); err != nil {
				mu.Lock()
				failed[i] = err
				mu.Unlock()
			}
		})
	}
	wg.Wait()
}

// contained calls do and makes an error of a panic, which in a goroutine of
// our own would end the process.
func contained(do func(i int) error, i int) (err error) {
	defer func() {
		if p := recover(); p != nil {
			err = fmt.Errorf("panic: %v\n%s", p, debug.Stack())
		}
	}()
	return do(i)
}

// writeAll writes the objects of all attempts of a knowledge base together.
// If that is refused for a cause that lies in the objects, each attempt that
// took part fails with the same error and is tried alone by the runtime.
func (x *Indexer) writeAll(ctx context.Context, attempts []*attempt, failed tributary.BatchError) {
	objects := map[string][]tributary.Object{}
	for _, a := range attempts {
		if a != nil && len(a.objects) > 0 {
			objects[a.in.KB] = append(objects[a.in.KB], a.objects...)
		}
	}
	for kb, all := range objects {
		err := x.Store.Insert(ctx, kb, all)
		if err == nil {
			continue
		}
		for i, a := range attempts {
			if a == nil || a.in.KB != kb || len(a.objects) == 0 {
				continue
			}
			failed[i] = x.writeAlone(ctx, a, err, len(all))
			if failed[i] == nil {
				delete(failed, i)
			}
		}
	}
}

// writeAlone tries an attempt's objects again, without the others of its
// batch, after cause. An outage is everybody's; it is returned as it is.
func (x *Indexer) writeAlone(ctx context.Context, a *attempt, cause error, all int) error {
	if outcome, _ := tributary.OutcomeOf(cause); outcome == tributary.Waiting || all == len(a.objects) {
		return cause
	}
	a.in.Redelivered = true // what the failed batch left has to be swept
	fresh, err := x.prepare(ctx, a.in)
	if err != nil {
		return err
	}
	*a = *fresh
	return x.write(ctx, a)
}

// finish commits an attempt whose objects are written, starting afresh for as
// long as others move the base, and sweeps.
func (x *Indexer) finish(ctx context.Context, a *attempt) (tributary.Commit, error) {
	for !a.done {
		rec, err := x.commit(ctx, a)
		if err == nil {
			a.base, a.done = rec, true
			break
		}
		if !x.Conflict(err) {
			return tributary.Commit{}, err
		}
		in := a.in
		in.Redelivered = true
		if a, err = x.prepare(ctx, in); err != nil {
			return tributary.Commit{}, err
		}
		if err := x.write(ctx, a); err != nil {
			return tributary.Commit{}, err
		}
	}
	if err := x.sweep(ctx, a); err != nil {
		return tributary.Commit{}, err
	}
	if a.base.Manifest.Version != a.in.Version {
		return tributary.Commit{}, nil // a higher version won
	}
	return commitOf(a.base), nil
}

// prepare reads the base and decides what has to be written.
func (x *Indexer) prepare(ctx context.Context, in tributary.Embedded) (*attempt, error) {
	base, err := x.Records.Get(ctx, in.KB, in.Document)
	if err != nil {
		return nil, err
	}
	a := &attempt{in: in, base: base}
	if base.Manifest != nil && base.Manifest.Version >= in.Version {
		a.done = true
		return a, nil
	}
	if err := x.complete(ctx, a); err != nil {
		return nil, fmt.Errorf("embed chunks of %q whose base has moved: %w", in.URI, err)
	}
	x.build(a)
	return a, nil
}

// complete sees to it that every chunk either has a vector or carries the id
// of a chunk that the base names: the embed stage may have seen another base.
func (x *Indexer) complete(ctx context.Context, a *attempt) error {
	a.in.Chunks = append([]tributary.Chunk(nil), a.in.Chunks...)
	byHash := map[string][]string{}
	if a.base.Manifest != nil && a.base.Manifest.Fingerprint.Embedder == a.in.Embedder {
		for _, ref := range a.base.Chunks() {
			byHash[ref.Hash] = append(byHash[ref.Hash], ref.ID)
		}
	}
	var missing []int
	for i := range a.in.Chunks {
		c := &a.in.Chunks[i]
		c.ID = ""
		if ids := byHash[c.Hash]; len(ids) > 0 {
			c.ID, byHash[c.Hash] = ids[0], ids[1:]
		} else if c.Vector == nil {
			missing = append(missing, i)
		}
	}
	if len(missing) == 0 {
		return nil
	}
	chunks := make([]tributary.Chunk, len(missing))
	for j, i := range missing {
		chunks[j] = a.in.Chunks[i]
	}
	vectors, err := x.Vectors(ctx, a.in.Attributes, chunks)
	if err != nil {
		return err
	}
	if len(vectors) != len(chunks) {
		return fmt.Errorf("%d vectors for %d chunks", len(vectors), len(chunks))
	}
	for j, i := range missing {
		a.in.Chunks[i].Vector = vectors[j]
	}
	return nil
}

// build makes the manifest and the objects of an attempt.
func (x *Indexer) build(a *attempt) {
	in, token := a.in, x.Attempt()
	m := tributary.Manifest{
		Version: in.Version, State: tributary.StateLive, ContentHash: in.ContentHash,
		Fingerprint: tributary.Fingerprint{Parser: in.Parser, Chunker: in.Chunker, Embedder: in.Embedder},
		Title:       in.Title, ContentType: in.ContentType, Source: in.Source, Language: in.Language,
		Origin: in.Origin, Accepted: in.Accepted, Chunks: make([]tributary.ChunkRef, 0, len(in.Chunks)),
	}
	for _, c := range in.Chunks {
		id := c.ID
		if id == "" {
			id = tributary.ChunkID(in.Document, in.Version, token, c.Hash, c.Ordinal)
			a.objects = append(a.objects, tributary.Object{
				ID: id, Document: in.Document, URI: in.URI, Birth: in.Version, Attributes: in.Attributes,
				Heading: c.Heading, Text: c.Text, Hash: c.Hash, Changed: in.Accepted.UTC().Truncate(time.Millisecond), Vector: c.Vector,
			})
		}
		m.Chunks = append(m.Chunks, tributary.ChunkRef{ID: id, Hash: c.Hash, Start: c.Start, End: c.End, Page: c.Page})
	}
	if in.Deleted {
		m.State = tributary.StateDeleted
	}
	m.Change = changeOf(a.base, in, len(a.objects))
	m.Changed = in.Accepted
	if m.Change.Kind == tributary.ChangeUnchanged {
		m.Changed = a.base.Manifest.Changed
	}
	a.manifest = m
}

// changeOf sums up what the version does to its base.
func changeOf(base tributary.Record, in tributary.Embedded, added int) tributary.Change {
	before := len(base.Chunks())
	c := tributary.Change{Added: added, Kept: len(in.Chunks) - added}
	c.Removed = before - c.Kept
	live := base.Manifest != nil && base.Manifest.State == tributary.StateLive
	switch {
	case in.Deleted:
		c.Kind = tributary.ChangeDeleted
	case !live:
		c.Kind = tributary.ChangeAdded
	case c.Added == 0 && c.Removed == 0 && base.Manifest.ContentHash == in.ContentHash:
		c.Kind = tributary.ChangeUnchanged
	default:
		c.Kind = tributary.ChangeUpdated
	}
	return c
}

func (x *Indexer) write(ctx context.Context, a *attempt) error {
	if len(a.objects) == 0 {
		return nil
	}
	return x.Store.Insert(ctx, a.in.KB, a.objects)
}

// commit moves the record from the attempt's base to its manifest.
func (x *Indexer) commit(ctx context.Context, a *attempt) (tributary.Record, error) {
	rec := a.base
	rec.KB, rec.URI, rec.Document = a.in.KB, a.in.URI, a.in.Document
	m := a.manifest
	m.Committed = x.Now().UTC()
	rec.Manifest = &m
	if rec.Failure != nil && rec.Failure.Version <= m.Version {
		rec.Failure = nil
	}
	return x.Records.Put(ctx, rec)
}

// sweep removes what the committed manifest does not name. It asks nothing of
// the index where nothing can be there: the message is handled for the first
// time, and what it committed removed no chunk of its base.
func (x *Indexer) sweep(ctx context.Context, a *attempt) error {
	m := a.base.Manifest
	first := !a.in.Redelivered
	if first && (m.Version != a.in.Version || m.Change.Removed == 0) {
		return nil
	}
	var keep []string
	for _, c := range a.base.Chunks() {
		keep = append(keep, c.ID)
	}
	if _, err := x.Store.Sweep(ctx, a.in.KB, a.in.Document, m.Version, keep); err != nil {
		return fmt.Errorf("sweep %q up to version %d: %w", a.in.URI, m.Version, err)
	}
	return nil
}

func commitOf(rec tributary.Record) tributary.Commit {
	m := rec.Manifest
	return tributary.Commit{
		KB: rec.KB, URI: rec.URI, Document: rec.Document, Version: m.Version,
		Source: m.Source, Change: m.Change, Accepted: m.Accepted, Committed: m.Committed,
	}
}
