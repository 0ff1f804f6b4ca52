package main

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"os"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/collectors"
	"github.com/prometheus/client_golang/prometheus/promhttp"
	"go.opentelemetry.io/otel"
	"go.opentelemetry.io/otel/exporters/otlp/otlptrace/otlptracehttp"
	sdktrace "go.opentelemetry.io/otel/sdk/trace"

	"github.com/tributary-kb/tributary/embedder"
	"github.com/tributary-kb/tributary/internal/budget"
	"github.com/tributary-kb/tributary/internal/config"
)

// An observation serves the metrics of this process and exports its traces.
type observation struct {
	registry *prometheus.Registry
	url      string // of the metrics, "" if none are served
	server   *http.Server
	tracing  *sdktrace.TracerProvider
}

// observe starts to serve metrics where configured, and to export traces where
// the standard OTEL_EXPORTER_OTLP_* variables name a collector.
func observe(ctx context.Context, cfg config.Metrics, log *slog.Logger) (*observation, error) {
	o := &observation{registry: prometheus.NewRegistry()}
	o.registry.MustRegister(collectors.NewGoCollector(), collectors.NewProcessCollector(collectors.ProcessCollectorOpts{}))
	if err := o.startTracing(ctx); err != nil {
		return nil, err
	}
	if cfg.Listen == "" {
		return o, nil
	}
	listener, err := (&net.ListenConfig{}).Listen(ctx, "tcp", cfg.Listen)
	if err != nil {
		return nil, fmt.Errorf("serve metrics (metrics.listen): %w", err)
	}
	o.url = "http://" + listener.Addr().String() + "/metrics"
	mux := http.NewServeMux()
	mux.Handle("GET /metrics", promhttp.HandlerFor(o.registry, promhttp.HandlerOpts{}))
	o.server = &http.Server{Handler: mux, ReadHeaderTimeout: 5 * time.Second}
	go func() {
		if err := o.server.Serve(listener); !errors.Is(err, http.ErrServerClosed) {
			log.ErrorContext(ctx, "metrics", "error", err)
		}
	}()
	return o, nil
}

func (o *observation) startTracing(ctx context.Context) error {
	if os.Getenv("OTEL_EXPORTER_OTLP_ENDPOINT") == "" && os.Getenv("OTEL_EXPORTER_OTLP_TRACES_ENDPOINT") == "" {
		return nil
	}
	exporter, err := otlptracehttp.New(ctx)
	if err != nil {
		return fmt.Errorf("export traces: %w", err)
	}
	o.tracing = sdktrace.NewTracerProvider(sdktrace.WithBatcher(exporter))
	otel.SetTracerProvider(o.tracing)
	return nil
}

func (o *observation) close() {
	ctx, cancel := context.WithTimeout(context.Background(), 5*time.Second)
	defer cancel()
	if o.tracing != nil {
		_ = o.tracing.Shutdown(ctx) // what a collector that is away loses is only traces
	}
	if o.server != nil {
		_ = o.server.Close()
	}
}

// countEmbedding registers what the embedder costs, and returns the function
// that counts a call.
func countEmbedding(reg prometheus.Registerer) func(embedder.Usage) {
	texts := prometheus.NewCounter(prometheus.CounterOpts{Name: "tributary_embedded_texts_total", Help: "Texts given to the embedding model."})
	tokens := prometheus.NewCounter(prometheus.CounterOpts{Name: "tributary_embedded_tokens_total", Help: "Tokens of those texts, as far as they are known."})
	calls := prometheus.NewCounterVec(prometheus.CounterOpts{Name: "tributary_embedding_calls_total", Help: "Calls of the embedding model."}, []string{"result"})
	seconds := prometheus.NewHistogram(prometheus.HistogramOpts{
		Name: "tributary_embedding_seconds", Help: "Seconds of one call of the embedding model.", Buckets: prometheus.ExponentialBuckets(0.001, 2.5, 12),
	})
	reg.MustRegister(texts, tokens, calls, seconds)
	return func(u embedder.Usage) {
		result := "ok"
		if u.Err != nil {
			result = "error"
		}
		texts.Add(float64(u.Texts))
		tokens.Add(float64(u.Tokens))
		calls.WithLabelValues(result).Inc()
		seconds.Observe(u.Seconds)
	}
}

// countBudget registers what this process has had of the budget of embedding,
// and what is left of it for all.
func countBudget(reg prometheus.Registerer, b *budget.Budget) {
	counter := func(name, help string, value func(budget.Counters) float64) {
		reg.MustRegister(prometheus.NewCounterFunc(prometheus.CounterOpts{Name: name, Help: help}, func() float64 { return value(b.Counters()) }))
	}
	left := func(of string, value func(budget.Remaining) float64) {
		reg.MustRegister(prometheus.NewGaugeFunc(prometheus.GaugeOpts{
			Name: "tributary_embedding_budget_remaining", Help: "What all workers may still ask of the embedding provider: in this minute, and money today.",
			ConstLabels: prometheus.Labels{"of": of},
		}, func() float64 { return value(b.Remaining()) }))
	}
	counter("tributary_embedding_cost_total", "Cost of embedding at embedder.price_per_million_tokens.", func(c budget.Counters) float64 { return c.Cost })
	counter("tributary_embedding_budget_wait_seconds_total", "Seconds that requests waited for the budget.", func(c budget.Counters) float64 { return c.Waited.Seconds() })
	left("requests", func(r budget.Remaining) float64 { return r.Requests })
	left("tokens", func(r budget.Remaining) float64 { return r.Tokens })
	left("spend", func(r budget.Remaining) float64 { return r.Spend })
}
