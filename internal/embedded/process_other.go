//go:build !linux && !darwin && !windows

package embedded

import (
	"errors"
	"os/exec"
)

// tieToParent does nothing: this system has no call for it that we use.
func tieToParent(*exec.Cmd) {}

// processIdentity is not known here, so that no process is ever taken for a
// child of a former run.
func processIdentity(int) (string, error) {
	return "", errors.ErrUnsupported
}
