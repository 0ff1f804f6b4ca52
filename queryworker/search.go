package queryworker

import (
	"cmp"
	"context"
	"errors"
	"slices"
	"time"

	"github.com/tributary-kb/tributary"
)

const (
	defaultK = 10
	// maxRounds bounds how often one search asks the index.
	maxRounds = 3
	// minCandidates is how many candidates each ranking has at least: the
	// scales of a fusion depend on where the lists end.
	minCandidates = 50
	// maxCandidates bounds how many candidates it asks for at once.
	maxCandidates = 2000
)

// Search returns the passages that fit the request best, at most req.K. No
// fitting passage is an empty reply, not an error. An unusable request is a
// CodeInvalid or CodeTooLarge error, a version that at_least names and that is
// not there is CodeNotYet, as is a max_age_seconds that leaves nothing, an index, registry or embedder that is away is
// CodeUnavailable, a deadline that passes is CodeDeadline. A reranker that
// fails is a note in the reply, and the hits are in the order without it.
func (w *Worker) Search(ctx context.Context, kb string, req tributary.SearchRequest) (tributary.SearchReply, error) {
	d := newDemand(req.MaxAgeS)
	reply, hits, err := w.search(ctx, kb, req, d)
	if err == nil && len(hits) == 0 {
		err = d.unmet()
	}
	if err != nil {
		return tributary.SearchReply{}, err
	}
	reply.Notes = append(reply.Notes, d.notes()...)
	reply.Hits = make([]tributary.Hit, len(hits))
	for i, h := range hits {
		reply.Hits[i] = h.Hit
	}
	return reply, nil
}

// search is Search, with the hits beside the reply. That d leaves none is no
// error.
func (w *Worker) search(ctx context.Context, kb string, req tributary.SearchRequest, d *demand) (tributary.SearchReply, []wideHit, error) {
	began := time.Now()
	s, err := w.newSearch(kb, req)
	if err != nil {
		return tributary.SearchReply{}, nil, err
	}
	s.demand = d
	if err := s.prepare(ctx); err != nil {
		return tributary.SearchReply{}, nil, err
	}
	found, err := s.runFresh(ctx)
	if err != nil {
		return tributary.SearchReply{}, nil, err
	}
	confidence := s.confidence(found.current)
	reply := tributary.SearchReply{
		Dropped: found.dropped, Confidence: confidence, NoGoodAnswer: confidence < s.limits().minConfidence(),
	}
	hits, err := s.hits(ctx, s.choose(ctx, found.current))
	if err != nil {
		return tributary.SearchReply{}, nil, err
	}
	if reply.Explain, err = s.explain(ctx, found); err != nil {
		return tributary.SearchReply{}, nil, err
	}
	reply.Notes = s.notes
	s.account(&reply)
	reply.Seconds = time.Since(began).Seconds()
	return reply, hits, nil
}

// search is the state of one request.
type search struct {
	*Worker
	req   tributary.SearchRequest
	kb    string                   // the one that the request was sent to
	kbs   []string                 // those that are searched
	mixes map[string]tributary.Mix // of each
	k     int
	query tributary.IndexQuery
	// records holds the one record per document that hits are checked against.
	records map[string]tributary.Record
	weights map[string]map[string]float64 // of the query's terms, by language
	seeded  bool
	// left out by min_score and min_relevance
	below, irrelevant int
	demand            *demand
	tooOld            map[string]*candidate // left out by max_age_seconds, by chunk
	notes             []string
	steps             []tributary.Step
}

// prepare waits for what the request demands and makes the query's vector.
func (s *search) prepare(ctx context.Context) error {
	if len(s.req.AtLeast) > 0 {
		defer s.step("wait")()
		if err := s.await(ctx, s.req.AtLeast); err != nil {
			return err
		}
	}
	if err := s.refresh(ctx); err != nil {
		return err
	}
	return s.embed(ctx)
}

// embed sets the query's vector, unless keywords alone decide.
func (s *search) embed(ctx context.Context) error {
	if len(s.among(byVector)) == 0 {
		return nil
	}
	end := s.step("embed")
	defer func() { end(); s.steps[len(s.steps)-1].Tokens = tokens(s.query.Text) }()
	vector, err := s.EmbedQuery(ctx, s.query.Text)
	if without, ok := errors.AsType[*KeywordsOnlyError](err); ok {
		s.keywordsOnly()
		s.notes = append(s.notes, without.Error())
		return nil
	}
	if err != nil {
		return fault(ctx, "embed the query", err)
	}
	if !slices.ContainsFunc(vector, func(x float32) bool { return x != 0 }) {
		s.keywordsOnly()
		return nil
	}
	s.query.Vector = vector
	return nil
}

func (s *search) keywordsOnly() {
	for kb, m := range s.mixes {
		m.Alpha = 0
		s.mixes[kb] = m
	}
}

// among returns the knowledge bases to search whose mix wants the ranking.
func (s *search) among(wants func(tributary.Mix) bool) []string {
	return slices.DeleteFunc(slices.Clone(s.kbs), func(kb string) bool { return !wants(s.mixes[kb]) })
}

func byKeywords(m tributary.Mix) bool { return m.Alpha < 1 }
func byVector(m tributary.Mix) bool   { return m.Alpha > 0 }

// round is what one question to the index came to.
type round struct {
	current []*candidate // in order of score
	dropped int
	// keywords and vectors count what each ranking found.
	keywords, vectors int
	// full says that the index returned as many candidates as it was asked for.
	full bool
	// moved lists live documents of which a candidate was dropped that belongs
	// to another version than the manifest's: their passages may stand in the
	// index by now and deserve a place.
	moved []*candidate
}

// run asks the index, and asks again with a wider limit while drops leave too
// few hits. The reply is that of one round alone.
func (s *search) run(ctx context.Context) (round, error) {
	var best round
	s.tooOld = map[string]*candidate{}
	limit := min(max(2*s.k+16, minCandidates), maxCandidates)
	for n := range maxRounds {
		r, err := s.round(ctx, limit)
		if err != nil {
			return round{}, err
		}
		if n == 0 || len(r.current) >= len(best.current) {
			best = r
		}
		wider := len(r.current) < s.k && r.full && limit < maxCandidates
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

// round retrieves both rankings, fuses them, and keeps what is current.
func (s *search) round(ctx context.Context, limit int) (round, error) {
	defer s.step("retrieve")()
	keywords, vectors, err := s.retrieve(ctx, limit)
	if err != nil {
		return round{}, err
	}
	r := round{
		keywords: len(keywords), vectors: len(vectors),
		full: len(keywords) >= limit || len(vectors) >= limit,
	}
	seen := map[[2]string]bool{} // document and text
	for _, c := range fuse(keywords, vectors, s.mixes) {
		current, err := s.place(ctx, c)
		if err != nil {
			return round{}, err
		}
		if !current {
			r.drop(c)
			continue
		}
		if key := [2]string{c.Document, c.Text}; !seen[key] {
			seen[key] = true
			r.current = append(r.current, c)
		}
	}
	if r.current, err = s.fresh(ctx, r.current); err != nil {
		return round{}, err
	}
	if s.req.Unique {
		r.current = unique(r.current)
	}
	return r, nil
}

func (r *round) drop(c *candidate) {
	r.dropped++
	if len(c.record.Chunks()) > 0 && c.Birth != c.record.Manifest.Version {
		r.moved = append(r.moved, c)
	}
}

// place looks c up in the manifest of its document and says whether that names
// it.
func (s *search) place(ctx context.Context, c *candidate) (bool, error) {
	var err error
	if c.record, err = s.record(ctx, c.kb, c.Document); err != nil {
		return false, err
	}
	c.chunk = c.record.Find(c.ID)
	return c.chunk >= 0, nil
}

// record returns the record that this search holds document against.
func (s *search) record(ctx context.Context, kb, document string) (tributary.Record, error) {
	if rec, ok := s.records[document]; ok {
		return rec, nil
	}
	rec, err := s.Records.Record(ctx, kb, document)
	if err != nil {
		return tributary.Record{}, fault(ctx, "look up document "+document, err)
	}
	s.records[document] = rec
	return rec, nil
}

// renew replaces the records of the candidates' documents by newer ones, if
// there are any.
func (s *search) renew(ctx context.Context, moved []*candidate) error {
	renewed := map[string]bool{}
	for _, c := range moved {
		if renewed[c.Document] {
			continue
		}
		renewed[c.Document] = true
		old := s.records[c.Document]
		delete(s.records, c.Document)
		rec, err := s.record(ctx, c.kb, c.Document)
		if err != nil {
			return err
		}
		if rec.Settled() < old.Settled() { // a cache that lags behind at_least
			s.records[c.Document] = old
		}
	}
	return nil
}

// choose turns the pool into at most k candidates: scores by document, recency
// and reranker, the thresholds, diversity.
func (s *search) choose(ctx context.Context, pool []*candidate) []*candidate {
	s.favourDocuments(pool)
	pool = s.rerank(ctx, pool)
	if r := s.req.Recency; r != nil {
		favourRecent(pool, *r, time.Now())
	}
	slices.SortStableFunc(pool, better)
	if s.req.MinScore > 0 {
		all := len(pool)
		pool = slices.DeleteFunc(pool, func(c *candidate) bool { return c.score < s.req.MinScore })
		s.below = all - len(pool)
	}
	if s.req.MinRelevance > 0 {
		all := len(pool)
		pool = slices.DeleteFunc(pool, func(c *candidate) bool { return s.relevance(c) < s.req.MinRelevance })
		s.irrelevant = all - len(pool)
	}
	if s.req.Diversity > 0 {
		return diverse(pool, s.k, s.req.Diversity)
	}
	return pool[:min(s.k, len(pool))]
}

// better orders candidates by score, and equal scores by what was fused, and
// then so that the order does not depend on the index.
func better(a, b *candidate) int {
	return cmp.Or(
		cmp.Compare(b.score, a.score),
		cmp.Compare(b.why.Fused, a.why.Fused),
		cmp.Compare(a.URI, b.URI),
		cmp.Compare(a.Document, b.Document),
		cmp.Compare(a.ID, b.ID),
	)
}

// step begins a step of the work; what it returns ends it.
func (s *search) step(name string) (end func()) {
	began := time.Now()
	return func() {
		s.steps = append(s.steps, tributary.Step{Step: name, MS: float64(time.Since(began).Microseconds()) / 1000})
	}
}
