package embedder

import (
	"context"
	"errors"
	"sync"
	"testing"
)

func enter(t *testing.T, p *pace) int {
	t.Helper()
	ticket, err := p.enter(t.Context(), false)
	if err != nil {
		t.Fatal(err)
	}
	return ticket
}

func TestPaceGrowsByOneForEachRound(t *testing.T) {
	p := newPace(8)
	for round := range 10 {
		var tickets []int
		for range int(p.window) {
			tickets = append(tickets, enter(t, p))
		}
		before := p.window
		for _, ticket := range tickets {
			p.flying = len(tickets) // all of them still use the window
			p.leave(ticket, false)
		}
		p.flying = 0
		if p.window > 8 || p.window < before || p.window > before+1.01 {
			t.Fatalf("round %d: window %v after %v", round, p.window, before)
		}
	}
	if int(p.window) != 8 {
		t.Errorf("window %v after ten rounds, want the bound of 8", p.window)
	}
}

func TestPaceHalvesOnceForRequestsThatFailTogether(t *testing.T) {
	p := newPace(4)
	var tickets []int
	for range 4 {
		tickets = append(tickets, enter(t, p))
	}
	for _, ticket := range tickets {
		p.leave(ticket, true)
	}
	if p.window != 2 {
		t.Errorf("window %v, want 2", p.window)
	}
	for range 5 {
		p.leave(enter(t, p), true)
	}
	if p.window != 1 {
		t.Errorf("window %v, want never less than 1", p.window)
	}
}

func TestPaceNeverLetsMoreThanItsWindowGo(t *testing.T) {
	p := newPace(3)
	var flying, most, done int
	var mu sync.Mutex
	var group sync.WaitGroup
	for range 60 {
		group.Go(func() {
			ticket, err := p.enter(t.Context(), false)
			if err != nil {
				t.Error(err)
				return
			}
			mu.Lock()
			flying++
			most = max(most, flying)
			mu.Unlock()
			mu.Lock()
			flying--
			done++
			overloaded := done%7 == 0
			mu.Unlock()
			p.leave(ticket, overloaded)
		})
	}
	group.Wait()
	if most > 3 || done != 60 || p.flying != 0 || len(p.waiting) != 0 {
		t.Errorf("%d at once, %d done, %d still count, %d wait", most, done, p.flying, len(p.waiting))
	}
}

func TestPaceLetsQueriesGoAndForgetsWhoGivesUp(t *testing.T) {
	p := newPace(1)
	first := enter(t, p)
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if _, err := p.enter(ctx, false); !errors.Is(err, context.Canceled) {
		t.Errorf("%v, want %v", err, context.Canceled)
	}
	query, err := p.enter(t.Context(), true)
	if err != nil || p.flying != 2 {
		t.Errorf("%v, %d in flight, want a query to go at once", err, p.flying)
	}
	p.leave(query, false)
	p.leave(first, false)
	p.leave(enter(t, p), false)
	if p.flying != 0 || len(p.waiting) != 0 {
		t.Errorf("%d in flight, %d wait, want none", p.flying, len(p.waiting))
	}
}
