package follow

import (
	"sync"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/tributary-kb/tributary"
)

// Metrics of the sources that this process follows.
type Metrics struct {
	looks         *prometheus.CounterVec
	notifications *prometheus.CounterVec
	requests      *prometheus.CounterVec
	bytes         *prometheus.CounterVec
	searchable    *prometheus.HistogramVec
	gauges        *gauges
}

// NewMetrics registers the metrics.
func NewMetrics(reg prometheus.Registerer) *Metrics {
	labels := func(more ...string) []string { return append([]string{"kb", "source"}, more...) }
	m := &Metrics{
		looks: prometheus.NewCounterVec(prometheus.CounterOpts{Name: "tributary_source_looks_total",
			Help: "Looks at the source, by result: changed, unchanged, failed."}, labels("result")),
		notifications: prometheus.NewCounterVec(prometheus.CounterOpts{Name: "tributary_source_notifications_total",
			Help: "Messages of a store about changes, by result: taken, foreign (about nothing of the source), refused."}, labels("result")),
		requests: prometheus.NewCounterVec(prometheus.CounterOpts{Name: "tributary_source_requests_total",
			Help: "Requests that the source led to, by kind: put, delete."}, labels("kind")),
		bytes: prometheus.NewCounterVec(prometheus.CounterOpts{Name: "tributary_source_bytes_total",
			Help: "Bytes of content that were published of the source."}, labels()),
		searchable: prometheus.NewHistogramVec(prometheus.HistogramOpts{Name: "tributary_source_change_to_searchable_seconds",
			Help:    "Seconds from a change at the source to its commit.",
			Buckets: prometheus.ExponentialBuckets(0.01, 2, 20)}, labels()),
		gauges: &gauges{states: map[[2]string]gauge{}},
	}
	reg.MustRegister(m.looks, m.notifications, m.requests, m.bytes, m.searchable, m.gauges)
	return m
}

func (m *Metrics) request(kb, source string, op tributary.Op, bytes int) {
	m.requests.WithLabelValues(kb, source, string(op)).Inc()
	m.bytes.WithLabelValues(kb, source).Add(float64(bytes))
}

func (m *Metrics) notification(kb, source, result string) {
	m.notifications.WithLabelValues(kb, source, result).Inc()
}

func (m *Metrics) look(l *look, err error) {
	result := "unchanged"
	switch {
	case err != nil:
		result = "failed"
	case l.changes > 0:
		result = "changed"
	}
	m.looks.WithLabelValues(l.kb, l.name, result).Inc()
}

// A gauge is what the scrape of a source is computed from.
type gauge struct {
	state state
	clock Clock
}

// gauges reports the states of the sources at the moment of the scrape.
type gauges struct {
	mu     sync.Mutex
	states map[[2]string]gauge
}

func (g *gauges) set(o *owner) {
	g.mu.Lock()
	defer g.mu.Unlock()
	g.states[[2]string{o.kb, o.name}] = gauge{o.state, o.Clock}
}

func (g *gauges) forget(o *owner) {
	g.mu.Lock()
	defer g.mu.Unlock()
	delete(g.states, [2]string{o.kb, o.name})
}

var (
	ageDesc = prometheus.NewDesc("tributary_source_age_seconds",
		"Seconds since all documents of the source were known to be current.", []string{"kb", "source"}, nil)
	documentsDesc = prometheus.NewDesc("tributary_source_documents",
		"Documents of the source.", []string{"kb", "source"}, nil)
	nextDesc = prometheus.NewDesc("tributary_source_next_look_seconds",
		"Seconds until the source is looked at next.", []string{"kb", "source"}, nil)
	successDesc = prometheus.NewDesc("tributary_source_last_success_timestamp_seconds",
		"Unix time at which a look at the source last went well.", []string{"kb", "source"}, nil)
	heldDesc = prometheus.NewDesc("tributary_source_held",
		"Deletions that wait for somebody to confirm them.", []string{"kb", "source"}, nil)
	failuresDesc = prometheus.NewDesc("tributary_source_failures",
		"Looks at the source that failed in a row.", []string{"kb", "source"}, nil)
)

// Describe implements prometheus.Collector.
func (*gauges) Describe(ch chan<- *prometheus.Desc) {
	for _, d := range []*prometheus.Desc{ageDesc, documentsDesc, nextDesc, successDesc, heldDesc, failuresDesc} {
		ch <- d
	}
}

// Collect implements prometheus.Collector.
func (g *gauges) Collect(ch chan<- prometheus.Metric) {
	g.mu.Lock()
	defer g.mu.Unlock()
	for key, v := range g.states {
		send := func(d *prometheus.Desc, value float64) {
			ch <- prometheus.MustNewConstMetric(d, prometheus.GaugeValue, value, key[0], key[1])
		}
		now, held := v.clock.Now(), 0
		if v.state.Hold != nil {
			held = v.state.Hold.Held
		}
		if !v.state.Verified.IsZero() {
			send(ageDesc, now.Sub(v.state.Verified).Seconds())
		}
		if !v.state.Success.IsZero() {
			send(successDesc, float64(v.state.Success.UnixMilli())/1000)
		}
		send(documentsDesc, float64(v.state.Documents))
		if !v.state.Due.IsZero() { // a webhook is not looked at
			send(nextDesc, v.state.Due.Sub(now).Seconds())
		}
		send(heldDesc, float64(held))
		send(failuresDesc, float64(v.state.Failures))
	}
}
