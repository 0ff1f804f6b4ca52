package queryworker

import (
	"io"
	"sync"
	"time"
)

// idleTimer calls its function when nothing was heard for a while.
type idleTimer struct {
	after time.Duration
	timer *time.Timer
	mu    sync.Mutex
	off   bool
}

func newIdleTimer(after time.Duration, f func()) *idleTimer {
	return &idleTimer{after: after, timer: time.AfterFunc(after, f)}
}

func (t *idleTimer) heard() {
	t.mu.Lock()
	defer t.mu.Unlock()
	if !t.off {
		t.timer.Reset(t.after)
	}
}

func (t *idleTimer) stop() {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.off = true
	t.timer.Stop()
}

// pausing wraps emit so that a slow reader does not count as a silent model.
func (t *idleTimer) pausing(emit func(string) error) func(string) error {
	return func(delta string) error {
		t.timer.Stop()
		defer t.heard()
		return emit(delta)
	}
}

// activeReader tells the timer of everything that arrives.
type activeReader struct {
	r    io.Reader
	idle *idleTimer
}

func (a *activeReader) Read(p []byte) (int, error) {
	n, err := a.r.Read(p)
	if n > 0 {
		a.idle.heard()
	}
	return n, err
}
