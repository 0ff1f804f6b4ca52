//go:build !windows && (!unix || aix || solaris)

package flock

import (
	"errors"
	"os"
)

func lock(*os.File, bool) error {
	return errors.ErrUnsupported
}
