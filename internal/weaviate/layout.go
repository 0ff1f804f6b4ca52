package weaviate

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
)

// maxSchemaBytes bounds the schema of one collection.
const maxSchemaBytes = 1 << 20

// LateKeywords reports whether the collection of kb has the layout of the
// keyword index in which a server of version 1.35 finds the best matches only
// some time after they were written, see Candidates. The client's models do
// not know of it, so the schema is read as it is.
func (s *Store) LateKeywords(ctx context.Context, kb string) (bool, error) {
	class, err := className(kb)
	if err != nil {
		return false, err
	}
	act := fmt.Sprintf("read the collection of knowledge base %q", kb)
	url := s.config.Scheme + "://" + s.config.Address + "/v1/schema/" + class
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, url, nil)
	if err != nil {
		return false, fmt.Errorf("%s: %w", act, err)
	}
	if s.config.APIKey != "" {
		request.Header.Set("Authorization", "Bearer "+s.config.APIKey)
	}
	response, err := s.transport.RoundTrip(request)
	if err != nil {
		return false, classify(ctx, act, err)
	}
	defer response.Body.Close()
	switch response.StatusCode {
	case http.StatusOK:
	case http.StatusNotFound:
		return false, notFound(kb)
	default:
		return false, classify(ctx, act, &statusError{status: response.StatusCode})
	}
	var schema struct {
		InvertedIndexConfig struct {
			UsingBlockMaxWAND bool `json:"usingBlockMaxWAND"`
		} `json:"invertedIndexConfig"`
	}
	if err := json.NewDecoder(io.LimitReader(response.Body, maxSchemaBytes)).Decode(&schema); err != nil {
		return false, fmt.Errorf("%s: %w", act, err)
	}
	return schema.InvertedIndexConfig.UsingBlockMaxWAND, nil
}
