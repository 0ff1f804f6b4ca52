package main

import (
	"fmt"
	"strings"
	"time"

	"github.com/schollz/progressbar/v3"
)

// steps reports on work whose parts are named as they come, like obtaining
// Weaviate: a bar per part on a terminal, lines elsewhere.
type steps struct {
	a    *app
	name string
	bar  *progressbar.ProgressBar
	said time.Time
}

func (a *app) newSteps() *steps { return &steps{a: a} }

// report says that done of total (0: nobody knows) of the named step is done.
func (s *steps) report(name string, done, total int64) {
	name = strings.TrimSpace(name)
	if name != s.name {
		s.finish()
		s.name, s.said = name, time.Now()
		if total > 0 && s.a.err.tty {
			s.bar = progressbar.NewOptions64(total,
				progressbar.OptionSetWriter(s.a.err), progressbar.OptionSetDescription(name),
				progressbar.OptionSetWidth(24), progressbar.OptionShowCount(), progressbar.OptionSetPredictTime(true),
				progressbar.OptionThrottle(100*time.Millisecond), progressbar.OptionClearOnFinish())
		} else {
			s.a.warnf("%s", name)
		}
	}
	switch {
	case s.bar != nil:
		_ = s.bar.Set64(done) // a bar that cannot be drawn is no reason to stop
	case total > 0 && time.Since(s.said) >= progressEvery:
		s.said = time.Now()
		s.a.warnf("%s: %s", name, fmt.Sprintf("%d of %d", done, total))
	}
}

// finish takes the bar away.
func (s *steps) finish() {
	if s.bar != nil {
		_ = s.bar.Clear()
		s.bar = nil
	}
}
