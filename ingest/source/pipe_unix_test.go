//go:build unix

package source

import (
	"syscall"
	"testing"
)

// pipe makes a named pipe, of which nobody ever reads.
func pipe(t *testing.T, path string) {
	t.Helper()
	fatal(t, syscall.Mkfifo(path, 0o600))
}
