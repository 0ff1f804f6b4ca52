package main

import (
	"fmt"
	"io"
	"os"
	"strconv"
	"strings"
	"sync/atomic"

	"golang.org/x/term"
)

// The rules of the streams: results go to standard output, everything else to
// standard error. Colours and bars appear only on a terminal. Text that came
// from a document or a server is cleaned before it is printed, so that it
// cannot control the terminal.

// A terminal is an output stream, and what it can show.
type terminal struct {
	io.Writer
	tty    bool
	color  bool
	width  int                   // columns to wrap text to
	failed atomic.Pointer[error] // of the first write that did
}

// Write remembers the first failure, so that a command whose output went
// nowhere does not end as if all were well.
func (t *terminal) Write(p []byte) (int, error) {
	n, err := t.Writer.Write(p)
	if err != nil {
		t.failed.CompareAndSwap(nil, &err)
	}
	return n, err
}

// failure is the first failure to write, nil if there was none.
func (t *terminal) failure() error {
	if err := t.failed.Load(); err != nil {
		return fmt.Errorf("write the result: %w", *err)
	}
	return nil
}

// The width that text is wrapped to.
const (
	defaultWidth = 80 // where the stream is no terminal
	minWidth     = 40
	maxWidth     = 110 // longer lines are hard to read
)

// newTerminal looks at what w is connected to. NO_COLOR (https://no-color.org)
// and TERM=dumb turn colours off; COLUMNS overrides the width. A nil getenv
// finds none of them.
func newTerminal(w io.Writer, getenv func(string) string) *terminal {
	if getenv == nil {
		getenv = func(string) string { return "" }
	}
	t := &terminal{Writer: w, width: defaultWidth}
	if f, ok := w.(*os.File); ok && term.IsTerminal(int(f.Fd())) {
		t.tty = true
		t.color = getenv("NO_COLOR") == "" && getenv("TERM") != "dumb"
		if columns, _, err := term.GetSize(int(f.Fd())); err == nil {
			t.width = columns
		}
	}
	if columns, err := strconv.Atoi(getenv("COLUMNS")); err == nil && columns > 0 {
		t.width = columns
	}
	t.width = min(max(t.width, minWidth), maxWidth)
	return t
}

// A style is an SGR parameter.
type style string

const (
	bold   style = "1"
	dim    style = "2"
	red    style = "31"
	green  style = "32"
	yellow style = "33"
	cyan   style = "36"
)

// paint returns text in the style, or as it is where colours are off.
func (t *terminal) paint(s style, text string) string {
	if !t.color || text == "" {
		return text
	}
	return "\x1b[" + string(s) + "m" + text + "\x1b[0m"
}

// printf writes to standard output. A failure is told when the command ends.
func (a *app) printf(format string, args ...any) {
	_, _ = fmt.Fprintf(a.out, format, args...)
}

// warnf writes one message to standard error, cleaned, with a newline.
func (a *app) warnf(format string, args ...any) {
	_, _ = fmt.Fprintln(a.err, clean(fmt.Sprintf(format, args...)))
}

// shellQuote quotes s for pasting into a shell if it needs quoting.
func shellQuote(s string) string {
	plain := func(r rune) bool {
		return r >= 'a' && r <= 'z' || r >= 'A' && r <= 'Z' || r >= '0' && r <= '9' || strings.ContainsRune("/._-+:@%,=~", r)
	}
	if s != "" && strings.IndexFunc(s, func(r rune) bool { return !plain(r) }) < 0 {
		return s
	}
	return "'" + strings.ReplaceAll(s, "'", `'\''`) + "'"
}
