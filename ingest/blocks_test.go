package ingest

import (
	"fmt"
	"os"
	"path/filepath"
	"reflect"
	"strings"
	"testing"
	"unicode"
	"unicode/utf8"

	"github.com/tributary-kb/tributary"
)

// outline shows blocks as "kind: text", headings with level and title.
func outline(text string, blocks []tributary.Block) []string {
	var out []string
	for _, b := range blocks {
		if b.Kind == tributary.BlockHeading {
			out = append(out, fmt.Sprintf("h%d: %s", b.Level, b.Title))
			continue
		}
		out = append(out, fmt.Sprintf("%s: %s", b.Kind, text[b.Start:b.End]))
	}
	return out
}

func TestSplitMarkdownFindsBlocks(t *testing.T) {
	tests := []struct {
		name, text string
		want       []string
	}{
		{"nothing", "", nil},
		{"only white space", " \n\t\n\u00a0\n", nil},
		{"headings", "# One #\n## Two `code` {#two}\n#not one\n", []string{"h1: One", "h2: Two code", "paragraph: #not one"}},
		{"underlined headings", "One\n===\n\nTwo *em*\n---\ntext", []string{"h1: One", "h2: Two em", "paragraph: text"}},
		{"a heading with a link", "# See [the docs](https://x.example/a_b) & more", []string{"h1: See the docs & more"}},
		{"names with underscores keep them", "# max_bytes and _emphasis_", []string{"h1: max_bytes and emphasis"}},
		{"a heading ends a paragraph", "text\n# Head\ntext", []string{"paragraph: text", "h1: Head", "paragraph: text"}},
		{"fenced code holds anything", "```go\n# no heading\n\n- no list\n```\nafter", []string{"code: ```go\n# no heading\n\n- no list\n```", "paragraph: after"}},
		{"a longer fence holds a shorter one", "~~~~\n~~~\n~~~~\n", []string{"code: ~~~~\n~~~\n~~~~"}},
		{"an open fence runs to the end", "```\na\n\nb", []string{"code: ```\na\n\nb"}},
		{"indented code", "text\n\n    a\n\n    b\n\ntext", []string{"paragraph: text", "code:     a\n\n    b", "paragraph: text"}},
		{"indentation inside a paragraph is not code", "text\n    more", []string{"paragraph: text\n    more"}},
		{"a list with nested items and paragraphs", "- a\n  - b\n\n    more b\n- c\nlazy\n\nafter", []string{"list: - a\n  - b\n\n    more b\n- c\nlazy", "paragraph: after"}},
		{"a list with code", "1. a\n\n   ```\n   x\n\n   - y\n   ```\n2. b", []string{"list: 1. a\n\n   ```\n   x\n\n   - y\n   ```\n2. b"}},
		{"a loose list is one block", "* a\n\n* b\n\n* c", []string{"list: * a\n\n* b\n\n* c"}},
		{"a year is no list", "It was in\n1984. Then", []string{"paragraph: It was in\n1984. Then"}},
		{"a table", "| a | b |\n|---|:-:|\n| 1 | 2 |\n\ntext", []string{"table: | a | b |\n|---|:-:|\n| 1 | 2 |", "paragraph: text"}},
		{"a table below text", "text\na | b\n--|--\n1 | 2", []string{"paragraph: text", "table: a | b\n--|--\n1 | 2"}},
		{"a quote with a lazy line", "> a\nb\n\n> c", []string{"quote: > a\nb", "quote: > c"}},
		{"a rule stands alone", "a\n\n***\n- - -\nb", []string{"paragraph: a", "paragraph: ***", "paragraph: - - -", "paragraph: b"}},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			if got := outline(tt.text, splitMarkdown(tt.text)); !reflect.DeepEqual(got, tt.want) {
				t.Errorf("got  %q\nwant %q", got, tt.want)
			}
		})
	}
}

func TestSplitParagraphs(t *testing.T) {
	got := outline("a\nb\n \nc", splitParagraphs("a\nb\n \nc"))
	if want := []string{"paragraph: a\nb", "paragraph: c"}; !reflect.DeepEqual(got, want) {
		t.Errorf("got %q, want %q", got, want)
	}
}

// checkBlocks holds what the vocabulary promises of Blocks.
func checkBlocks(t testing.TB, text string, blocks []tributary.Block) {
	t.Helper()
	if !utf8.ValidString(text) {
		t.Fatalf("the text is not valid UTF-8: %q", text)
	}
	pos, page := 0, 0
	for i, b := range blocks {
		if b.Start < pos || b.End <= b.Start || b.End > len(text) {
			t.Fatalf("block %d is [%d, %d) after %d in a text of %d bytes", i, b.Start, b.End, pos, len(text))
		}
		if gap := text[pos:b.Start]; strings.TrimFunc(gap, unicode.IsSpace) != "" {
			t.Fatalf("text outside of blocks: %q", gap)
		}
		if strings.TrimFunc(text[b.Start:b.End], unicode.IsSpace) == "" {
			t.Fatalf("block %d is blank", i)
		}
		if heading := b.Kind == tributary.BlockHeading; heading != (b.Level >= 1 && b.Level <= 6) || !heading && b.Title != "" {
			t.Fatalf("block %d is a %s of level %d with title %q", i, b.Kind, b.Level, b.Title)
		}
		if b.Page < page {
			t.Fatalf("block %d is on page %d after page %d", i, b.Page, page)
		}
		pos, page = b.End, b.Page
	}
	if rest := text[pos:]; strings.TrimFunc(rest, unicode.IsSpace) != "" {
		t.Fatalf("text behind the last block: %q", rest)
	}
}

func FuzzSplitMarkdown(f *testing.F) {
	f.Add("# a\n\ntext\n- b\n  c\n\n```\nx\n")
	f.Add("> a\n| b |\n|---|\n1. c\n---\n\u00a0\n\u2003- \n===")
	f.Add("-\n\n*\n+ \n0)")
	for _, path := range glob(f, filepath.Join("testdata", "company", "*.md")) {
		content, err := os.ReadFile(path)
		if err != nil {
			f.Fatal(err)
		}
		f.Add(string(content))
	}
	f.Fuzz(func(t *testing.T, s string) {
		text := cleanText(s)
		checkBlocks(t, text, splitMarkdown(text))
		checkBlocks(t, text, splitParagraphs(text))
	})
}

func BenchmarkSplitMarkdown(b *testing.B) {
	content, err := os.ReadFile(filepath.Join("testdata", "company", "baggage-allowance.md"))
	if err != nil {
		b.Fatal(err)
	}
	text := strings.Repeat(string(content), 100)
	b.SetBytes(int64(len(text)))
	for b.Loop() {
		splitMarkdown(text)
	}
}
