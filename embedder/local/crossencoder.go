package local

import (
	"context"
	"fmt"
	"math"
)

// A CrossEncoder judges how well a passage answers a query, by reading both
// together. It is safe for concurrent use.
type CrossEncoder struct{ transformer }

// OpenCrossEncoder reads a model for sequence classification with one label,
// as sentence-transformers' CrossEncoder makes them, in dir:
// model.safetensors or model.onnx (see Runtime), tokenizer.json and
// config.json.
func OpenCrossEncoder(dir string, r Runtime) (*CrossEncoder, error) {
	t, err := openTransformer(dir, r, true)
	if err != nil {
		return nil, fmt.Errorf("open cross-encoder: %w", err)
	}
	return &CrossEncoder{t}, nil
}

// Revision is a checksum over weights and tokenizer.
func (c *CrossEncoder) Revision() string { return c.revision }

// Rerank returns a score between 0 and 1 for each text, in order: the logistic
// function of the model's. A text that is too long counts as the best of its
// parts; of a query, no more than half of what the model reads is read.
func (c *CrossEncoder) Rerank(ctx context.Context, query string, texts []string) ([]float64, error) {
	_, extra := c.tokens.Extra()
	asked := c.tokens.Append(nil, query)
	asked = asked[:min(len(asked), (c.maxTokens-extra)/2)]
	scores := make([]float64, len(texts))
	err := each(ctx, len(texts), func(i int) error {
		best := math.Inf(-1)
		for _, ids := range parts(c.tokens.Append(nil, texts[i]), c.maxTokens-extra-len(asked)) {
			score, err := c.model.Score(c.tokens.Pair(asked, ids))
			if err != nil {
				return err
			}
			best = max(best, score)
		}
		scores[i] = 1 / (1 + math.Exp(-best))
		return nil
	})
	if err != nil {
		return nil, err
	}
	return scores, nil
}
