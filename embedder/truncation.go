package embedder

import (
	"fmt"
	"unicode"
	"unicode/utf8"

	"github.com/tributary-kb/tributary"
	"github.com/tributary-kb/tributary/internal/analysis"
)

// A vector of half a text looks like any other vector, and finds the half that
// was read. So that no server cuts a text in silence, it is told not to where
// its protocol knows how, texts that are too long for certain are not sent,
// and the tokens that a reply counts are held against the words that were
// sent.

// A truncatedError is a reply whose count of tokens tells that the server did
// not read all of a text.
type truncatedError struct {
	server        string
	tokens, words int
	limit         int // of the model, 0 if unknown
}

// Error implements error.
func (e *truncatedError) Error() string {
	text := fmt.Sprintf("%s has read %d tokens where there are %d words", e.server, e.tokens, e.words)
	if e.limit > 0 {
		text += fmt.Sprintf(", and the model reads %d of a text (embedder.max_text_tokens)", e.limit)
	}
	return text + ": the text was cut"
}

// checkLength refuses a text that no tokeniser can make short enough.
func (m *Remote) checkLength(text string) error {
	limit := int(m.textLimit.Load())
	if n := words(text); limit > 0 && n > limit {
		return tributary.Rejectf("a text of %d bytes has %d words or more, and the model %q reads %d tokens of a text (embedder.max_text_tokens); see chunker.max_tokens",
			len(text), n, m.cfg.Model, limit)
	}
	return nil
}

// pinned is how near below a model's limit a count of tokens may be that tells
// of a cut text: some servers do not count the special tokens at both ends.
const pinned = 2

// checkTokens says whether the server has cut a text, as far as its count can
// tell. The count of a single text that reaches the limit of the model tells
// it too, unless the server has been told to refuse such a text: one that just
// fits cannot be told from one that was cut, and is refused.
func (m *Remote) checkTokens(tokens int, texts []string) error {
	if tokens == 0 || m.miscounts.Load() {
		return nil
	}
	sent := 0
	for _, text := range texts {
		sent += words(text)
	}
	limit := int(m.textLimit.Load())
	atLimit := !m.provider.refusesLong && len(texts) == 1 && limit > 0 && tokens >= limit-pinned
	if tokens >= sent && !atLimit {
		return nil
	}
	return &truncatedError{server: m.cfg.BaseURL, tokens: tokens, words: sent, limit: limit}
}

// cut divides texts into batches. Texts that may reach the model's limit go
// alone where the count of tokens is all that can tell whether they were cut.
// A third is more than the estimate is off for 95 of 100 passages.
func (m *Remote) cut(texts []string) [][]string {
	all := batches(texts, m.Limits())
	limit := int(m.textLimit.Load())
	if m.provider.refusesLong || limit == 0 {
		return all
	}
	var out [][]string
	for _, batch := range all {
		from := 0
		for i, text := range batch {
			if 3*analysis.CountTokens(text) < 2*limit {
				continue
			}
			if from < i {
				out = append(out, batch[from:i])
			}
			out, from = append(out, batch[i:i+1]), i+1
		}
		if from < len(batch) {
			out = append(out, batch[from:])
		}
	}
	return out
}

// words counts runs of letters and digits between white space. Tokens do not
// reach over white space, so there are at least as many.
func words(text string) int {
	n, inWord, counted := 0, false, false
	for i := 0; i < len(text); {
		r, size := rune(text[i]), 1
		if r >= utf8.RuneSelf {
			r, size = utf8.DecodeRuneInString(text[i:])
		}
		i += size
		switch {
		case unicode.IsSpace(r):
			inWord = false
			continue
		case !inWord:
			inWord, counted = true, false
		}
		if !counted && (unicode.IsLetter(r) || unicode.IsDigit(r)) {
			n++
			counted = true
		}
	}
	return n
}
