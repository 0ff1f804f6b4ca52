package queryworker

import "encoding/json"

// teiRerank is the API of text-embeddings-inference, which takes 32 texts at
// once unless it was started otherwise. Scores are 0 to 1. A text that is too
// long counts by its beginning.
var teiRerank = rerankWire{
	path:  "/rerank",
	batch: 32,
	body: func(_, query string, texts []string) any {
		return map[string]any{"query": query, "texts": texts, "raw_scores": false, "truncate": true}
	},
	read: func(reply []byte) ([]rerankScore, error) {
		var r []struct {
			Index int     `json:"index"`
			Score float64 `json:"score"`
		}
		err := json.Unmarshal(reply, &r)
		var out []rerankScore
		for _, s := range r {
			out = append(out, rerankScore{s.Index, s.Score})
		}
		return out, err
	},
}
