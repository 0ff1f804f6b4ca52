//go:build !linux || race

package ingest

// kernelLimits reports whether limitAddressSpace limits anything.
const kernelLimits = false

// limitAddressSpace does nothing where the kernel offers no limit that fits,
// and under the race detector, which maps terabytes: the collector and the
// watcher hold the limit alone.
func limitAddressSpace(int64) error { return nil }
