package embedder

import (
	"net/http"
	"strings"
)

// jina is POST {base_url}/embeddings.
// https://api.jina.ai/redoc#tag/embeddings
type jina struct{ Config }

func (w jina) request(texts []string, role Role) (string, any) {
	task := "retrieval.passage"
	if role == RoleQuery {
		task = "retrieval.query"
	}
	if strings.HasPrefix(w.Model, "jina-embeddings-v2-") {
		task = "" // the tasks came with the third generation
	}
	return "/embeddings", struct {
		Model         string   `json:"model"`
		Input         []string `json:"input"`
		Task          string   `json:"task,omitempty"`
		Truncate      bool     `json:"truncate"`
		EmbeddingType string   `json:"embedding_type"`
		Dimensions    int      `json:"dimensions,omitempty"`
	}{w.Model, texts, task, false, "float", w.Dimensions}
}

func (jina) read(resp *http.Response, count int) (reply, error) { return readList(resp.Body, count) }
