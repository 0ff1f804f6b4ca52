package embedded

import (
	"fmt"
	"os"
	"os/exec"
	"syscall"

	"golang.org/x/sys/windows"
)

// tieToParent keeps Ctrl-C from the child: the parent ends it. A child that
// outlives its parent is ended by the next start.
func tieToParent(cmd *exec.Cmd) {
	cmd.SysProcAttr = &syscall.SysProcAttr{CreationFlags: windows.CREATE_NEW_PROCESS_GROUP}
}

// interrupt ends p: there is no polite way here that a server without a
// console would see.
func interrupt(p *os.Process) error {
	return p.Kill()
}

// processIdentity returns a text that no other process with this id has had.
// It is an error when pid is not running.
func processIdentity(pid int) (string, error) {
	h, err := windows.OpenProcess(windows.PROCESS_QUERY_LIMITED_INFORMATION|windows.SYNCHRONIZE, false, uint32(pid))
	if err != nil {
		return "", os.ErrProcessDone
	}
	defer windows.CloseHandle(h)
	if state, err := windows.WaitForSingleObject(h, 0); err == nil && state == windows.WAIT_OBJECT_0 {
		return "", os.ErrProcessDone
	}
	var created, exited, kernel, user windows.Filetime
	if err := windows.GetProcessTimes(h, &created, &exited, &kernel, &user); err != nil {
		return "", fmt.Errorf("read start of process %d: %w", pid, err)
	}
	return fmt.Sprintf("%d", created.Nanoseconds()), nil
}
