package embedder

import (
	"context"
	"fmt"
	"time"
)

// A Budget bounds what all workers of a system together ask of a provider. It
// is safe for concurrent use.
type Budget interface {
	// Reserve waits until one request with this many tokens may be sent. If
	// that takes longer than it makes sense to wait, the error's
	// tributary.OutcomeOf says for how long to leave the provider alone; if
	// the money is spent, it is a *SpendError.
	Reserve(ctx context.Context, tokens int) error
	// Settle reports what became of a request that was reserved.
	Settle(ctx context.Context, s Settlement)
}

// A Settlement is what a request took in the end.
type Settlement struct {
	Reserved int           // tokens
	Used     int           // tokens, as the provider counts them; 0 if it did not answer
	Pause    time.Duration // how long the provider wants to be left alone, by everybody
}

// A SpendError says that embedding has cost as much as it may.
type SpendError struct {
	Spent   float64
	Cap     float64   // embedder.spend_cap
	Resumes time.Time // when the next day of the cap begins
}

// Error implements error.
func (e *SpendError) Error() string {
	return fmt.Sprintf("embedding has cost %.2f of %.2f today (embedder.spend_cap); it goes on at %s",
		e.Spent, e.Cap, e.Resumes.UTC().Format("2006-01-02 15:04 MST"))
}

// unlimited is the Budget of a system that has none.
type unlimited struct{}

func (unlimited) Reserve(context.Context, int) error { return nil }
func (unlimited) Settle(context.Context, Settlement) {}
