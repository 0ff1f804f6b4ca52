package queryworker

import (
	"cmp"
	"context"
	"fmt"
	"slices"
	"strings"
	"time"
	"unicode/utf8"

	"github.com/tributary-kb/tributary"
)

const (
	defaultK = 10
	// maxRounds bounds how often one search asks the index.
	maxRounds = 3
	// maxCandidates bounds how many candidates it asks for at once.
	maxCandidates = 2000
	// maxFilterValues bounds each list of a filter: the index evaluates one
	// condition per value.
	maxFilterValues = 100
)

// Search returns the passages that fit the request best, at most req.K. No
// fitting passage is an empty reply, not an error. An unusable request is a
// CodeInvalid or CodeTooLarge error, a version that at_least names and that is
// not there is CodeNotYet, an index, registry or embedder that is away is
// CodeUnavailable, a deadline that passes is CodeDeadline.
func (w *Worker) Search(ctx context.Context, kb string, req tributary.SearchRequest) (tributary.SearchReply, error) {
	began := time.Now()
	s, err := w.newSearch(kb, req)
	if err != nil {
		return tributary.SearchReply{}, err
	}
	if err := s.await(ctx, req.AtLeast); err != nil {
		return tributary.SearchReply{}, err
	}
	if err := s.embed(ctx); err != nil {
		return tributary.SearchReply{}, err
	}
	found, err := s.run(ctx)
	if err != nil {
		return tributary.SearchReply{}, err
	}
	return tributary.SearchReply{Hits: found.hits, Dropped: found.dropped, Seconds: time.Since(began).Seconds()}, nil
}

// search is the state of one request.
type search struct {
	*Worker
	kb    string
	k     int
	query tributary.IndexQuery
	// records holds the one record per document that hits are checked against.
	records map[string]tributary.Record
}

// newSearch checks the request and fills in what it leaves open.
func (w *Worker) newSearch(kb string, req tributary.SearchRequest) (*search, error) {
	limits := w.limits()
	text := strings.TrimSpace(req.Query)
	k := cmp.Or(req.K, defaultK)
	if err := tributary.CheckKB(kb); err != nil {
		return nil, invalid("%w", err)
	}
	switch {
	case text == "":
		return nil, invalid("the query is empty")
	case len(text) > limits.MaxQueryBytes:
		return nil, tooLarge("the query's length in bytes", len(text), limits.MaxQueryBytes, "search.max_query_bytes")
	case !utf8.ValidString(text):
		return nil, invalid("the query is not valid UTF-8")
	case k < 0:
		return nil, invalid("k is %d, want 1 to %d", k, limits.MaxK)
	case k > limits.MaxK:
		return nil, tooLarge("k", k, limits.MaxK, "search.max_k")
	}
	alpha, err := w.alpha(req.Alpha)
	if err != nil {
		return nil, err
	}
	if err := checkFilter(req.Filter); err != nil {
		return nil, err
	}
	return &search{
		Worker:  w,
		kb:      kb,
		k:       k,
		query:   tributary.IndexQuery{Text: text, Alpha: alpha, Filter: req.Filter},
		records: map[string]tributary.Record{},
	}, nil
}

func (w *Worker) alpha(asked *float64) (float64, error) {
	if asked == nil {
		if w.EmbedQuery == nil {
			return 0, nil
		}
		return w.Alpha, nil
	}
	alpha := *asked
	if !(alpha >= 0 && alpha <= 1) { // so written, NaN is refused too
		return 0, invalid("alpha is %v, want 0 (keywords only) to 1 (vectors only)", alpha)
	}
	if alpha > 0 && w.EmbedQuery == nil {
		return 0, invalid("alpha is %v, but this worker has no embedder: leave alpha out, or set 0", alpha)
	}
	return alpha, nil
}

func checkFilter(f tributary.Filter) error {
	if len(f.URIPrefix) > tributary.MaxURIBytes {
		return invalid("filter.uri_prefix is %d bytes, the limit is %d", len(f.URIPrefix), tributary.MaxURIBytes)
	}
	for name, values := range map[string][]string{
		"sources": f.Sources, "content_types": f.ContentTypes, "languages": f.Languages,
	} {
		if len(values) > maxFilterValues {
			return invalid("filter.%s has %d values, the limit is %d", name, len(values), maxFilterValues)
		}
	}
	if !f.ChangedAfter.IsZero() && !f.ChangedUntil.IsZero() && !f.ChangedAfter.Before(f.ChangedUntil) {
		return invalid("filter.changed_after is not before filter.changed_before: nothing can pass")
	}
	return nil
}

// embed sets the query's vector, unless keywords alone decide.
func (s *search) embed(ctx context.Context) error {
	if s.query.Alpha == 0 {
		return nil
	}
	vector, err := s.EmbedQuery(ctx, s.query.Text)
	if err != nil {
		return fault(ctx, "embed the query", err)
	}
	if !slices.ContainsFunc(vector, func(x float32) bool { return x != 0 }) {
		s.query.Alpha = 0
		return nil
	}
	s.query.Vector = vector
	return nil
}

// round is what one question to the index came to.
type round struct {
	hits    []tributary.Hit
	dropped int
	// full says that the index returned as many candidates as it was asked for.
	full bool
	// moved lists live documents of which a candidate was dropped that belongs
	// to another version than the manifest's: their passages may stand in the
	// index by now and deserve a place.
	moved []string
}

// run asks the index, and asks again with a wider limit while drops leave too
// few hits. The reply is that of one round alone.
func (s *search) run(ctx context.Context) (round, error) {
	var best round
	limit := min(2*s.k+16, maxCandidates)
	for n := range maxRounds {
		r, err := s.round(ctx, limit)
		if err != nil {
			return round{}, err
		}
		if n == 0 || len(r.hits) >= len(best.hits) {
			best = r
		}
		wider := len(r.hits) < s.k && r.full && limit < maxCandidates
		fresher := n == 0 && len(r.moved) > 0
		if !wider && !fresher {
			break
		}
		if err := s.renew(ctx, r.moved); err != nil {
			return round{}, err
		}
		if wider {
			limit = min(4*limit, maxCandidates)
		}
	}
	return best, nil
}

func (s *search) round(ctx context.Context, limit int) (round, error) {
	q := s.query
	q.Limit = limit
	candidates, err := s.Searcher.Candidates(ctx, s.kb, q)
	if err != nil {
		return round{}, fault(ctx, fmt.Sprintf("search %q", s.kb), err)
	}
	slices.SortStableFunc(candidates, better)
	r := round{full: len(candidates) >= limit, hits: []tributary.Hit{}}
	seen := map[[2]string]bool{} // document and text
	for _, c := range candidates {
		if len(r.hits) == s.k {
			break
		}
		rec, err := s.record(ctx, c.Document)
		if err != nil {
			return round{}, err
		}
		place := rec.Find(c.ID)
		if place < 0 {
			r.drop(rec, c)
			continue
		}
		key := [2]string{c.Document, c.Text}
		if !seen[key] {
			seen[key] = true
			r.hits = append(r.hits, hit(len(r.hits)+1, c.Score, c.Object, rec, place))
		}
	}
	return r, nil
}

func (r *round) drop(rec tributary.Record, c tributary.Candidate) {
	r.dropped++
	if len(rec.Chunks()) > 0 && c.Birth != rec.Manifest.Version && !slices.Contains(r.moved, c.Document) {
		r.moved = append(r.moved, c.Document)
	}
}

// better orders candidates by score, and equal scores so that the order does
// not depend on the index.
func better(a, b tributary.Candidate) int {
	return cmp.Or(
		cmp.Compare(b.Score, a.Score),
		cmp.Compare(a.URI, b.URI),
		cmp.Compare(a.Document, b.Document),
		cmp.Compare(a.ID, b.ID),
	)
}

// record returns the record that this search holds document against.
func (s *search) record(ctx context.Context, document string) (tributary.Record, error) {
	if rec, ok := s.records[document]; ok {
		return rec, nil
	}
	rec, err := s.Records.Record(ctx, s.kb, document)
	if err != nil {
		return tributary.Record{}, fault(ctx, fmt.Sprintf("look up document %s", document), err)
	}
	s.records[document] = rec
	return rec, nil
}

// renew replaces the records of documents by newer ones, if there are any.
func (s *search) renew(ctx context.Context, documents []string) error {
	for _, document := range documents {
		old := s.records[document]
		delete(s.records, document)
		rec, err := s.record(ctx, document)
		if err != nil {
			return err
		}
		if rec.Settled() < old.Settled() { // a cache that lags behind at_least
			s.records[document] = old
		}
	}
	return nil
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
