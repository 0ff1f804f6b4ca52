package queryworker

import (
	"context"
	"fmt"
	"math/rand/v2"
	"net/http"
	"time"

	"github.com/tributary-kb/tributary"
)

// firstPause is what is waited before the second attempt where the server does
// not say; it doubles from attempt to attempt.
const firstPause = 500 * time.Millisecond

// rest waits before the next attempt. It returns err itself where another
// attempt is pointless: the refusal will not pass, or not soon enough.
func (c *Chat) rest(ctx context.Context, err error, attempt int) error {
	outcome, after := tributary.OutcomeOf(err)
	if outcome != tributary.Waiting || after > c.timeout() {
		return err
	}
	if after == 0 {
		backoff := firstPause << (attempt - 1)
		after = backoff/2 + rand.N(backoff/2)
	}
	pause := c.pause
	if pause == nil {
		pause = pauseFor
	}
	return pause(ctx, after)
}

func pauseFor(ctx context.Context, d time.Duration) error {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-ctx.Done():
		return ctx.Err()
	case <-timer.C:
		return nil
	}
}

// statusOverloaded is Anthropic's word for "try again later".
const statusOverloaded = 529

// passing reports whether a status may pass by itself.
func passing(status int) bool {
	switch status {
	case http.StatusTooManyRequests, http.StatusBadGateway, http.StatusServiceUnavailable, http.StatusGatewayTimeout, statusOverloaded:
		return true
	}
	return false
}

// busy is a refusal that may pass by itself, after a while: 0 if nobody said
// how long.
func busy(after time.Duration, format string, args ...any) error {
	err := fmt.Errorf(format, args...)
	if after > 0 {
		err = fmt.Errorf("%w; it asks to try again in %s", err, after)
	}
	return unavailable("%w", tributary.Unavailable(err, after))
}

// retryAfter reads the header: seconds or a date, zero if it says nothing.
func retryAfter(header string, now time.Time) time.Duration {
	if d, err := time.ParseDuration(header + "s"); err == nil && d > 0 {
		return d
	}
	if at, err := http.ParseTime(header); err == nil && at.After(now) {
		return at.Sub(now).Round(time.Second)
	}
	return 0
}
