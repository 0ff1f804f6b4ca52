package main

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"time"

	"github.com/nats-io/nats.go"

	"github.com/tributary-kb/tributary/internal/api"
	"github.com/tributary-kb/tributary/internal/weaviate"
)

// kb is the knowledge base of the corpus.
const kb = "bench"

const (
	startLimit = 10 * time.Minute // Weaviate may have to be built first
	stopLimit  = time.Minute
)

// program is the package that is built.
const program = "github.com/tributary-kb/tributary/cmd/tributary"

// build builds the program into dir and returns its path.
func build(ctx context.Context, dir string) (string, error) {
	binary := filepath.Join(dir, "tributary")
	out, err := exec.CommandContext(ctx, "go", "build", "-trimpath", "-o", binary, program).CombinedOutput()
	if err != nil {
		return "", fmt.Errorf("build the program: %w\n%s", err, out)
	}
	return binary, nil
}

// A system is the program, running, with its Weaviate.
type system struct {
	cmd    *exec.Cmd
	log    *bytes.Buffer // what it wrote to standard error; read it after its end
	ended  chan struct{}
	data   string
	file   runFile
	child  int // process id of Weaviate
	nc     *nats.Conn
	client *api.Client
	index  *weaviate.Store
}

// runFile is what `tributary up` says of itself in its data folder.
type runFile struct {
	NATS            string `json:"nats"`
	Weaviate        string `json:"weaviate"`
	WeaviateGRPC    string `json:"weaviate_grpc"`
	WeaviateKeyFile string `json:"weaviate_key_file"`
	Metrics         string `json:"metrics"`
}

// start runs the program on an empty folder and returns when it is ready.
func (b *bench) start(ctx context.Context) (_ *system, err error) {
	b.say("starting a system")
	data, err := os.MkdirTemp(b.dir, "data-")
	if err != nil {
		return nil, err
	}
	s := &system{log: &bytes.Buffer{}, ended: make(chan struct{}), data: data}
	s.cmd = exec.Command(b.binary, "up", "--data", data, "--kb", kb, "--listen", "127.0.0.1:0") //nolint:noctx // stop ends it in an orderly way
	s.cmd.Env = append(cleanEnvironment(), "XDG_CONFIG_HOME="+data)                             // where no configuration is
	s.cmd.Stderr = s.log
	if err := s.cmd.Start(); err != nil {
		return nil, fmt.Errorf("start the program: %w", err)
	}
	go func() {
		_ = s.cmd.Wait() // stop looks at the exit code
		close(s.ended)
	}()
	if err := s.connect(ctx); err != nil {
		return nil, errors.Join(err, s.stop())
	}
	return s, nil
}

// cleanEnvironment is that of this process without settings of Tributary.
func cleanEnvironment() []string {
	var env []string
	for _, entry := range os.Environ() {
		if !strings.HasPrefix(entry, "TRIBUTARY_") && !strings.HasPrefix(entry, "XDG_CONFIG_HOME=") {
			env = append(env, entry)
		}
	}
	return env
}

func (s *system) connect(ctx context.Context) (err error) {
	ctx, cancel := context.WithTimeout(ctx, startLimit)
	defer cancel()
	if err := s.readJSON(ctx, "run.json", &s.file); err != nil {
		return err
	}
	var process struct{ PID int }
	if err := s.readJSON(ctx, filepath.Join("weaviate", "process.json"), &process); err != nil {
		return err
	}
	s.child = process.PID
	if s.nc, err = nats.Connect(s.file.NATS, nats.Name("tributary bench")); err != nil {
		return fmt.Errorf("connect to %s: %w", s.file.NATS, err)
	}
	s.client = api.NewClient(s.nc, kb)
	address, err := url.Parse(s.file.Weaviate)
	if err != nil {
		return fmt.Errorf("address of Weaviate: %w", err)
	}
	s.index, err = weaviate.Open(ctx, weaviate.Config{
		Address: address.Host, GRPCAddress: s.file.WeaviateGRPC, APIKeyFile: s.file.WeaviateKeyFile,
	})
	return err
}

// readJSON reads a file of the data folder as soon as it is there.
func (s *system) readJSON(ctx context.Context, name string, v any) error {
	poll := time.NewTicker(50 * time.Millisecond)
	defer poll.Stop()
	for {
		data, err := os.ReadFile(filepath.Join(s.data, name))
		if err == nil {
			return json.Unmarshal(data, v)
		}
		if !errors.Is(err, fs.ErrNotExist) {
			return err
		}
		select {
		case <-ctx.Done():
			return fmt.Errorf("wait for %s: %w", name, ctx.Err())
		case <-s.ended:
			return errors.New("the program ended before it was ready")
		case <-poll.C:
		}
	}
}

// stop ends the system, its Weaviate included, and removes its data.
func (s *system) stop() error {
	if s.index != nil {
		s.index.Close()
	}
	if s.nc != nil {
		s.nc.Close()
	}
	_ = s.cmd.Process.Signal(os.Interrupt) // it may have ended
	select {
	case <-s.ended:
	case <-time.After(stopLimit):
		_ = s.cmd.Process.Kill() // its Weaviate ends with it
		<-s.ended
	}
	var err error
	if code := s.cmd.ProcessState.ExitCode(); code != 0 {
		err = fmt.Errorf("the program ended with code %d: %s", code, lastLines(s.log.String(), 10))
	}
	return errors.Join(err, os.RemoveAll(s.data))
}

func lastLines(text string, n int) string {
	lines := strings.Split(strings.TrimSpace(text), "\n")
	return strings.Join(lines[max(0, len(lines)-n):], "\n")
}

// spent is CPU time, by process.
type spent struct {
	tributary time.Duration // NATS and all stages
	weaviate  time.Duration
}

func (a spent) sub(b spent) spent {
	return spent{tributary: a.tributary - b.tributary, weaviate: a.weaviate - b.weaviate}
}

func (a spent) total() time.Duration { return a.tributary + a.weaviate }

// spent returns the CPU time since the processes started.
func (s *system) spent() (c spent, err error) {
	if c.tributary, err = cpuOf(s.cmd.Process.Pid); err != nil {
		return c, err
	}
	c.weaviate, err = cpuOf(s.child)
	return c, err
}

// A memoryResult is the memory of each process.
type memoryResult struct{ tributary, weaviate memoryOfProcess }

func (s *system) memory() (m memoryResult, err error) {
	if m.tributary, err = memoryOf(s.cmd.Process.Pid); err != nil {
		return m, err
	}
	m.weaviate, err = memoryOf(s.child)
	return m, err
}

// What settle waits for.
const (
	settleInterval = 500 * time.Millisecond
	settleIdle     = 2 * tick // CPU time within an interval that counts as idle
	settleRounds   = 4        // intervals, one after the other
	settleLimit    = time.Minute
)

// settle waits until no stage has anything to do and the processes rest. A
// system that never rests is measured as it is, after settleLimit.
func (s *system) settle(ctx context.Context) error {
	poll := time.NewTicker(settleInterval)
	defer poll.Stop()
	end := time.Now().Add(settleLimit)
	last, err := s.spent()
	for quiet := 0; quiet < settleRounds && time.Now().Before(end) && err == nil; quiet++ {
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-poll.C:
		}
		var now spent
		now, err = s.spent()
		if now.sub(last).total() > settleIdle {
			quiet = -1
		}
		last = now
	}
	if err != nil {
		return err
	}
	return s.drained(ctx)
}

// drained waits until no message is left in any stage's stream.
func (s *system) drained(ctx context.Context) error {
	poll := time.NewTicker(settleInterval)
	defer poll.Stop()
	for {
		status, err := s.client.Status(ctx)
		if err != nil {
			return err
		}
		left := uint64(0)
		for _, st := range status.Stages {
			left += st.Waiting + uint64(st.InFlight)
		}
		if left == 0 {
			return nil
		}
		select {
		case <-ctx.Done():
			return fmt.Errorf("%d messages are still under way: %w", left, ctx.Err())
		case <-poll.C:
		}
	}
}
