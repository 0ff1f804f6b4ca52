package queryworker

// jinaRerank is Jina's API. Scores are 0 to 1.
var jinaRerank = rerankWire{
	base: "https://api.jina.ai",
	path: "/v1/rerank",
	body: func(model, query string, texts []string) any {
		return map[string]any{"model": model, "query": query, "documents": texts, "top_n": len(texts), "return_documents": false}
	},
	read: readResults,
}
