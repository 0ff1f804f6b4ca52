package testenv

import (
	"context"
	"testing"
	"time"
)

// Eventually calls check until it returns nil, and fails the test with the
// last error when ctx ends first. It is for what happens in other processes;
// within one, wait for the event itself.
func Eventually(tb testing.TB, ctx context.Context, check func() error) { //nolint:revive // a test comes before its context
	tb.Helper()
	tick := time.NewTicker(20 * time.Millisecond)
	defer tick.Stop()
	for {
		err := check()
		if err == nil {
			return
		}
		select {
		case <-ctx.Done():
			tb.Fatalf("%v; last: %v", context.Cause(ctx), err)
		case <-tick.C:
		}
	}
}
