package follow

import (
	"encoding/json"
	"slices"
	"sync"
	"time"

	"github.com/nats-io/nats.go"

	"github.com/tributary-kb/tributary"
)

const (
	maxSamples  = 1000
	maxExpected = 100_000 // changes on their way that are timed
)

// latencies times changes from their source to their commit.
type latencies struct {
	mu       sync.Mutex
	expected map[string]expectation // by document
	samples  map[*owner][]float64   // seconds, the newest last
	observe  func(o *owner, seconds float64)
}

type expectation struct {
	owner   *owner
	version uint64
	since   time.Time
}

// expect begins to time a change. Of several changes of a document the first
// that is not committed yet counts.
func (l *latencies) expect(o *owner, document string, version uint64, since time.Time) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if before, ok := l.expected[document]; ok {
		since = before.since
	} else if len(l.expected) >= maxExpected {
		return
	}
	l.expected[document] = expectation{o, version, since}
}

// committed ends the timing of a change.
func (l *latencies) committed(msg *nats.Msg) {
	var c tributary.Commit
	if json.Unmarshal(msg.Data, &c) != nil {
		return
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	e, ok := l.expected[c.Document]
	if !ok || c.Version < e.version {
		return
	}
	delete(l.expected, c.Document)
	seconds := max(c.Committed.Sub(e.since).Seconds(), 0)
	all := append(l.samples[e.owner], seconds)
	l.samples[e.owner] = all[max(0, len(all)-maxSamples):]
	l.observe(e.owner, seconds)
}

// percentiles returns the median and the 99th percentile of an owner's
// samples, zeros if it has none.
func (l *latencies) percentiles(o *owner) (p50, p99 float64) {
	l.mu.Lock()
	sorted := slices.Sorted(slices.Values(l.samples[o]))
	l.mu.Unlock()
	if len(sorted) == 0 {
		return 0, 0
	}
	at := func(share float64) float64 { return sorted[int(share*float64(len(sorted)-1)+0.5)] }
	return at(0.5), at(0.99)
}

// forget drops what an owner that is no more waits for.
func (l *latencies) forget(o *owner) {
	l.mu.Lock()
	defer l.mu.Unlock()
	delete(l.samples, o)
	for document, e := range l.expected {
		if e.owner == o {
			delete(l.expected, document)
		}
	}
}
