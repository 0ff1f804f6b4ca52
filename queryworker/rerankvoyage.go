package queryworker

import "encoding/json"

// voyageRerank is Voyage's API. Scores are 0 to 1. A text that is too long
// counts by its beginning.
var voyageRerank = rerankWire{
	base: "https://api.voyageai.com",
	path: "/v1/rerank",
	body: func(model, query string, texts []string) any {
		return map[string]any{"model": model, "query": query, "documents": texts, "top_k": len(texts), "truncation": true}
	},
	read: func(reply []byte) ([]rerankScore, error) {
		var r struct {
			Data relevanceScores `json:"data"`
		}
		err := json.Unmarshal(reply, &r)
		return r.Data.scores(), err
	},
}
