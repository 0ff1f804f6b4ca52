package queryworker

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/tributary-kb/tributary"
)

// maxTurnBytes bounds what is kept of a question, and of an answer.
const maxTurnBytes = 4 << 10

// Conversations keeps what was said under the id of a conversation.
type Conversations interface {
	// Turns returns what was said, oldest first; nothing for an id that is not
	// known.
	Turns(ctx context.Context, kb, id string) ([]tributary.Turn, error)
	// Append adds a turn; the oldest may go.
	Append(ctx context.Context, kb, id string, turn tributary.Turn) error
}

// recall reads what was said before in the request's conversation.
func (a *asking) recall(ctx context.Context) error {
	id := a.req.Conversation
	switch {
	case id != "" && len(a.req.History) > 0:
		return invalid("history and conversation are both given: set one")
	case id == "":
		a.history = a.told()
		return nil
	}
	if err := tributary.CheckConversation(id); err != nil {
		return invalid("%w", err)
	}
	if a.Conversations == nil {
		return invalid("this worker keeps no conversations")
	}
	turns, err := a.Conversations.Turns(ctx, a.kb, id)
	if err != nil {
		return fault(ctx, "recall the conversation", err)
	}
	a.history = turns
	return nil
}

// told is the history that came with the request, no longer than one that is
// kept here would be.
func (a *asking) told() []tributary.Turn {
	turns := a.req.History
	turns = turns[max(len(turns)-a.Answers.maxTurns(), 0):]
	kept := make([]tributary.Turn, len(turns))
	for i, t := range turns {
		kept[i] = tributary.Turn{
			Question: head(strings.TrimSpace(t.Question), maxTurnBytes),
			Answer:   head(mark.ReplaceAllString(t.Answer, ""), maxTurnBytes),
		}
	}
	return kept
}

// bound lets history and instructions have a third of the prompt each: of the
// history the oldest turns go, instructions that are longer are refused. What
// they need is not there for passages.
func (a *asking) bound(context.Context) error {
	a.budget = a.MaxContextTokens
	if _, copies := a.generator().(*Extractive); copies || a.budget == 0 {
		return nil // who copies sentences reads passages alone
	}
	third := max(a.MaxContextTokens/3, 1)
	wished := tokens(a.req.Instructions)
	if wished > third {
		return tooLarge("the instructions' length in tokens", wished, third, "a third of generator.max_context_tokens")
	}
	said := 0
	for i, turn := range slices.Backward(a.history) {
		cost := turnOverhead + tokens(turn.Question) + tokens(turn.Answer)
		if said+cost > third {
			a.history = a.history[i+1:]
			break
		}
		said += cost
	}
	a.budget -= wished + said
	return nil
}

// turnOverhead is what a turn costs beside its texts, in tokens.
const turnOverhead = 60

// remember adds the turn to the conversation.
func (a *asking) remember(ctx context.Context, answer string) error {
	if a.req.Conversation == "" {
		return nil
	}
	turn := tributary.Turn{
		Question: head(strings.TrimSpace(a.req.Question), maxTurnBytes),
		Answer:   head(mark.ReplaceAllString(answer, ""), maxTurnBytes),
		At:       time.Now().UTC(),
	}
	if err := a.Conversations.Append(ctx, a.kb, a.req.Conversation, turn); err != nil {
		return fault(ctx, "remember the turn", err)
	}
	return nil
}

// head is the beginning of s, of at most n bytes, in whole runes.
func head(s string, n int) string {
	if len(s) <= n {
		return s
	}
	return strings.ToValidUTF8(s[:n], "")
}

// followUp makes a question stand alone without a model: one that plainly
// refers to what was asked before ("and what about dogs?", "how long is it?")
// gets the words of the question before that it does not have. It returns ""
// for any other.
func followUp(question string, history []tributary.Turn, terms func(text, lang string) []string) string {
	if len(history) == 0 || !refers(question) {
		return ""
	}
	e := &support{terms: terms}
	have := e.set(question, "")
	var more []string
	for _, word := range strings.Fields(history[len(history)-1].Question) {
		word = strings.Trim(word, `.,;:!?"'()`)
		for term := range e.set(word, "") {
			if !have[term] && !pronouns[strings.ToLower(word)] && !askingWords[strings.ToLower(word)] {
				have[term] = true
				more = append(more, word)
				break
			}
		}
	}
	if len(more) == 0 {
		return ""
	}
	return fmt.Sprintf("%s (%s)", question, strings.Join(more, " "))
}

var (
	openers  = []string{"and ", "what about ", "how about ", "what of ", "but ", "or ", "also ", "then "}
	pronouns = words("it its they them their that those these this he she him her there one ones same")
	// askingWords begin a question and say nothing of what it is about.
	askingWords = words("what how when where who why which is are do does did can could may the a an of for to in on i we you and about")
)

// refers reports whether a question points back: it opens like a continuation,
// or it is short and has a pronoun.
func refers(question string) bool {
	lower := strings.ToLower(strings.TrimSpace(question))
	for _, opener := range openers {
		if strings.HasPrefix(lower, opener) {
			return true
		}
	}
	all := strings.Fields(lower)
	for _, word := range all {
		if pronouns[strings.Trim(word, ".,;:!?")] && len(all) <= 10 {
			return true
		}
	}
	return false
}
