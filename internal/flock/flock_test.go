package flock

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"testing"
)

// holdEnv makes the test binary hold the named lock until its input ends.
const holdEnv = "TRIBUTARY_FLOCK_HOLD"

func TestMain(m *testing.M) {
	path := os.Getenv(holdEnv)
	if path == "" {
		m.Run()
		return
	}
	l, err := TryExclusive(path)
	if err == nil {
		err = l.SetOwner(os.Getpid())
	}
	fmt.Println(err)
	io.Copy(io.Discard, os.Stdin)
}

// hold lets another process hold the lock.
func hold(t *testing.T, path string) *exec.Cmd {
	t.Helper()
	cmd := exec.Command(os.Args[0])
	cmd.Env = append(os.Environ(), holdEnv+"="+path)
	if _, err := cmd.StdinPipe(); err != nil {
		t.Fatal(err)
	}
	out, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		_ = cmd.Process.Kill()
		_ = cmd.Wait()
	})
	if line, err := bufio.NewReader(out).ReadString('\n'); err != nil || line != "<nil>\n" {
		t.Fatalf("the other process got %q, error %v; want the lock", line, err)
	}
	return cmd
}

func TestLockOfAnotherProcessIsHeldUntilItsEnd(t *testing.T) {
	path := filepath.Join(t.TempDir(), "lock")
	other := hold(t, path)
	for name, try := range map[string]func(string) (*Lock, error){"exclusive": TryExclusive, "shared": TryShared} {
		if _, err := try(path); !errors.Is(err, ErrHeld) {
			t.Errorf("%s: got error %v, want %v", name, err, ErrHeld)
		}
	}
	if got := Owner(path); got != other.Process.Pid {
		t.Errorf("got owner %d, want %d", got, other.Process.Pid)
	}
	waited := make(chan error)
	go func() {
		l, err := Exclusive(t.Context(), path)
		l.Close()
		waited <- err
	}()
	if err := other.Process.Kill(); err != nil {
		t.Fatal(err)
	}
	if err := <-waited; err != nil {
		t.Errorf("after the end of its holder: got error %v, want the lock", err)
	}
}

func TestSharedLocksExcludeAnExclusiveOne(t *testing.T) {
	path := filepath.Join(t.TempDir(), "lock")
	var shared []*Lock
	for range 2 {
		l, err := Shared(t.Context(), path)
		if err != nil {
			t.Fatal(err)
		}
		shared = append(shared, l)
	}
	for _, l := range shared {
		if _, err := TryExclusive(path); !errors.Is(err, ErrHeld) {
			t.Errorf("got error %v, want %v", err, ErrHeld)
		}
		l.Close()
	}
	l, err := TryExclusive(path)
	if err != nil {
		t.Fatalf("after all were given back: %v", err)
	}
	l.Close()
}

func TestWaitEndsWithItsContext(t *testing.T) {
	path := filepath.Join(t.TempDir(), "lock")
	l, err := TryExclusive(path)
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if _, err := Exclusive(ctx, path); !errors.Is(err, context.Canceled) {
		t.Errorf("got error %v, want %v", err, context.Canceled)
	}
}

func TestOwnerOfNothingIsNobody(t *testing.T) {
	path := filepath.Join(t.TempDir(), "lock")
	for _, text := range []string{"", "x", "-4", "12 13"} {
		if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
		if got := Owner(path); got != 0 {
			t.Errorf("%q: got owner %d, want 0", text, got)
		}
	}
	if got := Owner(path + "x"); got != 0 {
		t.Errorf("no file: got owner %d, want 0", got)
	}
}

func ExampleTryExclusive() {
	path := filepath.Join(os.TempDir(), fmt.Sprintf("flock-example-%d", os.Getpid()))
	defer func() { _ = os.Remove(path) }()

	first, err := TryExclusive(path)
	if err != nil {
		fmt.Println(err)
		return
	}
	_, err = TryExclusive(path)
	fmt.Println(errors.Is(err, ErrHeld))

	first.Close()
	second, err := TryExclusive(path)
	fmt.Println(err)
	second.Close()
	// Output:
	// true
	// <nil>
}
