package queryworker

import (
	"bytes"
	"context"
	"errors"
	"flag"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/rogpeppe/go-internal/txtar"

	"github.com/tributary-kb/tributary"
	"github.com/tributary-kb/tributary/internal/analysis"
)

var update = flag.Bool("update", false, "write the golden answers")

// TestExtractiveAnswers compares testdata/extractive with what is written now:
// `go test -run TestExtractiveAnswers -update` makes a change a diff.
func TestExtractiveAnswers(t *testing.T) {
	files, err := filepath.Glob("testdata/extractive/*.txtar")
	if err != nil || len(files) == 0 {
		t.Fatalf("no golden files: %v", err)
	}
	for _, file := range files {
		t.Run(strings.TrimSuffix(filepath.Base(file), ".txtar"), func(t *testing.T) {
			golden, err := txtar.ParseFile(file)
			if err != nil {
				t.Fatal(err)
			}
			answer := &golden.Files[len(golden.Files)-1]
			want := string(answer.Data)
			p := goldenPrompt(golden)
			got := extract(t, &Extractive{Terms: analysis.Terms}, p) + "\n"
			if *update {
				answer.Data = []byte(got)
				if err := os.WriteFile(file, txtar.Format(golden), 0o644); err != nil {
					t.Fatal(err)
				}
				return
			}
			if diff := cmp.Diff(want, got); diff != "" {
				t.Errorf("answer (-want +got):\n%s", diff)
			}
			if checked := cite(got, p.Passages).Answer + "\n"; checked != got {
				t.Errorf("the check of citations changed the answer to %q", checked)
			}
		})
	}
}

func goldenPrompt(golden *txtar.Archive) Prompt {
	var p Prompt
	for _, f := range golden.Files {
		if f.Name == "question" {
			p.Question = string(bytes.TrimSpace(f.Data))
		}
		name, ok := strings.CutPrefix(f.Name, "passage ")
		if !ok {
			continue
		}
		uri, title, _ := strings.Cut(name, " | ")
		n := len(p.Passages) + 1
		p.Passages = append(p.Passages, Passage{N: n, Hit: tributary.Hit{
			Rank: n, URI: uri, Document: docID(uri), Title: title, Text: string(f.Data), Language: "en",
		}})
	}
	return p
}

func extract(t testing.TB, e *Extractive, p Prompt) string {
	t.Helper()
	var out strings.Builder
	_, err := e.Generate(t.Context(), p, func(delta string) error {
		out.WriteString(delta)
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	return out.String()
}

func prompt(question string, texts ...string) Prompt {
	p := Prompt{Question: question}
	for i, text := range texts {
		p.Passages = append(p.Passages, Passage{N: i + 1, Hit: tributary.Hit{Rank: i + 1, Text: text, Document: fmt.Sprint(i)}})
	}
	return p
}

func TestExtractiveAnswerIsBounded(t *testing.T) {
	var text strings.Builder
	for i := range 50 {
		fmt.Fprintf(&text, "Apple number %d. ", i)
	}
	p := prompt("apple number", text.String())
	for limit, want := range map[int]int{0: 5, 2: 2, 7: 7} {
		got := strings.Count(extract(t, &Extractive{MaxSentences: limit}, p), "[1]")
		if got != want {
			t.Errorf("with MaxSentences %d it quotes %d sentences, want %d", limit, got, want)
		}
	}
}

func TestExtractiveStopsWithItsReader(t *testing.T) {
	p := prompt("apple pear", "An apple. A pear.")
	gone := errors.New("the reader is gone")
	calls := 0
	_, err := new(Extractive).Generate(t.Context(), p, func(string) error { calls++; return gone })
	if !errors.Is(err, gone) || calls != 1 {
		t.Errorf("got %v after %d calls, want the reader's error after 1", err, calls)
	}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if _, err := new(Extractive).Generate(ctx, p, func(string) error { return nil }); !errors.Is(err, context.Canceled) {
		t.Errorf("got %v, want context.Canceled", err)
	}
}

func FuzzExtractive(f *testing.F) {
	f.Add("apple pear", "# Apple\n\nAn apple [1]. A `pear[2]` is:\n\n- one\n- two", "| apple | pear |\n|---|---|\n| 1 | 2 [3, 4] |")
	f.Add("a b", "a`x`[^1]``b[1]`` b\\`[2]`", "```\na ` [1]\n```")
	f.Add("0", "[\ufeff0\u00a0]", "**0. 0**")
	f.Fuzz(func(t *testing.T, question, first, second string) {
		p := prompt(question, first, second)
		got := extract(t, &Extractive{}, p)
		answer := cite(got, p.Passages)
		if strings.TrimSpace(got) != answer.Answer {
			t.Errorf("the check of citations turned\n%q into\n%q", got, answer.Answer)
		}
		chosen := (&Extractive{}).choose(p)
		if len(chosen) == 0 && (got != NoAnswer || len(answer.Citations) != 0) {
			t.Errorf("nothing was chosen, but the answer is %q with %d citations", got, len(answer.Citations))
		}
		cited := map[int]bool{}
		for _, q := range chosen {
			cited[q.passage.N] = true
		}
		if len(cited) != len(answer.Citations) {
			t.Errorf("%d passages are quoted, %d cited in %q", len(cited), len(answer.Citations), got)
		}
	})
}

func BenchmarkExtractive(b *testing.B) {
	text := strings.Repeat("Employees get **16 weeks** of [parental leave](https://example.com). Requests go to the line manager.\n\n- One item\n- Another item\n\n", 8)
	p := prompt("How many weeks of parental leave do employees get?", text, text, text, text, text, text)
	e := &Extractive{Terms: analysis.Terms}
	b.SetBytes(int64(6 * len(text)))
	for b.Loop() {
		if _, err := e.Generate(b.Context(), p, func(string) error { return nil }); err != nil {
			b.Fatal(err)
		}
	}
}
