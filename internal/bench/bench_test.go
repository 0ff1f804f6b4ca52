package main

import (
	"io"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"
)

func TestPercentile(t *testing.T) {
	hundred := make([]time.Duration, 100)
	for i := range hundred {
		hundred[len(hundred)-1-i] = time.Duration(i + 1)
	}
	tests := []struct {
		name  string
		times []time.Duration
		p     int
		want  time.Duration
	}{
		{"of none", nil, 50, 0},
		{"of one", []time.Duration{7}, 99, 7},
		{"the middle of three", []time.Duration{3, 1, 2}, 50, 2},
		{"the middle of a hundred", hundred, 50, 50},
		{"99 of a hundred", hundred, 99, 99},
		{"the largest", hundred, 100, 100},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			if got := percentile(tt.times, tt.p); got != tt.want {
				t.Errorf("percentile %d is %d, want %d", tt.p, got, tt.want)
			}
		})
	}
}

func TestCPUTimeIsReadWhateverTheProcessIsCalled(t *testing.T) {
	const fields = " S 1 2 3 4 5 6 7 8 9 10 100 20 3 1 20 0 9 0"
	for _, name := range []string{"(tributary)", "(a b) (c)", "()"} {
		got, err := parseCPU([]byte("42 " + name + fields))
		if want := 124 * tick; err != nil || got != want {
			t.Errorf("CPU time of %s is %v (%v), want %v", name, got, err, want)
		}
	}
	if _, err := parseCPU([]byte("42 (tributary) S 1 2")); err == nil {
		t.Error("a line that is cut off gives no error")
	}
}

func TestKilobytes(t *testing.T) {
	status := []byte("VmPeak:\t     900 kB\nVmHWM:\t   2 kB\nVmRSS:\t1 kB\n")
	if got, want := kilobytes(status, "VmHWM"), int64(2048); got != want {
		t.Errorf("VmHWM is %d bytes, want %d", got, want)
	}
	if got := kilobytes(status, "VmSwap"); got != 0 {
		t.Errorf("VmSwap is %d bytes, want 0", got)
	}
}

func TestEditionsDifferInEverySection(t *testing.T) {
	d := document{uri: "a.md", text: "# One\n\nx\n\n```\n# no heading\n```\n\n## Two\n\ny\n"}
	if got := edition(d, 0); got != d {
		t.Errorf("edition 0 is %+v, want the document as it is", got)
	}
	got := edition(d, 3)
	if want := "edition-3/a.md"; got.uri != want {
		t.Errorf("the URI is %s, want %s", got.uri, want)
	}
	if n := strings.Count(got.text, "of edition 3 of a.md."); n != 2 {
		t.Errorf("%d sections have a line of their own, want 2:\n%s", n, got.text)
	}
	if !strings.Contains(got.text, "```\n# no heading\n```") {
		t.Errorf("the code was changed:\n%s", got.text)
	}
}

func TestReplaceBlock(t *testing.T) {
	path := filepath.Join(t.TempDir(), "page.md")
	write(t, path, "before\n\n"+blockBegin+"\nold\n"+blockEnd+"\n\nafter\n")
	for range 2 { // the second time changes nothing
		if err := replaceBlock(path, "new\n"); err != nil {
			t.Fatal(err)
		}
		got, err := os.ReadFile(path)
		if err != nil {
			t.Fatal(err)
		}
		if want := "before\n\n" + blockBegin + "\n\nnew\n\n" + blockEnd + "\n\nafter\n"; string(got) != want {
			t.Errorf("the page is %q, want %q", got, want)
		}
	}
	write(t, path, blockEnd+blockBegin)
	if err := replaceBlock(path, "new"); err == nil {
		t.Error("a page without the marks in their order gives no error")
	}
}

// The page of the documentation can take the figures.
func TestBenchmarksPageHasABlock(t *testing.T) {
	page, err := os.ReadFile(filepath.Join("..", "..", "docs", "benchmarks.md"))
	if err != nil {
		t.Fatal(err)
	}
	if _, err := spliceBlock(string(page), ""); err != nil {
		t.Error(err)
	}
}

func TestSections(t *testing.T) {
	tests := []struct {
		args []string
		want []string // nil for an error
	}{
		{nil, []string{"throughput", "cpu", "freshness", "query", "memory", "readd", "lanes"}},
		{[]string{"-section", "readd,cpu"}, []string{"cpu", "readd"}},
		{[]string{"-section", "speed"}, nil},
		{[]string{"-docs", "0"}, nil},
		{[]string{"readd"}, nil},
	}
	for _, tt := range tests {
		t.Run(strings.Join(tt.args, " "), func(t *testing.T) {
			got, err := parse(tt.args, io.Discard)
			if (err != nil) != (tt.want == nil) {
				t.Fatalf("error %v, want one: %t", err, tt.want == nil)
			}
			if err == nil && !slices.Equal(got.sections, tt.want) {
				t.Errorf("sections %v, want %v", got.sections, tt.want)
			}
		})
	}
}

func TestTextIsATable(t *testing.T) {
	r := &results{}
	r.load.chunks, r.load.committed = 12345, 10*time.Second
	r.bare.objects, r.bare.took = 12345, 5*time.Second
	text := throughputText(r)
	for _, want := range []string{
		"| from the first publication to the last commit | 12,345 | 10.0 | 1,235 |",
		"| ratio |  |  | 0.50 |",
	} {
		if !strings.Contains(text, want) {
			t.Errorf("no line %q in\n%s", want, text)
		}
	}
}

func write(t *testing.T, path, text string) {
	t.Helper()
	if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
}
