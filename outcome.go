package tributary

import (
	"context"
	"errors"
	"fmt"
	"time"
)

// An Outcome is what becomes of a message whose handler returned.
type Outcome int

// The outcomes. A handler chooses one where the cause is known, by the error
// it returns; internal/stage turns it into what JetStream understands.
const (
	// Done: the message was handled (nil error).
	Done Outcome = iota
	// Retry: try again after a growing delay; after too many attempts the
	// message becomes a dead letter. Any error that says nothing else.
	Retry
	// Rejected: the document is at fault and will stay so; dead letter now.
	Rejected
	// Waiting: a service that every document needs is away. The message is
	// held and tried again; this uses up none of its attempts.
	Waiting
)

// String names the outcome as logs and metrics do.
func (o Outcome) String() string {
	switch o {
	case Done:
		return "done"
	case Rejected:
		return "rejected"
	case Waiting:
		return "waiting"
	default:
		return "retry"
	}
}

type outcomeError struct {
	err     error
	outcome Outcome
	after   time.Duration
}

func (e *outcomeError) Error() string { return e.err.Error() }
func (e *outcomeError) Unwrap() error { return e.err }

// Reject marks err as the document's own fault: unreadable, empty, too large.
// It will not be tried again. The error's text is shown to users and should
// name the limit and the setting that moves it.
func Reject(err error) error { return &outcomeError{err: err, outcome: Rejected} }

// Rejectf is Reject with a formatted error.
func Rejectf(format string, args ...any) error { return Reject(fmt.Errorf(format, args...)) }

// RetryAfter asks for another attempt no sooner than after. It counts as an
// attempt.
func RetryAfter(err error, after time.Duration) error {
	return &outcomeError{err: err, outcome: Retry, after: after}
}

// Unavailable marks err as the fault of a service that every document needs:
// an index that is restarting, an embedding provider that asks for patience.
// The message is held for after (zero: a growing delay) and tried again, and
// no attempt is counted.
func Unavailable(err error, after time.Duration) error {
	return &outcomeError{err: err, outcome: Waiting, after: after}
}

// OutcomeOf returns what err asks for and after how long, zero where err does
// not say. A cancelled context is Waiting: the work was not refused, the
// worker is stopping.
func OutcomeOf(err error) (Outcome, time.Duration) {
	if err == nil {
		return Done, 0
	}
	if e, ok := errors.AsType[*outcomeError](err); ok {
		return e.outcome, e.after
	}
	if errors.Is(err, context.Canceled) {
		return Waiting, 0
	}
	return Retry, 0
}

// A BatchError says which items of a batch failed. A batch handler that
// returns it has handled all the others.
type BatchError map[int]error

// Error implements error.
func (e BatchError) Error() string {
	for i, err := range e {
		return fmt.Sprintf("%d items of the batch failed, item %d: %v", len(e), i, err)
	}
	return "no item of the batch failed"
}
