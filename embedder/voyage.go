package embedder

import "net/http"

// voyage is POST {base_url}/embeddings.
// https://docs.voyageai.com/reference/embeddings-api
type voyage struct{ Config }

func (w voyage) request(texts []string, role Role) (string, any) {
	return "/embeddings", struct {
		Model           string   `json:"model"`
		Input           []string `json:"input"`
		InputType       string   `json:"input_type"`
		Truncation      bool     `json:"truncation"`
		OutputDimension int      `json:"output_dimension,omitempty"`
	}{w.Model, texts, string(role), false, w.Dimensions} // its roles have the names of ours
}

func (voyage) read(resp *http.Response, count int) (reply, error) { return readList(resp.Body, count) }
