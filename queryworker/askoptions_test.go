package queryworker

import (
	"context"
	"errors"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/tributary-kb/tributary"
	"github.com/tributary-kb/tributary/internal/analysis"
)

// passagesOf returns the texts that a generator is given for a request.
func passagesOf(t *testing.T, w *Worker, req tributary.AskRequest) ([]string, tributary.Answer) {
	t.Helper()
	g := &scripted{pieces: []string{"It is so [1]."}}
	w.Generator = g
	_, answer := ask(t, w, req)
	return found(g.prompt), answer
}

func TestAnswersAreMadeFromSearchesWithTheSameOptions(t *testing.T) {
	m := newModel()
	m.put("a.md", 1, "apple pear plum", "nothing")
	m.put("b.md", 1, "apple pear plums", "last")
	off := false
	for _, tt := range []struct {
		name string
		req  tributary.AskRequest
		want []string
	}{
		{"none", tributary.AskRequest{}, []string{"apple pear plums", "apple pear plum"}},
		{"min_score", tributary.AskRequest{SearchOptions: tributary.SearchOptions{MinScore: 2}}, nil},
		{"expand", tributary.AskRequest{SearchOptions: tributary.SearchOptions{Expand: &tributary.Expand{After: 1}}}, []string{"apple pear plums\n\nlast", "apple pear plum\n\nnothing"}},
		{"documents", tributary.AskRequest{SearchOptions: tributary.SearchOptions{Context: tributary.ContextDocuments}}, []string{"apple pear plums\n\nlast", "apple pear plum\n\nnothing"}},
		{"rerank", tributary.AskRequest{SearchOptions: tributary.SearchOptions{Rerank: &off}}, []string{"apple pear plum", "apple pear plums"}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			tt.req.Question = "apple pear"
			w := m.worker()
			w.Reranker = testReranker{} // puts the last first
			got, _ := passagesOf(t, w, tt.req)
			if diff := cmp.Diff(tt.want, got); diff != "" {
				t.Errorf("passages (-want +got):\n%s", diff)
			}
		})
	}
}

func TestAnAnswerFromSeveralKnowledgeBasesNamesThem(t *testing.T) {
	all := several{"red": newModel(), "blue": newModel()}
	all["red"].put("a.md", 1, "apple pear")
	all["blue"].put("b.md", 1, "apple pear plum")
	_, got := ask(t, &Worker{Searcher: all, Records: all}, tributary.AskRequest{
		Question: "apple pear", SearchOptions: tributary.SearchOptions{KBs: []string{"red", "blue"}},
	})
	var kbs []string
	for _, c := range got.Citations {
		kbs = append(kbs, c.KB)
	}
	slices.Sort(kbs)
	if !slices.Equal(kbs, []string{"blue", "red"}) {
		t.Errorf("cited %v of %+v", kbs, got)
	}
}

func TestAnAnswerPassesOnTheNotesOfItsSearchesOnce(t *testing.T) {
	w := fruit().worker()
	w.Alpha = 0.5
	w.EmbedQuery = func(context.Context, string) (tributary.Vector, error) {
		return nil, &KeywordsOnlyError{errors.New("the cap is reached")}
	}
	w.Generator = &thinker{scripted: scripted{pieces: []string{"x"}}, replies: map[string]string{"questions": `{"questions": ["plum"]}`}}
	_, got := ask(t, w, tributary.AskRequest{Question: "apple", AskOptions: tributary.AskOptions{Steps: []string{tributary.StepDecompose}}})
	if want := []string{"searched by keywords alone: the cap is reached"}; !slices.Equal(got.Notes, want) {
		t.Errorf("notes %q, want %q", got.Notes, want)
	}
}

func TestAnExplainedAnswerTellsItsSearchesAndPassages(t *testing.T) {
	w := fruit().worker()
	w.Generator = &thinker{scripted: scripted{pieces: []string{"x"}}, replies: map[string]string{"questions": `{"questions": ["plum"]}`}}
	req := tributary.AskRequest{Question: "apple", AskOptions: tributary.AskOptions{Steps: []string{tributary.StepDecompose}}}
	if _, got := ask(t, w, req); got.Explain != nil {
		t.Error("explained unasked")
	}
	req.Explain = true
	_, got := ask(t, w, req)
	var searches, passages []string
	for _, s := range got.Explain.Searches {
		searches = append(searches, s.Step+":"+s.Query)
		if s.Explain == nil || s.Hits == 0 || s.Confidence == 0 {
			t.Errorf("search %+v", s)
		}
	}
	for _, p := range got.Explain.Passages {
		passages = append(passages, p.Text)
		if p.Explain == nil || p.Rank == 0 {
			t.Errorf("passage %+v", p)
		}
	}
	if diff := cmp.Diff([]string{":apple", "decompose:plum"}, searches); diff != "" {
		t.Errorf("searches (-want +got):\n%s", diff)
	}
	if diff := cmp.Diff([]string{"apple pie", "plum jam", "apple cake"}, passages); diff != "" {
		t.Errorf("passages (-want +got):\n%s", diff)
	}
}

func TestWholeDocumentsAreReadWhereTheyFit(t *testing.T) {
	long := strings.Repeat("word ", 200) // about 334 tokens
	m := newModel()
	m.put("a.md", 1, "apple pear plum", long)
	m.put("b.md", 1, "apple pear", "apple", long)
	for _, tt := range []struct {
		name   string
		budget int
		want   []string
	}{
		{"both", 1200, []string{"apple pear plum\n\n" + long, "apple pear\n\napple\n\n" + long}},
		{"the better one, and passages of the other", 700, []string{"apple pear plum\n\n" + long, "apple pear", "apple"}},
		{"none", 400, []string{"apple pear plum", "apple pear", "apple"}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			w := m.worker()
			w.MaxContextTokens = tt.budget
			got, _ := passagesOf(t, w, tributary.AskRequest{Question: "apple pear plum", SearchOptions: tributary.SearchOptions{Context: tributary.ContextDocuments}})
			if diff := cmp.Diff(tt.want, got); diff != "" {
				t.Errorf("passages (-want +got):\n%s", diff)
			}
		})
	}
}

// Stop words of one language are rare words of the others.
func TestAQuestionIsReadInTheLanguageOfEachPassage(t *testing.T) {
	m := newModel()
	m.put("hund.md", 1, "Hunde und Katzen dürfen in der Kabine reisen, in einer Transportbox.")
	m.put("chien.md", 1, "Les chiens et les chats voyagent en cabine dans une cage.")
	m.put("dog.md", 1, "Dogs and cats may travel in the cabin, in a carrier.")
	for i, lang := range []string{"de", "fr", "en"} {
		m.objects[i].Language = lang
	}
	w := m.worker()
	w.Terms, w.Generator = analysis.Terms, &Extractive{Terms: analysis.Terms}
	for question, want := range map[string]string{
		"Darf mein Hund mit mir in der Kabine reisen?":  "hund.md",
		"Est-ce que mon chien peut voyager en cabine ?": "chien.md",
		"May I take my dog with me in the cabin?":       "dog.md",
		"Wer hat die Weltmeisterschaft gewonnen?":       "",
		"Qui a gagné la coupe du monde ?":               "",
	} {
		_, got := ask(t, w, tributary.AskRequest{Question: question})
		if want == "" && !got.NoAnswer || want != "" && (len(got.Citations) == 0 || got.Citations[0].URI != want) {
			t.Errorf("%q: %q, cited %+v, %s", question, got.Answer, got.Citations, got.Reason)
		}
	}
}

func TestTheConfidenceOfAnAnswerIsTheBestOfItsSearches(t *testing.T) {
	w := fruit().worker()
	w.Generator = &thinker{scripted: scripted{pieces: []string{"x"}}, replies: map[string]string{"questions": `{"questions": ["plum jam"]}`}}
	least := 0.5
	w.Answers.MinConfidence = &least
	for step, none := range map[string]bool{tributary.StepDecompose: false, tributary.StepHyde: true} {
		_, got := ask(t, w, tributary.AskRequest{
			Question: "confiture d'apple et de prunes sauvages", AskOptions: tributary.AskOptions{Steps: []string{step}},
		})
		if got.NoAnswer != none {
			t.Errorf("%s: no answer %t, want %t: %s", step, got.NoAnswer, none, got.Reason)
		}
	}
}
