package embedded

import (
	"context"
	"net"
	"os"
	"path/filepath"
	"runtime"
	"strconv"
	"strings"
	"testing"
	"time"
)

const noLimit = time.Hour // longer than any test

func TestStopWaitsForAChildThatEndsByItself(t *testing.T) {
	c, _ := startHelper(t, "waiter")
	if !c.stop(nil, noLimit) {
		t.Error("got a killed child, want one that ended by itself")
	}
	if !c.ended() {
		t.Error("got a running child after stop")
	}
}

func TestStopKillsAChildThatDoesNotEnd(t *testing.T) {
	tests := []struct {
		name  string
		ctx   func() (context.Context, context.CancelFunc)
		limit time.Duration
	}{
		{"after the limit", func() (context.Context, context.CancelFunc) {
			return context.WithCancel(t.Context())
		}, time.Millisecond},
		{"when the context ends", func() (context.Context, context.CancelFunc) {
			return context.WithTimeout(t.Context(), time.Millisecond)
		}, noLimit},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			c, _ := startHelper(t, "stubborn")
			ctx, cancel := test.ctx()
			defer cancel()
			if c.stop(ctx.Done(), test.limit) {
				t.Error("got a child that ended by itself, want a killed one")
			}
			if !c.ended() {
				t.Error("got a running child after stop")
			}
		})
	}
}

func TestChildOutlivesTheThreadOfItsStarter(t *testing.T) {
	started := make(chan *child)
	go func() {
		runtime.LockOSThread() // never unlocked: the thread ends with the goroutine
		c, _ := startHelper(t, "waiter")
		started <- c
	}()
	c := <-started
	if !c.stop(nil, noLimit) || c.err == nil || !strings.Contains(c.err.Error(), "terminated") {
		t.Errorf("got end %v, want one by our own signal", c.err)
	}
}

func TestOrphanIsEnded(t *testing.T) {
	for _, role := range []string{"waiter", "stubborn"} {
		t.Run(role, func(t *testing.T) {
			c, _ := startHelper(t, role)
			r := recordOf(t, c)
			limit := noLimit
			if role == "stubborn" {
				limit = 50 * time.Millisecond
			}
			found, err := r.endOrphan(t.Context(), limit)
			if !found || err != nil {
				t.Errorf("got found %t, error %v; want true and none", found, err)
			}
			<-c.done
			if found, _ := r.endOrphan(t.Context(), noLimit); found {
				t.Error("got an orphan once more after it ended")
			}
		})
	}
}

func TestStrangerWithTheSameIDIsLeftAlone(t *testing.T) {
	c, _ := startHelper(t, "waiter")
	r := recordOf(t, c)
	r.Identity += "0"
	if found, err := r.endOrphan(t.Context(), noLimit); found || err != nil {
		t.Errorf("got found %t, error %v; want false and none", found, err)
	}
	if c.ended() {
		t.Error("the stranger was ended")
	}
}

func TestHalfWrittenProcessRecordIsNone(t *testing.T) {
	path := filepath.Join(t.TempDir(), "process.json")
	if err := os.WriteFile(path, []byte(`{"pid": 12`), 0o600); err != nil {
		t.Fatal(err)
	}
	r, err := readProcessRecord(path)
	if err != nil || r != (processRecord{}) {
		t.Errorf("got %+v, error %v; want nothing and none", r, err)
	}
}

// recordOf is what the folder would remember of c.
func recordOf(t *testing.T, c *child) processRecord {
	t.Helper()
	id, err := processIdentity(c.proc.Pid)
	if err != nil {
		t.Fatal(err)
	}
	return processRecord{PID: c.proc.Pid, Identity: id}
}

func TestPickedPortsAreFreeAndDifferent(t *testing.T) {
	p, err := pickPorts(t.Context(), ports{}, ports{})
	if err != nil {
		t.Fatal(err)
	}
	seen := map[int]bool{}
	_ = p.each(func(port *int) error {
		if seen[*port] || *port == 0 {
			t.Errorf("got port %d twice or zero in %+v", *port, p)
		}
		seen[*port] = true
		l, err := net.Listen("tcp", ":"+strconv.Itoa(*port))
		if err != nil {
			t.Errorf("port %d: %v", *port, err)
			return nil
		}
		return l.Close()
	})
}

func TestPortsStayUnlessTakenOrFixed(t *testing.T) {
	former, err := pickPorts(t.Context(), ports{}, ports{})
	if err != nil {
		t.Fatal(err)
	}
	taken, err := net.Listen("tcp", loopback(former.Raft))
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = taken.Close() }()
	other, err := pickPorts(t.Context(), ports{}, ports{})
	if err != nil {
		t.Fatal(err)
	}
	fixed := other.GRPC
	got, err := pickPorts(t.Context(), former, ports{GRPC: fixed})
	if err != nil {
		t.Fatal(err)
	}
	if got.Raft == former.Raft {
		t.Errorf("got the taken port %d again", got.Raft)
	}
	want := former
	want.Raft, want.GRPC = got.Raft, fixed
	if got != want {
		t.Errorf("got %+v, want %+v", got, want)
	}
}

func TestLogIsBounded(t *testing.T) {
	path := filepath.Join(t.TempDir(), "log")
	l, err := openLog(path)
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	line := []byte(strings.Repeat("x", 1<<20-1) + "\n")
	for range 25 {
		_, _ = l.Write(line)
	}
	_, _ = l.Write([]byte("last\n"))
	for _, name := range []string{path, path + ".1"} {
		info, err := os.Stat(name)
		if err != nil {
			t.Fatal(err)
		}
		if info.Size() == 0 || info.Size() > maxLogBytes {
			t.Errorf("%s: got %d bytes, want at most %d", filepath.Base(name), info.Size(), maxLogBytes)
		}
	}
	if got := l.Tail(1); got != "last" {
		t.Errorf("got tail %q, want %q", got, "last")
	}
}

func TestTailIsWholeLines(t *testing.T) {
	l, err := openLog(filepath.Join(t.TempDir(), "log"))
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	tests := []struct {
		name, write, want string
		lines             int
	}{
		{"nothing", "", "", 3},
		{"fewer than asked", "a\nb\n", "a\nb", 3},
		{"the last ones", "a\nb\nc\n", "b\nc", 2},
		{"no newline at the end", "a\nb", "b", 1},
		{"cut in front", strings.Repeat("y", maxTailBytes) + "\nz\n", "z", 3},
	}
	for _, test := range tests {
		l.resetTail()
		_, _ = l.Write([]byte(test.write))
		if got := l.Tail(test.lines); got != test.want {
			t.Errorf("%s: got %q, want %q", test.name, got, test.want)
		}
	}
}

func TestLogGoesOnWithoutItsFile(t *testing.T) {
	l, err := openLog(filepath.Join(t.TempDir(), "log"))
	if err != nil {
		t.Fatal(err)
	}
	l.Close()
	if n, err := l.Write([]byte("kept in memory\n")); n != 15 || err != nil {
		t.Errorf("got %d, error %v; want 15 and none", n, err)
	}
	if got := l.Tail(1); got != "kept in memory" {
		t.Errorf("got tail %q, want the line", got)
	}
}
