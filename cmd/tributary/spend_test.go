package main

import (
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"testing"

	"github.com/prometheus/client_golang/prometheus/testutil"

	"github.com/tributary-kb/tributary"
	"github.com/tributary-kb/tributary/embedder"
	"github.com/tributary-kb/tributary/internal/testenv"
	"github.com/tributary-kb/tributary/queryworker"
)

// embeddings imitates a paid server with OpenAI's endpoint: five tokens a word.
func embeddings(t *testing.T) *httptest.Server {
	s := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		var req struct{ Input []string }
		if err := json.NewDecoder(r.Body).Decode(&req); err != nil || r.URL.Path != "/v1/embeddings" {
			t.Errorf("%s: %v", r.URL.Path, err)
		}
		var data []map[string]any
		tokens := 0
		for i, text := range req.Input {
			data = append(data, map[string]any{"index": i, "embedding": []float64{1, float64(len(text)), 1, 0}})
			tokens += 5 * len(strings.Fields(text))
		}
		json.NewEncoder(w).Encode(map[string]any{"data": data, "usage": map[string]int{"prompt_tokens": tokens}})
	}))
	t.Cleanup(s.Close)
	return s
}

// A question that somebody pasted a page into still has words to go by.
func TestAQueryThatIsTooLongForTheModelGoesByKeywords(t *testing.T) {
	for name, limit := range map[string]int{"known beforehand": 6, "told by the count of tokens": 35} {
		model, err := embedder.New(embedder.Config{Provider: embedder.ProviderOpenAI, BaseURL: embeddings(t).URL + "/v1", Model: "bert", MaxTextTokens: limit})
		fatal(t, err)
		p := &plant{model: model}
		vector, err := p.embedQuery(t.Context(), "one two three four five six seven")
		if without, ok := errors.AsType[*queryworker.KeywordsOnlyError](err); !ok || !strings.Contains(err.Error(), "embedder.max_text_tokens") {
			t.Errorf("%s: got %v, %v, %v", name, vector, without, err)
		}
		if vector, err = p.embedQuery(t.Context(), "one"); err != nil || len(vector) != 4 {
			t.Errorf("%s: of a short one got %v, %v", name, vector, err)
		}
	}
}

// What is spent stays spent over a restart; documents wait, searches go on.
func TestTheSpendCapHoldsDocumentsAndNotSearches(t *testing.T) {
	server := embeddings(t)
	s := newSystem(t, func(s *system) {
		s.cfg.Embedder = embedder.Config{Provider: embedder.ProviderOpenAI, BaseURL: server.URL + "/v1", Model: "paid", PricePerMillionTokens: 1000}
		s.cfg.Embedder.SetDefaults()
	})
	s.settled(s.put("test:before", "# Before\n\nElephants never forget."))
	s.idle()
	if cost, err := testutil.GatherAndCount(s.metrics, "tributary_embedding_cost_total", "tributary_embedding_budget_remaining"); err != nil || cost != 4 {
		t.Errorf("%d series about the budget, %v, want 4", cost, err)
	}
	s.stop()

	s.cfg.Embedder.SpendCap = 0.001 // one token
	s.start(stageNames()...)
	waits := s.put("test:after", "# After\n\nGiraffes forget at once.")
	testenv.Eventually(t, t.Context(), func() error {
		status, err := s.Status(t.Context())
		told := slices.ContainsFunc(status.Problems, func(p tributary.Problem) bool {
			return strings.Contains(p.What, "embedder.spend_cap") && strings.Contains(p.What, "of 0.00 today") && strings.Contains(p.Do, "raise embedder.spend_cap")
		})
		if err == nil && !told {
			err = fmt.Errorf("status does not tell: %+v", status.Problems)
		}
		return err
	})
	found, err := s.Search(t.Context(), tributary.SearchRequest{Query: "elephants"})
	fatal(t, err)
	if len(found.Hits) != 1 || !slices.ContainsFunc(found.Notes, func(n string) bool { return strings.Contains(n, "embedder.spend_cap") }) {
		t.Errorf("hits %+v, notes %q, want one by keywords alone, and why", found.Hits, found.Notes)
	}
	s.stop()

	s.cfg.Embedder.SpendCap = 0
	s.start(stageNames()...)
	if st := s.settled(waits)["test:after"]; st.State != tributary.StateLive {
		t.Errorf("after the cap was lifted: %+v", st)
	}
}
