package main

import "os"

// processAlive reports whether a process has this id: on Windows
// os.FindProcess opens it.
func processAlive(pid int) bool {
	if pid <= 0 {
		return false
	}
	p, err := os.FindProcess(pid)
	if err != nil {
		return false
	}
	return p.Release() == nil
}
