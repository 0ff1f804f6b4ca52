package stage

import (
	"context"
	"testing"
	"testing/synctest"
	"time"
)

// waits tells how long a batch of bulk work that takes so long stood back.
func waits(ctx context.Context, bulk *turn, work time.Duration) (stoodBack time.Duration) {
	began := time.Now()
	bulk.run(ctx, func() {
		stoodBack = time.Since(began)
		<-time.After(work)
	})
	return stoodBack
}

// Times are exact: they are those of a bubble.
func TestBulkWorkStandsBack(t *testing.T) {
	const ms = time.Millisecond
	tests := []struct {
		name   string
		worked time.Duration // by batches before, while nothing went first
		taken  []time.Duration
		want   time.Duration
	}{
		{"not while nothing goes first", 400 * ms, nil, 0},
		{"until a lull after an edit", 400 * ms, []time.Duration{200 * ms}, 200*ms + lull},
		{"until a lull after the last of several", 400 * ms, []time.Duration{200 * ms, 50 * ms, 250 * ms}, 250*ms + lull},
		{"no longer than it worked", 150 * ms, []time.Duration{time.Hour}, 150 * ms},
		{"not before it has worked", 0, []time.Duration{time.Hour}, 0},
		{"a second at most", time.Minute, []time.Duration{time.Hour}, maxCredit},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				p := &Precedence{}
				bulk := turn{precedence: p}
				waits(t.Context(), &bulk, tt.worked)
				for _, d := range tt.taken {
					time.AfterFunc(d, p.Take())
				}
				if got := waits(t.Context(), &bulk, 0); got != tt.want {
					t.Errorf("the batch stood back for %v, want %v", got, tt.want)
				}
			})
		})
	}
}

func TestHalfOfTheTimeIsLeftForBulkWork(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p := &Precedence{}
		defer p.Take()()
		bulk := turn{precedence: p}
		began := time.Now()
		const batches, each = 100, 30 * time.Millisecond
		for range batches {
			waits(t.Context(), &bulk, each)
		}
		if took, most := time.Since(began), 2*batches*each; took > most || took < most-each {
			t.Errorf("%d batches took %v while something went first all the time, want twice their time, %v", batches, took, most)
		}
	})
}

func TestALullBeginsAgainWithTheNextEdit(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p := &Precedence{}
		bulk := turn{precedence: p}
		waits(t.Context(), &bulk, time.Second)
		done := p.Take()
		done()
		done() // counts once
		time.AfterFunc(lull/2, func() { time.AfterFunc(lull, p.Take()) })
		if got, want := waits(t.Context(), &bulk, 0), lull/2+lull+lull; got != want {
			t.Errorf("the batch stood back for %v, want %v", got, want)
		}
		if got := waits(t.Context(), &bulk, 0); got != 0 {
			t.Errorf("after that, a batch stood back for %v", got)
		}
	})
}

func TestNobodyStandsBackAtTheEnd(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p := &Precedence{}
		defer p.Take()()
		bulk := turn{precedence: p}
		waits(t.Context(), &bulk, time.Second)
		ctx, cancel := context.WithCancel(t.Context())
		time.AfterFunc(10*time.Millisecond, cancel)
		if got := waits(ctx, &bulk, 0); got != 10*time.Millisecond {
			t.Errorf("the batch stood back for %v, want until its context ended", got)
		}
		none := turn{}
		waits(t.Context(), &none, time.Second)
		if got := waits(t.Context(), &none, 0); got != 0 {
			t.Errorf("without precedence a batch stood back for %v", got)
		}
	})
}
