package embedded

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"

	"github.com/tributary-kb/tributary/internal/flock"
)

// InUseError is returned when another process works on a data folder. It is
// also returned when this very process has opened the folder already.
type InUseError struct {
	Dir string // the folder
	PID int    // process id of its holder, 0 if it could not be read
}

// Error names the folder and the process that holds it.
func (e *InUseError) Error() string {
	holder := "another process"
	if e.PID != 0 {
		holder = fmt.Sprintf("process %d", e.PID)
	}
	return fmt.Sprintf("data folder %s is in use by %s: stop that process or choose another data folder", e.Dir, holder)
}

// claimFolder creates dir when it is absent and takes it for this process
// until the lock is closed. A held folder is an *InUseError.
func claimFolder(dir string) (*flock.Lock, error) {
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return nil, fmt.Errorf("create data folder: %w", err)
	}
	path := filepath.Join(dir, "tributary.lock")
	lock, err := flock.TryExclusive(path)
	if errors.Is(err, flock.ErrHeld) {
		return nil, &InUseError{Dir: dir, PID: flock.Owner(path)}
	}
	if err != nil {
		return nil, fmt.Errorf("claim data folder %s: %w", dir, err)
	}
	if err := lock.SetOwner(os.Getpid()); err != nil {
		lock.Close()
		return nil, fmt.Errorf("claim data folder %s: %w", dir, err)
	}
	return lock, nil
}
