package main

import (
	"context"
	"errors"
	"fmt"

	"github.com/nats-io/nats.go"
	"github.com/spf13/cobra"

	"github.com/tributary-kb/tributary"
)

// The exit codes, as `tributary help` documents them.
const (
	exitOK          = 0
	exitFailure     = 1
	exitUsage       = 2
	exitRefused     = 3 // some documents were refused, the others were not
	exitUnreachable = 4 // nothing is running, or it cannot be reached
	exitInterrupted = 130
)

// An exitError is an error with the exit code it asks for.
type exitError struct {
	code int
	err  error
}

func (e *exitError) Error() string { return e.err.Error() }
func (e *exitError) Unwrap() error { return e.err }

// usagef returns an error about how the command was called.
func usagef(format string, args ...any) error {
	return &exitError{exitUsage, fmt.Errorf(format, args...)}
}

// exitCode chooses the code for err, which is not nil. An error that came
// after an interrupt is the interrupt's.
func exitCode(ctx context.Context, err error) int {
	if e, ok := errors.AsType[*exitError](err); ok && ctx.Err() == nil {
		return e.code
	}
	switch {
	case ctx.Err() != nil:
		return exitInterrupted
	case isUnreachable(err):
		return exitUnreachable
	}
	return exitFailure
}

// isUnreachable reports whether err says that the system is away, not that it
// disliked the request.
func isUnreachable(err error) bool {
	for _, target := range []error{
		nats.ErrNoResponders, nats.ErrNoServers, nats.ErrConnectionClosed, nats.ErrDisconnected,
		nats.ErrConnectionDraining, nats.ErrAuthorization,
	} {
		if errors.Is(err, target) {
			return true
		}
	}
	return tributary.CodeOf(err) == tributary.CodeUnavailable
}

// report tells the user about err, which ended cmd.
func (a *app) report(cmd *cobra.Command, code int, err error) {
	if code == exitInterrupted && errors.Is(err, context.Canceled) {
		err = errors.New("interrupted")
	}
	a.warnf("tributary: %v", err)
	if code == exitUsage {
		a.warnf("See `%s --help`.", cmd.CommandPath())
	}
}
