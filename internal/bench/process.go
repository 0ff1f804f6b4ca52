package main

import (
	"bytes"
	"fmt"
	"os"
	"strconv"
	"strings"
	"time"
)

// tick is the unit of CPU times in /proc; Linux has reported hundredths of a
// second to programs on every architecture for decades.
const tick = time.Second / 100

// cpuOf returns the CPU time of a process so far, with that of the children
// it has waited for.
func cpuOf(pid int) (time.Duration, error) {
	stat, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", pid))
	if err != nil {
		return 0, fmt.Errorf("CPU time of process %d: %w", pid, err)
	}
	d, err := parseCPU(stat)
	if err != nil {
		return 0, fmt.Errorf("CPU time of process %d: %w", pid, err)
	}
	return d, nil
}

// ownCPU is cpuOf this process, 0 where that cannot be told.
func ownCPU() time.Duration {
	d, err := cpuOf(os.Getpid())
	if err != nil {
		return 0
	}
	return d
}

// parseCPU reads utime, stime, cutime and cstime: the fields 14 to 17, counted
// from 1. The name before them is in parentheses and may hold anything.
func parseCPU(stat []byte) (time.Duration, error) {
	fields := strings.Fields(string(stat[bytes.LastIndexByte(stat, ')')+1:]))
	const first = 14 - 3 // the process id and the name are cut off
	if len(fields) < first+4 {
		return 0, fmt.Errorf("%d fields after the name, want %d", len(fields), first+4)
	}
	var ticks int64
	for _, f := range fields[first : first+4] {
		n, err := strconv.ParseInt(f, 10, 64)
		if err != nil {
			return 0, err
		}
		ticks += n
	}
	return time.Duration(ticks) * tick, nil
}

// A memoryOfProcess is in bytes.
type memoryOfProcess struct{ now, peak int64 }

func memoryOf(pid int) (memoryOfProcess, error) {
	status, err := os.ReadFile(fmt.Sprintf("/proc/%d/status", pid))
	if err != nil {
		return memoryOfProcess{}, fmt.Errorf("memory of process %d: %w", pid, err)
	}
	return memoryOfProcess{now: kilobytes(status, "VmRSS"), peak: kilobytes(status, "VmHWM")}, nil
}

// kilobytes reads a line such as "VmRSS:   1234 kB" and returns bytes, 0 if
// there is none.
func kilobytes(text []byte, name string) int64 {
	for line := range strings.Lines(string(text)) {
		rest, ok := strings.CutPrefix(line, name+":")
		if !ok {
			continue
		}
		if fields := strings.Fields(rest); len(fields) > 0 {
			n, _ := strconv.ParseInt(fields[0], 10, 64) // 0 for what is no number
			return n << 10
		}
	}
	return 0
}
