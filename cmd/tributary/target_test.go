package main

import (
	"strings"
	"testing"
	"time"

	"github.com/tributary-kb/tributary"
)

func TestDocumentURI(t *testing.T) {
	for _, test := range []struct {
		name, arg string
		literal   bool
		want      string
	}{
		{"a URL", "https://example.com/a b", false, "https://example.com/a b"},
		{"another scheme", "note:today", false, "note:today"},
		{"an absolute path", "/notes/a b#c.md", false, "file:///notes/a%20b%23c.md"},
		{"a path that is not clean", "/notes/../x/./y", false, "file:///x/y"},
		{"a literal URI without a scheme", "ticket-17", true, "ticket-17"},
	} {
		t.Run(test.name, func(t *testing.T) {
			got, err := documentURI(test.arg, test.literal)
			if err != nil || got != test.want {
				t.Errorf("got %q and %v, want %q", got, err, test.want)
			}
		})
	}
	if _, err := documentURI("note:"+strings.Repeat("x", tributary.MaxURIBytes), false); err == nil {
		t.Error("a URI that is too long is accepted")
	}
}

func TestParseAt(t *testing.T) {
	at, err := parseAt("mailto:ada@example.com@17")
	if want := (tributary.At{URI: "mailto:ada@example.com", Version: 17}); err != nil || at != want {
		t.Errorf("got %+v and %v, want %+v", at, err, want)
	}
	for _, text := range []string{"", "@1", "note:a", "note:a@", "note:a@-1", "note:a@1.5"} {
		if at, err := parseAt(text); err == nil {
			t.Errorf("%q is read as %+v, want an error", text, at)
		}
	}
}

func TestParseTime(t *testing.T) {
	now := time.Date(2026, 5, 2, 12, 0, 0, 0, time.UTC)
	for text, want := range map[string]time.Time{
		"":                     {},
		"2026-05-01":           time.Date(2026, 5, 1, 0, 0, 0, 0, time.Local),
		"2026-05-01T10:00:00Z": time.Date(2026, 5, 1, 10, 0, 0, 0, time.UTC),
		"36h":                  now.Add(-36 * time.Hour),
	} {
		got, err := parseTime("--changed-after", text, now)
		if err != nil || !got.Equal(want) {
			t.Errorf("%q is %v (%v), want %v", text, got, err, want)
		}
	}
	for _, text := range []string{"yesterday", "-5h", "0s", "01/02/2026"} {
		if got, err := parseTime("--changed-after", text, now); err == nil {
			t.Errorf("%q is read as %v, want an error", text, got)
		}
	}
}

func TestSizesAndAges(t *testing.T) {
	for n, want := range map[uint64]string{0: "0 B", 1023: "1023 B", 1536: "1.5 KiB", 1 << 30: "1.0 GiB"} {
		if got := size(n); got != want {
			t.Errorf("size(%d) is %s, want %s", n, got, want)
		}
	}
	for s, want := range map[float64]string{0: "-", 1.25: "1.2s", 75: "1m15s", 7200.4: "2h0m0s"} {
		if got := age(s); got != want {
			t.Errorf("age(%v) is %s, want %s", s, got, want)
		}
	}
}
