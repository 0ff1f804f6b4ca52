package embedder

import (
	"context"
	"slices"
	"sync"
)

// firstWindow is how many requests are in flight before anything is known.
const firstWindow = 4

// A pace adapts the number of requests in flight to what the server can do:
// one more for each round of successes, half as many when it is overloaded, as
// TCP does (RFC 5681, section 3.1).
type pace struct {
	most float64

	mu      sync.Mutex
	window  float64 // from 1 to most
	flying  int
	halved  int             // how often; a request knows what it was when it began
	waiting []chan struct{} // first come, first served
}

func newPace(most int) *pace {
	return &pace{most: float64(most), window: min(firstWindow, float64(most))}
}

// enter waits until one more request may be sent, and returns what leave wants
// to have back. An urgent one is sent at once, and counts all the same.
func (p *pace) enter(ctx context.Context, urgent bool) (ticket int, err error) {
	p.mu.Lock()
	if urgent || len(p.waiting) == 0 && p.flying < int(p.window) {
		p.flying++
		defer p.mu.Unlock()
		return p.halved, nil
	}
	turn := make(chan struct{})
	p.waiting = append(p.waiting, turn)
	p.mu.Unlock()
	select {
	case <-turn:
	case <-ctx.Done():
		err = context.Cause(ctx)
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	if err != nil {
		p.giveUp(turn)
	}
	return p.halved, err
}

// giveUp leaves the queue. Whose turn it became meanwhile passes it on.
func (p *pace) giveUp(turn chan struct{}) {
	if i := slices.Index(p.waiting, turn); i >= 0 {
		p.waiting = slices.Delete(p.waiting, i, i+1)
		return
	}
	p.flying--
	p.next()
}

// leave ends a request. Requests that were in flight together and all find the
// server overloaded halve the window once.
func (p *pace) leave(ticket int, overloaded bool) {
	p.mu.Lock()
	defer p.mu.Unlock()
	switch {
	case !overloaded && p.flying >= int(p.window): // a window that is not used says nothing
		p.window = min(p.window+1/p.window, p.most)
	case overloaded && ticket == p.halved:
		p.window = max(p.window/2, 1)
		p.halved++
	}
	p.flying--
	p.next()
}

// next lets those go that have room now.
func (p *pace) next() {
	for len(p.waiting) > 0 && p.flying < int(p.window) {
		close(p.waiting[0])
		p.waiting = p.waiting[1:]
		p.flying++
	}
}
