package tributary_test

import (
	"context"
	"errors"
	"fmt"
	"testing"
	"time"

	"github.com/tributary-kb/tributary"
)

func TestOutcomeOf(t *testing.T) {
	cause := errors.New("no route to host")
	tests := []struct {
		name  string
		err   error
		want  tributary.Outcome
		after time.Duration
	}{
		{"no error", nil, tributary.Done, 0},
		{"plain error", cause, tributary.Retry, 0},
		{"deadline", context.DeadlineExceeded, tributary.Retry, 0},
		{"rejected", tributary.Reject(cause), tributary.Rejected, 0},
		{"rejected in words", tributary.Rejectf("page %d: %w", 3, cause), tributary.Rejected, 0},
		{"retry after", tributary.RetryAfter(cause, time.Minute), tributary.Retry, time.Minute},
		{"unavailable", tributary.Unavailable(cause, time.Second), tributary.Waiting, time.Second},
		{"unavailable, nobody knows how long", tributary.Unavailable(cause, 0), tributary.Waiting, 0},
		{"cancelled", context.Canceled, tributary.Waiting, 0},
		{"cancelled, wrapped", fmt.Errorf("fetch %q: %w", "u", context.Canceled), tributary.Waiting, 0},
		{"wrapped", fmt.Errorf("parse %q: %w", "u", tributary.Reject(cause)), tributary.Rejected, 0},
		{"wrapped twice", fmt.Errorf("a: %w", fmt.Errorf("b: %w", tributary.Unavailable(cause, 5))), tributary.Waiting, 5},
		{"joined", errors.Join(cause, tributary.Reject(cause)), tributary.Rejected, 0},
		{"the outermost decides", tributary.RetryAfter(tributary.Reject(cause), time.Hour), tributary.Retry, time.Hour},
		{"a choice beats a cancelled cause", tributary.Reject(context.Canceled), tributary.Rejected, 0},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			got, after := tributary.OutcomeOf(tt.err)
			if got != tt.want || after != tt.after {
				t.Errorf("got %v after %v, want %v after %v", got, after, tt.want, tt.after)
			}
		})
	}
}

func TestOutcomesKeepTheCause(t *testing.T) {
	cause := errors.New("no route to host")
	for _, err := range []error{
		tributary.Reject(cause),
		tributary.RetryAfter(cause, time.Second),
		tributary.Unavailable(cause, time.Second),
		tributary.Rejectf("%w", cause),
	} {
		if !errors.Is(err, cause) {
			t.Errorf("%#v lost its cause", err)
		}
		if err.Error() != cause.Error() {
			t.Errorf("text %q, want %q", err, cause)
		}
	}
}

func TestOutcomeString(t *testing.T) {
	tests := map[tributary.Outcome]string{
		tributary.Done:     "done",
		tributary.Retry:    "retry",
		tributary.Rejected: "rejected",
		tributary.Waiting:  "waiting",
	}
	for outcome, want := range tests {
		if got := outcome.String(); got != want {
			t.Errorf("outcome %d is called %q, want %q", outcome, got, want)
		}
	}
}

func TestBatchErrorNamesAnItem(t *testing.T) {
	tests := []struct {
		name string
		err  tributary.BatchError
		want string
	}{
		{"none", tributary.BatchError{}, "no item of the batch failed"},
		{"one", tributary.BatchError{4: errors.New("too long")}, "1 items of the batch failed, item 4: too long"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			if got := tt.err.Error(); got != tt.want {
				t.Errorf("got %q, want %q", got, tt.want)
			}
		})
	}
}
