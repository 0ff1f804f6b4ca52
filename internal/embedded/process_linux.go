package embedded

import (
	"bytes"
	"fmt"
	"os"
	"os/exec"
	"syscall"
)

// tieToParent has the kernel end the child when the thread that started it
// ends, which it does when this process is killed.
func tieToParent(cmd *exec.Cmd) {
	cmd.SysProcAttr = &syscall.SysProcAttr{
		Pdeathsig: syscall.SIGKILL,
		Setpgid:   true, // Ctrl-C is for the parent, which stops the child in order
	}
}

// processIdentity returns a text that no other process, of this boot or
// another, has had. It is an error when pid is not running.
func processIdentity(pid int) (string, error) {
	stat, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", pid))
	if err != nil {
		return "", os.ErrProcessDone
	}
	// pid (name) state ppid ...: the name may hold spaces and parentheses.
	_, after, ok := bytes.Cut(stat[bytes.LastIndexByte(stat, ')')+1:], []byte(" "))
	fields := bytes.Fields(after)
	const state, started = 0, 19 // fields 3 and 22 of proc(5)
	if !ok || len(fields) <= started {
		return "", fmt.Errorf("read start of process %d: unknown format", pid)
	}
	if s := fields[state][0]; s == 'Z' || s == 'X' {
		return "", os.ErrProcessDone
	}
	boot, err := os.ReadFile("/proc/sys/kernel/random/boot_id")
	if err != nil {
		return "", fmt.Errorf("read boot id: %w", err)
	}
	return fmt.Sprintf("%s/%s", bytes.TrimSpace(boot), fields[started]), nil
}
