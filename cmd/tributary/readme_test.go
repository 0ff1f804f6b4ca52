package main

import (
	"bufio"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/tributary-kb/tributary/internal/testenv"
)

// commandsUnder returns the indented commands of a section of the README.
func commandsUnder(t *testing.T, heading string) []string {
	t.Helper()
	page, err := os.ReadFile(filepath.Join(testenv.ProjectRoot(t), "README.md"))
	fatal(t, err)
	_, section, found := strings.Cut(string(page), "\n## "+heading+"\n")
	if !found {
		t.Fatalf("the README has no section %q", heading)
	}
	section, _, _ = strings.Cut(section, "\n## ")
	var commands []string
	for line := range strings.Lines(section) {
		if command, ok := strings.CutPrefix(line, "    "); ok {
			command, _, _ = strings.Cut(command, "  #")
			commands = append(commands, strings.TrimSpace(command))
		}
	}
	return commands
}

// home is a new user's machine: nothing is there but the caches that cost
// minutes to fill, and the program on the PATH.
func home(t *testing.T) []string {
	t.Helper()
	dir := t.TempDir()
	cache, err := os.UserCacheDir()
	fatal(t, err)
	env := []string{"HOME=" + dir, "XDG_CACHE_HOME=" + cache, "PATH=" + filepath.Join(dir, "go", "bin") + ":" + os.Getenv("PATH"), "TRIBUTARY_METRICS_LISTEN="}
	for _, name := range []string{"GOCACHE", "GOMODCACHE", "GOPROXY", "GOFLAGS", "GOSUMDB"} {
		out, err := exec.CommandContext(t.Context(), "go", "env", name).Output()
		fatal(t, err)
		env = append(env, name+"="+strings.TrimSpace(string(out)))
	}
	return env
}

func shell(t *testing.T, env []string, command string) string {
	t.Helper()
	cmd := exec.CommandContext(t.Context(), "bash", "-c", command)
	cmd.Dir, cmd.Env = testenv.ProjectRoot(t), env
	var diagnostics strings.Builder
	cmd.Stderr = &diagnostics
	out, err := cmd.Output()
	if err != nil {
		t.Fatalf("%s: %v\n%s%s", command, err, out, diagnostics.String())
	}
	return string(out)
}

// The README's first command starts everything, indexes the documents that
// stand in the repository, and answers a question about them.
func TestDocsReadmeDemo(t *testing.T) {
	testenv.Weaviate(t) // it is in the cache
	commands := commandsUnder(t, "Try it")
	if len(commands) != 2 {
		t.Fatalf("the README promises two commands, it has %q", commands)
	}
	out := shell(t, home(t), commands[0])
	for _, want := range []string{"ready: NATS", "48 hours", "[1]", "travelling-with-pets"} {
		if !strings.Contains(out, want) {
			t.Errorf("the answer does not hold %q:\n%s", want, out)
		}
	}
	if commands[1] != "bash scripts/check test" {
		t.Errorf("the README's test command is %q, CI runs another", commands[1])
	}
}

// What the README says about one's own documents works as it stands, with the
// first command left running.
func TestDocsReadmeOwnDocuments(t *testing.T) {
	testenv.Weaviate(t)
	env := home(t)
	dir := strings.TrimPrefix(env[0], "HOME=")
	for name, text := range map[string]string{"notes/backup.md": "# Backups\n\nWe decided to keep backups for thirty days.\n", "more/team.md": "# Team\n\nWe meet on Mondays.\n"} {
		fatal(t, os.MkdirAll(filepath.Dir(filepath.Join(dir, name)), 0o755))
		fatal(t, os.WriteFile(filepath.Join(dir, name), []byte(text), 0o600))
	}
	commands := commandsUnder(t, "Your own documents")
	if len(commands) < 5 || !strings.HasPrefix(commands[1], "tributary up ") {
		t.Fatalf("the section holds %q", commands)
	}
	shell(t, env, commands[0])
	up := exec.CommandContext(t.Context(), "bash", "-c", "exec "+commands[1])
	up.Env, up.Dir = env, dir
	stdout, err := up.StdoutPipe()
	fatal(t, err)
	stderr, err := up.StderrPipe()
	fatal(t, err)
	fatal(t, up.Start())
	awaitLine(t, stdout, "ready:")
	awaitLine(t, stderr, "all that was named can be searched")
	var out strings.Builder
	for _, command := range commands[2:] {
		out.WriteString(shell(t, env, command))
	}
	for _, want := range []string{"more/team.md", "thirty days", "notes/backup.md", "weaviate"} {
		if !strings.Contains(strings.ToLower(out.String()), want) {
			t.Errorf("the commands do not print %q:\n%s", want, out.String())
		}
	}
	fatal(t, up.Process.Signal(os.Interrupt))
	if err := up.Wait(); err != nil && up.ProcessState.ExitCode() != exitInterrupted {
		t.Errorf("up ended with %v", err)
	}
}

// awaitLine reads until a line holds text, and leaves the rest to be read in
// the background.
func awaitLine(t *testing.T, r io.Reader, text string) {
	t.Helper()
	lines := bufio.NewScanner(r)
	for lines.Scan() {
		if strings.Contains(lines.Text(), text) {
			go func() { _, _ = io.Copy(io.Discard, r) }()
			return
		}
		t.Log(lines.Text())
	}
	t.Fatalf("the output ended without %q", text)
}
