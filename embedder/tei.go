package embedder

import (
	"context"
	"fmt"
	"net/http"
	"strconv"

	"github.com/tributary-kb/tributary"
)

// tei is POST {base_url}/embed of text-embeddings-inference.
// https://huggingface.github.io/text-embeddings-inference
type tei struct{ Config }

func (w tei) request(texts []string, role Role) (string, any) {
	prompt := w.DocumentPrompt
	if role == RoleQuery {
		prompt = w.QueryPrompt
	}
	return "/embed", struct {
		Inputs     []string `json:"inputs"`
		Truncate   bool     `json:"truncate"`
		Normalize  bool     `json:"normalize"`
		PromptName string   `json:"prompt_name,omitempty"`
	}{texts, false, true, prompt}
}

// read takes the tokens from a header: the body holds vectors alone.
func (tei) read(resp *http.Response, count int) (reply, error) {
	var rows []embedding
	if err := decode(resp.Body, &rows); err != nil {
		return reply{}, err
	}
	tokens, _ := strconv.Atoi(resp.Header.Get("X-Compute-Tokens")) // 0 if absent: not counted
	return inLine(rows, tokens, count)
}

// teiInfo is what GET {base_url}/info tells of the server.
type teiInfo struct {
	Model          string `json:"model_id"`
	Revision       string `json:"model_sha"`
	MaxInputTokens int    `json:"max_input_length"`
	MaxInputs      int    `json:"max_client_batch_size"`
}

func readInfo(ctx context.Context, e *endpoint) (teiInfo, error) {
	var info teiInfo
	err := e.call(ctx, http.MethodGet, "/info", nil, func(resp *http.Response) error { return decode(resp.Body, &info) })
	if err != nil {
		err = fmt.Errorf("ask %s for its model and limits: %w", e.base, err)
	}
	return info, err
}

// check says why vectors of this server must not be taken for those of the
// configured model.
func (i teiInfo) check(cfg Config) error {
	var err error
	switch {
	case i.Model != cfg.Model:
		err = fmt.Errorf("embed: %s serves the model %q, embedder.model is %q", cfg.BaseURL, i.Model, cfg.Model)
	case cfg.Revision != "" && i.Revision != "" && i.Revision != cfg.Revision:
		err = fmt.Errorf("embed: %s serves revision %q of %q, embedder.revision is %q", cfg.BaseURL, i.Revision, i.Model, cfg.Revision)
	default:
		return nil
	}
	return tributary.Unavailable(err, configPause)
}
