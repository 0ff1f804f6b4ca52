package queryworker

import (
	"fmt"
	"testing"

	"github.com/google/go-cmp/cmp"
)

func TestCite(t *testing.T) {
	tests := []struct {
		name  string
		text  string
		want  string
		cited []int
	}{
		{"no citation", "Nobody knows.", "Nobody knows.", nil},
		{"in the order of numbers", "B [2], a [1].", "B [2], a [1].", []int{1, 2}},
		{"more than once", "A [1]. B [1].", "A [1]. B [1].", []int{1}},
		{"a list", "A [1, 3].", "A [1][3].", []int{1, 3}},
		{"an unknown number", "A [9]. B [1].", "A. B [1].", []int{1}},
		{"an unknown number in a list", "A [1, 9].", "A [1].", []int{1}},
		{"zero and a leading zero", "A [0] B [01].", "A B [1].", []int{1}},
		{"a number in code", "`a[1]` and\n```\nb[9]\n```\n", "`a[1]` and\n```\nb[9]\n```", nil},
		{"backticks that are no code", "A ` [9] b.", "A ` b.", nil},
		{"code that does not reach over a paragraph", "A ` b\n\n[9] c ` d", "A ` b\n\n c ` d", nil},
		{"a huge number", "A [99999999999].", "A [99999999999].", nil},
		{"other brackets", "A [x] [1a] (1) [ ].", "A [x] [1a] (1) [ ].", nil},
	}
	passages := prompt("", "first", "second", "third").Passages
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			got := cite(tt.text, passages)
			if got.Answer != tt.want {
				t.Errorf("got %q, want %q", got.Answer, tt.want)
			}
			var cited []int
			for _, c := range got.Citations {
				cited = append(cited, c.N)
				if want := passages[c.N-1].Text; c.Text != want {
					t.Errorf("citation %d is %q, want %q", c.N, c.Text, want)
				}
			}
			if diff := cmp.Diff(tt.cited, cited); diff != "" {
				t.Errorf("cited (-want +got):\n%s", diff)
			}
		})
	}
}

func TestCitationsOfAnyFormAreCheckedInStreamAndWhole(t *testing.T) {
	passages := prompt("", "first", "second", "third", "fourth").Passages
	passages = append(passages[:1], passages[2:]...) // 2 had no room
	for text, want := range map[string]string{
		"A 【1】.":                             "A [1].",
		"A 【1†source】【3†L1-L4】.":             "A [1][3].",
		"A 【1, 3】 b 【9】.":                    "A [1][3] b.",
		"A [1; 3].":                          "A [1][3].",
		"A [1-4] b [3–4].":                   "A [1][3][4] b [3][4].",
		"A [1, 3-4].":                        "A [1][3][4].",
		"A [9]. B [8, 9] c [1, 9]\n\n[7] d.": "A. B c [1]\n\n d.",
		"In [1990-2000] and [1-9] [4-1].":    "In [1990-2000] and [1-9] [4-1].",
		"Code `【1】 [1-4]` [1].":              "Code `【1】 [1-4]` [1].",
		"【注意】 and 【1】(https://evil.test/x).": "【注意】 and [1].",
	} {
		got := check(text, passages)
		if got.Answer != want {
			t.Errorf("%q became %q, want %q", text, got.Answer, want)
		}
		if cited := marks(stripCode(got.Answer)); len(got.Citations) != len(cited) {
			t.Errorf("%q cites %v, listed are %d", text, cited, len(got.Citations))
		}
		for _, size := range []int{1, 4, 1000} {
			streamed := ""
			g := guard{passages: passages, emit: func(delta string) error { streamed += delta; return nil }}
			for _, piece := range cutInto(text, size) {
				if err := g.write(piece); err != nil {
					t.Fatal(err)
				}
			}
			if err := g.flush(); err != nil || streamed != want {
				t.Errorf("%q in pieces of %d became %q, %v, want %q", text, size, streamed, err, want)
			}
		}
	}
}

func FuzzCite(f *testing.F) {
	f.Add("A [1], b [2, 9] `c[3]` [4].")
	f.Add("``` [1] `` [2] ` \\` [3]\n\n`")
	f.Fuzz(func(t *testing.T, text string) {
		passages := prompt("", "first", "second").Passages
		once := cite(text, passages)
		for _, c := range once.Citations {
			if c.N < 1 || c.N > 2 {
				t.Errorf("cites %d", c.N)
			}
		}
		for _, at := range mark.FindAllString(stripCode(once.Answer), -1) {
			if at != "[1]" && at != "[2]" {
				t.Errorf("%q is left in %q", at, once.Answer)
			}
		}
	})
}

func stripCode(text string) string {
	out, done := "", 0
	for _, span := range codeSpans(text) {
		out += text[done:span[0]] + "`"
		done = span[1]
	}
	return out + text[done:]
}

func TestPackKeepsToTheBudget(t *testing.T) {
	big, small := fmt.Sprintf("%0900d", 1), "small"
	tests := []struct {
		name   string
		texts  []string
		budget int
		want   []int
	}{
		{"no budget", []string{big, small, big}, 0, []int{1, 2, 3}},
		{"all fit", []string{big, small}, 1000, []int{1, 2}},
		{"a small one after one that does not fit", []string{big, big, small}, 450, []int{1, 3}},
		{"the best one alone does not fit", []string{big, big}, 100, []int{1}},
		{"nothing to pack", nil, 100, nil},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			var got []int
			total := 0
			m := newModel()
			m.put("a.md", 1, tt.texts...)
			hits, err := m.worker().Show(t.Context(), kb, showOf("a.md"))
			if err != nil {
				t.Fatal(err)
			}
			var all []wideHit
			for _, h := range hits.Passages {
				all = append(all, wideHit{Hit: h})
			}
			for _, p := range pack(all, tt.budget) {
				got = append(got, p.N)
				total += passageOverhead + tokens(p.Title) + tokens(p.Text)
			}
			if diff := cmp.Diff(tt.want, got); diff != "" {
				t.Errorf("packed (-want +got):\n%s", diff)
			}
			if tt.budget > 0 && total > tt.budget {
				t.Errorf("packed %d tokens, the budget is %d", total, tt.budget)
			}
		})
	}
}
