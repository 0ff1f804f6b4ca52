//go:build linux || darwin || freebsd

package embedded

import "golang.org/x/sys/unix"

// freeBytes returns how much this user may still write to the disk of dir.
func freeBytes(dir string) (int64, error) {
	var s unix.Statfs_t
	if err := unix.Statfs(dir, &s); err != nil {
		return 0, err
	}
	return int64(s.Bavail) * int64(s.Bsize), nil //nolint:unconvert // the types differ between systems
}
