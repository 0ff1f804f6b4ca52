package embedder

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"sync/atomic"
	"time"

	"golang.org/x/sync/errgroup"

	"github.com/tributary-kb/tributary"
	"github.com/tributary-kb/tributary/internal/analysis"
)

// A Stage embeds the chunks of documents. It is safe for concurrent use.
type Stage struct {
	Model Model
	// Base returns the registry's record of a document, whose chunks are
	// reused. nil means that nothing is.
	Base func(ctx context.Context, kb, document string) (tributary.Record, error)
	// OnCall, if set, is told about every call of Model.Embed, perhaps of
	// several at once.
	OnCall func(Usage)
}

// Usage describes one call of Model.Embed.
type Usage struct {
	Texts   int
	Tokens  int // estimated
	Seconds float64
	Err     error // nil, or what the model returned
}

// Embed returns the documents with a vector for every chunk, or the ID of the
// stored chunk with the same hash that the same model embedded. Texts of all
// documents share batches, and equal texts are embedded once. A deleted
// document passes as it is.
//
// If documents fail, the error is a tributary.BatchError that names them, and
// their places in the result hold zero values; the others are complete.
func (s Stage) Embed(ctx context.Context, in []tributary.Chunked) ([]tributary.Embedded, error) {
	var (
		out    = make([]tributary.Embedded, len(in))
		failed = tributary.BatchError{}
		want   = newWanted()
	)
	for i, doc := range in {
		if err := s.prepare(ctx, doc, &out[i], want); err != nil {
			failed[i] = err
		}
	}
	done := s.embed(ctx, want.texts)
	for i := range in {
		if failed[i] != nil {
			out[i] = tributary.Embedded{}
			continue
		}
		if err := want.fill(out[i].Chunks, out[i].Title, done); err != nil {
			failed[i] = fmt.Errorf("embed %q: %w", in[i].URI, err)
			out[i] = tributary.Embedded{}
		}
	}
	if len(failed) > 0 {
		return out, failed
	}
	return out, nil
}

// Vectors embeds single chunks of a document with these attributes, one vector
// for each; none for none. It is all or nothing.
func (s Stage) Vectors(ctx context.Context, attrs tributary.Attributes, chunks []tributary.Chunk) ([]tributary.Vector, error) {
	want := newWanted()
	chunks = slices.Clone(chunks)
	for i := range chunks {
		chunks[i].ID, chunks[i].Vector = "", nil
		want.add(attrs.Title, chunks[i])
	}
	if err := want.fill(chunks, attrs.Title, s.embed(ctx, want.texts)); err != nil {
		return nil, fmt.Errorf("embed %d chunks: %w", len(chunks), err)
	}
	vectors := make([]tributary.Vector, len(chunks))
	for i, c := range chunks {
		vectors[i] = c.Vector
	}
	return vectors, nil
}

// prepare sets out to doc with the IDs of the chunks that can be kept, and
// wants the others.
func (s Stage) prepare(ctx context.Context, doc tributary.Chunked, out *tributary.Embedded, want *wanted) error {
	out.Chunked = doc
	if doc.Deleted {
		return nil
	}
	out.Embedder = s.Model.Fingerprint()
	kept, err := s.kept(ctx, doc.Head)
	if err != nil {
		return fmt.Errorf("embed %q: read its record: %w", doc.URI, err)
	}
	out.Chunks = slices.Clone(doc.Chunks)
	for i := range out.Chunks {
		c := &out.Chunks[i]
		c.ID, c.Vector = "", nil
		if ids := kept[c.Hash]; len(ids) > 0 {
			c.ID, kept[c.Hash] = ids[0], ids[1:]
			continue
		}
		want.add(doc.Title, *c)
	}
	return nil
}

// kept returns the IDs of the document's stored chunks by hash, in order; none
// if another model embedded them.
func (s Stage) kept(ctx context.Context, head tributary.Head) (map[string][]string, error) {
	if s.Base == nil {
		return nil, nil
	}
	record, err := s.Base(ctx, head.KB, head.Document)
	if err != nil {
		return nil, err
	}
	if record.Manifest == nil || record.Manifest.Fingerprint.Embedder != s.Model.Fingerprint() {
		return nil, nil
	}
	ids := make(map[string][]string)
	for _, ref := range record.Chunks() {
		ids[ref.Hash] = append(ids[ref.Hash], ref.ID)
	}
	return ids, nil
}

// embed embeds texts in batches, as many at once as the model likes. After a
// batch that found the model away, the rest is not tried.
func (s Stage) embed(ctx context.Context, texts []string) []embedded {
	if len(texts) == 0 {
		return nil
	}
	dim, err := s.Model.Dimension(ctx)
	if err != nil {
		return all(len(texts), err)
	}
	var (
		limits = s.Model.Limits()
		done   = make([]embedded, len(texts))
		away   atomic.Pointer[error]
		group  errgroup.Group
	)
	group.SetLimit(max(limits.Parallel, 1))
	for from, batch := 0, []string(nil); from < len(texts); from += len(batch) {
		batch = first(texts[from:], limits)
		part := done[from : from+len(batch)]
		group.Go(func() error {
			if err := away.Load(); err != nil {
				copy(part, all(len(part), *err))
				return nil
			}
			some, err := s.call(ctx, batch, dim)
			copy(part, some)
			if outcome, _ := tributary.OutcomeOf(err); outcome == tributary.Waiting || err != nil && ctx.Err() != nil {
				away.CompareAndSwap(nil, &err)
			}
			return nil
		})
	}
	_ = group.Wait() // what failed is in done
	return done
}

// An embedded is what became of one text.
type embedded struct {
	vector tributary.Vector
	err    error
}

// all is what becomes of count texts that fail together.
func all(count int, err error) []embedded {
	return slices.Repeat([]embedded{{err: err}}, count)
}

// call embeds one batch. The error is that of the call as a whole.
func (s Stage) call(ctx context.Context, texts []string, dim int) ([]embedded, error) {
	start := time.Now()
	vectors, err := s.Model.Embed(ctx, texts, RoleDocument)
	if s.OnCall != nil {
		usage := Usage{Texts: len(texts), Seconds: time.Since(start).Seconds(), Err: err}
		for _, text := range texts {
			usage.Tokens += analysis.CountTokens(text)
		}
		s.OnCall(usage)
	}
	items, isBatch := errors.AsType[tributary.BatchError](err)
	switch {
	case err != nil && !isBatch:
		return all(len(texts), err), err
	case len(vectors) != len(texts):
		err := fmt.Errorf("model %s: %d vectors for %d texts", s.Model.Fingerprint(), len(vectors), len(texts))
		return all(len(texts), err), err
	}
	out := make([]embedded, len(texts))
	for i, v := range vectors {
		if out[i].err = items[i]; out[i].err == nil {
			out[i] = embedded{vector: v, err: v.Check(dim)}
		}
	}
	return out, nil
}

// wanted collects the texts to embed, each once.
type wanted struct {
	texts []string
	index map[string]int
}

func newWanted() *wanted { return &wanted{index: make(map[string]int)} }

func (w *wanted) add(title string, c tributary.Chunk) {
	text := tributary.EmbeddingText(title, c)
	if _, ok := w.index[text]; !ok {
		w.index[text] = len(w.texts)
		w.texts = append(w.texts, text)
	}
}

// fill sets the vectors of the chunks that have no ID. Its error is that of
// the first chunk that has none.
func (w *wanted) fill(chunks []tributary.Chunk, title string, done []embedded) error {
	for i := range chunks {
		c := &chunks[i]
		if c.ID != "" {
			continue
		}
		e := done[w.index[tributary.EmbeddingText(title, *c)]]
		if e.err != nil {
			return fmt.Errorf("chunk at %d: %w", c.Start, e.err)
		}
		c.Vector = e.vector
	}
	return nil
}
