package queryworker

import (
	"cmp"
	"context"
	"fmt"
	"slices"
	"strings"
	"sync"

	"github.com/tributary-kb/tributary"
)

const kb = "handbook"

// model is an index and a registry in memory. The index returns every object
// that shares a word with the query; the score is the number of such words,
// plus what boost says.
type model struct {
	mu      sync.Mutex
	objects []tributary.Object
	records map[string]tributary.Record
	boost   map[string]float64 // by object id
	limits  []int              // of the queries that came, in order
	vectors []tributary.Vector
	looked  map[string]int // how often each document was looked up
	// searched runs after a query was answered and before the reply is used.
	searched func()
	// settled wakes those who wait; closed and renewed at every change.
	settled chan struct{}
	fail    error
}

func newModel() *model {
	return &model{
		records: map[string]tributary.Record{},
		boost:   map[string]float64{},
		looked:  map[string]int{},
		settled: make(chan struct{}),
	}
}

func (m *model) Candidates(_ context.Context, name string, q tributary.IndexQuery) ([]tributary.Candidate, error) {
	m.mu.Lock()
	m.limits = append(m.limits, q.Limit)
	m.vectors = append(m.vectors, q.Vector)
	if m.fail != nil || name != kb {
		defer m.mu.Unlock()
		return nil, cmp.Or(m.fail, tributary.Errorf(tributary.CodeNotFound, "no knowledge base %q", name))
	}
	var found []tributary.Candidate
	words := strings.Fields(strings.ToLower(q.Text))
	for _, o := range m.objects {
		score := m.boost[o.ID]
		for _, w := range words {
			if strings.Contains(strings.ToLower(o.Text), w) {
				score++
			}
		}
		if score > 0 {
			found = append(found, tributary.Candidate{Object: o, Score: score})
		}
	}
	slices.SortStableFunc(found, func(a, b tributary.Candidate) int { return cmp.Compare(b.Score, a.Score) })
	searched := m.searched
	m.mu.Unlock()
	if searched != nil {
		searched()
	}
	return found[:min(q.Limit, len(found))], nil
}

func (m *model) Objects(_ context.Context, _ string, ids []string) ([]tributary.Object, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	var found []tributary.Object
	for _, o := range slices.Backward(m.objects) { // any order is allowed
		if slices.Contains(ids, o.ID) {
			found = append(found, o)
		}
	}
	return found, m.fail
}

func (m *model) Record(_ context.Context, _, document string) (tributary.Record, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.looked[document]++
	return m.records[document], nil
}

func (m *model) Await(ctx context.Context, _ string, at tributary.At) (tributary.Record, error) {
	for {
		m.mu.Lock()
		rec, change := m.records[at.Document], m.settled
		m.mu.Unlock()
		if rec.Settled() >= at.Version {
			return rec, nil
		}
		select {
		case <-change:
		case <-ctx.Done():
			return tributary.Record{}, ctx.Err()
		}
	}
}

func docID(uri string) string { return tributary.DocumentID(kb, uri) }

// write stores the chunks of a version and returns what its manifest would
// say of them; they are not visible before commit.
func (m *model) write(uri string, version uint64, texts ...string) []tributary.ChunkRef {
	m.mu.Lock()
	defer m.mu.Unlock()
	var refs []tributary.ChunkRef
	offset := 0
	for i, text := range texts {
		id := fmt.Sprintf("%s@%d#%d", uri, version, i)
		m.objects = append(m.objects, tributary.Object{
			ID: id, Document: docID(uri), URI: uri, Birth: version, Text: text,
			Attributes: tributary.Attributes{Title: "Title of " + uri},
		})
		refs = append(refs, tributary.ChunkRef{ID: id, Start: offset, End: offset + len(text), Page: i + 1})
		offset += len(text) + 1
	}
	return refs
}

// commit makes a version visible.
func (m *model) commit(uri string, version uint64, refs []tributary.ChunkRef) {
	m.change(uri, func(rec *tributary.Record) {
		rec.Manifest = &tributary.Manifest{Version: version, State: tributary.StateLive, Chunks: refs, Title: "Title of " + uri}
	})
}

func (m *model) delete(uri string, version uint64) {
	m.change(uri, func(rec *tributary.Record) {
		rec.Manifest = &tributary.Manifest{Version: version, State: tributary.StateDeleted}
	})
}

func (m *model) refuse(uri string, version uint64, reason string) {
	m.change(uri, func(rec *tributary.Record) {
		rec.Failure = &tributary.Failure{Version: version, Stage: "ingest", Reason: reason}
	})
}

func (m *model) change(uri string, f func(*tributary.Record)) {
	m.mu.Lock()
	defer m.mu.Unlock()
	rec := m.records[docID(uri)]
	rec.KB, rec.URI, rec.Document = kb, uri, docID(uri)
	rec.Revision++
	f(&rec)
	m.records[docID(uri)] = rec
	close(m.settled)
	m.settled = make(chan struct{})
}

// sweep removes the document's objects that its manifest does not name.
func (m *model) sweep(uri string) {
	m.mu.Lock()
	defer m.mu.Unlock()
	rec := m.records[docID(uri)]
	m.objects = slices.DeleteFunc(m.objects, func(o tributary.Object) bool {
		return o.URI == uri && rec.Find(o.ID) < 0
	})
}

// put writes and commits.
func (m *model) put(uri string, version uint64, texts ...string) {
	m.commit(uri, version, m.write(uri, version, texts...))
}

func (m *model) worker() *Worker { return &Worker{Searcher: m, Records: m} }

func texts(hits []tributary.Hit) []string {
	var all []string
	for _, h := range hits {
		all = append(all, h.Text)
	}
	return all
}
