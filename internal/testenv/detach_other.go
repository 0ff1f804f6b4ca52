//go:build !unix

package testenv

import "os/exec"

// detach does nothing here.
func detach(*exec.Cmd) {}
