package embedded

import (
	"bufio"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"os"
	"os/exec"
	"os/signal"
	"strings"
	"syscall"
	"testing"
)

// helperEnv makes the test binary play a process of another kind.
const helperEnv = "TRIBUTARY_EMBEDDED_HELPER"

func TestMain(m *testing.M) {
	switch helper, arg, _ := strings.Cut(os.Getenv(helperEnv), ":"); helper {
	case "":
		m.Run()
	case "parent":
		playParent(arg)
	case "waiter":
		fmt.Println("ready")
		io.Copy(io.Discard, os.Stdin)
	case "stubborn":
		signal.Ignore(syscall.SIGTERM)
		fmt.Println("ready")
		io.Copy(io.Discard, os.Stdin)
	case "broken":
		fmt.Println("starting")
		fmt.Fprintln(os.Stderr, "the disk is on fire")
		os.Exit(7) //nolint:forbidigo // plays a server that ends early
	case "gotool":
		playGoTool(os.Args[1:])
	case "brokengotool":
		fmt.Fprintln(os.Stderr, "go: no such module")
		os.Exit(1) //nolint:forbidigo // plays a go command that fails
	}
}

// playParent runs a Weaviate in the folder, tells about it, and does not end.
func playParent(arg string) {
	binary, dir, _ := strings.Cut(arg, ":")
	w, err := StartWeaviate(context.Background(), WeaviateConfig{Binary: binary, Dir: dir})
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1) //nolint:forbidigo // the test sees the early end
	}
	json.NewEncoder(os.Stdout).Encode(parentReport{PID: w.Pid(), HTTP: w.HTTPAddr(), Key: w.APIKey()})
	select {}
}

// parentReport is what playParent prints when its server is ready.
type parentReport struct {
	PID  int
	HTTP string
	Key  string
}

// helperCommand is this binary in another role.
func helperCommand(t *testing.T, role string) *exec.Cmd {
	t.Helper()
	self, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	cmd := exec.Command(self)
	cmd.Env = append(os.Environ(), helperEnv+"="+role)
	cmd.Stderr = os.Stderr
	return cmd
}

// startHelper starts the helper and returns the first line it prints. It is
// killed with the test.
func startHelper(t *testing.T, role string) (*child, string) {
	t.Helper()
	cmd := helperCommand(t, role)
	if _, err := cmd.StdinPipe(); err != nil { // it lives until this closes
		t.Fatal(err)
	}
	r, w, err := os.Pipe()
	if err != nil {
		t.Fatal(err)
	}
	defer r.Close()
	cmd.Stdout = w
	c, err := startChild(cmd)
	w.Close()
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(c.kill)
	line, err := bufio.NewReader(r).ReadString('\n')
	if err != nil {
		t.Fatalf("helper %q ended early: %v", role, err)
	}
	return c, line
}
