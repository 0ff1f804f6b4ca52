package main

import (
	"context"
	"errors"
	"fmt"
	"slices"

	"github.com/spf13/cobra"

	"github.com/tributary-kb/tributary"
)

const (
	// publishInFlight is how many documents are read and sent at once.
	publishInFlight = 8
	// waitSlice is how many versions one request waits for.
	waitSlice = 1000
)

// A job is one change to publish.
type job struct {
	uri  string
	send func(context.Context, client) (tributary.Receipt, error)
}

// A jobList calls emit with each job, in order.
type jobList func(ctx context.Context, emit func(job) error) error

// A publisher sends changes, prints their receipts, and waits for them.
type publisher struct {
	a    *app
	c    client
	hold bool // receipts are printed after the wait

	receipts   []tributary.Receipt
	settled    map[string]tributary.Settled // by document
	unreadable int
	refused    int
}

// publish sends the jobs of list and prints a receipt for each, in order.
// With wait it returns when all are settled; what names that state. A document
// that cannot be read or is refused is reported and the others go on; the
// error at the end counts them.
func (a *app) publish(ctx context.Context, c client, list jobList, wait bool, what string) error {
	p := &publisher{a: a, c: c, hold: wait && a.json, settled: map[string]tributary.Settled{}}
	err := p.sendAll(ctx, list)
	if err == nil && wait {
		err = p.wait(ctx, what)
	}
	if p.hold {
		err = errors.Join(err, p.printSettled())
	}
	if err != nil {
		return err
	}
	return p.verdict()
}

// verdict is the error that the reported documents amount to.
func (p *publisher) verdict() error {
	switch {
	case p.unreadable > 0 && p.refused > 0:
		return &exitError{exitFailure, fmt.Errorf("%s could not be read, %s", documents(p.unreadable), wereRefused(p.refused))}
	case p.unreadable > 0:
		return &exitError{exitFailure, fmt.Errorf("%s could not be read", documents(p.unreadable))}
	case p.refused > 0:
		return &exitError{exitRefused, errors.New(wereRefused(p.refused))}
	}
	return nil
}

func documents(n int) string {
	if n == 1 {
		return "1 document"
	}
	return fmt.Sprintf("%d documents", n)
}

func wereRefused(n int) string {
	if n == 1 {
		return "1 document was refused"
	}
	return fmt.Sprintf("%d documents were refused", n)
}

// sent is what became of a job.
type sent struct {
	uri     string
	receipt tributary.Receipt
	err     error
}

// sendAll sends the jobs, at most publishInFlight at once, and handles the
// results in the order of the jobs. It stops at the first error that is not
// one document's own, but still prints the receipts of what was accepted.
func (p *publisher) sendAll(ctx context.Context, list jobList) error {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	// One more is being waited for, outside the queue.
	queue := make(chan chan sent, publishInFlight-1)
	var listErr error
	go func() {
		defer close(queue)
		listErr = list(ctx, func(j job) error {
			result := make(chan sent, 1)
			select {
			case queue <- result:
			case <-ctx.Done():
				return ctx.Err()
			}
			go func() {
				receipt, err := j.send(ctx, p.c)
				result <- sent{j.uri, receipt, err}
			}()
			return nil
		})
	}()
	var first error
	for result := range queue {
		if err := p.handle(<-result); err != nil && first == nil {
			first = err
			cancel()
		}
	}
	if first != nil {
		return first
	}
	return listErr
}

// handle prints the receipt of a result, or reports what was wrong with the
// document. It returns only errors that concern every document.
func (p *publisher) handle(s sent) error {
	switch {
	case s.err == nil:
		p.receipts = append(p.receipts, s.receipt)
		if p.hold {
			return nil
		}
		return p.printReceipt(s.receipt)
	case isRefusal(s.err):
		p.refused++
		p.a.warnf("refused %s: %v", s.uri, s.err)
		return nil
	case isUnreadable(s.err):
		p.unreadable++
		p.a.warnf("tributary: %v", s.err)
		return nil
	}
	return fmt.Errorf("publish %s: %w", s.uri, s.err)
}

func (p *publisher) printReceipt(r tributary.Receipt) error {
	if p.a.json {
		return p.a.printJSON(r)
	}
	p.a.printf("%s  %s  %d\n", cleanLine(r.URI), r.Document, r.Version)
	return nil
}

// isRefusal reports whether err is about this document only.
func isRefusal(err error) bool {
	switch tributary.CodeOf(err) {
	case tributary.CodeInvalid, tributary.CodeNotFound, tributary.CodeTooLarge:
		return true
	}
	return false
}

// unreadable marks an error as that of one file of this machine.
type unreadable struct{ error }

// Unwrap returns the cause.
func (u unreadable) Unwrap() error { return u.error }

func isUnreadable(err error) bool {
	_, ok := errors.AsType[unreadable](err)
	return ok
}

// wait returns when every receipt's version is settled, and reports those
// that were refused.
func (p *publisher) wait(ctx context.Context, what string) error {
	versions := p.newest()
	bar := p.a.newProgress(what, len(versions))
	defer bar.finish()
	for part := range slices.Chunk(versions, waitSlice) {
		err := p.c.Wait(ctx, part, func(s tributary.Settled) error {
			p.settled[s.Document] = s
			bar.step()
			return nil
		})
		if err != nil {
			return fmt.Errorf("wait for %s: %w", documents(len(versions)-len(p.settled)), err)
		}
	}
	bar.finish()
	if missing := len(versions) - len(p.settled); missing > 0 {
		return fmt.Errorf("wait for %s: nothing was said about them", documents(missing))
	}
	p.reportRefused()
	return nil
}

// newest lists the documents of the receipts with the highest version each:
// of two changes to one document only the later one may ever be seen.
func (p *publisher) newest() []tributary.At {
	var versions []tributary.At
	place := map[string]int{}
	for _, r := range p.receipts {
		i, ok := place[r.Document]
		if !ok {
			place[r.Document] = len(versions)
			versions = append(versions, tributary.At{Document: r.Document, Version: r.Version})
			continue
		}
		versions[i].Version = max(versions[i].Version, r.Version)
	}
	return versions
}

func (p *publisher) reportRefused() {
	reported := map[string]bool{}
	for _, r := range p.receipts {
		s := p.settled[r.Document]
		if s.State != tributary.StateRejected || reported[r.Document] {
			continue
		}
		reported[r.Document] = true
		p.refused++
		p.a.warnf("refused %s (%s): %s", r.URI, s.Stage, cleanLine(s.Reason))
	}
}

// A settledLine is a receipt with what became of it.
type settledLine struct {
	tributary.Receipt
	State  tributary.State `json:"state"` // pending if the wait ended before
	Chunks int             `json:"chunks"`
	Reason string          `json:"reason"`
	Stage  string          `json:"stage,omitempty"`
}

// printSettled prints the receipts that were held back, as JSON.
func (p *publisher) printSettled() error {
	for _, r := range p.receipts {
		line := settledLine{Receipt: r, State: tributary.StatePending}
		if s, ok := p.settled[r.Document]; ok {
			line.State, line.Chunks, line.Reason, line.Stage = s.State, s.Chunks, s.Reason, s.Stage
		}
		if err := p.a.printJSON(line); err != nil {
			return err
		}
	}
	return nil
}

func laneFlag(cmd *cobra.Command, lane *string, usual string) {
	cmd.Flags().StringVar(lane, "lane", "", "`LANE` to queue in: live or bulk (default "+usual+")")
	_ = cmd.RegisterFlagCompletionFunc("lane", cobra.FixedCompletions([]string{"live", "bulk"}, cobra.ShellCompDirectiveNoFileComp))
}

// parseLane reads --lane; "" is returned as it is.
func parseLane(text string) (tributary.Lane, error) {
	lane := tributary.Lane(text)
	if text != "" && !slices.Contains(tributary.Lanes, lane) {
		return "", usagef("--lane is %q, want live or bulk", text)
	}
	return lane, nil
}
