// Package flock locks files between processes. A lock belongs to the open
// file, so the kernel gives it back when its holder ends, however it ends:
// no lock is ever stale.
//
// The text of a locked file names its holder; it is advice for people and is
// only trusted while the lock is held.
package flock

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"strconv"
	"strings"
	"time"
)

// ErrHeld is returned by TryExclusive and TryShared when another open file
// holds the lock in a way that excludes ours.
var ErrHeld = errors.New("lock is held")

// pollInterval is how often Exclusive asks again. The kernel's own waiting
// call cannot be interrupted by a context.
const pollInterval = 50 * time.Millisecond

// A Lock is a held lock. Close gives it back.
type Lock struct {
	f *os.File
}

// TryExclusive takes the lock on path for this holder alone and creates the
// file when it is absent. It returns an error that wraps ErrHeld at once when
// anybody holds it.
func TryExclusive(path string) (*Lock, error) {
	return try(path, true)
}

// TryShared takes the lock on path together with other shared holders and
// creates the file when it is absent. It returns an error that wraps ErrHeld
// at once when somebody holds it exclusively.
func TryShared(path string) (*Lock, error) {
	return try(path, false)
}

// Exclusive is TryExclusive that waits until the lock is free or ctx ends.
func Exclusive(ctx context.Context, path string) (*Lock, error) {
	return wait(ctx, path, true)
}

// Shared is TryShared that waits until the lock can be had or ctx ends.
func Shared(ctx context.Context, path string) (*Lock, error) {
	return wait(ctx, path, false)
}

func wait(ctx context.Context, path string, exclusive bool) (*Lock, error) {
	tick := time.NewTicker(pollInterval)
	defer tick.Stop()
	for {
		l, err := try(path, exclusive)
		if !errors.Is(err, ErrHeld) {
			return l, err
		}
		select {
		case <-ctx.Done():
			return nil, fmt.Errorf("wait for lock %s: %w", path, ctx.Err())
		case <-tick.C:
		}
	}
}

func try(path string, exclusive bool) (*Lock, error) {
	f, err := os.OpenFile(path, os.O_RDWR|os.O_CREATE, 0o600) //nolint:gosec // the caller names its own lock
	if err != nil {
		return nil, fmt.Errorf("open lock: %w", err)
	}
	if err := lock(f, exclusive); err != nil {
		f.Close()
		return nil, fmt.Errorf("lock %s: %w", path, err)
	}
	return &Lock{f: f}, nil
}

// SetOwner writes pid into the locked file.
func (l *Lock) SetOwner(pid int) error {
	if err := l.f.Truncate(0); err != nil {
		return fmt.Errorf("write owner of lock: %w", err)
	}
	if _, err := l.f.WriteAt([]byte(strconv.Itoa(pid)+"\n"), 0); err != nil {
		return fmt.Errorf("write owner of lock: %w", err)
	}
	return nil
}

// Close gives the lock back. The file stays: removing it would let two
// processes lock two files of one name. Close on a nil Lock does nothing.
func (l *Lock) Close() {
	if l != nil {
		l.f.Close()
	}
}

// Owner returns the process id that stands in the lock file at path, or 0 when
// there is none to read.
func Owner(path string) int {
	f, err := os.Open(path)
	if err != nil {
		return 0
	}
	defer f.Close()
	text, err := io.ReadAll(io.LimitReader(f, 32))
	if err != nil {
		return 0
	}
	pid, err := strconv.Atoi(strings.TrimSpace(string(text)))
	if err != nil || pid < 0 {
		return 0
	}
	return pid
}
