package budget

import (
	"fmt"
	"math"

	"github.com/tributary-kb/tributary"
	"github.com/tributary-kb/tributary/embedder"
)

// Counters returns what this process has had so far.
func (b *Budget) Counters() Counters {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.spent
}

// Remaining is what is left for all workers; +Inf where there is no limit.
type Remaining struct {
	Requests float64 // in the last minute's window
	Tokens   float64
	Spend    float64 // today
}

// Remaining returns what is left, as far as this process has heard.
func (b *Budget) Remaining() Remaining {
	b.mu.Lock()
	defer b.mu.Unlock()
	a := b.seen
	a.Slots = append([]use(nil), a.Slots...)
	a.age(b.cfg.Now())
	left := Remaining{Requests: float64(b.cfg.Limits.Requests), Tokens: float64(b.cfg.Limits.Tokens), Spend: b.cfg.Limits.Cap - a.Spent}
	for _, u := range a.Slots {
		left.Requests -= float64(u.Requests)
		left.Tokens -= float64(u.Tokens)
	}
	if b.cfg.Limits.Requests == 0 {
		left.Requests = math.Inf(1)
	}
	if b.cfg.Limits.Tokens == 0 {
		left.Tokens = math.Inf(1)
	}
	if b.cfg.Limits.Cap == 0 {
		left.Spend = math.Inf(1)
	}
	return left
}

// Problems reports that work waits for money, nothing otherwise.
func (b *Budget) Problems() []tributary.Problem {
	b.mu.Lock()
	defer b.mu.Unlock()
	a, now := b.seen, b.cfg.Now()
	a.Slots = nil
	a.age(now)
	if !a.Held {
		return nil
	}
	err := &embedder.SpendError{Spent: a.Spent, Cap: b.cfg.Limits.Cap, Resumes: nextDay(now)}
	return []tributary.Problem{{
		What: fmt.Sprintf("documents wait: %v", err),
		Do:   "raise embedder.spend_cap and restart the workers, or wait; searches go by keywords alone meanwhile",
	}}
}
