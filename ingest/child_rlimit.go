//go:build linux && !race

package ingest

import (
	"bytes"
	"fmt"
	"os"
	"strconv"
	"syscall"
)

// kernelLimits reports whether limitAddressSpace limits anything.
const kernelLimits = true

// limitAddressSpace has the kernel refuse mappings once this process has
// mapped limit bytes, and some slack for the runtime's own, beyond what it has
// mapped now. The runtime reserves much more than it uses, so an absolute
// limit would say little.
func limitAddressSpace(limit int64) error {
	const slack = 256 << 20
	statm, err := os.ReadFile("/proc/self/statm")
	if err != nil {
		return fmt.Errorf("read the size of this process: %w", err)
	}
	first, _, _ := bytes.Cut(statm, []byte(" "))
	pages, err := strconv.ParseUint(string(first), 10, 64)
	if err != nil {
		return fmt.Errorf("read the size of this process: %w", err)
	}
	size := pages*uint64(os.Getpagesize()) + uint64(limit) + slack
	if err := syscall.Setrlimit(syscall.RLIMIT_AS, &syscall.Rlimit{Cur: size, Max: size}); err != nil {
		return fmt.Errorf("limit the address space to %d bytes: %w", size, err)
	}
	return nil
}
