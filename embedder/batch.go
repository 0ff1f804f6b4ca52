package embedder

import "github.com/tributary-kb/tributary/internal/analysis"

// batches divides texts into consecutive ranges within the limits. A text that
// exceeds them by itself gets a range of its own: whether it is too long is
// for the model to say.
func batches(texts []string, limits Limits) [][]string {
	var out [][]string
	for len(texts) > 0 {
		batch := first(texts, limits)
		out, texts = append(out, batch), texts[len(batch):]
	}
	return out
}

// first returns the longest beginning of texts within the limits, and at least
// one text.
func first(texts []string, limits Limits) []string {
	tokens, bytes := 0, 0
	for i, text := range texts {
		if limits.Tokens > 0 {
			tokens += analysis.CountTokens(text)
		}
		bytes += len(text)
		full := over(i+1, limits.Inputs) || over(tokens, limits.Tokens) || over(bytes, limits.Bytes)
		if full && i > 0 {
			return texts[:i:i]
		}
	}
	return texts
}

func over(n, limit int) bool { return limit > 0 && n > limit }
