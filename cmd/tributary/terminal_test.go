package main

import (
	"bytes"
	"context"
	"encoding/json"
	"strings"
	"testing"
	"unicode/utf8"

	"github.com/rivo/uniseg"

	"github.com/tributary-kb/tributary"
	"github.com/tributary-kb/tributary/internal/config"
)

func TestClean(t *testing.T) {
	for _, test := range []struct{ name, text, want string }{
		{"plain text", "Grüße, 世界\n\tand more", "Grüße, 世界\n\tand more"},
		{"colours", "\x1b[1;31mred\x1b[0m", "red"},
		{"a window title", "\x1b]0;owned\x07text", "text"},
		{"a link", "\x1b]8;;http://evil\x1b\\text\x1b]8;;\x1b\\", "text"},
		{"a sequence in C1 form", "\u009b2Jtext", "text"},
		{"an unfinished sequence, whose rest stays", "a\x1b]0;never ends", "a]0;never ends"},
		{"a lone escape", "a\x1bb", "ab"},
		{"a carriage return that overwrites", "good\rbad", "goodbad"},
		{"line ends of Windows", "one\r\ntwo", "one\ntwo"},
		{"backspaces", "a\b\bb", "ab"},
		{"bells and zeros", "a\a\x00b", "ab"},
		{"text that runs backwards", "abc\u202edef\u2066", "abcdef"},
		{"what is not UTF-8", "a\xffb", "a\ufffdb"},
		{"nothing", "", ""},
	} {
		t.Run(test.name, func(t *testing.T) {
			if got := clean(test.text); got != test.want {
				t.Errorf("got %q, want %q", got, test.want)
			}
		})
	}
}

func FuzzClean(f *testing.F) {
	f.Add("\x1b[31mred\x1b]0;title\x07")
	f.Add("\x1b[\x1b[31m31m")
	f.Fuzz(func(t *testing.T, text string) {
		got := clean(text)
		if strings.IndexFunc(got, harmful) >= 0 || !utf8.ValidString(got) {
			t.Errorf("clean(%q) is %q", text, got)
		}
		if again := clean(got); again != got {
			t.Errorf("cleaned twice, %q becomes %q", got, again)
		}
		var back string
		encoded, err := json.Marshal(text)
		if err != nil {
			t.Fatal(err)
		}
		escaped := escapeHarmful(encoded)
		if err := json.Unmarshal(escaped, &back); err != nil || back != strings.ToValidUTF8(text, "\ufffd") && utf8.ValidString(text) {
			t.Errorf("%s reads as %q (%v), want %q", escaped, back, err, text)
		}
		if bytes.IndexFunc(escaped, harmful) >= 0 {
			t.Errorf("harmful JSON %q", escaped)
		}
	})
}

func TestWrap(t *testing.T) {
	for _, test := range []struct{ name, text, want string }{
		{"short text", "one two", "one two"},
		{"long text", "one two three four five", "one two|three four|five"},
		{"lines of its own", "one\ntwo", "one|two"},
		{"empty lines, of which one stays", "\n\none\n\n\n\ntwo\n", "one||two"},
		{"indentation", "  one two three", "  one two|  three"},
		{"indentation beyond reason", strings.Repeat(" ", 30) + "x\n" + strings.Repeat(" ", 30) + "one two three", "x|one two|three"},
		{"a word longer than a line", "a abcdefghijklmnop b", "a|abcdefghij|klmnop b"},
		{"text without spaces, of wide characters", "世界世界世界世界", "世界世界世|界世界"},
		{"characters made of several", "e\u0301e\u0301e\u0301e\u0301e\u0301e\u0301e\u0301e\u0301e\u0301e\u0301e\u0301", "e\u0301e\u0301e\u0301e\u0301e\u0301e\u0301e\u0301e\u0301e\u0301e\u0301|e\u0301"},
		{"nothing", "  \n", ""},
	} {
		t.Run(test.name, func(t *testing.T) {
			if got := strings.Join(wrap(test.text, 10), "|"); got != test.want {
				t.Errorf("got %q, want %q", got, test.want)
			}
		})
	}
}

func FuzzWrap(f *testing.F) {
	f.Add("one two three", 10)
	f.Add("世界 "+strings.Repeat("x", 100), 4)
	f.Fuzz(func(t *testing.T, text string, width int) {
		width = 4 + (width%60+60)%60
		text = clean(text)
		lines := wrap(text, width)
		for _, line := range lines {
			if uniseg.StringWidth(line) > width && uniseg.GraphemeClusterCount(line) > 1 {
				t.Errorf("line %q is wider than %d", line, width)
			}
		}
		got := strings.Join(strings.Fields(strings.Join(lines, "")), "")
		if want := strings.Join(strings.Fields(text), ""); got != want {
			t.Errorf("wrapped text is %q, want %q", got, want)
		}
	})
}

func TestColoursOnlyWhereTheyAreWanted(t *testing.T) {
	hit := tributary.Hit{Rank: 1, URI: "note:a", Title: "\x1b[5mA", Text: "text"}
	for _, test := range []struct {
		name  string
		color bool
		want  string
	}{
		{"with colours", true, "\x1b[2m 1.\x1b[0m \x1b[1mA\x1b[0m  \x1b[2m0.000\x1b[0m\n    \x1b[36mnote:a\x1b[0m\n    text\n"},
		{"without", false, " 1. A  0.000\n    note:a\n    text\n"},
	} {
		t.Run(test.name, func(t *testing.T) {
			a, out := testApp()
			a.out.color = test.color
			a.printHits([]tributary.Hit{hit}, false)
			if got := out.String(); got != test.want {
				t.Errorf("got %q, want %q", got, test.want)
			}
		})
	}
}

// eventsOf is a system that answers every question with the same events.
type eventsOf struct {
	client
	events []tributary.AskEvent
}

func (e eventsOf) Ask(_ context.Context, _ tributary.AskRequest, event func(tributary.AskEvent) error) error {
	for _, ev := range e.events {
		if err := event(ev); err != nil {
			return err
		}
	}
	return nil
}

func TestAnswerAppearsWhileItIsWritten(t *testing.T) {
	a, out := testApp()
	a.out.tty = true
	a.dial = func(context.Context, *config.Loaded) (client, func(), error) {
		return eventsOf{events: []tributary.AskEvent{
			{Delta: "Ada \x1b[31m"}, {Delta: "is on call."},
			{Answer: &tributary.Answer{Answer: "Ada is on call.", Generator: "openai:m"}},
		}}, func() {}, nil
	}
	if err := a.ask(t.Context(), "who", &askFlags{queryFlags: queryFlags{k: 1}}); err != nil {
		t.Fatal(err)
	}
	if got, want := out.String(), "Ada is on call.\n\n(written by openai:m)\n"; got != want {
		t.Errorf("got %q, want %q", got, want)
	}
}

func TestShellQuote(t *testing.T) {
	for text, want := range map[string]string{
		"/home/ada/data": "/home/ada/data", "": "''", "my data": "'my data'", "it's": `'it'\''s'`, "$HOME": "'$HOME'",
	} {
		if got := shellQuote(text); got != want {
			t.Errorf("shellQuote(%q) is %s, want %s", text, got, want)
		}
	}
}

// testApp is an app without a terminal, and what it writes to either stream.
func testApp() (*app, *strings.Builder) {
	var out strings.Builder
	t := &terminal{Writer: &out, width: 72}
	return &app{out: t, err: t, in: strings.NewReader("")}, &out
}
