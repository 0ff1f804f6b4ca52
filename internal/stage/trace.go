package stage

import (
	"context"

	"github.com/nats-io/nats.go"
	"go.opentelemetry.io/otel"
	"go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/codes"
	"go.opentelemetry.io/otel/propagation"
	"go.opentelemetry.io/otel/trace"
)

// tracer and propagator carry a document's trace through message headers: one
// trace from the request that published it to the commit.
var (
	tracer     = otel.Tracer("github.com/tributary-kb/tributary")
	propagator = propagation.TraceContext{}
)

// headerCarrier adapts NATS headers, which are case-sensitive, to the
// propagator, which uses lower-case keys.
type headerCarrier nats.Header

func (c headerCarrier) Get(k string) string { return nats.Header(c).Get(k) }
func (c headerCarrier) Set(k, v string)     { nats.Header(c).Set(k, v) }
func (c headerCarrier) Keys() []string {
	keys := make([]string, 0, len(c))
	for k := range c {
		keys = append(keys, k)
	}
	return keys
}

// InjectTrace writes the trace of ctx into the headers of a message.
func InjectTrace(ctx context.Context, h nats.Header) { propagator.Inject(ctx, headerCarrier(h)) }

// ExtractTrace returns ctx with the trace that the headers of a message carry.
func ExtractTrace(ctx context.Context, h nats.Header) context.Context {
	return propagator.Extract(ctx, headerCarrier(h))
}

type span struct {
	ctx context.Context //nolint:containedctx // lives for one call, to be injected into what it publishes
	trace.Span
}

// startSpans starts a span per message. The context it returns is that of the
// only message, or of none: a batch belongs to many traces.
func startSpans[In any](ctx context.Context, stage string, batch []*item[In]) ([]span, context.Context) {
	spans := make([]span, len(batch))
	for i, it := range batch {
		c, s := tracer.Start(ExtractTrace(ctx, it.msg.Headers()), "tributary."+stage,
			trace.WithSpanKind(trace.SpanKindConsumer),
			trace.WithAttributes(
				attribute.String("tributary.document", it.head.Document),
				attribute.String("tributary.kb", it.head.KB),
				attribute.Int64("tributary.version", int64(it.head.Version)),
				attribute.Int("tributary.batch", len(batch)),
			))
		spans[i] = span{ctx: c, Span: s}
	}
	if len(spans) == 1 {
		return spans, spans[0].ctx
	}
	return spans, ctx
}

func (s span) inject(h nats.Header) { InjectTrace(s.ctx, h) }

func (s span) end(err error) {
	if err != nil {
		s.RecordError(err)
		s.SetStatus(codes.Error, err.Error())
	}
	s.End()
}
