package main

import (
	"context"
	"fmt"
	"os"
	"runtime"
	"strconv"
	"strings"
	"time"
)

// An environment is where and when the figures came about.
type environment struct {
	machine string // cores, processor, memory, system
	load    string // load averages at the start, over 1, 5 and 15 minutes
	date    string
	nats    string
	server  string // version of Weaviate
}

func readEnvironment() (environment, error) {
	load, err := os.ReadFile("/proc/loadavg")
	if err != nil {
		return environment{}, fmt.Errorf("the figures come from /proc, which only Linux has: %w", err)
	}
	memory, err := os.ReadFile("/proc/meminfo")
	if err != nil {
		return environment{}, err
	}
	machine := []string{fmt.Sprintf("%d cores", runtime.NumCPU())}
	if model := valueIn("/proc/cpuinfo", "model name", ":"); model != "" {
		machine = append(machine, model)
	}
	machine = append(machine, fmt.Sprintf("%.0f GiB", float64(kilobytes(memory, "MemTotal"))/(1<<30)))
	if system := valueIn("/etc/os-release", "PRETTY_NAME", "="); system != "" {
		machine = append(machine, strings.Trim(system, `"`))
	}
	return environment{
		machine: strings.Join(append(machine, runtime.GOOS+"/"+runtime.GOARCH), ", "),
		load:    strings.Join(strings.Fields(string(load))[:3], ", "),
		date:    time.Now().UTC().Format(time.DateOnly),
	}, nil
}

// valueIn returns the value of the first line "name separator value" of a
// file, "" if there is none.
func valueIn(path, name, separator string) string {
	data, err := os.ReadFile(path)
	if err != nil {
		return ""
	}
	for line := range strings.Lines(string(data)) {
		if key, value, ok := strings.Cut(line, separator); ok && strings.TrimSpace(key) == name {
			return strings.TrimSpace(value)
		}
	}
	return ""
}

// ask adds what the system knows.
func (e *environment) ask(ctx context.Context, s *system) error {
	status, err := s.client.Status(ctx)
	e.nats, e.server = status.NATS, status.Weaviate
	return err
}

// busy reports whether others used more than a quarter of a core.
func (e environment) busy() bool {
	minute, _, _ := strings.Cut(e.load, ",")
	load, err := strconv.ParseFloat(minute, 64)
	return err == nil && load > 0.25
}
