package queryworker

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"math"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"time"
)

// maxRerankReply bounds what a server may answer: scores, not texts.
const maxRerankReply = 1 << 20

// CrossEncoder asks a server that scores texts against a query. Its errors
// name the setting that mends them and never hold the key.
type CrossEncoder struct {
	// Provider is one of RerankerCohere, RerankerJina, RerankerVoyage and
	// RerankerTEI; BaseURL as in RerankerConfig.
	Provider, BaseURL, Model string
	// APIKey returns the key to send, "" for none. Nil sends none.
	APIKey func() (string, error)
	// Timeout of one Rerank; 0 means 10s.
	Timeout time.Duration
	// Client sends the requests; nil means a client that follows no redirect.
	Client *http.Client
}

// A rerankWire is the form of one provider's requests and replies.
type rerankWire struct {
	base, path string
	batch      int // texts of one request, 0 for any number
	body       func(model, query string, texts []string) any
	// read returns what the reply says of each text.
	read func(reply []byte) ([]rerankScore, error)
}

// A rerankScore is the score of the text at Index.
type rerankScore struct {
	Index int
	Score float64
}

var rerankWires = map[string]rerankWire{
	RerankerCohere: cohereRerank,
	RerankerJina:   jinaRerank,
	RerankerVoyage: voyageRerank,
	RerankerTEI:    teiRerank,
}

// Name returns the provider and the model.
func (c *CrossEncoder) Name() string { return strings.TrimSuffix(c.Provider+":"+c.Model, ":") }

// Rerank implements Reranker.
func (c *CrossEncoder) Rerank(ctx context.Context, query string, texts []string) ([]float64, error) {
	timeout := c.Timeout
	if timeout == 0 {
		timeout = 10 * time.Second
	}
	ctx, cancel := context.WithTimeoutCause(ctx, timeout, fmt.Errorf("no answer within %s (reranker.timeout)", timeout))
	defer cancel()
	wire := rerankWires[c.Provider]
	size := wire.batch
	if size == 0 {
		size = max(len(texts), 1)
	}
	var all []float64
	for batch := range slices.Chunk(texts, size) {
		scores, err := c.batch(ctx, wire, query, batch)
		if err != nil {
			return nil, err
		}
		all = append(all, scores...)
	}
	return all, nil
}

func (c *CrossEncoder) batch(ctx context.Context, wire rerankWire, query string, texts []string) ([]float64, error) {
	reply, err := c.post(ctx, wire, wire.body(c.Model, query, texts))
	if err != nil {
		return nil, err
	}
	scores, err := wire.read(reply)
	if err != nil {
		return nil, fmt.Errorf("%s: its answer cannot be read (reranker.base_url): %w", c.host(), err)
	}
	return inOrder(c.host(), scores, len(texts))
}

// inOrder puts the scores in the order of the texts: one each, and a number.
func inOrder(host string, scores []rerankScore, n int) ([]float64, error) {
	out := make([]float64, n)
	seen := make([]bool, n)
	for _, s := range scores {
		if s.Index < 0 || s.Index >= n || seen[s.Index] || math.IsNaN(s.Score) || math.IsInf(s.Score, 0) {
			return nil, fmt.Errorf("%s: its answer scores text %d of %d as %v", host, s.Index, n, s.Score)
		}
		out[s.Index], seen[s.Index] = s.Score, true
	}
	if len(scores) != n {
		return nil, fmt.Errorf("%s: its answer has %d scores for %d texts", host, len(scores), n)
	}
	return out, nil
}

func (c *CrossEncoder) post(ctx context.Context, wire rerankWire, body any) ([]byte, error) {
	key := ""
	if c.APIKey != nil {
		var err error
		if key, err = c.APIKey(); err != nil {
			return nil, err
		}
	}
	data, err := json.Marshal(body)
	if err != nil {
		return nil, fmt.Errorf("encode the request: %w", err)
	}
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, strings.TrimRight(c.BaseURL, "/")+wire.path, bytes.NewReader(data))
	if err != nil {
		return nil, unavailable("reranker.base_url is not a URL")
	}
	req.Header.Set("Content-Type", "application/json")
	if key != "" {
		req.Header.Set("Authorization", "Bearer "+key)
	}
	client := c.Client
	if client == nil {
		client = noRedirects
	}
	resp, err := client.Do(req)
	if err != nil {
		if ctx.Err() != nil {
			return nil, context.Cause(ctx)
		}
		return nil, fmt.Errorf("%s does not answer (reranker.base_url): %w", c.host(), err)
	}
	defer resp.Body.Close()
	reply, err := io.ReadAll(io.LimitReader(resp.Body, maxRerankReply))
	if err != nil {
		return nil, fmt.Errorf("%s: its answer broke off: %w", c.host(), err)
	}
	if resp.StatusCode != http.StatusOK {
		return nil, fmt.Errorf("%s answered %d (%s): check reranker.base_url, reranker.model and the key", c.host(), resp.StatusCode, complaint(reply, key))
	}
	return reply, nil
}

// host is how errors name the server.
func (c *CrossEncoder) host() string {
	u, err := url.Parse(c.BaseURL)
	if err != nil || u.Host == "" {
		return "the reranker"
	}
	return u.Host
}

// relevanceScores reads {"index": ..., "relevance_score": ...} objects.
type relevanceScores []struct {
	Index int     `json:"index"`
	Score float64 `json:"relevance_score"`
}

func (r relevanceScores) scores() []rerankScore {
	var out []rerankScore
	for _, s := range r {
		out = append(out, rerankScore{s.Index, s.Score})
	}
	return out
}

// readResults reads the reply that Cohere and Jina give.
func readResults(reply []byte) ([]rerankScore, error) {
	var r struct {
		Results relevanceScores `json:"results"`
	}
	err := json.Unmarshal(reply, &r)
	return r.Results.scores(), err
}
