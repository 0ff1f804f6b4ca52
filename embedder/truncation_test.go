package embedder

import (
	"errors"
	"strings"
	"testing"

	"github.com/tributary-kb/tributary"
)

// rejected fails the test unless exactly the texts at these places are
// rejected, with want in the reason.
func rejected(t *testing.T, err error, want string, places ...int) {
	t.Helper()
	failed, _ := errors.AsType[tributary.BatchError](err)
	if len(failed) != len(places) {
		t.Fatalf("%v, want %d rejections", err, len(places))
	}
	for _, i := range places {
		outcome, _ := tributary.OutcomeOf(failed[i])
		if outcome != tributary.Rejected || !strings.Contains(failed[i].Error(), want) {
			t.Errorf("text %d: %v (%v), want a rejection with %q", i, failed[i], outcome, want)
		}
	}
}

func TestATextThatWasCutIsRejectedAlone(t *testing.T) {
	s := newServer(t)
	s.reads = 50 // 5 tokens a word: ten words pass
	m, _ := s.model(t, Config{})
	vectors, err := m.Embed(t.Context(), []string{"short", strings.Repeat("word ", 100), "also short"}, RoleDocument)
	rejected(t, err, "has read 50 tokens where there are 100 words", 1)
	wantVectors(t, vectors, 4, "short", "", "also short")
}

func TestATextAtTheLimitOfTheModelCountsAsCut(t *testing.T) {
	s := newServer(t)
	s.reads = 50
	m, _ := s.model(t, Config{MaxTextTokens: 50})
	_, err := m.Embed(t.Context(), []string{strings.Repeat("word ", 40), "short"}, RoleDocument)
	rejected(t, err, "embedder.max_text_tokens", 0)
	if len(s.requests[0].Input) != 1 {
		t.Errorf("sent %q together: the count could not tell which was cut", s.requests[0].Input)
	}
}

func TestATextThatIsTooLongForCertainIsNotSent(t *testing.T) {
	s := newServer(t)
	m, _ := s.model(t, Config{MaxTextTokens: 50})
	_, err := m.Embed(t.Context(), []string{strings.Repeat("word ", 51)}, RoleDocument)
	rejected(t, err, "51 words or more", 0)
	if len(s.requests) != 0 {
		t.Errorf("%d requests, want none", len(s.requests))
	}
}

func TestAServerThatCannotCountIsNotBelieved(t *testing.T) {
	s := newServer(t)
	s.edit = func(reply map[string]any) { reply["usage"] = map[string]any{"prompt_tokens": 1, "total_tokens": 1} }
	m, _ := s.model(t, Config{})
	vectors, err := m.Embed(t.Context(), []string{"some more words", "than one token"}, RoleDocument)
	if err != nil {
		t.Fatal(err)
	}
	wantVectors(t, vectors, 4, "some more words", "than one token")
}

func TestWordsAreNeverMoreThanTokens(t *testing.T) {
	for text, want := range map[string]int{
		"": 0, " \n ": 0, "one": 1, "one  two\nthree": 3, "- * --": 0, "Zürich, 8001!": 2, "東京都 港区": 2, "a-b c_d": 2,
	} {
		if got := words(text); got != want {
			t.Errorf("words(%q) = %d, want %d", text, got, want)
		}
	}
}
