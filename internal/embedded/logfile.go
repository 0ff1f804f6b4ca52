package embedded

import (
	"bytes"
	"fmt"
	"os"
	"sync"
)

const (
	// maxLogBytes is the size at which a log file is moved aside; one older
	// file is kept, so a log takes at most twice this.
	maxLogBytes = 10 << 20
	// maxTailBytes is how much of the log is kept in memory for errors.
	maxTailBytes = 4 << 10
)

// logFile is a bounded log of a child process. It keeps the last lines in
// memory, so that an error can tell why the child ended. Write never fails:
// a full disk must not end the child.
type logFile struct {
	path string

	mu   sync.Mutex
	f    *os.File // nil once the file could not be written
	size int64
	tail []byte
}

// openLog opens the log at path for appending, after moving it aside if it has
// grown over the limit.
func openLog(path string) (*logFile, error) {
	l := &logFile{path: path}
	if err := l.open(); err != nil {
		return nil, fmt.Errorf("open log: %w", err)
	}
	if l.size >= maxLogBytes {
		l.rotate()
	}
	return l, nil
}

func (l *logFile) open() error {
	f, err := os.OpenFile(l.path, os.O_CREATE|os.O_WRONLY|os.O_APPEND, 0o600)
	if err != nil {
		return err
	}
	info, err := f.Stat()
	if err != nil {
		f.Close()
		return err
	}
	l.f, l.size = f, info.Size()
	return nil
}

// rotate starts a new file; the former one stays as path.1. When that cannot
// be done the log goes on in memory only.
func (l *logFile) rotate() {
	l.f.Close()
	l.f = nil
	if err := os.Rename(l.path, l.path+".1"); err != nil {
		return
	}
	_ = l.open() // l.f stays nil, see above
}

// Write appends p to the file and to the tail.
func (l *logFile) Write(p []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.tail = append(l.tail, p...)
	if over := len(l.tail) - maxTailBytes; over > 0 {
		l.tail = append(l.tail[:0], l.tail[over:]...)
	}
	if l.f == nil {
		return len(p), nil
	}
	if l.size+int64(len(p)) > maxLogBytes && l.size > 0 {
		l.rotate()
	}
	if l.f != nil {
		n, _ := l.f.Write(p)
		l.size += int64(n)
	}
	return len(p), nil
}

// Tail returns the last whole lines that were written, at most n of them, and
// "" when nothing was written.
func (l *logFile) Tail(n int) string {
	l.mu.Lock()
	defer l.mu.Unlock()
	lines := bytes.Split(bytes.TrimRight(l.tail, "\n"), []byte("\n"))
	if len(l.tail) == maxTailBytes && len(lines) > 1 {
		lines = lines[1:] // cut off in front
	}
	if len(lines) > n {
		lines = lines[len(lines)-n:]
	}
	return string(bytes.Join(lines, []byte("\n")))
}

// resetTail forgets the tail, so that the next Tail speaks of one run only.
func (l *logFile) resetTail() {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.tail = l.tail[:0]
}

// Close closes the file. Later writes are kept in memory only.
func (l *logFile) Close() {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.f != nil {
		l.f.Close()
		l.f = nil
	}
}
