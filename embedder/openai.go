package embedder

import "net/http"

// How vectors travel.
const (
	encodingFloat  = "float"
	encodingBase64 = "base64"
)

// openAI is POST {base_url}/embeddings, as OpenAI, vLLM, llama.cpp, LM Studio
// and many others offer it. It has no way to forbid that a text is cut.
// https://platform.openai.com/docs/api-reference/embeddings/create
type openAI struct{ Config }

func (w openAI) request(texts []string, _ Role) (string, any) {
	return "/embeddings", struct {
		Model          string   `json:"model"`
		Input          []string `json:"input"`
		EncodingFormat string   `json:"encoding_format"`
		Dimensions     int      `json:"dimensions,omitempty"`
	}{w.Model, texts, w.EncodingFormat, w.Dimensions}
}

func (openAI) read(resp *http.Response, count int) (reply, error) { return readList(resp.Body, count) }
