package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"sync/atomic"
	"time"

	"github.com/tributary-kb/tributary"
	"github.com/tributary-kb/tributary/internal/api"
)

// auditFile stands in the data folder from the moment at which the managed
// Weaviate was found to have ended otherwise than in order, until an audit has
// found nothing wrong: a server that is killed loses entries of its indexes
// even for objects that it has acknowledged.
const auditFile = "audit-due"

// auditPasses bounds how often an audit repairs and looks again.
const auditPasses = 5

// An auditor sees to it that a crash of the managed Weaviate is mended.
type auditor struct {
	a       *app
	wake    chan struct{}
	working atomic.Bool
}

func newAuditor(a *app) *auditor { return &auditor{a: a, wake: make(chan struct{}, 1)} }

// due notes that an audit is needed, durably.
func (u *auditor) due() error {
	if err := os.WriteFile(filepath.Join(u.a.cfg.Data, auditFile), nil, 0o600); err != nil {
		return fmt.Errorf("note that the index needs an audit: %w", err)
	}
	select {
	case u.wake <- struct{}{}:
	default:
	}
	return nil
}

func (u *auditor) isDue() bool {
	_, err := os.Stat(filepath.Join(u.a.cfg.Data, auditFile))
	return err == nil
}

// health says that an audit is due or under way.
func (u *auditor) health() error {
	if u.working.Load() || u.isDue() {
		return errors.New("the managed Weaviate ended without warning: its index is being audited, and some passages may not be found until that is done")
	}
	return nil
}

// run audits whenever it is due, until ctx ends. Every knowledge base is
// verified and mended, again and again until nothing is found.
func (u *auditor) run(ctx context.Context, m *machines) error {
	const first, last = 250 * time.Millisecond, time.Minute
	for pause := first; ; pause = min(2*pause, last) {
		if u.isDue() {
			u.working.Store(true)
			err := u.audit(ctx, m)
			u.working.Store(false)
			switch {
			case err == nil:
				pause = first
			case !isUnreachable(err) && ctx.Err() == nil: // else the services are not up yet
				u.a.log.WarnContext(ctx, "audit", "error", err)
			}
		}
		retry := time.NewTimer(pause)
		select {
		case <-ctx.Done():
			retry.Stop()
			return nil
		case <-u.wake:
			retry.Stop()
		case <-retry.C:
		}
	}
}

func (u *auditor) audit(ctx context.Context, m *machines) error {
	for pass := range auditPasses {
		problems, err := u.mend(ctx, m)
		if err != nil {
			return err
		}
		if problems == 0 {
			return os.Remove(filepath.Join(u.a.cfg.Data, auditFile))
		}
		u.a.log.WarnContext(ctx, "mended the index after a crash", "pass", pass+1, "problems", problems)
	}
	return fmt.Errorf("the index still has problems after %d repairs: run `tributary verify`", auditPasses)
}

// mend verifies and repairs every knowledge base once, and waits until what
// it published again is settled. It returns how much it found.
func (u *auditor) mend(ctx context.Context, m *machines) (problems int, err error) {
	status, err := api.NewClient(m.nc, u.a.cfg.KB).Status(ctx)
	if err != nil {
		return 0, err
	}
	for _, kb := range status.KBs {
		c := api.NewClient(m.nc, kb.KB)
		err := c.Verify(ctx, tributary.VerifyRequest{Repair: true}, func(f tributary.Finding) error {
			if f.Kind == tributary.FindingSummary {
				problems += f.Problems
			}
			return nil
		})
		if err != nil {
			return problems, err
		}
	}
	if problems == 0 {
		return 0, nil
	}
	return problems, u.quiet(ctx, m)
}

// quiet waits until no stage has work left.
func (u *auditor) quiet(ctx context.Context, m *machines) error {
	tick := time.NewTicker(100 * time.Millisecond)
	defer tick.Stop()
	for {
		status, err := api.NewClient(m.nc, u.a.cfg.KB).Status(ctx)
		if err != nil {
			return err
		}
		busy := false
		for _, s := range status.Stages {
			busy = busy || s.Waiting > 0 || s.InFlight > 0
		}
		if !busy {
			return nil
		}
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-tick.C:
		}
	}
}
