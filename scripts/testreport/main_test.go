package main

import (
	"encoding/json"
	"strings"
	"testing"
)

func TestReport(t *testing.T) {
	tests := []struct {
		name   string
		events []event
		want   string
		ok     bool
	}{
		{"nothing ran", nil, "0 passed, 0 failed, 0 skipped\n", false},
		{
			"output of what passed is left out",
			[]event{
				{Action: "output", Package: "p", Test: "TestA", Output: "noise\n"},
				{Action: "pass", Package: "p", Test: "TestA"},
				{Action: "output", Package: "p", Output: "PASS\n"},
				{Action: "output", Package: "p", Output: "ok  \tp\t0.1s\n"},
				{Action: "pass", Package: "p"},
			},
			"ok  \tp\t0.1s\n1 passed, 0 failed, 0 skipped\n", true,
		},
		{
			"output of what failed is kept, and what the test said is repeated at the end",
			[]event{
				{Action: "output", Package: "p", Test: "TestA", Output: "a log line\n"},
				{Action: "output", Package: "p", Test: "TestA", Output: "    a_test.go:9: got 1, want 2\n"},
				{Action: "output", Package: "p", Test: "TestB", Output: "noise\n"},
				{Action: "pass", Package: "p", Test: "TestB"},
				{Action: "fail", Package: "p", Test: "TestA"},
				{Action: "output", Package: "p", Output: "FAIL\tp\t0.1s\n"},
				{Action: "fail", Package: "p"},
			},
			"a log line\n    a_test.go:9: got 1, want 2\nFAIL\tp\t0.1s\nfailed p TestA:\n    a_test.go:9: got 1, want 2\n1 passed, 1 failed, 0 skipped\n", false,
		},
		{
			"a skip gives its reason",
			[]event{
				{Action: "output", Package: "p", Test: "TestA", Output: "=== RUN   TestA\n"},
				{Action: "output", Package: "p", Test: "TestA", Output: "    a_test.go:9: no corpus here\n"},
				{Action: "output", Package: "p", Test: "TestA", Output: "--- SKIP: TestA (0.00s)\n"},
				{Action: "skip", Package: "p", Test: "TestA"},
				{Action: "pass", Package: "p", Test: "TestB"},
			},
			"skipped p TestA: a_test.go:9: no corpus here\n1 passed, 0 failed, 1 skipped\n", true,
		},
		{
			"a package that does not build counts as a failure",
			[]event{
				{Action: "build-output", ImportPath: "p", Output: "a.go:1: undefined: x\n"},
				{Action: "output", Package: "p", Output: "FAIL\tp [build failed]\n"},
				{Action: "fail", Package: "p"},
				{Action: "pass", Package: "q", Test: "TestA"},
			},
			"a.go:1: undefined: x\nFAIL\tp [build failed]\n1 passed, 1 failed, 0 skipped\n", false,
		},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			var out strings.Builder
			r := newReport(&out)
			if err := r.read(strings.NewReader(lines(t, tt.events))); err != nil {
				t.Fatal(err)
			}
			if got := r.close(); got != tt.ok {
				t.Errorf("all is well: %t, want %t", got, tt.ok)
			}
			if out.String() != tt.want {
				t.Errorf("got\n%s, want\n%s", out.String(), tt.want)
			}
		})
	}
}

func TestReportPassesOnWhatIsNoEvent(t *testing.T) {
	var out strings.Builder
	if err := newReport(&out).read(strings.NewReader("go: downloading x\n{\"a\":1}\nlast")); err != nil {
		t.Fatal(err)
	}
	if want := "go: downloading x\n{\"a\":1}\nlast"; out.String() != want {
		t.Errorf("got %q, want %q", out.String(), want)
	}
}

func lines(t *testing.T, events []event) string {
	t.Helper()
	var b strings.Builder
	for _, e := range events {
		data, err := json.Marshal(e)
		if err != nil {
			t.Fatal(err)
		}
		b.Write(append(data, '\n'))
	}
	return b.String()
}
