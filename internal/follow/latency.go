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
	accepted map[string]*owner      // of sources whose changes are timed from their acceptance, by key
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

// fromAcceptance times the changes of a source that others publish.
func (l *latencies) fromAcceptance(o *owner) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.accepted[sourceKey(o.kb, o.name)] = o
}

// committed ends the timing of a change.
func (l *latencies) committed(msg *nats.Msg) {
	var c tributary.Commit
	if json.Unmarshal(msg.Data, &c) != nil {
		return
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	if o := l.accepted[sourceKey(c.KB, c.Source)]; o != nil {
		l.sample(o, c.Committed.Sub(c.Accepted))
		return
	}
	e, ok := l.expected[c.Document]
	if !ok || c.Version < e.version {
		return
	}
	delete(l.expected, c.Document)
	l.sample(e.owner, c.Committed.Sub(e.since))
}

// sample takes in how long a change took; mu is held.
func (l *latencies) sample(o *owner, took time.Duration) {
	seconds := max(took.Seconds(), 0)
	all := append(l.samples[o], seconds)
	l.samples[o] = all[max(0, len(all)-maxSamples):]
	l.observe(o, seconds)
}

func newLatencies(observe func(o *owner, seconds float64)) *latencies {
	return &latencies{
		expected: map[string]expectation{}, accepted: map[string]*owner{}, samples: map[*owner][]float64{}, observe: observe,
	}
}

// note writes the median and the 99th percentile of an owner's samples into
// its state, if it has any.
func (l *latencies) note(o *owner) {
	if p50, p99 := l.percentiles(o); p99 > 0 {
		o.state.P50, o.state.P99 = p50, p99
	}
}

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
	if key := sourceKey(o.kb, o.name); l.accepted[key] == o {
		delete(l.accepted, key)
	}
	for document, e := range l.expected {
		if e.owner == o {
			delete(l.expected, document)
		}
	}
}
