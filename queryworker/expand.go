package queryworker

import (
	"context"
	"fmt"
	"slices"
	"strings"

	"github.com/tributary-kb/tributary"
)

// A wideHit is a hit whose text may be more than its passage.
type wideHit struct {
	tributary.Hit
	// passages are the hits that the wider text took in, best first, as they
	// are by themselves; nil where the text is that of the passage.
	passages []tributary.Hit
	chunks   [2]int // of the text, half-open
}

// hits turns the candidates into hits, with as much of their documents around
// them as the request wants.
func (s *search) hits(ctx context.Context, best []*candidate) ([]wideHit, error) {
	hits := []wideHit{}
	if err := s.sight(ctx, best); err != nil {
		s.notes = append(s.notes, "when the documents were verified is not known: "+err.Error())
	}
	wide := s.req.Expand != nil || s.req.Context != tributary.ContextPassages
	if wide {
		defer s.step("expand")()
	}
	for _, c := range best {
		passage := s.passage(len(hits)+1, c)
		if i := slices.IndexFunc(hits, func(h wideHit) bool {
			return wide && h.Document == c.Document && h.chunks[0] <= c.chunk && c.chunk < h.chunks[1]
		}); i >= 0 {
			hits[i].passages = append(hits[i].passages, passage)
			continue
		}
		h := wideHit{Hit: passage}
		if wide {
			var err error
			if h.chunks[0], h.chunks[1], err = s.widen(ctx, &h.Hit, c); err != nil {
				return nil, err
			}
			if h.chunks[1]-h.chunks[0] > 1 {
				h.passages = []tributary.Hit{passage}
			}
		}
		hits = append(hits, h)
	}
	return hits, nil
}

// passage is the candidate as a hit with its own text.
func (s *search) passage(rank int, c *candidate) tributary.Hit {
	h := hit(rank, c.score, c.Object, c.record, c.chunk)
	h.Duplicates, h.Verified = len(c.why.Merged), c.sighting.Verified
	if len(s.req.KBs) > 0 {
		h.KB = c.kb
	}
	if s.req.Explain {
		c.why.Birth, c.why.Relevance = c.Birth, s.relevance(c)
		h.Explain = &c.why
	}
	return h
}

// widen gives h the text of the chunks around it and returns their range. The
// passage stays as it is where the wider text is above max_tokens, or where
// some of it is not in the index any more.
func (s *search) widen(ctx context.Context, h *tributary.Hit, c *candidate) (first, last int, err error) {
	chunks := c.record.Manifest.Chunks
	first, last = c.chunk, c.chunk+1
	from, to := 0, len(chunks)
	if e := s.req.Expand; e != nil {
		from, to = max(c.chunk-e.Before, 0), min(c.chunk+e.After+1, len(chunks))
	}
	if span := chunks[to-1].End - chunks[from].Start; s.req.Context == tributary.ContextDocuments && span > s.req.MaxTokens*maxTokenBytes {
		return first, last, nil
	}
	// A section has no more chunks than fit, so there is no need to look further.
	if s.req.Context == tributary.ContextSections {
		from, to = max(c.chunk-maxSectionChunks, 0), min(c.chunk+maxSectionChunks+1, len(chunks))
	}
	objects, err := s.objects(ctx, c.kb, chunks[from:to])
	if err != nil {
		return 0, 0, err
	}
	a, b := c.chunk-from, c.chunk-from
	joins := func(i int) bool {
		return objects[i].ID != "" && (s.req.Context != tributary.ContextSections || slices.Equal(objects[i].Heading, c.Heading))
	}
	for a > 0 && joins(a-1) {
		a--
	}
	for b+1 < len(objects) && joins(b+1) {
		b++
	}
	whole := b-a+1 == len(objects)
	text := joined(objects[a:b+1], chunks[from+a:from+b+1])
	if tokens(text) > s.req.MaxTokens || s.req.Context == tributary.ContextDocuments && !whole {
		return first, last, nil
	}
	h.Text = text
	h.Location.Start, h.Location.End = chunks[from+a].Start, chunks[from+b].End
	return from + a, from + b + 1, nil
}

// maxTokenBytes is more than a token has; maxSectionChunks more than a section
// that is handed out whole has.
const (
	maxTokenBytes    = 8
	maxSectionChunks = 50
)

// objects reads the chunks, in order; one that is not there is a zero Object.
func (s *search) objects(ctx context.Context, kb string, chunks []tributary.ChunkRef) ([]tributary.Object, error) {
	ids := make([]string, len(chunks))
	for i, c := range chunks {
		ids[i] = c.ID
	}
	found, err := s.Searcher.Objects(ctx, kb, ids)
	if err != nil {
		return nil, fault(ctx, fmt.Sprintf("read the neighbours of a passage in %q", kb), err)
	}
	objects := make([]tributary.Object, len(ids))
	for _, o := range found {
		if i := slices.Index(ids, o.ID); i >= 0 {
			objects[i] = o
		}
	}
	return objects, nil
}

// joined is the text of chunks in a row. What a chunk repeats of the one
// before is left out.
func joined(objects []tributary.Object, refs []tributary.ChunkRef) string {
	var text strings.Builder
	end, before := 0, ""
	for i, o := range objects {
		part := o.Text
		switch overlap := end - refs[i].Start; {
		case i == 0:
		case overlap > 0 && overlap <= len(part) && strings.HasSuffix(before, part[:overlap]):
			part = part[overlap:]
		default:
			text.WriteString("\n\n")
		}
		text.WriteString(part)
		end, before = refs[i].End, o.Text
	}
	return text.String()
}

// hit describes the object at a place of rec's manifest.
func hit(rank int, score float64, o tributary.Object, rec tributary.Record, place int) tributary.Hit {
	ref := rec.Manifest.Chunks[place]
	return tributary.Hit{
		Rank:     rank,
		Score:    score,
		URI:      o.URI,
		Title:    o.Title,
		Text:     o.Text,
		Document: o.Document,
		Version:  rec.Manifest.Version,
		Location: tributary.Location{
			Heading: o.Heading,
			Page:    ref.Page,
			Start:   ref.Start,
			End:     ref.End,
			Chunk:   place,
			Chunks:  len(rec.Manifest.Chunks),
		},
		Source:      o.Source,
		ContentType: o.ContentType,
		Language:    o.Language,
		Changed:     o.Changed,
		ID:          o.ID,
		Origin:      rec.Manifest.Origin,
	}
}
