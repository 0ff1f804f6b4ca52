package stage

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"strconv"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"

	"github.com/tributary-kb/tributary"
)

// shutdownGrace is how long a stopping worker may take to finish what it has
// begun.
const shutdownGrace = 20 * time.Second

// tellWait is how long a stopping worker waits for the server to note what
// becomes of a message.
const tellWait = 2 * time.Second

// Headers of a dead letter. It keeps the payload and headers with which it
// came, so that it can be played again from the stage that refused it.
const (
	HeaderReason   = "Tributary-Reason"
	HeaderStage    = "Tributary-Stage"
	HeaderOrigin   = "Tributary-Origin" // subject it came from
	HeaderVersion  = "Tributary-Version"
	HeaderAttempts = "Tributary-Attempts"
)

const maxReasonBytes = 1024

// errCodeStoreFull and errCodeNoStorage are what a stream answers that has
// reached its own limit, or the account's.
const (
	errCodeStoreFull jetstream.ErrorCode = 10077
	errCodeNoStorage jetstream.ErrorCode = 10047
)

// IsFull says whether a publish was refused because the stream is full.
func IsFull(err error) bool {
	api, ok := errors.AsType[*jetstream.APIError](err)
	return ok && (api.ErrorCode == errCodeStoreFull || api.ErrorCode == errCodeNoStorage)
}

// settle turns an outcome into what JetStream understands:
//
//	done      → ack
//	retry     → nak with a growing delay; after too many attempts as rejected
//	→ dead letter, then term
//	waiting   → nak (only while stopping; else the message is held)
func (r *runner[In, Out]) settle(ctx context.Context, it *item[In], err error) {
	defer it.release()
	outcome, after := tributary.OutcomeOf(err)
	attempts := r.attempts(it, outcome)
	if outcome == tributary.Retry && attempts >= r.spec.Attempts {
		outcome, err = tributary.Rejected, fmt.Errorf("gave up after %d attempts: %w", attempts, err)
	}
	r.host.Metrics.count(r.spec.Name, it.lane, outcome)
	switch outcome {
	case tributary.Done:
		r.forget(it)
		r.acknowledge(ctx, it)
		r.after(ctx, it)
	case tributary.Rejected:
		r.bury(ctx, it, err, attempts)
	case tributary.Waiting:
		r.handBack(it)
	default:
		if after == 0 {
			after = jitter(min(r.spec.RetryDelay<<min(attempts-1, 20), r.spec.MaxDelay))
		}
		r.logFailure(tributary.Retry, it, attempts, err, "after", after.String())
		_ = it.msg.NakWithDelay(after)
	}
}

// acknowledge acks a message. A worker that stops waits until the server has
// heard it, which may be about to stop too. A lost ack costs a redelivery,
// which is harmless.
func (r *runner[In, Out]) acknowledge(ctx context.Context, it *item[In]) {
	if ctx.Err() == nil {
		_ = it.msg.Ack()
		return
	}
	r.tell(it, "+ACK")
}

// handBack returns a message so that another worker gets it at once. A server
// that stops forgets a nak, unless it has a delay.
func (r *runner[In, Out]) handBack(it *item[In]) { r.tell(it, `-NAK {"delay": 1000000}`) }

// tell settles a message and waits until the server has noted it. If the
// server does not hear it, the message is handed out again after its deadline.
func (r *runner[In, Out]) tell(it *item[In], what string) {
	if nc := r.host.JS.Conn(); nc.IsConnected() {
		_, _ = nc.Request(it.msg.Reply(), []byte(what), tellWait)
	}
}

// attempts counts the failures of a message in this process.
func (r *runner[In, Out]) attempts(it *item[In], outcome tributary.Outcome) int {
	r.mu.Lock()
	defer r.mu.Unlock()
	seq := it.meta.Sequence.Stream
	if outcome == tributary.Retry || outcome == tributary.Rejected {
		r.failures[seq]++
	}
	return r.failures[seq]
}

func (r *runner[In, Out]) forget(it *item[In]) {
	r.mu.Lock()
	defer r.mu.Unlock()
	delete(r.failures, it.meta.Sequence.Stream)
}

// after cleans up behind an acknowledged message.
func (r *runner[In, Out]) after(ctx context.Context, it *item[In]) {
	ctx = context.WithoutCancel(ctx)
	if name := it.msg.Headers().Get(HeaderBlob); name != "" {
		if err := r.host.Blobs.Delete(ctx, name); err != nil && !errors.Is(err, jetstream.ErrObjectNotFound) {
			r.log.WarnContext(ctx, "delete blob", "blob", name, "error", err)
		}
	}
	if r.hooks.Acked != nil {
		r.hooks.Acked(ctx, it.in)
	}
}

// bury makes a dead letter of a message: stored first, then told, then
// terminated. A crash in between repeats it under the same id.
func (r *runner[In, Out]) bury(ctx context.Context, it *item[In], reason error, attempts int) {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), shutdownGrace)
	defer cancel()
	r.logFailure(tributary.Rejected, it, attempts, reason)
	msg := r.deadLetter(it, reason, attempts)
	err := r.store(ctx, msg)
	if err == nil && it.decoded && r.hooks.Refused != nil {
		err = r.hooks.Refused(ctx, it.in, tributary.Failure{
			Version: it.head.Version, Stage: r.spec.Name, Reason: clip(reason.Error(), maxReasonBytes), At: time.Now().UTC(),
		})
	}
	if err != nil {
		r.log.ErrorContext(ctx, "dead letter", "document", it.head.Document, "version", it.head.Version, "error", err)
		_ = it.msg.NakWithDelay(jitter(r.spec.MaxDelay / 4))
		return
	}
	r.forget(it)
	_ = it.msg.TermWithReason(clip(reason.Error(), 200))
}

func (r *runner[In, Out]) deadLetter(it *item[In], reason error, attempts int) *nats.Msg {
	msg := nats.NewMsg(DeadSubject(r.spec.Name, it.head))
	maps.Copy(msg.Header, it.msg.Headers())
	msg.Data = it.msg.Data()
	msg.Header.Set(nats.MsgIdHdr, fmt.Sprintf("dead:%s:%d", it.meta.Stream, it.meta.Sequence.Stream))
	msg.Header.Set(HeaderReason, clip(oneLine(reason.Error()), maxReasonBytes))
	msg.Header.Set(HeaderStage, r.spec.Name)
	msg.Header.Set(HeaderOrigin, it.msg.Subject())
	msg.Header.Set(HeaderVersion, strconv.FormatUint(it.head.Version, 10))
	msg.Header.Set(HeaderAttempts, strconv.Itoa(attempts))
	for _, h := range []string{jetstream.ExpectedLastSubjSeqHeader, jetstream.ExpectedStreamHeader} {
		msg.Header.Del(h)
	}
	return msg
}

// publish stores the outputs of a message and waits until all are.
func (r *runner[In, Out]) publish(ctx context.Context, it *item[In], outs []Out, sp span) error {
	for _, out := range outs {
		subject := r.out.Subject(out)
		if subject == "" {
			continue
		}
		msg, err := Encode(ctx, r.host.Blobs, subject, r.out.ID(out), out)
		if err != nil {
			return err
		}
		sp.inject(msg.Header)
		if err := r.store(ctx, msg); err != nil {
			return fmt.Errorf("publish version %d of %q: %w", it.head.Version, it.head.URI, err)
		}
		r.host.Metrics.published(r.spec.Name, it.lane)
	}
	return nil
}

// store publishes msg and waits until the stream has it. While the stream is
// full it holds on: the input stays in this worker, renewed, and is not
// delivered again and again.
func (r *runner[In, Out]) store(ctx context.Context, msg *nats.Msg) error {
	for hold := holdFirst; ; hold = min(2*hold, holdLimit) {
		_, err := r.host.JS.PublishMsg(ctx, msg, jetstream.WithRetryAttempts(5))
		if err == nil {
			return nil
		}
		switch {
		case IsFull(err):
			r.host.Metrics.full(r.spec.Name)
		case errors.Is(err, nats.ErrTimeout), errors.Is(err, jetstream.ErrNoStreamResponse), errors.Is(err, nats.ErrNoResponders), errors.Is(err, context.DeadlineExceeded):
			r.log.WarnContext(ctx, "publish", "subject", msg.Subject, "error", err)
		default:
			return err
		}
		sleep(ctx, jitter(hold))
		if ctx.Err() != nil {
			return tributary.Unavailable(fmt.Errorf("%w: %w", err, ctx.Err()), 0)
		}
	}
}

func (r *runner[In, Out]) logFailure(what tributary.Outcome, it *item[In], attempts int, err error, more ...any) {
	r.log.With(more...).Warn("document failed", "outcome", what.String(), "uri", it.head.URI, "document", it.head.Document,
		"version", it.head.Version, "lane", it.lane, "attempt", attempts, "error", err)
}

func clip(s string, most int) string {
	if len(s) <= most {
		return s
	}
	return s[:most]
}

func oneLine(s string) string {
	out := []byte(s)
	for i, c := range out {
		if c < ' ' {
			out[i] = ' '
		}
	}
	return string(out)
}
