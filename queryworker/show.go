package queryworker

import (
	"context"
	"fmt"
	"slices"

	"github.com/tributary-kb/tributary"
)

// objectsAtOnce is how many objects one call to Searcher.Objects asks for.
const objectsAtOnce = 500

// Show returns everything about one document. A document that the registry
// does not know is a CodeNotFound error; a deleted or refused one is shown as
// such, without passages where it has none.
func (w *Worker) Show(ctx context.Context, kb string, req tributary.ShowRequest) (tributary.ShowReply, error) {
	document, err := documentOf(kb, req)
	if err != nil {
		return tributary.ShowReply{}, err
	}
	for attempt := 1; ; attempt++ {
		rec, err := w.lookUp(ctx, kb, document, req)
		if err != nil {
			return tributary.ShowReply{}, err
		}
		reply, err := w.show(ctx, kb, rec)
		if err != nil || len(reply.Missing) == 0 || attempt == maxRounds {
			return reply, err
		}
		// Chunks are missing. A newer version may have been committed and the
		// old one swept between the two reads; then the newer one is complete.
		again, err := w.lookUp(ctx, kb, document, req)
		if err != nil || again.Revision == rec.Revision {
			return reply, err
		}
	}
}

func documentOf(kb string, req tributary.ShowRequest) (string, error) {
	if err := tributary.CheckKB(kb); err != nil {
		return "", invalid("%w", err)
	}
	if req.URI == "" {
		if req.Document == "" {
			return "", invalid("neither document nor uri is named")
		}
		return req.Document, nil
	}
	id := tributary.DocumentID(kb, req.URI)
	if req.Document != "" && req.Document != id {
		return "", invalid("uri %q is document %s, not %s", req.URI, id, req.Document)
	}
	return id, nil
}

func (w *Worker) lookUp(ctx context.Context, kb, document string, req tributary.ShowRequest) (tributary.Record, error) {
	rec, err := w.Records.Record(ctx, kb, document)
	if err != nil {
		return rec, fault(ctx, fmt.Sprintf("look up document %s", document), err)
	}
	if rec.Revision == 0 {
		what := req.URI
		if what == "" {
			what = document
		}
		return rec, tributary.Errorf(tributary.CodeNotFound, "no document %q in knowledge base %q", what, kb)
	}
	return rec, nil
}

func (w *Worker) show(ctx context.Context, kb string, rec tributary.Record) (tributary.ShowReply, error) {
	reply := tributary.ShowReply{Item: rec.Item(), Manifest: rec.Manifest}
	chunks := rec.Chunks()
	ids := make([]string, len(chunks))
	for i, c := range chunks {
		ids[i] = c.ID
	}
	stored := make(map[string]tributary.Object, len(ids))
	for some := range slices.Chunk(ids, objectsAtOnce) {
		objects, err := w.Searcher.Objects(ctx, kb, some)
		if err != nil {
			return tributary.ShowReply{}, fault(ctx, fmt.Sprintf("read the chunks of %q", rec.URI), err)
		}
		for _, o := range objects {
			stored[o.ID] = o
		}
	}
	for i, id := range ids {
		if o, ok := stored[id]; ok {
			reply.Passages = append(reply.Passages, hit(i+1, 0, o, rec, i))
		} else {
			reply.Missing = append(reply.Missing, id)
		}
	}
	return reply, nil
}
