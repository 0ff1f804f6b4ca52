package stage

import (
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/tributary-kb/tributary"
)

// Metrics counts what the stages of a process do.
type Metrics struct {
	in, out, outcomes *prometheus.CounterVec
	fullStream        *prometheus.CounterVec
	seconds           *prometheus.HistogramVec
}

// NewMetrics registers the metrics of the stage runtime.
func NewMetrics(reg prometheus.Registerer) *Metrics {
	m := &Metrics{
		in: prometheus.NewCounterVec(prometheus.CounterOpts{
			Name: "tributary_stage_in_total", Help: "Messages given to the stage's handler, each attempt counted.",
		}, []string{"stage", "lane"}),
		out: prometheus.NewCounterVec(prometheus.CounterOpts{
			Name: "tributary_stage_out_total", Help: "Messages published by the stage.",
		}, []string{"stage", "lane"}),
		outcomes: prometheus.NewCounterVec(prometheus.CounterOpts{
			Name: "tributary_stage_outcomes_total", Help: "Outcomes of messages: done, retry, rejected, waiting.",
		}, []string{"stage", "lane", "outcome"}),
		fullStream: prometheus.NewCounterVec(prometheus.CounterOpts{
			Name: "tributary_stage_stream_full_total", Help: "Times the stage held a message because the next stream was full.",
		}, []string{"stage"}),
		seconds: prometheus.NewHistogramVec(prometheus.HistogramOpts{
			Name: "tributary_stage_seconds", Help: "Seconds of one call of the stage's handler.",
			Buckets: prometheus.ExponentialBuckets(0.0005, 2.5, 14),
		}, []string{"stage", "lane"}),
	}
	reg.MustRegister(m.in, m.out, m.outcomes, m.fullStream, m.seconds)
	return m
}

func (m *Metrics) observe(stage string, lane tributary.Lane, n int, d time.Duration) {
	m.in.WithLabelValues(stage, string(lane)).Add(float64(n))
	m.seconds.WithLabelValues(stage, string(lane)).Observe(d.Seconds())
}

func (m *Metrics) published(stage string, lane tributary.Lane) {
	m.out.WithLabelValues(stage, string(lane)).Inc()
}

func (m *Metrics) count(stage string, lane tributary.Lane, o tributary.Outcome) {
	m.outcomes.WithLabelValues(stage, string(lane), o.String()).Inc()
}

func (m *Metrics) full(stage string) { m.fullStream.WithLabelValues(stage).Inc() }
