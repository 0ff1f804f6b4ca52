package chunker

import (
	"reflect"
	"strings"
	"testing"
)

func TestSentences(t *testing.T) {
	for _, c := range []struct {
		name, text string
		want       []string
	}{
		{"plain", "One. Two! Three? Four", []string{"One.", "Two!", "Three?", "Four"}},
		{"titles and initials", "Dr. J. Smith met Mr. Doe. They left.", []string{"Dr. J. Smith met Mr. Doe.", "They left."}},
		{"Latin abbreviations", "Use e.g. Streams. Or vs. Queues.", []string{"Use e.g. Streams.", "Or vs. Queues."}},
		{"a lower-case letter goes on", "See approx. three of them. Then stop.", []string{"See approx. three of them.", "Then stop."}},
		{"decimals and names", "Version 2.10 of nats.io works. Good.", []string{"Version 2.10 of nats.io works.", "Good."}},
		{"quotes close", "He said \u201cStop.\u201d She left.", []string{"He said \u201cStop.\u201d", "She left."}},
		{"an ellipsis of dots", "Wait... What? No.", []string{"Wait...", "What?", "No."}},
		{"numbers of items", "1. First item. 2 is next.", []string{"1. First item.", "2 is next."}},
		{"Chinese", "你好。世界！好吗？好", []string{"你好。", "世界！", "好吗？", "好"}},
		{"Japanese quotes", "「はい。」と言った。次。", []string{"「はい。」", "と言った。", "次。"}},
		{"a blank line", "No mark here\n\nnext one", []string{"No mark here", "next one"}},
		{"a line end alone does not", "No mark\nhere. Next.", []string{"No mark\nhere.", "Next."}},
	} {
		t.Run(c.name, func(t *testing.T) {
			var got []string
			for rest := c.text; rest != ""; {
				n := sentenceEnd(rest)
				got = append(got, strings.TrimSpace(rest[:n]))
				rest = rest[n:]
			}
			if !reflect.DeepEqual(got, c.want) {
				t.Errorf("sentences of %q: %q, want %q", c.text, got, c.want)
			}
		})
	}
}
