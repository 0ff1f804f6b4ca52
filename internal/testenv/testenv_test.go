package testenv

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"runtime"
	"strings"
	"sync"
	"testing"

	"github.com/nats-io/nats.go"

	"github.com/tributary-kb/tributary/internal/embedded"
	"github.com/tributary-kb/tributary/internal/flock"
)

func TestWeaviateAnswers(t *testing.T) {
	s := Weaviate(t)
	resp, err := http.Get("http://" + s.HTTP + "/v1/meta")
	if err != nil {
		t.Fatal(err)
	}
	resp.Body.Close()
	if resp.StatusCode != http.StatusOK {
		t.Errorf("got status %s, want 200", resp.Status)
	}
	if again := Weaviate(t); again != s {
		t.Errorf("got %v the second time, want %v", again, s)
	}
}

// binary returns the real server.
func binary(t *testing.T) string {
	t.Helper()
	path, err := embedded.ObtainWeaviate(t.Context(), embedded.ObtainConfig{})
	if err != nil {
		t.Fatal(err)
	}
	return path
}

// newPlace is a meeting place of this test alone, whose server ends as soon
// as nobody uses it.
func newPlace(t *testing.T) place {
	t.Helper()
	t.Setenv(graceEnv, "1ms")
	p := place(t.TempDir())
	// Before the folder is removed the supervisor must be gone.
	t.Cleanup(func() { awaitEnd(t, p) })
	return p
}

// awaitEnd waits until no supervisor is left.
func awaitEnd(t *testing.T, p place) {
	t.Helper()
	lock, err := flock.Exclusive(context.WithoutCancel(t.Context()), p.supervisor())
	if err != nil {
		t.Error(err)
	}
	lock.Close()
}

func TestServerIsSharedAndEndsAfterItsLastUser(t *testing.T) {
	p, server := newPlace(t), binary(t)
	var (
		mu     sync.Mutex
		seen   = map[Server]bool{}
		leases []*flock.Lock
		wg     sync.WaitGroup
	)
	for range 4 {
		wg.Go(func() {
			s, lease, err := p.join(t.Context(), server)
			if err != nil {
				t.Error(err)
				return
			}
			mu.Lock()
			defer mu.Unlock()
			seen[*s] = true
			leases = append(leases, lease)
		})
	}
	wg.Wait()
	if len(seen) != 1 {
		t.Fatalf("got servers %v, want one", seen)
	}
	s, err := p.readState()
	if err != nil {
		t.Fatal(err)
	}
	for i, lease := range leases {
		if conn, err := net.Dial("tcp", s.HTTP); err != nil {
			t.Errorf("with %d leases left: %v", len(leases)-i, err)
		} else {
			_ = conn.Close()
		}
		lease.Close()
	}
	awaitEnd(t, p)
	if conn, err := net.Dial("tcp", s.HTTP); err == nil {
		_ = conn.Close()
		t.Error("the server still listens after its end")
	}
	for _, path := range []string{s.Dir, p.state()} {
		if _, err := os.Stat(path); !errors.Is(err, fs.ErrNotExist) {
			t.Errorf("%s: got %v after the end, want it gone", path, err)
		}
	}
}

func TestServerIsStartedAgainAfterItsSupervisorWasKilled(t *testing.T) {
	if runtime.GOOS != "linux" {
		t.Log("the killed supervisor's server may live on here, unused")
	}
	p, server := newPlace(t), binary(t)
	_, lease, err := p.join(t.Context(), server)
	if err != nil {
		t.Fatal(err)
	}
	former, err := p.readState()
	if err != nil {
		t.Fatal(err)
	}
	killed, err := os.FindProcess(flock.Owner(p.supervisor()))
	if err != nil {
		t.Fatal(err)
	}
	if err := killed.Kill(); err != nil {
		t.Fatal(err)
	}
	awaitEnd(t, p)
	lease.Close()

	s, lease, err := p.join(t.Context(), server)
	if err != nil {
		t.Fatal(err)
	}
	defer lease.Close()
	if conn, err := net.Dial("tcp", s.HTTP); err != nil {
		t.Error(err)
	} else {
		_ = conn.Close()
	}
	if _, err := os.Stat(former.Dir); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("data of the killed one: got %v, want them gone", err)
	}
}

func TestServerThatCannotStartSaysWhy(t *testing.T) {
	p := newPlace(t)
	_, _, err := p.join(t.Context(), filepath.Join(t.TempDir(), "absent"))
	if err == nil || !strings.Contains(err.Error(), "absent") {
		t.Errorf("got error %v, want one that names the binary", err)
	}
}

// failing is a testing.TB that keeps what ends the test.
type failing struct {
	testing.TB
	message string
}

func (f *failing) Helper() {}
func (f *failing) Fatalf(format string, args ...any) {
	f.message = fmt.Sprintf(format, args...)
	runtime.Goexit()
}

func TestTestFailsWithTheCommandWhenThereIsNoWeaviate(t *testing.T) {
	if os.Getenv("TRIBUTARY_TESTENV_WITHOUT") == "" {
		// In a process of its own, for the server of this one is there.
		cmd := exec.Command(os.Args[0], "-test.run", "^"+t.Name()+"$", "-test.v")
		cmd.Env = append(os.Environ(), "TRIBUTARY_TESTENV_WITHOUT=1",
			"HOME=", "XDG_CACHE_HOME=relative", "LocalAppData=")
		if out, err := cmd.CombinedOutput(); err != nil {
			t.Errorf("%v:\n%s", err, out)
		}
		return
	}
	f := &failing{TB: t}
	done := make(chan struct{})
	go func() {
		defer close(done)
		Weaviate(f)
	}()
	<-done
	if !strings.Contains(f.message, obtainHint) {
		t.Errorf("got message %q, want %q in it", f.message, obtainHint)
	}
}

func TestKBIsValidAndUnique(t *testing.T) {
	valid := regexp.MustCompile(`^[a-z][a-z0-9-]{0,62}$`)
	seen := map[string]bool{}
	for _, name := range []string{"plain", "Ünïcode & spaces", "0123", "", strings.Repeat("long", 40), "plain"} {
		t.Run(name, func(t *testing.T) {
			for range 2 {
				kb := KB(t)
				if !valid.MatchString(kb) || seen[kb] {
					t.Errorf("got %q, want a new name that matches %s", kb, valid)
				}
				seen[kb] = true
			}
		})
	}
}

func TestEachTestHasANATSOfItsOwn(t *testing.T) {
	first, second := NATS(t), NATS(t)
	got := make(chan string, 2)
	if _, err := second.Subscribe("s", func(m *nats.Msg) { got <- string(m.Data) }); err != nil {
		t.Fatal(err)
	}
	if err := second.Flush(); err != nil {
		t.Fatal(err)
	}
	for nc, text := range map[*nats.Conn]string{first: "first", second: "second"} {
		if err := nc.Publish("s", []byte(text)); err != nil {
			t.Fatal(err)
		}
		if err := nc.Flush(); err != nil {
			t.Fatal(err)
		}
	}
	if text := <-got; text != "second" {
		t.Errorf("got %q, want %q", text, "second")
	}
}

func TestSharedDataIsFoundOrSkips(t *testing.T) {
	var skipped bool
	t.Run("absent", func(t *testing.T) {
		defer func() { skipped = t.Skipped() }()
		SharedData(t, "no-such-corpus")
	})
	if !skipped {
		t.Error("an absent corpus did not skip the test")
	}
	dir := SharedData(t, "qa-company-docs")
	if info, err := os.Stat(dir); err != nil || !info.IsDir() {
		t.Errorf("got %s: %v, want a folder", dir, err)
	}
}

func TestEventuallyAsksUntilItHolds(t *testing.T) {
	left := 3
	Eventually(t, t.Context(), func() error {
		if left--; left > 0 {
			return errors.New("not yet")
		}
		return nil
	})
	if left != 0 {
		t.Errorf("got %d calls left, want 0", left)
	}
}

func TestEventuallyFailsWithTheLastError(t *testing.T) {
	ctx, cancel := context.WithCancel(t.Context())
	f := &failing{TB: t}
	done := make(chan struct{})
	go func() {
		defer close(done)
		Eventually(f, ctx, func() error {
			cancel()
			return errors.New("the reason")
		})
	}()
	<-done
	if !strings.Contains(f.message, "the reason") {
		t.Errorf("got message %q, want the reason in it", f.message)
	}
}

func TestProgressWritesEachTenthOnce(t *testing.T) {
	var out strings.Builder
	progress := Progress(&out)
	progress("fetching", 0, 0)
	for done := range int64(21) {
		progress("building", done, 20)
	}
	lines := strings.Split(strings.TrimSpace(out.String()), "\n")
	if len(lines) != 12 || lines[0] != "weaviate: fetching" || lines[11] != "weaviate: building: 100%" {
		t.Errorf("got %q, want one line for fetching and eleven for building", lines)
	}
}
