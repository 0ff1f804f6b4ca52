package embedded

import (
	"fmt"
	"os"
	"os/exec"
	"syscall"

	"golang.org/x/sys/unix"
)

// tieToParent keeps Ctrl-C from the child: the parent stops it in order. This
// system cannot end a child with its parent; the next start ends an orphan.
func tieToParent(cmd *exec.Cmd) {
	cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
}

// processIdentity returns a text that no other process with this id has had.
// It is an error when pid is not running.
func processIdentity(pid int) (string, error) {
	const zombie = 5 // SZOMB in sys/proc.h
	p, err := unix.SysctlKinfoProc("kern.proc.pid", pid)
	if err != nil || p.Proc.P_stat == zombie {
		return "", os.ErrProcessDone
	}
	start := p.Proc.P_starttime
	return fmt.Sprintf("%d.%06d", start.Sec, start.Usec), nil
}
