package stage

import (
	"context"
	"sync"
	"time"
)

const (
	// lull is how long what somebody waits for goes on going first after the
	// last of it: an edit has steps to come, and those who made it look for it.
	lull = 100 * time.Millisecond
	// maxCredit bounds how long bulk work stands back at once.
	maxCredit = time.Second
)

// A Precedence lets what somebody waits for, live edits and queries, go first:
// while there is any in this process, bulk batches are not begun. It is safe
// for concurrent use; a nil Precedence lets everything go at once.
type Precedence struct {
	mu    sync.Mutex
	under int           // how much is under way
	calm  chan struct{} // closed when nothing has been for a lull; nil if so
	timer *time.Timer   // of the lull
}

// Take says that something goes first, until done is called.
func (p *Precedence) Take() (done func()) {
	if p == nil {
		return func() {}
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	p.under++
	if p.calm == nil {
		p.calm = make(chan struct{})
	}
	if p.timer != nil {
		p.timer.Stop()
	}
	return sync.OnceFunc(p.leave)
}

func (p *Precedence) leave() {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.under--; p.under == 0 {
		p.timer = time.AfterFunc(lull, p.end)
	}
}

func (p *Precedence) end() {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.under == 0 && p.calm != nil {
		close(p.calm)
		p.calm = nil
	}
}

// busy is closed when nothing goes first any more, nil if nothing does.
func (p *Precedence) busy() <-chan struct{} {
	if p == nil {
		return nil
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.calm
}

// await waits until nothing goes first any more, for limit at most, and
// returns how long it waited.
func (p *Precedence) await(ctx context.Context, limit time.Duration) time.Duration {
	calm := p.busy()
	if calm == nil || limit <= 0 {
		return 0
	}
	began := time.Now()
	t := time.NewTimer(limit)
	defer t.Stop()
	select {
	case <-ctx.Done():
	case <-calm:
	case <-t.C:
	}
	return time.Since(began)
}

// A turn makes one worker's bulk batches stand back: each for at most as long
// as those before it worked, so that however much goes first, half of the
// worker's time is left for them.
type turn struct {
	precedence *Precedence
	credit     time.Duration
}

// run calls do when it is the batch's turn.
func (t *turn) run(ctx context.Context, do func()) {
	t.credit -= t.precedence.await(ctx, t.credit)
	began := time.Now()
	do()
	t.credit = min(max(t.credit, 0)+time.Since(began), maxCredit)
}
