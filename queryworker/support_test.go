package queryworker

import (
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/tributary-kb/tributary"
	"github.com/tributary-kb/tributary/internal/analysis"
)

func TestSentencesAreHeldAgainstWhatTheyCite(t *testing.T) {
	passages := prompt("", "Employees of Acme get 16 weeks of leave.", "The office closes at six.").Passages
	for _, tt := range []struct {
		name, answer string
		want         []string // the sentences that are not supported
	}{
		{"copied", "Employees get 16 weeks of leave [1]. The office closes at six [2].", nil},
		{"a mark behind the full stop", "Employees get 16 weeks of leave. [1] The office closes at six. [2]", nil},
		{"one mark for a paragraph", "Employees get 16 weeks. It is a leave [1].", nil},
		{"another passage", "The office closes at six [1].", []string{"The office closes at six [1]."}},
		{"another number", "Employees get 18 weeks of leave [1].", []string{"Employees get 18 weeks of leave [1]."}},
		{"another name", "Employees of Globex Denmark get leave [1].", []string{"Employees of Globex Denmark get leave [1]."}},
		{"no citation", "Employees get 16 weeks of leave.", []string{"Employees get 16 weeks of leave."}},
		{"no citation in this paragraph", "Employees get leave.\n\nThe office closes at six [2].", []string{"Employees get leave."}},
		{"headings and code", "# Leave\n\n```\nrm -rf\n```\n\nThe office closes at six [2].", nil},
		{"nothing", "", nil},
	} {
		t.Run(tt.name, func(t *testing.T) {
			var got []string
			for _, s := range (&support{terms: analysis.Terms}).score(tt.answer, passages) {
				if text := tt.answer[s.Start:s.End]; !s.Supported {
					got = append(got, text)
				}
			}
			if diff := cmp.Diff(tt.want, got); diff != "" {
				t.Errorf("not supported (-want +got):\n%s", diff)
			}
		})
	}
}

func TestASentenceSaysWhereItIsAndWhatItCites(t *testing.T) {
	passages := prompt("", "Tea is hot.", "Ice is cold and wet.").Passages
	got := (&support{terms: analysis.Terms}).score("Tea is hot. [1][2]\n\n- Ice is dry [2].", passages)
	want := []tributary.Sentence{
		{Start: 0, End: 18, Citations: []int{1, 2}, Support: 1, Supported: true},
		{Start: 22, End: 37, Citations: []int{2}, Support: 0.5},
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
}

func FuzzSupport(f *testing.F) {
	f.Add("Tea is hot. [1] Ice. [2]\n\n- a [1, 2]\n| a | b |\n|--|--|\n| 1 | 2 [1] |")
	f.Add("[1] [1][2] . [1]\n[2]")
	f.Fuzz(func(t *testing.T, text string) {
		passages := prompt("", "first 1", "second").Passages
		answer := check(text, passages).Answer
		end := 0
		for _, s := range (&support{}).score(answer, passages) {
			if s.Start < end || s.End <= s.Start || s.End > len(answer) {
				t.Fatalf("sentence %+v after %d in %q", s, end, answer)
			}
			if s.Support < 0 || s.Support > 1 || s.Supported && s.Support < minSupport {
				t.Fatalf("support %+v", s)
			}
			end = s.End
		}
	})
}
