package tributary

import (
	"fmt"
	"regexp"
	"time"
)

// Sentence is one sentence of an answer, and how far the passages that it
// cites carry it.
type Sentence struct {
	Start int `json:"start"` // byte offsets into the answer, half-open; marks such as [1] are part of it
	End   int `json:"end"`
	// Citations are the numbers that the sentence cites, or, where it has none,
	// those of the next one in its paragraph that has.
	Citations []int `json:"citations,omitempty"`
	// Support is the share, 0 to 1, of what the sentence says that stands in
	// the passages it cites: words, with numbers and names counted twice.
	Support float64 `json:"support"`
	// Supported is false where Support is too low, nothing is cited, or a
	// number stands in no cited passage.
	Supported bool `json:"supported"`
}

// AskOptions say how a question is answered, beside what is searched.
type AskOptions struct {
	// Conversation joins this question to those asked before under the same
	// id: 8 to 64 of A-Z, a-z, 0-9, '-' and '_', chosen by the client. Whoever
	// knows it reads the conversation. "" keeps nothing.
	Conversation string `json:"conversation,omitempty"`
	// History is what was said before, oldest first, for a client that keeps it
	// by itself; with Conversation it is refused. The last ask.max_turns count.
	History []Turn `json:"history,omitempty"`
	// Instructions say what the answer should be like: tone, length, layout. A
	// model is told them beside its rules, which they do not change; without a
	// model they have no effect.
	Instructions string `json:"instructions,omitempty"`
	// Steps names what is done with the question before the search: StepRewrite,
	// StepRoute, StepDecompose, StepMultiQuery, StepHyde. Nil means what
	// ask.steps says, an empty list none.
	Steps []string `json:"steps,omitzero"`
	// NoCache has the answer written anew.
	NoCache bool `json:"no_cache,omitempty"`
}

// The steps before a search, in the order in which they are done.
const (
	StepRewrite    = "rewrite"     // the question made to stand alone, from what was said before
	StepRoute      = "route"       // sources chosen by their descriptions
	StepDecompose  = "decompose"   // sub-questions, each searched for
	StepMultiQuery = "multi_query" // other wordings, each searched for
	StepHyde       = "hyde"        // a passage that might answer, searched for by its vector
)

// AskStep is what became of one step before the search.
type AskStep struct {
	Name         string  `json:"name"`
	Milliseconds float64 `json:"ms"`
	Usage
	// Output is what the step made: a question, questions, sources, a passage.
	Output []string `json:"output,omitempty"`
	// Skipped says why the step was not done; the search went on without it.
	Skipped string `json:"skipped,omitempty"`
}

// AskExplain is how an answer came about, beside its steps.
type AskExplain struct {
	Searches []AskSearch `json:"searches"` // in order
	// Passages are those that the answer was written from; Rank is the number
	// by which it cites them.
	Passages []Hit `json:"passages"`
}

// AskSearch is one of the searches that an answer was made from.
type AskSearch struct {
	Query string `json:"query"`
	// Step is the step before the search that made the query, "" for the
	// question itself.
	Step       string         `json:"step,omitempty"`
	Hits       int            `json:"hits"`
	Confidence float64        `json:"confidence"`
	Explain    *SearchExplain `json:"explain,omitempty"`
}

// Turn is one question of a conversation and what was answered.
type Turn struct {
	Question string    `json:"question"`
	Answer   string    `json:"answer"`
	At       time.Time `json:"at,omitzero"`
}

// ForgetRequest deletes a conversation.
type ForgetRequest struct {
	Conversation string `json:"conversation"`
}

// ForgetReply says that a conversation is gone, whether or not it was there.
type ForgetReply struct {
	Conversation string `json:"conversation"`
}

var conversationID = regexp.MustCompile(`^[A-Za-z0-9_-]{8,64}$`)

// CheckConversation reports why id cannot name a conversation.
func CheckConversation(id string) error {
	if !conversationID.MatchString(id) {
		return fmt.Errorf("conversation %q: want 8 to 64 of A-Z, a-z, 0-9, '-' and '_'", id)
	}
	return nil
}
