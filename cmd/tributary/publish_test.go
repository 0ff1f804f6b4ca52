package main

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/tributary-kb/tributary"
	"github.com/tributary-kb/tributary/internal/config"
)

// Every job waits until as many are under way as may be, so the test hangs if
// they are fewer, and sees it if they are more.
func TestDocumentsAreSentConcurrentlyAndReceiptsInOrder(t *testing.T) {
	a, out := testApp()
	const jobs = 5 * publishInFlight
	var underWay, most atomic.Int32
	full := make(chan struct{})
	list := func(_ context.Context, emit func(job) error) error {
		for i := range jobs {
			uri := fmt.Sprintf("note:%02d", i)
			send := func(context.Context, client) (tributary.Receipt, error) {
				n := underWay.Add(1)
				for seen := most.Load(); n > seen && !most.CompareAndSwap(seen, n); seen = most.Load() {
				}
				if n == publishInFlight && i < publishInFlight {
					close(full)
				}
				<-full
				underWay.Add(-1)
				return tributary.Receipt{URI: uri}, nil
			}
			if err := emit(job{uri: uri, send: send}); err != nil {
				return err
			}
		}
		return nil
	}
	if err := a.publish(t.Context(), nil, list, false, ""); err != nil {
		t.Fatal(err)
	}
	if got := most.Load(); got != publishInFlight {
		t.Errorf("%d documents were under way at once, want %d", got, publishInFlight)
	}
	lines := strings.Split(strings.TrimSpace(out.String()), "\n")
	if len(lines) != jobs {
		t.Fatalf("%d receipts, want %d", len(lines), jobs)
	}
	for i, line := range lines {
		if want := fmt.Sprintf("note:%02d ", i); !strings.HasPrefix(line, want) {
			t.Errorf("receipt %d is %q, want that of %s", i, line, want)
		}
	}
}

func TestReceiptsOfWhatWasAcceptedBeforeAnError(t *testing.T) {
	a, out := testApp()
	broken := errors.New("the disk is full")
	list := func(_ context.Context, emit func(job) error) error {
		for _, uri := range []string{"note:1", "note:2", "note:3"} {
			err := emit(job{uri: uri, send: func(context.Context, client) (tributary.Receipt, error) {
				if uri == "note:2" {
					return tributary.Receipt{}, broken
				}
				return tributary.Receipt{URI: uri}, nil
			}})
			if err != nil {
				return err
			}
		}
		return nil
	}
	if err := a.publish(t.Context(), nil, list, false, ""); !errors.Is(err, broken) {
		t.Errorf("got %v, want the error of the document", err)
	}
	if got := out.String(); !strings.Contains(got, "note:1 ") || !strings.Contains(got, "note:3 ") {
		t.Errorf("receipts %q, want those of note:1 and note:3", got)
	}
}

// waiter settles what it is asked for, in slices that it counts.
type waiter struct {
	client
	asked []int
}

func (w *waiter) Wait(_ context.Context, versions []tributary.At, settled func(tributary.Settled) error) error {
	w.asked = append(w.asked, len(versions))
	for _, at := range versions {
		if err := settled(tributary.Settled{Document: at.Document, Version: at.Version, State: tributary.StateLive}); err != nil {
			return err
		}
	}
	return nil
}

func TestManyDocumentsAreWaitedForInSlices(t *testing.T) {
	a, _ := testApp()
	w := &waiter{}
	list := func(_ context.Context, emit func(job) error) error {
		for i := range 2*waitSlice + 1 {
			id := fmt.Sprint(i)
			err := emit(job{uri: id, send: func(context.Context, client) (tributary.Receipt, error) {
				return tributary.Receipt{URI: id, Document: id, Version: 1}, nil
			}})
			if err != nil {
				return err
			}
		}
		return nil
	}
	if err := a.publish(t.Context(), w, list, true, "searchable"); err != nil {
		t.Fatal(err)
	}
	if got, want := fmt.Sprint(w.asked), fmt.Sprint([]int{waitSlice, waitSlice, 1}); got != want {
		t.Errorf("waited for %s, want %s", got, want)
	}
}

func TestProgressIsLoggedWhereNoBarCanBeDrawn(t *testing.T) {
	a, out := testApp()
	now := time.Unix(0, 0)
	p := a.newProgress("searchable", 30)
	p.now, p.said = func() time.Time { return now }, now
	for range 30 {
		now = now.Add(time.Second)
		p.step()
	}
	p.finish()
	want := "5 of 30 searchable\n10 of 30 searchable\n15 of 30 searchable\n20 of 30 searchable\n25 of 30 searchable\n30 of 30 searchable\n"
	if got := out.String(); got != want {
		t.Errorf("got %q, want %q", got, want)
	}
}

func TestProgressIsABarOnATerminal(t *testing.T) {
	a, out := testApp()
	a.err.tty = true
	p := a.newProgress("searchable", 2)
	p.step()
	p.step()
	p.finish()
	if got := out.String(); !strings.Contains(got, "searchable") || !strings.Contains(got, "\r") {
		t.Errorf("got %q, want a bar", got)
	}
}

func TestStepsAreToldWhenTheyBegin(t *testing.T) {
	a, out := testApp()
	s := a.newSteps()
	s.report("fetching", 0, 0)
	s.report("unpacking", 1, 10)
	s.finish()
	if got, want := out.String(), "fetching\nunpacking\n"; got != want {
		t.Errorf("got %q, want %q", got, want)
	}
}

func TestTimeoutSaysSo(t *testing.T) {
	a, _ := testApp()
	a.dial = func(context.Context, *config.Loaded) (client, func(), error) { return nil, func() {}, nil }
	err := a.session(t.Context(), time.Nanosecond, func(ctx context.Context, _ client) error {
		<-ctx.Done()
		return ctx.Err()
	})
	if err == nil || !strings.Contains(err.Error(), "not done within 1ns (--timeout)") {
		t.Errorf("got %v, want an error that names --timeout", err)
	}
}
