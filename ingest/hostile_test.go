package ingest

import (
	"strings"
	"testing"
	"time"

	"github.com/tributary-kb/tributary"
)

// TestHostileText holds input that makes parsers of the same formats take
// minutes or gigabytes. It runs inside this process: a hang is the failure.
func TestHostileText(t *testing.T) {
	tests := []struct {
		name, uri, content string
		want               string // part of the text; "" if a refusal will do
	}{
		{"500,000 nested divs", "a.html", "<html>" + strings.Repeat("<div>", 500_000) + "deep", "deep"},
		{"500,000 nested quotes", "a.html", "<html>" + strings.Repeat("<blockquote>", 500_000) + "deep", "deep"},
		{"200,000 attributes", "a.html", "<html><p " + strings.Repeat(`a="b" `, 200_000) + ">text", "text"},
		{"half a million entities", "a.html", "<html><p>" + strings.Repeat("&amp;", 500_000), "&&&"},
		{"half a million tags that never end", "a.html", "<html><p>text" + strings.Repeat("<", 500_000), "text"},
		{"comments that never end", "a.html", "<html><p>text" + strings.Repeat("<!--", 500_000), "text"},
		{"a table that spans everything", "a.html", "<html><table>" + strings.Repeat(`<tr><td rowspan="65534" colspan="1000">x</td></tr>`, 300) + "</table>", "x"},
		{"a page of links", "a.html", "<html><p>text" + strings.Repeat("<a href=/x>y</a> ", 10_000), "y"},
		{"formatting that never ends", "a.html", "<html>" + strings.Repeat("<b><p>x", 5_000), "x"},
		{"2 million words on a line", "a.txt", strings.Repeat("word ", 2_000_000), "word word"},
		{"a wide table", "a.md", strings.Repeat("|a", 50_000) + "\n" + strings.Repeat("|-", 50_000) + "\n" + strings.Repeat("|b", 50_000), "|b"},
		{"open links", "a.md", strings.Repeat("[a](", 300_000), "[a]("},
		{"open emphasis", "a.md", "# " + strings.Repeat("*a_ ", 300_000), "*a_"},
		{"nested quotes", "a.md", strings.Repeat(">", 500_000), ">"},
		{"list markers", "a.md", strings.Repeat("- ", 500_000), "- -"},
		{"blank lines in a list", "a.md", "- a" + strings.Repeat("\n", 1_000_000) + "b", "b"},
		{"many headings", "a.md", strings.Repeat("#\n", 500_000) + "text", "text"},
		{"fences", "a.md", strings.Repeat("```\n", 300_000) + "text", "text"},
		{"combining marks", "a.txt", "e" + strings.Repeat("\u0301", 500_000), "é"},
		{"an alias bomb in front matter", "a.md", "---\na: &a [x,x,x,x,x,x,x,x,x]\nb: &b [*a,*a,*a,*a,*a,*a,*a,*a,*a]\nc: &c [*b,*b,*b,*b,*b,*b,*b,*b,*b]\n" +
			"d: &d [*c,*c,*c,*c,*c,*c,*c,*c,*c]\ntags: [*d,*d,*d,*d,*d,*d,*d,*d,*d]\n---\ntext", "text"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			p, err := NewParser(Config{ParseTimeout: time.Hour}).Parse(t.Context(), Input{URI: tt.uri, Content: []byte(tt.content)})
			if err != nil {
				if outcome, _ := tributary.OutcomeOf(err); outcome != tributary.Rejected || tt.want != "" {
					t.Fatalf("error %v", err)
				}
				return
			}
			checkParsed(t, p)
			if !strings.Contains(p.Text, tt.want) {
				t.Errorf("no %q in %.100q", tt.want, p.Text)
			}
		})
	}
}
