//go:build unix

package embedded

import (
	"os"
	"syscall"
)

// interrupt asks p to end in order.
func interrupt(p *os.Process) error {
	return p.Signal(syscall.SIGTERM)
}
