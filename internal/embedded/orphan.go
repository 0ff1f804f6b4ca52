package embedded

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"time"
)

// processRecord is what the data folder remembers of its child: enough to
// find it again after the parent died, and to know it from a stranger that
// got the same process id later.
type processRecord struct {
	PID      int    `json:"pid"`
	Identity string `json:"identity"` // see processIdentity
	Ports    ports  `json:"ports"`
}

// readProcessRecord returns the zero record when there is none, or when it
// cannot be understood: a half-written file must not keep the server down.
func readProcessRecord(path string) (processRecord, error) {
	var r processRecord
	text, err := os.ReadFile(path)
	if errors.Is(err, fs.ErrNotExist) {
		return r, nil
	}
	if err != nil {
		return r, fmt.Errorf("read process record: %w", err)
	}
	if json.Unmarshal(text, &r) != nil {
		return processRecord{}, nil //nolint:nilerr // see above
	}
	return r, nil
}

// write replaces the record at path.
func (r processRecord) write(path string) error {
	text, err := json.Marshal(r)
	if err != nil {
		return fmt.Errorf("encode process record: %w", err)
	}
	return writeFile(path, append(text, '\n'))
}

// writeFile replaces the file at path in one step, readable by the owner only.
func writeFile(path string, text []byte) error {
	next := path + ".new"
	if err := os.WriteFile(next, text, 0o600); err != nil {
		return fmt.Errorf("write %s: %w", path, err)
	}
	if err := os.Rename(next, path); err != nil {
		return fmt.Errorf("write %s: %w", path, err)
	}
	return nil
}

// endOrphan ends the child of a former run that outlived its parent, first
// politely and after the limit by force. It reports whether there was one.
// A process that only has the same id is left alone.
func (r processRecord) endOrphan(ctx context.Context, limit time.Duration) (bool, error) {
	if r.PID <= 0 || r.Identity == "" {
		return false, nil
	}
	// The handle is taken before the check: where the system has handles
	// (pidfd, Windows), the signal then cannot hit a later process.
	p, err := os.FindProcess(r.PID)
	if err != nil {
		return false, nil // there is no such process
	}
	defer func() { _ = p.Release() }()
	if !r.running() {
		return false, nil
	}
	if err := interrupt(p); err != nil && !errors.Is(err, os.ErrProcessDone) {
		return true, fmt.Errorf("end process %d of a former run: %w", r.PID, err)
	}
	if r.awaitEnd(ctx, limit) {
		return true, nil
	}
	if err := p.Kill(); err != nil && !errors.Is(err, os.ErrProcessDone) {
		return true, fmt.Errorf("kill process %d of a former run: %w", r.PID, err)
	}
	if !r.awaitEnd(ctx, limit) {
		return true, fmt.Errorf("process %d of a former run does not end", r.PID)
	}
	return true, nil
}

// running reports whether the very process of the record is alive.
func (r processRecord) running() bool {
	id, err := processIdentity(r.PID)
	return err == nil && id == r.Identity
}

// awaitEnd reports whether the process ended before the limit. It is not our
// child, so there is nothing to wait on but its presence.
func (r processRecord) awaitEnd(ctx context.Context, limit time.Duration) bool {
	ctx, cancel := context.WithTimeout(ctx, limit)
	defer cancel()
	tick := time.NewTicker(20 * time.Millisecond)
	defer tick.Stop()
	for r.running() {
		select {
		case <-ctx.Done():
			return false
		case <-tick.C:
		}
	}
	return true
}
