package testenv

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"sync"
	"testing"
	"time"

	"github.com/tributary-kb/tributary/internal/embedded"
	"github.com/tributary-kb/tributary/internal/flock"
)

// Server is where the shared Weaviate listens, each as host:port. It lets
// anonymous callers in.
type Server struct {
	HTTP string `json:"http"` // REST and GraphQL
	GRPC string `json:"grpc"`
}

// obtainHint is the command that makes the tests able to run.
const obtainHint = "go run ./internal/testenv/obtain"

// shared is this process's hold on the server: the lease lives as long as the
// process.
var shared struct {
	sync.Mutex
	server *Server
	lease  *flock.Lock
}

// Weaviate returns the Weaviate that all test processes share, and starts it
// when there is none. It is empty at first and keeps what tests put into it
// while it runs: a test works in a knowledge base of its own (see KB) and
// counts on nothing else. It ends about a minute after the last process that
// asked for it. When no server can be had, the test fails and says how to
// obtain one.
func Weaviate(tb testing.TB) *Server {
	tb.Helper()
	shared.Lock()
	defer shared.Unlock()
	if shared.server == nil {
		server, lease, err := obtainServer(tb.Context())
		if err != nil {
			tb.Fatalf("no Weaviate to test with: %v\nobtain it with: %s", err, obtainHint)
		}
		shared.server, shared.lease = server, lease
	}
	return shared.server
}

// obtainServer returns the server of this user, and a lease on it.
func obtainServer(ctx context.Context) (*Server, *flock.Lock, error) {
	p, err := userPlace()
	if err != nil {
		return nil, nil, err
	}
	// Before the door: a build takes minutes and has a lock of its own.
	binary, err := embedded.ObtainWeaviate(ctx, embedded.ObtainConfig{Progress: Progress(os.Stderr)})
	if err != nil {
		return nil, nil, err
	}
	return p.join(ctx, binary)
}

// place is the folder in which test processes and the supervisor meet:
//
//	door         locked by whoever starts, joins or ends the server
//	lease        locked shared by every process that uses the server
//	supervisor   locked while a supervisor lives
//	server.json  where the server listens
type place string

// userPlace returns the folder for this user and version.
func userPlace() (place, error) {
	cache, err := os.UserCacheDir()
	if err != nil {
		return "", err
	}
	dir := filepath.Join(cache, "tributary", "testenv", "v"+embedded.WeaviateVersion)
	return place(dir), os.MkdirAll(dir, 0o700)
}

// join returns the running server, or starts one, and a lease on it.
func (p place) join(ctx context.Context, binary string) (*Server, *flock.Lock, error) {
	door, err := flock.Exclusive(ctx, p.door())
	if err != nil {
		return nil, nil, err
	}
	defer door.Close()
	lease, err := flock.Shared(ctx, p.lease())
	if err != nil {
		return nil, nil, err
	}
	server, err := p.server(ctx, binary)
	if err != nil {
		lease.Close()
		return nil, nil, err
	}
	now := time.Now()
	_ = os.Chtimes(p.lease(), now, now) // tells the supervisor that somebody came
	return server, lease, nil
}

func (p place) door() string       { return filepath.Join(string(p), "door") }
func (p place) lease() string      { return filepath.Join(string(p), "lease") }
func (p place) supervisor() string { return filepath.Join(string(p), "supervisor") }
func (p place) state() string      { return filepath.Join(string(p), "server.json") }
func (p place) log() string        { return filepath.Join(string(p), "supervisor.log") }

// state is what server.json holds.
type state struct {
	Server
	Error string `json:"error,omitempty"` // why there is no server
	Dir   string `json:"dir"`             // its data
}

func (p place) readState() (state, error) {
	var s state
	text, err := os.ReadFile(p.state())
	if err != nil {
		return s, err
	}
	if err := json.Unmarshal(text, &s); err != nil {
		return s, fmt.Errorf("read %s: %w", p.state(), err)
	}
	return s, nil
}

func (p place) writeState(s state) error {
	text, err := json.Marshal(s)
	if err != nil {
		return err
	}
	next := p.state() + ".new"
	if err := os.WriteFile(next, text, 0o600); err != nil { //nolint:gosec // the place is this user's own
		return err
	}
	return os.Rename(next, p.state()) //nolint:gosec // the same
}

// server returns where the server listens, after starting it if need be. The
// caller holds the door and a lease.
func (p place) server(ctx context.Context, binary string) (*Server, error) {
	alive, err := p.alive()
	if err != nil {
		return nil, err
	}
	var ended <-chan struct{} // of a supervisor of ours
	if !alive {
		p.sweep()
		if ended, err = p.spawn(binary); err != nil {
			return nil, err
		}
	}
	return p.await(ctx, ended)
}

// alive reports whether a supervisor runs.
func (p place) alive() (bool, error) {
	lock, err := flock.TryExclusive(p.supervisor())
	if errors.Is(err, flock.ErrHeld) {
		return true, nil
	}
	if err != nil {
		return false, err
	}
	lock.Close()
	return false, nil
}

// sweep removes what a killed supervisor left behind.
func (p place) sweep() {
	if s, err := p.readState(); err == nil && s.Dir != "" {
		_ = os.RemoveAll(s.Dir)
	}
	_ = os.Remove(p.state())
}

// spawn starts this binary again as the supervisor, apart from this process
// and its output, for "go test" waits until everybody has closed that. The
// channel is closed when the supervisor ends.
func (p place) spawn(binary string) (ended <-chan struct{}, err error) {
	self, err := os.Executable()
	if err != nil {
		return nil, err
	}
	log, err := os.Create(p.log())
	if err != nil {
		return nil, err
	}
	defer log.Close()
	// The supervisor outlives every context of ours.
	cmd := exec.CommandContext(context.Background(), self)
	cmd.Env = append(os.Environ(), supervisorEnv+"="+string(p), binaryEnv+"="+binary)
	cmd.Dir = string(p)
	cmd.Stdout, cmd.Stderr = log, log
	detach(cmd)
	if err := cmd.Start(); err != nil {
		return nil, fmt.Errorf("start supervisor: %w", err)
	}
	done := make(chan struct{})
	go func() {
		_ = cmd.Wait() // its log says why it ended
		close(done)
	}()
	return done, nil
}

// await waits until the supervisor has written where the server listens. A
// supervisor that runs already is not watched: it writes as it starts.
func (p place) await(ctx context.Context, ended <-chan struct{}) (*Server, error) {
	tick := time.NewTicker(50 * time.Millisecond)
	defer tick.Stop()
	for {
		s, err := p.readState()
		switch {
		case err == nil && s.Error != "":
			return nil, errors.New(s.Error)
		case err == nil && s.HTTP != "":
			return &s.Server, nil
		case err != nil && !errors.Is(err, fs.ErrNotExist):
			return nil, err
		}
		select {
		case <-ctx.Done():
			return nil, fmt.Errorf("wait for the server: %w", ctx.Err())
		case <-ended:
			text, _ := os.ReadFile(p.log())
			return nil, fmt.Errorf("the supervisor ended early:\n%s", text)
		case <-tick.C:
		}
	}
}
