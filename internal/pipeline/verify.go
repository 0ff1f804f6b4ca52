package pipeline

import (
	"context"
	"errors"
	"fmt"
	"slices"

	"github.com/tributary-kb/tributary"
	"github.com/tributary-kb/tributary/internal/registry"
)

// An Auditor compares registry and index.
type Auditor struct {
	Store *Store
	// Scan calls fn with every stored object, vectors included.
	Scan func(ctx context.Context, kb string, fn func(tributary.Object) error) error
	// Objects returns those of the named objects that are stored.
	Objects func(ctx context.Context, kb string, ids []string) ([]tributary.Object, error)
	// Unindexed returns the ids of those objects that are stored and that the
	// index does not find.
	Unindexed func(ctx context.Context, kb string, objects []tributary.Object) ([]string, error)
	// Remove deletes single objects, whatever indexes they are missing from.
	Remove func(ctx context.Context, kb string, ids []string) (int, error)
	// Drop deletes everything that the index holds of a knowledge base.
	Drop func(ctx context.Context, kb string) error
	// Replay publishes the kept version of a document again.
	Replay func(ctx context.Context, kb, uri string) (tributary.Receipt, error)
}

// auditSlice is how many objects are asked for at a time.
const auditSlice = 200

// Verify sends what it finds, and a summary at the end.
func (a *Auditor) Verify(ctx context.Context, kb string, req tributary.VerifyRequest, send func(tributary.Finding) error) error {
	v := &verification{Auditor: a, kb: kb, repair: req.Repair, send: send,
		records: map[string]tributary.Record{}, seen: map[string]bool{}, damaged: map[string]map[string]bool{}, orphaned: map[string][]string{}, unknown: map[string][]tributary.Object{}}
	// Objects first: what is committed in between is then known to no scan,
	// but its record is.
	if err := a.Scan(ctx, kb, v.object(ctx)); err != nil && tributary.CodeOf(err) != tributary.CodeNotFound {
		return err
	}
	if err := v.flush(ctx); err != nil {
		return err
	}
	if err := errors.Join(v.abandoned(ctx), v.missing(ctx)); err != nil {
		return err
	}
	if err := v.mend(ctx); err != nil {
		return err
	}
	return send(tributary.Finding{Kind: tributary.FindingSummary, Documents: v.documents, Chunks: v.chunks, Objects: v.objects, Problems: v.problems})
}

type verification struct {
	*Auditor
	kb     string
	repair bool
	send   func(tributary.Finding) error

	pending  []tributary.Object
	records  map[string]tributary.Record   // as first seen; asked again before anything is said
	seen     map[string]bool               // chunks that are stored
	damaged  map[string]map[string]bool    // documents to index again, and which chunks are at fault
	orphaned map[string][]string           // chunks to delete, by document
	unknown  map[string][]tributary.Object // of births of which nothing is settled

	documents, chunks, objects, problems int
}

func (v *verification) object(ctx context.Context) func(tributary.Object) error {
	return func(o tributary.Object) error {
		v.objects++
		v.seen[o.ID] = true
		if v.pending = append(v.pending, o); len(v.pending) < auditSlice {
			return nil
		}
		return v.flush(ctx)
	}
}

// flush looks at the objects scanned since the last time.
func (v *verification) flush(ctx context.Context) error {
	defer func() { v.pending = v.pending[:0] }()
	if len(v.pending) == 0 {
		return nil
	}
	var named []tributary.Object
	for _, o := range v.pending {
		rec, err := v.record(ctx, o)
		if err != nil {
			return err
		}
		if rec.Find(o.ID) >= 0 {
			named = append(named, o)
			continue
		}
		if o.Birth > rec.Settled() { // being written, perhaps
			v.unknown[o.Document] = append(v.unknown[o.Document], o)
			continue
		}
		if err := v.orphan(rec, o); err != nil {
			return err
		}
	}
	ids, err := v.Unindexed(ctx, v.kb, named)
	if err != nil {
		return err
	}
	for _, id := range ids {
		for _, o := range named {
			if o.ID == id {
				v.damage(o.Document, id)
				if err := v.found(tributary.FindingUnindexed, v.records[o.Document], id); err != nil {
					return err
				}
			}
		}
	}
	return nil
}

// abandoned looks at objects of births of which nothing is settled: if their
// version is not on its way either, nobody is going to name them.
func (v *verification) abandoned(ctx context.Context) error {
	if len(v.unknown) == 0 {
		return nil
	}
	pending, err := v.Store.Pending(ctx, v.kb)
	if err != nil {
		return err
	}
	for _, h := range pending {
		delete(v.unknown, h.Document)
	}
	for document, objects := range v.unknown {
		rec, err := v.Store.Registry.Get(ctx, v.kb, document)
		if err != nil {
			return err
		}
		for _, o := range objects {
			if rec.Find(o.ID) >= 0 {
				continue
			}
			if err := v.orphan(rec, o); err != nil {
				return err
			}
		}
	}
	return nil
}

func (v *verification) orphan(rec tributary.Record, o tributary.Object) error {
	v.orphaned[o.Document] = append(v.orphaned[o.Document], o.ID)
	if rec.URI == "" {
		rec.URI, rec.Document = o.URI, o.Document
	}
	return v.found(tributary.FindingOrphan, rec, o.ID)
}

// record returns the record of an object's document, read again if the one
// that is known does not name the object.
func (v *verification) record(ctx context.Context, o tributary.Object) (tributary.Record, error) {
	if rec, ok := v.records[o.Document]; ok && rec.Find(o.ID) >= 0 {
		return rec, nil
	}
	rec, err := v.Store.Registry.Get(ctx, v.kb, o.Document)
	if err == nil {
		v.records[o.Document] = rec
	}
	return rec, err
}

// missing looks for chunks that are named and not stored.
func (v *verification) missing(ctx context.Context) error {
	return v.Store.Registry.List(ctx, v.kb, func(rec tributary.Record) error {
		v.documents++
		v.chunks += len(rec.Chunks())
		var unseen []string
		for _, c := range rec.Chunks() {
			if !v.seen[c.ID] {
				unseen = append(unseen, c.ID)
			}
		}
		if len(unseen) == 0 {
			return nil
		}
		return v.unseen(ctx, rec, unseen)
	})
}

// unseen asks the index for chunks that the scan did not come across: they may
// have been committed, or swept, while it went on.
func (v *verification) unseen(ctx context.Context, rec tributary.Record, ids []string) error {
	stored, err := v.Objects(ctx, v.kb, ids)
	if err != nil && tributary.CodeOf(err) != tributary.CodeNotFound {
		return err
	}
	for _, o := range stored {
		v.seen[o.ID] = true
	}
	now, err := v.Store.Registry.Get(ctx, v.kb, rec.Document)
	if err != nil {
		return err
	}
	for _, id := range ids {
		if v.seen[id] || now.Find(id) < 0 {
			continue
		}
		v.damage(rec.Document, id)
		if err := v.found(tributary.FindingMissing, now, id); err != nil {
			return err
		}
	}
	return nil
}

func (v *verification) damage(document, chunk string) {
	if v.damaged[document] == nil {
		v.damaged[document] = map[string]bool{}
	}
	v.damaged[document][chunk] = true
}

func (v *verification) found(kind tributary.FindingKind, rec tributary.Record, chunk string) error {
	v.problems++
	f := tributary.Finding{Kind: kind, URI: rec.URI, Document: rec.Document, Chunk: chunk, Repaired: v.repair}
	if rec.Manifest != nil {
		f.Version = rec.Manifest.Version
	}
	return v.send(f)
}

// mend deletes orphans, and indexes damaged documents again.
func (v *verification) mend(ctx context.Context) error {
	if !v.repair {
		return nil
	}
	for document, ids := range v.orphaned {
		rec, err := v.Store.Registry.Get(ctx, v.kb, document)
		if err != nil {
			return err
		}
		ids = slices.DeleteFunc(ids, func(id string) bool { return rec.Find(id) >= 0 })
		if _, err := v.Remove(ctx, v.kb, ids); err != nil {
			return err
		}
	}
	for document, chunks := range v.damaged {
		if err := v.reindex(ctx, document, chunks); err != nil {
			return fmt.Errorf("repair document %s: %w", document, err)
		}
	}
	return nil
}

// reindex publishes a damaged document again.
func (v *verification) reindex(ctx context.Context, document string, chunks map[string]bool) error {
	rec, err := v.disown(ctx, v.kb, document, func(id string) bool { return chunks[id] })
	if err != nil || rec.Manifest == nil {
		return err
	}
	_, err = v.Replay(ctx, v.kb, rec.URI)
	return err
}

// disown takes the hashes from chunks of a manifest, so that no later version
// counts on them. It returns the record as it is then.
func (a *Auditor) disown(ctx context.Context, kb, document string, which func(id string) bool) (tributary.Record, error) {
	for {
		rec, err := a.Store.Registry.Get(ctx, kb, document)
		if err != nil || rec.Manifest == nil {
			return rec, err
		}
		m := *rec.Manifest
		m.Chunks = slices.Clone(m.Chunks)
		for i, c := range m.Chunks {
			if which(c.ID) {
				m.Chunks[i].Hash = ""
			}
		}
		rec.Manifest = &m
		rec, err = a.Store.Registry.Put(ctx, rec)
		if !errors.Is(err, registry.ErrConflict) {
			return rec, err
		}
	}
}

// Reindex drops the index of kb and publishes every live document again, from
// what is kept of it, and sends the receipts. Until a document's new version
// is committed it is not found.
func (a *Auditor) Reindex(ctx context.Context, kb string, _ tributary.ReindexRequest, send func(tributary.Receipt) error) error {
	var documents []string
	err := a.Store.Registry.List(ctx, kb, func(rec tributary.Record) error {
		if len(rec.Chunks()) > 0 {
			documents = append(documents, rec.Document)
		}
		return nil
	})
	if err != nil {
		return err
	}
	if err := a.Drop(ctx, kb); err != nil && tributary.CodeOf(err) != tributary.CodeNotFound {
		return err
	}
	for _, document := range documents {
		rec, err := a.disown(ctx, kb, document, func(string) bool { return true })
		if err != nil {
			return err
		}
		if len(rec.Chunks()) == 0 {
			continue // deleted meanwhile
		}
		receipt, err := a.Replay(ctx, kb, rec.URI)
		if err != nil {
			return fmt.Errorf("publish %q again: %w", rec.URI, err)
		}
		if err := send(receipt); err != nil {
			return err
		}
	}
	return nil
}
