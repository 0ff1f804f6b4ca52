// Command testreport reads the output of go test -json from standard input
// and prints what a person wants of it: one line per package, the whole output
// of what failed, every skip with its reason, what each failed test said once
// more in short, and at the end the counts as "N passed, N failed, N skipped".
// It fails if a test failed or none ran.
package main

import (
	"bufio"
	"encoding/json"
	"fmt"
	"io"
	"os"
	"regexp"
	"slices"
	"strings"
)

func main() {
	r := newReport(os.Stdout)
	if err := r.read(os.Stdin); err != nil {
		fmt.Fprintln(os.Stderr, "testreport:", err)
		os.Exit(1)
	}
	if !r.close() {
		os.Exit(1)
	}
}

// An event is one line of go test -json. Test is empty for what concerns the
// whole package.
type event struct {
	Action     string
	Package    string
	ImportPath string // of build output
	Test       string
	Output     string
}

// A report is made while the events come in. Tests and subtests are counted
// alike; a package that fails without a failed test counts as one.
type report struct {
	out     io.Writer
	output  map[string]*strings.Builder // by package and test, until it is known whether it matters
	broken  map[string]bool             // packages with a failed test
	skips   []string
	faults  []string // what failed tests said
	passed  int
	failed  int
	skipped int
}

func newReport(out io.Writer) *report {
	return &report{out: out, output: map[string]*strings.Builder{}, broken: map[string]bool{}}
}

// read takes events up to the end of in. A line that is no event is printed as
// it is.
func (r *report) read(in io.Reader) error {
	lines := bufio.NewReader(in)
	for {
		line, err := lines.ReadBytes('\n')
		if len(line) > 0 {
			r.line(line)
		}
		if err == io.EOF {
			return nil
		}
		if err != nil {
			return fmt.Errorf("read events: %w", err)
		}
	}
}

func (r *report) line(line []byte) {
	var e event
	if json.Unmarshal(line, &e) != nil || e.Action == "" {
		fmt.Fprint(r.out, string(line))
		return
	}
	r.event(e)
}

func (r *report) event(e event) {
	key := e.Package + " " + e.Test
	switch e.Action {
	case "build-output":
		fmt.Fprint(r.out, e.Output)
	case "output":
		if r.output[key] == nil {
			r.output[key] = &strings.Builder{}
		}
		r.output[key].WriteString(e.Output)
	case "pass", "fail", "skip":
		text := ""
		if b := r.output[key]; b != nil {
			text = b.String()
		}
		delete(r.output, key)
		if e.Test == "" {
			r.endOfPackage(e, text)
		} else {
			r.endOfTest(e, text)
		}
	}
}

func (r *report) endOfTest(e event, text string) {
	switch e.Action {
	case "pass":
		r.passed++
	case "skip":
		r.skipped++
		r.skips = append(r.skips, fmt.Sprintf("skipped %s %s: %s", e.Package, e.Test, reason(text)))
	case "fail":
		r.failed++
		r.broken[e.Package] = true
		r.faults = append(r.faults, fmt.Sprintf("failed %s %s:\n%s", e.Package, e.Test, said(text)))
		fmt.Fprint(r.out, text)
	}
}

func (r *report) endOfPackage(e event, text string) {
	if e.Action == "fail" {
		if !r.broken[e.Package] {
			r.failed++
		}
		fmt.Fprint(r.out, text)
		return
	}
	for line := range strings.Lines(text) {
		if strings.HasPrefix(line, "ok ") {
			fmt.Fprint(r.out, line)
		}
	}
}

// saidLines is how many lines of a failed test are shown again, from its
// beginning and from its end.
const saidLines = 8

var testLine = regexp.MustCompile(`_test\.go:\d+: |DATA RACE|^panic: `)

// said picks the lines that the test itself wrote from an output that may hold
// the logs of whole systems.
func said(text string) string {
	var lines []string
	for line := range strings.Lines(text) {
		if testLine.MatchString(line) {
			lines = append(lines, line)
		}
	}
	if len(lines) > 2*saidLines {
		lines = slices.Concat(lines[:saidLines], []string{"    ...\n"}, lines[len(lines)-saidLines:])
	}
	return strings.Join(lines, "")
}

// reason picks what the test said out of the lines that go test puts around
// it.
func reason(text string) string {
	var said []string
	for line := range strings.Lines(text) {
		line = strings.TrimSpace(line)
		if line != "" && !strings.HasPrefix(line, "===") && !strings.HasPrefix(line, "---") {
			said = append(said, line)
		}
	}
	if len(said) == 0 {
		return "no reason given"
	}
	return strings.Join(said, " ")
}

// close prints the skips, the faults and the counts and reports whether all is well.
func (r *report) close() bool {
	for _, s := range r.skips {
		fmt.Fprintln(r.out, s)
	}
	for _, f := range r.faults {
		fmt.Fprint(r.out, f)
	}
	fmt.Fprintf(r.out, "%d passed, %d failed, %d skipped\n", r.passed, r.failed, r.skipped)
	return r.failed == 0 && r.passed > 0
}
