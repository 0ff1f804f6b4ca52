package embedder

import "github.com/tributary-kb/tributary/internal/analysis"

// batches divides texts into consecutive ranges within the limits. A text that
// exceeds them by itself gets a range of its own: whether it is too long is
// for the model to say.
func batches(texts []string, limits Limits) [][]string {
	var out [][]string
	from, tokens, bytes := 0, 0, 0
	for i, text := range texts {
		n := 0
		if limits.Tokens > 0 {
			n = analysis.CountTokens(text)
		}
		full := over(i-from+1, limits.Inputs) || over(tokens+n, limits.Tokens) || over(bytes+len(text), limits.Bytes)
		if full && i > from {
			out = append(out, texts[from:i:i])
			from, tokens, bytes = i, 0, 0
		}
		tokens, bytes = tokens+n, bytes+len(text)
	}
	if from < len(texts) {
		out = append(out, texts[from:])
	}
	return out
}

func over(n, limit int) bool { return limit > 0 && n > limit }
