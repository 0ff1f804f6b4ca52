package queryworker

// cohereRerank is Cohere's v2 API. Scores are 0 to 1.
var cohereRerank = rerankWire{
	base: "https://api.cohere.com",
	path: "/v2/rerank",
	body: func(model, query string, texts []string) any {
		return map[string]any{"model": model, "query": query, "documents": texts, "top_n": len(texts)}
	},
	read: readResults,
}
