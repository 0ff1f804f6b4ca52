package ingest

import (
	"bytes"
	"context"
	"encoding/gob"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"runtime"
	"runtime/debug"
	"runtime/metrics"
	"strings"
	"sync/atomic"
	"time"

	"github.com/tributary-kb/tributary"
)

// childMarker in the environment makes ServeParser serve.
const childMarker = "TRIBUTARY_PARSE_CHILD"

// exitMemory is the exit status of a child that found itself too large.
const exitMemory = 77

// canServe is set once ServeParser was called: only then does starting this
// program again start a parser and not the whole program.
var canServe atomic.Bool

// ServeParser makes the program its own parser: isolated documents are parsed
// by a second process of the same program, which is killed when it takes too
// long or too much memory. Call it first thing in main, and in TestMain of
// packages that parse. In the second process it parses one document and
// exits; in the first it returns at once.
func ServeParser() {
	if os.Getenv(childMarker) == "" {
		canServe.Store(true)
		return
	}
	reply := os.Stdout
	os.Stdout = os.Stderr // whatever a library prints must not mix with the reply
	if err := serveOne(os.Stdin, reply); err != nil {
		fmt.Fprintln(os.Stderr, "parse:", err)
		os.Exit(1) //nolint:forbidigo // main must not go on
	}
	os.Exit(0) //nolint:forbidigo // main must not go on
}

// childRequest and childReply travel over the child's standard input and
// output, one each, in gob.
type childRequest struct {
	Format  string
	Config  Config
	Input   Input
	Content []byte // of Input, which leaves it out when encoded
}

type childReply struct {
	Parsed   Parsed
	Error    string // "" for success
	Rejected bool   // Error is the document's own fault
}

// serveOne answers the request that in holds. It ends the process when in is
// closed before the answer is written: the parent is gone.
func serveOne(in io.Reader, out io.Writer) error {
	var req childRequest
	if err := gob.NewDecoder(in).Decode(&req); err != nil {
		return fmt.Errorf("read the request: %w", err)
	}
	req.Input.Content = req.Content
	if err := limitMemory(req.Config.ParseMemoryBytes); err != nil {
		return fmt.Errorf("limit memory: %w", err)
	}
	go func() {
		_, _ = io.Copy(io.Discard, in)
		os.Exit(1) //nolint:forbidigo // whatever the parser is doing
	}()
	var reply childReply
	format, ok := formatNamed(req.Format)
	if !ok {
		return fmt.Errorf("no format is called %q", req.Format)
	}
	parsed, err := parseHere(context.Background(), &req.Config, format, req.Input)
	if err != nil {
		outcome, _ := tributary.OutcomeOf(err)
		reply = childReply{Error: err.Error(), Rejected: outcome == tributary.Rejected}
	} else {
		reply.Parsed = parsed
	}
	if err := gob.NewEncoder(out).Encode(&reply); err != nil {
		return fmt.Errorf("write the reply: %w", err)
	}
	return nil
}

func formatNamed(name string) (Format, bool) {
	for _, f := range formats {
		if f.Name == name {
			return f, true
		}
	}
	return Format{}, false
}

// limitMemory keeps this process below limit bytes in three ways: the
// collector works harder as it nears the limit, a watcher ends the process
// above it, and the operating system refuses single allocations far beyond
// it, which no watcher sees coming.
func limitMemory(limit int64) error {
	debug.SetMemoryLimit(limit / 10 * 9)
	debug.SetMaxStack(64 << 20)
	go watchMemory(limit)
	return limitAddressSpace(limit)
}

func watchMemory(limit int64) {
	sample := []metrics.Sample{{Name: "/memory/classes/total:bytes"}, {Name: "/memory/classes/heap/released:bytes"}}
	for range time.Tick(20 * time.Millisecond) {
		metrics.Read(sample)
		if used := int64(sample[0].Value.Uint64() - sample[1].Value.Uint64()); used > limit {
			fmt.Fprintf(os.Stderr, "parse: %d bytes of memory used\n", used)
			os.Exit(exitMemory) //nolint:forbidigo // whatever the parser is doing
		}
	}
}

// errNotServing says that isolation was asked for and cannot be had.
var errNotServing = errors.New("the program does not call ingest.ServeParser at the start of main; call it, or set ingest.no_isolation")

// parseInChild has the document parsed by a child process. When the child
// exceeds its time or memory, or crashes, the document is refused; when it
// cannot be started or is killed by somebody else, the error is plain.
func parseInChild(ctx context.Context, cfg *Config, f Format, in Input) (Parsed, error) {
	if !canServe.Load() {
		return Parsed{}, fmt.Errorf("parse %s: %w", nameOf(in), errNotServing)
	}
	deadline, cancel := context.WithTimeout(ctx, cfg.ParseTimeout)
	defer cancel()
	child, err := startChild(deadline)
	if err != nil {
		return Parsed{}, fmt.Errorf("parse %s: %w", nameOf(in), err)
	}
	reply, err := child.ask(childRequest{Format: f.Name, Config: *cfg, Input: in, Content: in.Content}, replyLimit(cfg))
	switch {
	case err == nil && reply.Error == "":
		return reply.Parsed, nil
	case err == nil && reply.Rejected:
		return Parsed{}, tributary.Reject(errors.New(reply.Error))
	case err == nil:
		return Parsed{}, errors.New(reply.Error)
	case ctx.Err() != nil:
		return Parsed{}, fmt.Errorf("parse %s: %w", nameOf(in), ctx.Err())
	case deadline.Err() != nil:
		return Parsed{}, tributary.Rejectf("%s: parsing it as %s took longer than the limit of %v (ingest.parse_timeout)",
			nameOf(in), f.Name, cfg.ParseTimeout)
	case child.ranOutOfMemory():
		return Parsed{}, tributary.Rejectf("%s: parsing it as %s took more memory than the limit of %d bytes (ingest.parse_memory_bytes)",
			nameOf(in), f.Name, cfg.ParseMemoryBytes)
	case child.crashed():
		return Parsed{}, tributary.Rejectf("%s: the %s parser crashed on it: %s", nameOf(in), f.Name, child.complaint())
	}
	return Parsed{}, fmt.Errorf("parse %s in a child process: %w: %s", nameOf(in), err, child.complaint())
}

// replyLimit bounds what is read of a child's reply: the text, and for each
// of its bytes at most a short block.
func replyLimit(cfg *Config) int64 { return 1<<20 + 16*cfg.MaxTextBytes }

// parserChild is a started child process.
type parserChild struct {
	cmd    *exec.Cmd
	stdin  io.WriteCloser
	stdout io.ReadCloser
	stderr headBuffer
}

// startChild starts this program again with an environment that holds
// nothing but the marker: a parser needs no secrets. It asks for no traceback
// since walking an overflown stack takes the runtime longer than ParseTimeout.
func startChild(ctx context.Context) (*parserChild, error) {
	self, err := os.Executable()
	if err != nil {
		return nil, fmt.Errorf("find this program: %w", err)
	}
	c := &parserChild{cmd: exec.CommandContext(ctx, self, "parser")}
	c.cmd.Env = []string{childMarker + "=1", "GOTRACEBACK=none"}
	if runtime.GOOS == "windows" {
		c.cmd.Env = append(c.cmd.Env, "SYSTEMROOT="+os.Getenv("SYSTEMROOT"))
	}
	c.cmd.Stderr = &c.stderr
	c.cmd.WaitDelay = time.Second
	if c.stdin, err = c.cmd.StdinPipe(); err != nil {
		return nil, fmt.Errorf("connect a child process: %w", err)
	}
	if c.stdout, err = c.cmd.StdoutPipe(); err != nil {
		return nil, fmt.Errorf("connect a child process: %w", err)
	}
	if err := c.cmd.Start(); err != nil {
		return nil, fmt.Errorf("start a child process: %w", err)
	}
	return c, nil
}

// ask sends the request, reads the reply and waits for the child to end. Its
// standard input stays open until then, which tells it that we are here.
func (c *parserChild) ask(req childRequest, limit int64) (childReply, error) {
	sent := make(chan error, 1)
	go func() { sent <- gob.NewEncoder(c.stdin).Encode(&req) }()
	var reply childReply
	err := gob.NewDecoder(io.LimitReader(c.stdout, limit)).Decode(&reply)
	if err != nil {
		_ = c.cmd.Process.Kill() // it may still be writing; gone already is fine
	}
	waitErr := c.cmd.Wait()
	sendErr := <-sent
	if err != nil {
		return childReply{}, errors.Join(waitErr, sendErr, err)
	}
	return reply, nil
}

// ranOutOfMemory reports whether the child ended because of its memory limit.
func (c *parserChild) ranOutOfMemory() bool {
	return c.cmd.ProcessState.ExitCode() == exitMemory ||
		strings.Contains(c.stderr.String(), "out of memory") || strings.Contains(c.stderr.String(), "cannot allocate memory")
}

// crashed reports whether the Go runtime ended the child.
func (c *parserChild) crashed() bool {
	const runtimeFatal = 2
	return c.cmd.ProcessState.ExitCode() == runtimeFatal
}

// complaint returns the telling line of what the child wrote to its standard
// error.
func (c *parserChild) complaint() string {
	for line := range strings.Lines(c.stderr.String()) {
		if strings.HasPrefix(line, "fatal error:") || strings.HasPrefix(line, "panic:") || strings.HasPrefix(line, "parse:") {
			return oneLine(line, 200)
		}
	}
	line, _, _ := strings.Cut(c.stderr.String(), "\n")
	return oneLine(line, 200)
}

// headBuffer keeps the first bytes that are written to it and drops the rest.
type headBuffer struct{ buf bytes.Buffer }

// Write implements io.Writer; it never fails.
func (b *headBuffer) Write(p []byte) (int, error) {
	const limit = 8 << 10
	b.buf.Write(p[:min(len(p), max(0, limit-b.buf.Len()))])
	return len(p), nil
}

func (b *headBuffer) String() string { return b.buf.String() }
