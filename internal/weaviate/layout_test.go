package weaviate

import (
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
)

func TestACollectionOfTheTestServerRanksKeywordsAtOnce(t *testing.T) {
	s := openStore(t)
	late, err := s.LateKeywords(t.Context(), newKB(t, s))
	if late || err != nil {
		t.Errorf("LateKeywords() = %t, %v; want false: the server runs with USE_INVERTED_SEARCHABLE=false", late, err)
	}
}

func TestTheLateLayoutIsSeenInTheSchema(t *testing.T) {
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Path != "/v1/schema/Tributary_kb" || r.Header.Get("Authorization") != "Bearer secret" {
			t.Errorf("asked for %s with %q", r.URL.Path, r.Header.Get("Authorization"))
		}
		_, _ = io.WriteString(w, `{"class":"Tributary_kb","invertedIndexConfig":{"bm25":{"b":0.75},"usingBlockMaxWAND":true}}`)
	}))
	defer server.Close()
	s := &Store{config: Config{Address: strings.TrimPrefix(server.URL, "http://"), Scheme: "http", APIKey: "secret"}, transport: &http.Transport{}}
	late, err := s.LateKeywords(t.Context(), "kb")
	if !late || err != nil {
		t.Errorf("LateKeywords() = %t, %v; want true", late, err)
	}
}
