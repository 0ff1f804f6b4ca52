package main

import (
	"bufio"
	"errors"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/spf13/cobra"
)

func TestEveryCommandExplainsItself(t *testing.T) {
	root := newRoot(newApp())
	for _, cmd := range append(root.Commands(), root) {
		if cmd.Short == "" || cmd.Long == "" || !strings.HasPrefix(cmd.Example, "  ") && !strings.Contains(cmd.Example, "tributary ") {
			t.Errorf("%s lacks a description or an example", cmd.CommandPath())
		}
		for line := range strings.SplitSeq(cmd.Long, "\n") {
			if len(line) > 80 {
				t.Errorf("%s: line %q is longer than 80 characters", cmd.CommandPath(), line)
			}
		}
	}
}

// The examples of the help are real command lines: their flags exist and take
// these values.
func TestExamplesParse(t *testing.T) {
	root := newRoot(newApp())
	for _, cmd := range append(root.Commands(), root) {
		for line := range strings.SplitSeq(cmd.Example, "\n") {
			_, command, ok := strings.Cut(line, "tributary ")
			if !ok {
				t.Errorf("%s: example %q does not run tributary", cmd.Name(), line)
				continue
			}
			checkCommandLine(t, newRoot(newApp()), command)
		}
	}
}

func checkCommandLine(t *testing.T, root *cobra.Command, line string) {
	t.Helper()
	cmd, rest, err := root.Find(words(line))
	if err == nil {
		err = cmd.ParseFlags(rest)
	}
	if err == nil {
		err = cmd.ValidateArgs(cmd.Flags().Args())
	}
	if err != nil {
		t.Errorf("example %q: %v", line, err)
	}
}

// words splits a command line at spaces outside of double quotes.
func words(line string) []string {
	var out []string
	quoted := false
	for part := range strings.FieldsFuncSeq(line, func(r rune) bool {
		if r == '"' {
			quoted = !quoted
		}
		return r == ' ' && !quoted
	}) {
		out = append(out, strings.Trim(part, `"`))
	}
	return out
}

func TestInterruptEndsTheWaitCleanly(t *testing.T) {
	dir := t.TempDir()
	if err := os.WriteFile(filepath.Join(dir, "block"), nil, 0o644); err != nil {
		t.Fatal(err)
	}
	var out strings.Builder
	cmd := exec.CommandContext(t.Context(), "tributary", "add", "--wait", "--json", "https://example.com/a")
	cmd.Env = append(os.Environ(), "FAKE="+dir, "HOME="+dir)
	cmd.Stdout = &out
	stderr, err := cmd.StderrPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	lines := bufio.NewScanner(stderr)
	for lines.Scan() && lines.Text() != "blocked" {
		t.Logf("before the wait: %s", lines.Text())
	}
	if err := cmd.Process.Signal(os.Interrupt); err != nil {
		t.Fatal(err)
	}
	var said []string
	for lines.Scan() {
		said = append(said, lines.Text())
	}
	err = cmd.Wait()
	failed, ok := errors.AsType[*exec.ExitError](err)
	if !ok || failed.ExitCode() != exitInterrupted {
		t.Errorf("ended with %v, want exit code %d", err, exitInterrupted)
	}
	if got, want := strings.Join(said, "\n"), "tributary: interrupted"; got != want {
		t.Errorf("said %q, want %q", got, want)
	}
	if !strings.Contains(out.String(), `"state":"pending"`) {
		t.Errorf("receipts %q, want that of the pending document", out.String())
	}
}

// Standard input may be a terminal or a pipe on which nothing ever comes.
func TestSilentInputDoesNotHoldTheCommand(t *testing.T) {
	silent, other, err := os.Pipe()
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _, _ = silent.Close(), other.Close() }()
	dir := t.TempDir()
	cmd := exec.CommandContext(t.Context(), "tributary", "add", "--timeout", "10ms", "--uri", "note:x", "-")
	cmd.Env = append(os.Environ(), "FAKE="+dir, "HOME="+dir)
	cmd.Stdin = silent
	said, err := cmd.CombinedOutput()
	failed, ok := errors.AsType[*exec.ExitError](err)
	if !ok || failed.ExitCode() != exitFailure || !strings.Contains(string(said), "not done within 10ms (--timeout)") {
		t.Errorf("ended with %v and %q, want exit code %d and the name of the limit", err, said, exitFailure)
	}
}

func TestOutputThatIsLostIsAFailure(t *testing.T) {
	full, err := os.OpenFile("/dev/full", os.O_WRONLY, 0)
	if err != nil {
		t.Skip("there is no device here that is always full")
	}
	defer func() { _ = full.Close() }()
	dir := t.TempDir()
	for _, args := range [][]string{{"version"}, {"help"}, {"add", "https://example.com/a"}} {
		cmd := exec.CommandContext(t.Context(), "tributary", args...)
		cmd.Env = append(os.Environ(), "FAKE="+dir, "HOME="+dir)
		cmd.Stdout = full
		var said strings.Builder
		cmd.Stderr = &said
		failed, ok := errors.AsType[*exec.ExitError](cmd.Run())
		if !ok || failed.ExitCode() != exitFailure || !strings.Contains(said.String(), "write the result") {
			t.Errorf("%s ended with %v and %q, want exit code %d and why", args, failed, said.String(), exitFailure)
		}
	}
}
