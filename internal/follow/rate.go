package follow

import (
	"math"
	"math/rand/v2"
	"time"
)

const (
	// decay weighs a look against the one after it: some twenty looks count.
	decay = 0.95
	// share of the expected time to the next change after which to look: a
	// change is then found in half the time that it stayed.
	share = 0.5
	// growth bounds how much longer an interval may become from one look to the
	// next.
	growth = 2
)

// A rate learns how often something changes from looks that only tell whether
// it did, at intervals that differ. The estimator is that of Cho and
// Garcia-Molina, "Estimating frequency of change" (ACM TOIT 3(3), 2003), with
// counts that fade:
//
//	r = -ln((n - x + 0.5) / (n + 0.5))
//
// changes per interval, for x looks of n that saw a change.
type rate struct {
	N float64 `json:"n,omitempty"` // looks
	X float64 `json:"x,omitempty"` // that saw a change
	T float64 `json:"t,omitempty"` // seconds between them
	I float64 `json:"i,omitempty"` // the interval that was chosen last, seconds
}

// saw adds a look that came elapsed after the one before.
func (r *rate) saw(changed bool, elapsed time.Duration) {
	r.N, r.X, r.T = decay*r.N+1, decay*r.X, decay*r.T+max(elapsed.Seconds(), 0)
	if changed {
		r.X++
	}
}

// interval returns the time to the next look, from floor to ceiling.
func (r *rate) interval(floor, ceiling time.Duration) time.Duration {
	next := growth * max(r.I, floor.Seconds()/growth)
	if perLook := -math.Log((r.N - r.X + 0.5) / (r.N + 0.5)); perLook > 0 && r.T > 0 {
		next = min(next, share*(r.T/r.N)/perLook)
	}
	r.I = min(max(next, floor.Seconds()), ceiling.Seconds())
	return time.Duration(r.I * float64(time.Second))
}

// backoff returns the time to the next attempt after so many failures in a
// row: doubled each time from floor to ceiling, and shortened by up to a
// quarter so that many do not come back at once.
func backoff(failures int, floor, ceiling time.Duration) time.Duration {
	d := min(float64(floor)*math.Pow(2, float64(max(failures, 1)-1)), float64(ceiling))
	return time.Duration(d * (1 - rand.Float64()/4))
}
