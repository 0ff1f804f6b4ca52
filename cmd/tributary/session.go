package main

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/spf13/pflag"
)

// timeoutFlag adds --timeout. Zero means that only an interrupt ends the
// command early.
func timeoutFlag(flags *pflag.FlagSet, d *time.Duration, usual time.Duration) {
	flags.DurationVar(d, "timeout", usual, "give up after `DURATION`, 0 for never")
}

// session runs work with a connection to the running system, for at most
// timeout if that is not 0.
func (a *app) session(ctx context.Context, timeout time.Duration, work func(context.Context, client) error) error {
	if timeout < 0 {
		return usagef("--timeout is %s, want 0 or more", timeout)
	}
	c, hangUp, err := a.dial(ctx, a.cfg)
	if err != nil {
		return err
	}
	defer hangUp()
	if timeout == 0 {
		return work(ctx, c)
	}
	bounded, cancel := context.WithTimeout(ctx, timeout)
	defer cancel()
	err = work(bounded, c)
	if err != nil && ctx.Err() == nil && errors.Is(bounded.Err(), context.DeadlineExceeded) {
		return fmt.Errorf("not done within %s (--timeout): %w", timeout, err)
	}
	return err
}
