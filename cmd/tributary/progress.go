package main

import (
	"fmt"
	"sync"
	"time"

	"github.com/schollz/progressbar/v3"
)

// progressEvery is how often progress is logged where no bar can be drawn.
const progressEvery = 5 * time.Second

// progress tells somebody who waits how far the work is: a bar on a terminal,
// a line every few seconds elsewhere. Its methods may be called concurrently.
type progress struct {
	mu    sync.Mutex
	what  string
	total int
	done  int
	bar   *progressbar.ProgressBar
	say   func(format string, args ...any)
	said  time.Time
	now   func() time.Time
}

// newProgress starts to report on total pieces of work, called what, e.g.
// "searchable".
func (a *app) newProgress(what string, total int) *progress {
	p := &progress{what: what, total: total, say: a.warnf, now: time.Now}
	p.said = p.now()
	if !a.err.tty {
		return p
	}
	p.bar = progressbar.NewOptions(total,
		progressbar.OptionSetWriter(a.err),
		progressbar.OptionSetDescription(what),
		progressbar.OptionSetWidth(24),
		progressbar.OptionShowCount(),
		progressbar.OptionShowIts(),
		progressbar.OptionSetItsString("docs"),
		progressbar.OptionSetPredictTime(true),
		progressbar.OptionThrottle(100*time.Millisecond),
		progressbar.OptionEnableColorCodes(false),
		progressbar.OptionClearOnFinish(),
	)
	return p
}

// step reports one more piece done.
func (p *progress) step() {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.done++
	if p.bar != nil {
		_ = p.bar.Add(1) // a bar that cannot be drawn is no reason to stop
		return
	}
	if now := p.now(); now.Sub(p.said) >= progressEvery {
		p.said = now
		p.say("%s", p.line())
	}
}

func (p *progress) line() string {
	return fmt.Sprintf("%d of %d %s", p.done, p.total, p.what)
}

// finish takes the bar away.
func (p *progress) finish() {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.bar != nil {
		_ = p.bar.Clear()
	}
}
