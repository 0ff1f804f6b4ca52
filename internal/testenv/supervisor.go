package testenv

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"time"

	"github.com/tributary-kb/tributary/internal/embedded"
	"github.com/tributary-kb/tributary/internal/flock"
)

const (
	// supervisorEnv, when set, turns the process into the supervisor of the
	// server in the folder that it names.
	supervisorEnv = "TRIBUTARY_TESTENV_SUPERVISOR"
	// binaryEnv names the Weaviate to run.
	binaryEnv = "TRIBUTARY_TESTENV_WEAVIATE"
	// graceEnv sets for how long the server stays without users, as a Go
	// duration.
	graceEnv = "TRIBUTARY_TESTENV_GRACE"
	// defaultGrace bridges the time in which "go test" compiles the next
	// package.
	defaultGrace = time.Minute
)

func init() { //nolint:gochecknoinits // before main, so that no test binary must ask for it
	dir := os.Getenv(supervisorEnv)
	if dir == "" {
		return
	}
	if err := superviseServer(context.Background(), place(dir)); err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1) //nolint:forbidigo // there is no main to return to
	}
	os.Exit(0) //nolint:forbidigo // the tests are not to run
}

// superviseServer runs the server until nobody has used it for the grace time.
func superviseServer(ctx context.Context, p place) error {
	lock, err := flock.TryExclusive(p.supervisor())
	if errors.Is(err, flock.ErrHeld) {
		return nil // somebody else does it
	}
	if err != nil {
		return err
	}
	defer lock.Close()
	if err := lock.SetOwner(os.Getpid()); err != nil {
		return err
	}
	data, err := os.MkdirTemp("", "tributary-testenv-")
	if err != nil {
		return err
	}
	defer func() { _ = os.RemoveAll(data) }()
	if err := p.writeState(state{Dir: data}); err != nil {
		return err
	}
	w, err := embedded.StartWeaviate(ctx, embedded.WeaviateConfig{
		Binary:    os.Getenv(binaryEnv),
		Dir:       data,
		LogFile:   filepath.Join(string(p), "weaviate.log"),
		Anonymous: true,
		Logger:    slog.New(slog.NewTextHandler(os.Stderr, nil)),
	})
	if err != nil {
		return errors.Join(err, p.writeState(state{Dir: data, Error: err.Error()}))
	}
	s := state{Server: Server{HTTP: w.HTTPAddr(), GRPC: w.GRPCAddr()}, Dir: data}
	if err := p.writeState(s); err != nil {
		return errors.Join(err, w.Shutdown(ctx))
	}
	door, err := p.awaitDisuse(ctx, grace())
	if err != nil {
		return errors.Join(err, w.Shutdown(ctx))
	}
	// The door stays shut until the end: who comes now starts a new server.
	defer door.Close()
	_ = os.Remove(p.state()) //nolint:gosec // the place comes from the one who started us
	return w.Shutdown(ctx)
}

// grace returns for how long the server stays without users.
func grace() time.Duration {
	if d, err := time.ParseDuration(os.Getenv(graceEnv)); err == nil {
		return d
	}
	return defaultGrace
}

// awaitDisuse returns when nobody has held a lease for the grace time, and
// then holds the door, so that nobody can come in any more.
func (p place) awaitDisuse(ctx context.Context, grace time.Duration) (*flock.Lock, error) {
	for {
		// Leases are shared locks: all are gone when the lock can be had alone.
		alone, err := flock.Exclusive(ctx, p.lease())
		if err != nil {
			return nil, err
		}
		alone.Close()
		left := time.Now()
		select {
		case <-ctx.Done():
			return nil, ctx.Err()
		case <-time.After(grace):
		}
		door, err := flock.Exclusive(ctx, p.door())
		if err != nil {
			return nil, err
		}
		if p.unusedSince(left) {
			return door, nil
		}
		door.Close()
	}
}

// unusedSince reports whether nobody holds a lease, nor has taken one since.
func (p place) unusedSince(left time.Time) bool {
	alone, err := flock.TryExclusive(p.lease())
	if err != nil {
		return false
	}
	defer alone.Close()
	info, err := os.Stat(p.lease()) //nolint:gosec // the place comes from the one who started us
	return err == nil && info.ModTime().Before(left)
}
