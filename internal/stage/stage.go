// Package stage runs the stages of the pipeline on JetStream. It is the only
// code that sees acknowledgements, redeliveries, headers and heartbeats: what
// goes into a handler are decoded values, what comes out of it are values to
// publish and an outcome.
//
// For every message the runtime renews the deadline while it is held,
// recovers panics, publishes the outputs under deterministic ids, waits until
// they are stored, and only then acknowledges the input. A crash at any point
// leads to a redelivery and never to a loss.
package stage

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"time"

	"github.com/nats-io/nats.go/jetstream"

	"github.com/tributary-kb/tributary"
)

// A Message is a value that travels between stages.
type Message interface {
	MessageHead() tributary.Head
}

// Handler handles a batch of messages of one lane. It returns, for each, the
// outputs to publish and the error that decides the outcome. It must return
// one result per input. Use OneToMany and Batch to make one.
type Handler[In, Out any] func(ctx context.Context, in []In) []Result[Out]

// Result is what became of one message of a batch.
type Result[Out any] struct {
	Out []Out
	Err error
}

// OneToMany makes a Handler of a function that turns one value into any
// number of others.
func OneToMany[In, Out any](f func(ctx context.Context, in In, emit func(Out) error) error) Handler[In, Out] {
	return func(ctx context.Context, in []In) []Result[Out] {
		results := make([]Result[Out], len(in))
		for i, v := range in {
			r := &results[i]
			r.Err = f(ctx, v, func(out Out) error {
				r.Out = append(r.Out, out)
				return ctx.Err()
			})
		}
		return results
	}
}

// Batch makes a Handler of a function that turns a batch of values into as
// many others, position by position. A tributary.BatchError fails the items
// that it names. After any other error the items are handled one by one, so
// that only those fail which are at fault; unless it is an outage, which all
// of them wait for.
func Batch[In, Out any](f func(ctx context.Context, in []In) ([]Out, error)) Handler[In, Out] {
	var handle Handler[In, Out]
	handle = func(ctx context.Context, in []In) []Result[Out] {
		results := make([]Result[Out], len(in))
		outs, err := f(ctx, in)
		failed, partial := errors.AsType[tributary.BatchError](err)
		if (err == nil || partial) && len(outs) != len(in) {
			err, partial = fmt.Errorf("a batch of %d came back as %d results", len(in), len(outs)), false
		}
		if outcome, _ := tributary.OutcomeOf(err); err != nil && !partial && outcome != tributary.Waiting && len(in) > 1 {
			for i := range in {
				results[i] = handle(ctx, in[i:i+1])[0]
			}
			return results
		}
		for i := range results {
			switch {
			case err == nil || partial && failed[i] == nil:
				results[i].Out = []Out{outs[i]}
			case partial:
				results[i].Err = failed[i]
			default:
				results[i].Err = err
			}
		}
		return results
	}
	return handle
}

// A Spec describes how a stage runs. Zero fields get the defaults in
// brackets.
type Spec struct {
	Name   string // of the stage, as in subjects and metrics
	Stream string // that holds its input; durable consumers "<Name>-<lane>" exist on it

	Workers    int           // batches handled at once [1]; one more is kept for the live lane
	Batch      int           // messages in a batch at most [1]
	Attempts   int           // failures of one message before it becomes a dead letter [5]
	Deliveries int           // deliveries before it becomes one unheard: it may kill its workers [100]
	Timeout    time.Duration // for one call of the handler [10 min]
	RetryDelay time.Duration // before the second attempt, doubled for each further one, with jitter [1 s]
	MaxDelay   time.Duration // the bound of that growth [2 min]
}

func (s *Spec) setDefaults() {
	setDefault(&s.Workers, 1)
	setDefault(&s.Batch, 1)
	setDefault(&s.Attempts, 5)
	setDefault(&s.Deliveries, 100)
	setDefault(&s.Timeout, 10*time.Minute)
	setDefault(&s.RetryDelay, time.Second)
	setDefault(&s.MaxDelay, 2*time.Minute)
}

func setDefault[T comparable](v *T, def T) {
	var zero T
	if *v == zero {
		*v = def
	}
}

// Output says where a stage's outputs go.
type Output[Out any] struct {
	// Subject returns the subject for an output, "" for one that is not
	// published.
	Subject func(Out) string
	// ID returns the deduplication id of an output.
	ID func(Out) string
}

// Host is what all stages of a process share.
type Host struct {
	JS      jetstream.JetStream
	Blobs   jetstream.ObjectStore // for messages too large for a stream
	Log     *slog.Logger
	Metrics *Metrics

	Precedence *Precedence // of live edits over bulk work; nil for none
}

// Hooks let the pipeline take part in what happens to a message. All may be
// nil and may be called more than once for a message.
type Hooks[In any] struct {
	// Refused is called before a message becomes a dead letter.
	Refused func(ctx context.Context, in In, f tributary.Failure) error
	// Acked is called after a message was handled and acknowledged.
	Acked func(ctx context.Context, in In)
}

// Run handles messages until ctx ends, then gives back what it has not begun,
// finishes what it has, and returns nil. It returns an error only if the stage
// cannot run at all.
func Run[In Message, Out any](ctx context.Context, host Host, spec Spec, out Output[Out], hooks Hooks[In], handle Handler[In, Out]) error {
	spec.setDefaults()
	r := &runner[In, Out]{host: host, spec: spec, out: out, hooks: hooks, handle: handle,
		log: host.Log.With("stage", spec.Name), failures: map[uint64]int{}}
	return r.run(ctx)
}

// ConsumerName is the durable name of a stage's consumer for a lane.
func ConsumerName(stage string, lane tributary.Lane) string { return stage + "-" + string(lane) }
