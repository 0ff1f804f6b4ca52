package embedder

import "net/http"

// ollama is POST {base_url}/api/embed. Its OpenAI-compatible endpoint cuts
// texts silently, this one can be told not to.
// https://docs.ollama.com/api/embed
type ollama struct{ Config }

func (w ollama) request(texts []string, _ Role) (string, any) {
	return "/api/embed", struct {
		Model      string   `json:"model"`
		Input      []string `json:"input"`
		Truncate   bool     `json:"truncate"`
		Dimensions int      `json:"dimensions,omitempty"`
	}{w.Model, texts, false, w.Dimensions}
}

func (ollama) read(resp *http.Response, count int) (reply, error) {
	var r struct {
		Embeddings []embedding `json:"embeddings"`
		Tokens     int         `json:"prompt_eval_count"`
	}
	if err := decode(resp.Body, &r); err != nil {
		return reply{}, err
	}
	return inLine(r.Embeddings, r.Tokens, count)
}
