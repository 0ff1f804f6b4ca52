//go:build unix

package main

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/tributary-kb/tributary/internal/embedded"
	"github.com/tributary-kb/tributary/internal/testenv"
	"github.com/tributary-kb/tributary/internal/weaviate"
)

// An installation is a data folder with settings of its own, on which the real
// program runs in processes of its own.
type installation struct {
	data string
	kb   string
	env  []string
}

// newInstallation makes an empty one. Each setting is NAME=value without the
// prefix of the environment variable.
func newInstallation(t testing.TB, settings ...string) *installation {
	t.Helper()
	in := &installation{data: filepath.Join(t.TempDir(), "data"), kb: testenv.KB(t)}
	for _, entry := range os.Environ() {
		if !strings.HasPrefix(entry, "TRIBUTARY_") && !strings.HasPrefix(entry, "HOME=") && !strings.HasPrefix(entry, "XDG_") {
			in.env = append(in.env, entry)
		}
	}
	in.env = append(in.env, "HOME="+t.TempDir())
	in.set("DATA="+in.data, "KB="+in.kb, "NATS_LISTEN=127.0.0.1:0", "METRICS_LISTEN=")
	in.set(settings...)
	return in
}

// set adds settings; a later one wins.
func (in *installation) set(settings ...string) {
	for _, s := range settings {
		in.env = append(in.env, "TRIBUTARY_"+s)
	}
}

// sharedWeaviate makes up use the Weaviate that all tests share, instead of one
// of its own.
func (in *installation) sharedWeaviate(t testing.TB) {
	t.Helper()
	server := testenv.Weaviate(t)
	in.set("WEAVIATE_URL=http://"+server.HTTP, "WEAVIATE_GRPC="+server.GRPC)
	t.Cleanup(func() {
		ctx := context.WithoutCancel(t.Context())
		index, err := weaviate.Open(ctx, weaviate.Config{Address: server.HTTP, GRPCAddress: server.GRPC})
		if err == nil {
			err = index.DropCollection(ctx, in.kb)
		}
		if err != nil {
			t.Error(err)
		}
	})
}

// managedWeaviate makes up run a Weaviate of its own.
func (in *installation) managedWeaviate(t testing.TB) {
	t.Helper()
	binary, err := embedded.ObtainWeaviate(t.Context(), embedded.ObtainConfig{})
	fatal(t, err)
	in.set("WEAVIATE_BINARY=" + binary)
}

// weaviatePID is the process that the data folder says is its Weaviate, 0 if
// none.
func (in *installation) weaviatePID(t testing.TB) int {
	t.Helper()
	text, err := os.ReadFile(filepath.Join(in.data, "weaviate", "process.json"))
	if errors.Is(err, fs.ErrNotExist) {
		return 0
	}
	fatal(t, err)
	var record struct{ PID int }
	fatal(t, json.Unmarshal(text, &record))
	return record.PID
}

// command is the program with these arguments, not started.
func (in *installation) command(args ...string) (*exec.Cmd, error) {
	path, err := program()
	if err != nil {
		return nil, err
	}
	cmd := exec.Command(path, args...)
	cmd.Args[0] = "tributary" // the test binary knows by its name what to be
	cmd.Env = in.env
	cmd.WaitDelay = 10 * time.Second // somebody may have inherited its output
	return cmd, nil
}

// program is the path of the program: this test binary, or, where that has the
// race detector, one built without it, which is several times as fast. Races
// are found by the tests that run the same code in this process.
var program = sync.OnceValues(func() (string, error) {
	path, err := exec.LookPath("tributary")
	if err != nil || !raceDetector {
		return path, err
	}
	plain := filepath.Join(filepath.Dir(path), "plain", "tributary") // goes when testscript.Main does
	out, err := exec.Command("go", "build", "-o", plain, "github.com/tributary-kb/tributary/cmd/tributary").CombinedOutput()
	if err != nil {
		return "", fmt.Errorf("build the program: %w\n%s", err, out)
	}
	return plain, nil
})

// A finished process, as its caller sees it.
type finished struct {
	code           int
	stdout, stderr string
}

// run runs a command to its end.
func (in *installation) run(t testing.TB, args ...string) finished {
	t.Helper()
	return in.runWith(t, nil, args...)
}

// runWith is run with a standard input.
func (in *installation) runWith(t testing.TB, stdin io.Reader, args ...string) finished {
	t.Helper()
	cmd, err := in.command(args...)
	fatal(t, err)
	var stdout, stderr bytes.Buffer
	cmd.Stdin, cmd.Stdout, cmd.Stderr = stdin, &stdout, &stderr
	err = cmd.Run()
	if _, ended := errors.AsType[*exec.ExitError](err); err != nil && !ended {
		t.Fatal(err)
	}
	return finished{cmd.ProcessState.ExitCode(), stdout.String(), stderr.String()}
}

// A process is the program while it runs.
type process struct {
	t        testing.TB
	cmd      *exec.Cmd
	out, err *output
	done     chan struct{} // closed when it has ended
}

// start starts the program. It is killed when the test ends, if it still runs.
func (in *installation) start(t testing.TB, args ...string) *process {
	t.Helper()
	cmd, err := in.command(args...)
	fatal(t, err)
	p := &process{t: t, cmd: cmd, out: newOutput(), err: newOutput(), done: make(chan struct{})}
	cmd.Stdout, cmd.Stderr = p.out, p.err
	fatal(t, cmd.Start())
	go func() {
		_ = cmd.Wait() // the exit code tells
		close(p.done)
	}()
	t.Cleanup(func() {
		_ = cmd.Process.Kill() // usually gone already
		<-p.done
		if t.Failed() {
			t.Logf("process %d, %s, wrote last:\n%s", cmd.Process.Pid, strings.Join(args, " "), p.err.tail(40))
		}
	})
	return p
}

// pid is its process id.
func (p *process) pid() int { return p.cmd.Process.Pid }

// ready waits for the line that says so, and returns it.
func (p *process) ready() string {
	p.t.Helper()
	p.await(p.out, 1)
	return p.out.lines()[0]
}

// await waits until n lines are on o; the process must not end before.
func (p *process) await(o *output, n int) {
	p.t.Helper()
	if !o.count.await(p.t.Context(), n, p.done) {
		p.t.Fatalf("process %d ended with %d before its line %d:\n%s", p.pid(), p.cmd.ProcessState.ExitCode(), n, p.err.tail(20))
	}
}

// interrupt asks it to end, as Ctrl-C does, and returns its exit code.
func (p *process) interrupt() int { return p.end(os.Interrupt) }

// kill ends it at once.
func (p *process) kill() { p.end(os.Kill) }

func (p *process) end(s os.Signal) int {
	p.t.Helper()
	if err := p.cmd.Process.Signal(s); err != nil {
		p.t.Errorf("signal %v: %v", s, err)
	}
	<-p.done
	return p.cmd.ProcessState.ExitCode()
}

// output keeps what a process writes.
type output struct {
	count *counter // of lines
	mu    sync.Mutex
	text  []byte
}

func newOutput() *output { return &output{count: newCounter()} }

// Write implements io.Writer.
func (o *output) Write(b []byte) (int, error) {
	o.mu.Lock()
	o.text = append(o.text, b...)
	o.mu.Unlock()
	o.count.add(bytes.Count(b, []byte("\n")))
	return len(b), nil
}

// lines returns what was written.
func (o *output) lines() []string {
	o.mu.Lock()
	defer o.mu.Unlock()
	return slices.Collect(strings.SplitSeq(strings.TrimSuffix(string(o.text), "\n"), "\n"))
}

// tail returns the last n lines.
func (o *output) tail(n int) string {
	all := o.lines()
	return strings.Join(all[max(0, len(all)-n):], "\n")
}

// A counter counts events for those who wait for the n-th.
type counter struct {
	mu   sync.Mutex
	n    int
	bell chan struct{} // closed at the next event
}

func newCounter() *counter { return &counter{bell: make(chan struct{})} }

func (c *counter) add(n int) {
	if n == 0 {
		return
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	c.n += n
	close(c.bell)
	c.bell = make(chan struct{})
}

func (c *counter) now() (n int, next <-chan struct{}) {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.n, c.bell
}

// await reports whether the count has reached n before end was closed or ctx
// ended.
func (c *counter) await(ctx context.Context, n int, end <-chan struct{}) bool {
	for {
		got, next := c.now()
		if got >= n {
			return true
		}
		select {
		case <-next:
		case <-end:
			got, _ = c.now()
			return got >= n
		case <-ctx.Done():
			return false
		}
	}
}

// total is how many events there were.
func (c *counter) total() int {
	n, _ := c.now()
	return n
}

// childrenDieWithTheirParent says whether the system ends the child of a
// process that is killed. Elsewhere the next up ends it.
const childrenDieWithTheirParent = runtime.GOOS == "linux"

// processRuns reports whether a process has this id, and has not ended: on
// Linux one that has, and that nobody has waited for, still counts for
// processAlive.
func processRuns(pid int) bool {
	if stat, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", pid)); err == nil {
		_, after, _ := bytes.Cut(stat[bytes.LastIndexByte(stat, ')')+1:], []byte(" "))
		return !bytes.HasPrefix(after, []byte("Z"))
	}
	return processAlive(pid)
}
