package embedder

import "net/http"

// cohere is POST {base_url}/v2/embed.
// https://docs.cohere.com/reference/embed
type cohere struct{ Config }

func (w cohere) request(texts []string, role Role) (string, any) {
	inputType := "search_document"
	if role == RoleQuery {
		inputType = "search_query"
	}
	return "/v2/embed", struct {
		Model           string   `json:"model"`
		Texts           []string `json:"texts"`
		InputType       string   `json:"input_type"`
		EmbeddingTypes  []string `json:"embedding_types"`
		Truncate        string   `json:"truncate"`
		OutputDimension int      `json:"output_dimension,omitempty"`
	}{w.Model, texts, inputType, []string{"float"}, "NONE", w.Dimensions}
}

func (cohere) read(resp *http.Response, count int) (reply, error) {
	var r struct {
		Embeddings struct {
			Float []embedding `json:"float"`
		} `json:"embeddings"`
		Meta struct {
			Billed struct {
				Input float64 `json:"input_tokens"`
			} `json:"billed_units"`
		} `json:"meta"`
	}
	if err := decode(resp.Body, &r); err != nil {
		return reply{}, err
	}
	return inLine(r.Embeddings.Float, int(r.Meta.Billed.Input), count)
}
