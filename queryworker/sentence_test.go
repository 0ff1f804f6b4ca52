package queryworker

import (
	"strings"
	"testing"
	"unicode"
	"unicode/utf8"

	"github.com/google/go-cmp/cmp"
)

func TestSentences(t *testing.T) {
	tests := []struct {
		name    string
		passage string
		want    []string
	}{
		{"nothing", "", nil},
		{"white space and rules", " \n---\n\n* * *\n", nil},
		{"two in a line", "One apple. Two pears! Three?", []string{"One apple.", "Two pears!", "Three?"}},
		{"one over two lines", "One\napple. Two", []string{"One apple.", "Two"}},
		{"abbreviations", "See Dr. Smith, e.g. on p. 4. Or J. Doe.", []string{"See Dr. Smith, e.g. on p. 4.", "Or J. Doe."}},
		{"no, and a number", "The answer is no. See no. 5.", []string{"The answer is no.", "See no. 5."}},
		{"numbers and addresses", "It is 3.14 at example.com. Yes.", []string{"It is 3.14 at example.com.", "Yes."}},
		{"quotes and emphasis at the end", "He said \"go.\" **She went.** Fine.", []string{"He said \"go.\"", "She went.", "Fine."}},
		{"emphasis over two sentences", "**One. Two.** Three.", []string{"One.", "Two.", "Three."}},
		{"Chinese", "你好。再见！", []string{"你好。", "再见！"}},
		{"headings", "# One\nTwo\n===\nThree", []string{"One", "Two", "Three"}},
		{"list items", "- one\n  more\n* two\n1. three\n- [x] four", []string{"one more", "two", "three", "four"}},
		{"a quotation", "> One\n> line. Two.", []string{"One line.", "Two."}},
		{"links and images", "See [the *docs*](http://x.y/a_(b) \"t\") and ![a pump](p.png).", []string{"See the docs and a pump."}},
		{"references and footnotes", "As [shown][1] here[^2].", []string{"As shown here."}},
		{"a number in brackets", "As shown [1, 2].", []string{"As shown (1, 2)."}},
		{"a number in other brackets", "概要【1】です。", []string{"概要(1)です。"}},
		{"emphasis that is none", "snake_case_name and 2 * 3 * 4", []string{"snake_case_name and 2 * 3 * 4"}},
		{"escapes", `1\. a\*b`, []string{"1. a*b"}},
		{"code keeps brackets and full stops", "Use `a[0]. B` here. Now.", []string{"Use `a[0]. B` here.", "Now."}},
		{"lines of code", "```go\nx := a[1]\n\ny := `b`\n```\nText.", []string{"`x := a[1]`", "`` y := `b` ``", "Text."}},
		{"a table", "| A | B |\n|---|---|\n| 1 | 2 |\n| | 3 |", []string{"A: 1; B: 2", "B: 3"}},
		{"a table without a head", "| 1 | 2 |\n| 3 | 4 |", []string{"1; 2", "3; 4"}},
		{"two tables", "| A |\n|---|\n| 1 |\n\n| B |\n|---|\n| 2 |", []string{"A: 1", "B: 2"}},
		{"a break in a cell", "| a<br>b | \\| |", []string{"a b; |"}},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			var got []string
			for _, s := range sentences(tt.passage) {
				got = append(got, s.text)
			}
			if diff := cmp.Diff(tt.want, got); diff != "" {
				t.Errorf("sentences (-want +got):\n%s", diff)
			}
		})
	}
}

func TestLongTextWithoutFullStopIsCutBetweenWords(t *testing.T) {
	passage := strings.Repeat("word ", 1000)
	for _, s := range sentences(passage) {
		if len(s.text) > maxSentenceBytes || strings.Trim(s.text, "word ") != "" || !strings.HasSuffix(s.text, "word") {
			t.Errorf("cut %d bytes, ending %q", len(s.text), s.text[max(0, len(s.text)-10):])
		}
	}
}

// FuzzSentences holds that ranges are in order and do not overlap, that a
// sentence adds no letter to its range and keeps their order, and that a table
// row takes what it adds from its passage.
func FuzzSentences(f *testing.F) {
	for _, seed := range []string{
		"# A\n\nB. C [d](e).\n\n| f | g |\n|---|---|\n| h | i |\n\n```\nj[1]\n```",
		"- a\n- **b. c**\n> d\n\n`x``y`z`", "e.g. \\`a\\` [1][2] \ue000 \xff 。", "~~~\n`\n~~~~",
		strings.Repeat("`a ", 500), strings.Repeat("é", 700),
	} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, passage string) {
		done := 0
		for _, s := range sentences(passage) {
			if s.start < done || s.end <= s.start || s.end > len(passage) {
				t.Fatalf("range [%d,%d) after %d in %d bytes", s.start, s.end, done, len(passage))
			}
			done = s.end
			source := passage[s.start:s.end]
			if s.kind == row {
				for word := range strings.FieldsFuncSeq(s.text, notWord) {
					if !subsequence(word, passage[:s.end]) {
						t.Errorf("row %q has %q, which the passage has not", s.text, word)
					}
				}
			} else if !subsequence(s.text, source) {
				t.Errorf("sentence %q adds to or reorders %q", s.text, source)
			}
			if strings.ContainsAny(s.text, "\n\r") || !utf8.ValidString(s.text) && utf8.ValidString(passage) {
				t.Errorf("sentence %q is not a line of text", s.text)
			}
		}
	})
}

func TestSentencesOfHostileTextTakeTimeInProportion(t *testing.T) {
	for _, part := range []string{"`a ", "a. ", "[", "*a", "|a|\n", "|", "\\", "``a`", "\n>", "- a\n", "_a ", "[^", "A. `"} {
		passage := strings.Repeat(part, 40_000/len(part))
		sentences(passage) // quadratic, it would take minutes
	}
}

func notWord(r rune) bool { return !unicode.IsLetter(r) && !unicode.IsDigit(r) }

// subsequence reports whether the letters and digits of s stand in source, in
// the same order.
func subsequence(s, source string) bool {
	rest := []rune(source)
	for _, r := range s {
		if notWord(r) {
			continue
		}
		for len(rest) > 0 && rest[0] != r {
			rest = rest[1:]
		}
		if len(rest) == 0 {
			return false
		}
		rest = rest[1:]
	}
	return true
}
