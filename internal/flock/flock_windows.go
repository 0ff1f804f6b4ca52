package flock

import (
	"errors"
	"os"

	"golang.org/x/sys/windows"
)

// lockedAt is far behind the text: on Windows a locked range cannot be read
// by others, and others must be able to read who holds the lock.
const lockedAt = 1 << 30

func lock(f *os.File, exclusive bool) error {
	flags := uint32(windows.LOCKFILE_FAIL_IMMEDIATELY)
	if exclusive {
		flags |= windows.LOCKFILE_EXCLUSIVE_LOCK
	}
	at := windows.Overlapped{Offset: lockedAt}
	err := windows.LockFileEx(windows.Handle(f.Fd()), flags, 0, 1, 0, &at)
	if errors.Is(err, windows.ERROR_LOCK_VIOLATION) {
		return ErrHeld
	}
	return err
}
