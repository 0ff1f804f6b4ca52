package embedder

import (
	"context"
	"errors"
	"net/http"
	"reflect"
	"sync"
	"testing"
	"time"

	"github.com/tributary-kb/tributary"
)

// A ledger is a Budget that notes what it is told, and refuses with err.
type ledger struct {
	mu       sync.Mutex
	reserved []int
	settled  []Settlement
	err      error
}

func (l *ledger) Reserve(_ context.Context, tokens int) error {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.reserved = append(l.reserved, tokens)
	return l.err
}

func (l *ledger) Settle(_ context.Context, s Settlement) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.settled = append(l.settled, s)
}

func TestEveryAttemptIsReservedAndSettled(t *testing.T) {
	s := newServer(t)
	s.answers = append(s.answers, status(429, "", "Retry-After: 7"))
	m, _ := s.model(t, Config{})
	l := &ledger{}
	m.budget = l
	if _, err := m.Embed(t.Context(), []string{"one word", "more"}, RoleDocument); err != nil {
		t.Fatal(err)
	}
	if want := []int{3, 3}; !reflect.DeepEqual(l.reserved, want) {
		t.Errorf("reserved %v tokens, want %v", l.reserved, want)
	}
	want := []Settlement{{Reserved: 3, Pause: 7 * time.Second}, {Reserved: 3, Used: 15}} // five tokens a word, says the server
	if !reflect.DeepEqual(l.settled, want) {
		t.Errorf("settled %+v, want %+v", l.settled, want)
	}
	if m.pace.window >= firstWindow {
		t.Errorf("window %v after a 429, want less than %d", m.pace.window, firstWindow)
	}
}

func TestNothingIsSentWithoutTheBudget(t *testing.T) {
	s := newServer(t)
	m, _ := s.model(t, Config{})
	spent := &SpendError{Spent: 5, Cap: 5, Resumes: time.Date(2026, 3, 2, 0, 0, 0, 0, time.UTC)}
	m.budget = &ledger{err: tributary.Unavailable(spent, time.Minute)}
	_, err := m.Embed(t.Context(), []string{"text"}, RoleDocument)
	outcome, after := tributary.OutcomeOf(err)
	if !errors.Is(err, spent) || outcome != tributary.Waiting || after != time.Minute {
		t.Errorf("%v (%v after %v), want to wait a minute for money", err, outcome, after)
	}
	if len(s.requests) != 0 || m.pace.flying != 0 {
		t.Errorf("%d requests, %d count as in flight, want none", len(s.requests), m.pace.flying)
	}
}

// The time for a batch is over while the provider keeps it waiting: that is no
// document's fault.
func TestADeadlineIsNoDocumentsFault(t *testing.T) {
	s := newServer(t)
	s.answers = append(s.answers, status(http.StatusServiceUnavailable, ""))
	m, _ := s.model(t, Config{})
	ctx, cancel := context.WithCancelCause(t.Context())
	m.pause = func(ctx context.Context, _ time.Duration) error {
		cancel(context.DeadlineExceeded)
		<-ctx.Done()
		return context.Cause(ctx)
	}
	_, err := m.Embed(ctx, []string{"text"}, RoleDocument)
	if outcome, _ := tributary.OutcomeOf(err); outcome != tributary.Waiting || !errors.Is(err, context.DeadlineExceeded) {
		t.Errorf("%v (%v), want to wait", err, outcome)
	}
}
