package embedded

import (
	"errors"
	"os"
	"os/exec"
	"runtime"
	"time"
)

// child is a started process that somebody waits for.
type child struct {
	proc *os.Process
	done chan struct{} // closed when the process has ended
	err  error         // how it ended; read after done
}

// startChild starts cmd and ties its life to this process where the system
// can do that.
func startChild(cmd *exec.Cmd) (*child, error) {
	tieToParent(cmd)
	c := &child{done: make(chan struct{})}
	started := make(chan error, 1)
	go func() {
		// Linux sends the parent-death signal when the starting thread ends,
		// not the process, so this goroutine keeps its thread to itself
		// until the child is gone.
		runtime.LockOSThread()
		defer runtime.UnlockOSThread()
		err := cmd.Start()
		started <- err
		if err != nil {
			return
		}
		c.err = cmd.Wait()
		close(c.done)
	}()
	if err := <-started; err != nil {
		return nil, err
	}
	c.proc = cmd.Process
	return c, nil
}

// stop asks the child to end and waits. After the limit, or when hurry is
// closed, the child is killed. It reports whether the child ended by itself.
func (c *child) stop(hurry <-chan struct{}, limit time.Duration) bool {
	timer := time.NewTimer(limit)
	defer timer.Stop()
	if err := interrupt(c.proc); err != nil && !errors.Is(err, os.ErrProcessDone) {
		c.kill()
		return false
	}
	select {
	case <-c.done:
		return true
	case <-timer.C:
	case <-hurry:
	}
	c.kill()
	return false
}

// kill ends the child at once and waits.
func (c *child) kill() {
	_ = c.proc.Kill() // it may just have ended
	<-c.done
}

// ended reports whether the process is gone.
func (c *child) ended() bool {
	select {
	case <-c.done:
		return true
	default:
		return false
	}
}
