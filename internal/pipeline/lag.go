package pipeline

import (
	"context"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/tributary-kb/tributary"
	"github.com/tributary-kb/tributary/internal/stage"
)

// lagTimeout bounds what one scrape asks of NATS.
const lagTimeout = 2 * time.Second

// A LagCollector reports how much waits for each stage, as NATS sees it at the
// moment of the scrape.
type LagCollector struct {
	Store *Store
}

var (
	lagDesc = prometheus.NewDesc("tributary_stage_lag",
		"Messages that wait for the stage and are not delivered yet.", []string{"stage", "lane"}, nil)
	inFlightDesc = prometheus.NewDesc("tributary_stage_in_flight",
		"Messages that are delivered to workers and not acknowledged yet.", []string{"stage", "lane"}, nil)
	deadDesc = prometheus.NewDesc("tributary_dead_letters",
		"Messages that were refused and are kept.", nil, nil)
)

// Describe implements prometheus.Collector.
func (*LagCollector) Describe(ch chan<- *prometheus.Desc) {
	ch <- lagDesc
	ch <- inFlightDesc
	ch <- deadDesc
}

// Collect implements prometheus.Collector. What NATS does not tell in time is
// left out.
func (c *LagCollector) Collect(ch chan<- prometheus.Metric) {
	ctx, cancel := context.WithTimeout(context.Background(), lagTimeout)
	defer cancel()
	for _, s := range Stages {
		if s.In == "" {
			continue
		}
		for _, lane := range tributary.Lanes {
			cons, err := c.Store.JS.Consumer(ctx, StreamName(s.Name), stage.ConsumerName(s.Name, lane))
			if err != nil {
				continue
			}
			info := cons.CachedInfo()
			ch <- prometheus.MustNewConstMetric(lagDesc, prometheus.GaugeValue, float64(info.NumPending), s.Name, string(lane))
			ch <- prometheus.MustNewConstMetric(inFlightDesc, prometheus.GaugeValue, float64(info.NumAckPending), s.Name, string(lane))
		}
	}
	if dead, err := c.Store.JS.Stream(ctx, DeadStream); err == nil {
		ch <- prometheus.MustNewConstMetric(deadDesc, prometheus.GaugeValue, float64(dead.CachedInfo().State.Msgs))
	}
}
