package embedder

import (
	"context"
	"encoding/base64"
	"encoding/binary"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"math"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"reflect"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/tributary-kb/tributary"
)

// A server imitates POST /v1/embeddings. The vector of a text has its length
// and its first byte in it, so that tests can tell vectors apart.
type server struct {
	*httptest.Server
	dim       int
	maxInputs int    // more are refused with 413 as TEI does; 0: no limit
	reads     int    // tokens of one text that are read, the rest is cut; 0: all
	poison    string // a text that contains it is refused with 400

	refusals map[int]int // status of the nth request, from 1

	mu       sync.Mutex
	embedded []string // texts, as often as they were
	requests []wireRequest
	answers  []func(http.ResponseWriter) // for the next requests, before anything else
	edit     func(map[string]any)        // of a successful reply
}

type wireRequest struct {
	Model          string   `json:"model"`
	Input          []string `json:"input"`
	EncodingFormat string   `json:"encoding_format"`
	Dimensions     int      `json:"dimensions"`
	key            string
}

func newServer(t *testing.T) *server {
	s := &server{dim: 4}
	s.Server = httptest.NewServer(http.HandlerFunc(s.handle))
	t.Cleanup(s.Close)
	return s
}

func (s *server) handle(w http.ResponseWriter, r *http.Request) {
	s.mu.Lock()
	defer s.mu.Unlock()
	var req wireRequest
	if r.Method != http.MethodPost || r.URL.Path != "/v1/embeddings" {
		http.NotFound(w, r)
		return
	}
	if err := json.NewDecoder(r.Body).Decode(&req); err != nil {
		openAIError(w, 400, "We could not parse the JSON body of your request.", "invalid_request_error", "")
		return
	}
	req.key = strings.TrimPrefix(r.Header.Get("Authorization"), "Bearer ")
	s.requests = append(s.requests, req)
	if len(s.answers) > 0 {
		answer := s.answers[0]
		s.answers = s.answers[1:]
		answer(w)
		return
	}
	if code := s.refusals[len(s.requests)]; code > 0 {
		w.WriteHeader(code)
		return
	}
	s.answer(w, req)
}

func (s *server) answer(w http.ResponseWriter, req wireRequest) {
	if s.maxInputs > 0 && len(req.Input) > s.maxInputs {
		w.WriteHeader(http.StatusRequestEntityTooLarge)
		fmt.Fprintf(w, `{"error":"batch size %d > maximum allowed batch size %d","error_type":"Validation"}`, len(req.Input), s.maxInputs)
		return
	}
	dim := s.dim
	if req.Dimensions > 0 {
		dim = req.Dimensions
	}
	var data []map[string]any
	tokens := 0
	for i, text := range req.Input {
		n := 5 * max(words(text), 1)
		if s.reads > 0 {
			n = min(n, s.reads)
		}
		tokens += n
		if text == "" || s.poison != "" && strings.Contains(text, s.poison) {
			openAIError(w, 400, "'$.input' is invalid. Please check the API reference.", "invalid_request_error", "")
			return
		}
		v := vectorOf(text, dim)
		var embedding any = v
		if req.EncodingFormat == "base64" {
			embedding = base64Of(v)
		}
		data = append(data, map[string]any{"object": "embedding", "index": i, "embedding": embedding})
	}
	reply := map[string]any{"object": "list", "data": data, "model": req.Model,
		"usage": map[string]any{"prompt_tokens": tokens, "total_tokens": tokens}}
	if s.edit != nil {
		s.edit(reply)
	}
	s.embedded = append(s.embedded, req.Input...)
	w.Header().Set("Content-Type", "application/json")
	json.NewEncoder(w).Encode(reply)
}

func vectorOf(text string, dim int) []float32 {
	v := make([]float32, dim)
	v[0], v[1] = float32(len(text)), float32(text[0])
	return v
}

func base64Of(v []float32) string {
	raw := make([]byte, 4*len(v))
	for i, x := range v {
		binary.LittleEndian.PutUint32(raw[4*i:], math.Float32bits(x))
	}
	return base64.StdEncoding.EncodeToString(raw)
}

func openAIError(w http.ResponseWriter, status int, message, kind, code string) {
	w.Header().Set("Content-Type", "application/json")
	w.WriteHeader(status)
	var c any
	if code != "" {
		c = code
	}
	json.NewEncoder(w).Encode(map[string]any{"error": map[string]any{"message": message, "type": kind, "param": nil, "code": c}})
}

// status answers with a status, headers ("Name: value") and a body.
func status(code int, body string, headers ...string) func(http.ResponseWriter) {
	return func(w http.ResponseWriter) {
		for _, h := range headers {
			name, value, _ := strings.Cut(h, ": ")
			w.Header().Set(name, value)
		}
		w.WriteHeader(code)
		io.WriteString(w, body)
	}
}

// model returns a client of s that notes its pauses instead of making them.
func (s *server) model(t *testing.T, cfg Config) (*Remote, *[]time.Duration) {
	t.Helper()
	cfg.Provider, cfg.BaseURL = ProviderOpenAI, s.URL+"/v1"
	setDefault(&cfg.Model, "test-model")
	m, err := New(cfg)
	if err != nil {
		t.Fatal(err)
	}
	pauses := &[]time.Duration{}
	api := m.(*Remote)
	api.pause = func(_ context.Context, d time.Duration) error { *pauses = append(*pauses, d); return nil }
	return api, pauses
}

// wantVectors checks that vectors are those of texts, normalised.
func wantVectors(t *testing.T, vectors []tributary.Vector, dim int, texts ...string) {
	t.Helper()
	if len(vectors) != len(texts) {
		t.Fatalf("%d vectors, want %d", len(vectors), len(texts))
	}
	for i, text := range texts {
		if text == "" {
			continue
		}
		want := tributary.Vector(vectorOf(text, dim))
		if err := normalise(want); err != nil {
			t.Fatal(err)
		}
		if !reflect.DeepEqual(vectors[i], want) {
			t.Errorf("vector %d is %v, want %v", i, vectors[i], want)
		}
	}
}

func TestRemoteEmbedsInBothEncodings(t *testing.T) {
	for _, format := range []string{"float", "base64"} {
		t.Run(format, func(t *testing.T) {
			s := newServer(t)
			m, _ := s.model(t, Config{EncodingFormat: format})
			texts := []string{"one", "three", "seventeen"}
			vectors, err := m.Embed(t.Context(), texts, RoleDocument)
			if err != nil {
				t.Fatal(err)
			}
			wantVectors(t, vectors, 4, texts...)
			if got, want := s.requests[0], (wireRequest{Model: "test-model", Input: texts, EncodingFormat: format}); !reflect.DeepEqual(got, want) {
				t.Errorf("sent %+v, want %+v", got, want)
			}
			if got, want := m.Counters(), (Counters{Requests: 1, Texts: 3, Tokens: 15}); got != want {
				t.Errorf("counters %+v, want %+v", got, want)
			}
		})
	}
}

func TestRemoteUnderstandsAnyEncodingAndOrder(t *testing.T) {
	s := newServer(t)
	s.edit = func(reply map[string]any) {
		data := reply["data"].([]map[string]any)
		data[0], data[2] = data[2], data[0]
		data[1]["embedding"] = base64Of(data[1]["embedding"].([]float32))
		delete(reply, "usage") // some servers do not count
	}
	m, _ := s.model(t, Config{})
	vectors, err := m.Embed(t.Context(), []string{"a", "bb", "ccc"}, RoleDocument)
	if err != nil {
		t.Fatal(err)
	}
	wantVectors(t, vectors, 4, "a", "bb", "ccc")
}

func TestRemoteAddsPrefixesAndDimensions(t *testing.T) {
	s := newServer(t)
	m, _ := s.model(t, Config{QueryPrefix: "query: ", DocumentPrefix: "passage: ", Dimensions: 8})
	for role, want := range map[Role]string{RoleQuery: "query: x", RoleDocument: "passage: x"} {
		vectors, err := m.Embed(t.Context(), []string{"x"}, role)
		if err != nil {
			t.Fatal(err)
		}
		wantVectors(t, vectors, 8, want)
	}
	if got := s.requests[0].Dimensions; got != 8 {
		t.Errorf("asked for %d dimensions, want 8", got)
	}
	if d, err := m.Dimension(t.Context()); d != 8 || err != nil || len(s.requests) != 2 {
		t.Errorf("Dimension = %d, %v after %d requests, want 8 without another request", d, err, len(s.requests))
	}
}

func TestRemoteAsksForTheDimensionOnce(t *testing.T) {
	s := newServer(t)
	m, _ := s.model(t, Config{})
	for range 2 {
		if d, err := m.Dimension(t.Context()); d != 4 || err != nil {
			t.Errorf("Dimension = %d, %v, want 4", d, err)
		}
	}
	if len(s.requests) != 1 {
		t.Errorf("%d requests, want 1", len(s.requests))
	}
}

func TestRemoteKeepsWithinTheLimits(t *testing.T) {
	texts := make([]string, 10)
	for i := range texts {
		texts[i] = strings.Repeat("word ", 10) // 10 tokens, 50 bytes
	}
	for name, c := range map[string]struct {
		cfg  Config
		want int // texts of the first request
	}{
		"inputs": {Config{MaxInputs: 3}, 3},
		"tokens": {Config{MaxTokens: 45}, 4},
		"bytes":  {Config{MaxBytes: 120}, 2},
	} {
		t.Run(name, func(t *testing.T) {
			s := newServer(t)
			m, _ := s.model(t, c.cfg)
			vectors, err := m.Embed(t.Context(), texts, RoleDocument)
			if err != nil {
				t.Fatal(err)
			}
			wantVectors(t, vectors, 4, texts...)
			if got := len(s.requests[0].Input); got != c.want {
				t.Errorf("first request has %d texts, want %d", got, c.want)
			}
		})
	}
}

func TestRemoteTriesAgain(t *testing.T) {
	for name, c := range map[string]struct {
		answer   func(http.ResponseWriter)
		min, max time.Duration
	}{
		"server error with a growing pause": {status(500, "oops"), firstPause / 2, firstPause},
		"conflict":                          {status(409, ""), firstPause / 2, firstPause},
		"request timeout":                   {status(408, ""), firstPause / 2, firstPause},
		"backend of TEI":                    {status(424, `{"error":"failed","error_type":"Backend"}`), firstPause / 2, firstPause},
		"overload of TEI":                   {status(429, `{"error":"Model is overloaded","error_type":"Overloaded"}`), firstPause / 2, firstPause},
		"rate limit, seconds":               {status(429, "", "Retry-After: 7"), 7 * time.Second, 7 * time.Second},
		"rate limit, milliseconds":          {status(429, "", "Retry-After-Ms: 1500", "Retry-After: 2"), 1500 * time.Millisecond, 1500 * time.Millisecond},
		"half a reply":                      {status(200, `{"data":[{"ind`), firstPause / 2, firstPause},
	} {
		t.Run(name, func(t *testing.T) {
			s := newServer(t)
			s.answers = append(s.answers, c.answer)
			m, pauses := s.model(t, Config{})
			vectors, err := m.Embed(t.Context(), []string{"text"}, RoleDocument)
			if err != nil {
				t.Fatal(err)
			}
			wantVectors(t, vectors, 4, "text")
			if len(*pauses) != 1 || (*pauses)[0] < c.min || (*pauses)[0] > c.max {
				t.Errorf("pauses %v, want one between %v and %v", *pauses, c.min, c.max)
			}
			if got := m.Counters(); got.Requests != 2 || got.Retries != 1 {
				t.Errorf("counters %+v, want 2 requests and 1 retry", got)
			}
		})
	}
}

func TestRemoteIsUnavailable(t *testing.T) {
	for name, c := range map[string]struct {
		cfg      Config
		answer   func(http.ResponseWriter)
		edit     func(map[string]any)
		requests int
		after    time.Duration // 0: any
		want     string
	}{
		"after all attempts": {answer: status(503, "down"), requests: 4, want: "attempt 4: "},
		"when it asks for a long pause": {answer: status(429, `{"error":{"message":"Rate limit reached","type":"requests","param":null,"code":"rate_limit_exceeded"}}`, "Retry-After: 120"),
			requests: 1, after: 2 * time.Minute, want: "Rate limit reached"},
		"without credit": {answer: status(429, `{"error":{"message":"You exceeded your current quota","type":"insufficient_quota","param":null,"code":"insufficient_quota"}}`),
			requests: 1, after: quotaPause, want: "current quota"},
		"with a wrong key": {answer: status(401, `{"error":{"message":"Incorrect API key provided","type":"invalid_request_error","param":null,"code":"invalid_api_key"}}`),
			requests: 1, want: "see embedder.api_key_file and embedder.api_key_env"},
		"if Ollama lacks the model": {answer: status(404, `{"error":{"message":"model \"test-model\" not found, try pulling it first","type":"api_error","param":null,"code":null}}`),
			requests: 1, want: `try pulling it first; see embedder.base_url and embedder.model ("test-model")`},
		"with an error as success": {answer: status(200, `{"error":{"message":"Provider returned error","code":429}}`),
			requests: 1, want: "answers 200 OK: Provider returned error; see embedder.base_url"},
		"with too few vectors": {edit: func(r map[string]any) { r["data"] = r["data"].([]map[string]any)[:1] },
			requests: 1, want: "1 vectors for 2 texts"},
		"with an index twice": {edit: func(r map[string]any) { r["data"].([]map[string]any)[1]["index"] = 0 },
			requests: 1, want: "two vectors with index 0"},
		"with another dimension": {cfg: Config{Dimensions: 3}, edit: func(r map[string]any) {
			for _, d := range r["data"].([]map[string]any) {
				d["embedding"] = []float32{1, 2}
			}
		}, requests: 1, want: "vectors of 2 dimensions, expected 3; see embedder.model"},
	} {
		t.Run(name, func(t *testing.T) {
			s := newServer(t)
			s.edit = c.edit
			for range 8 * min(1, c.requests) {
				if c.answer != nil {
					s.answers = append(s.answers, c.answer)
				}
			}
			m, _ := s.model(t, c.cfg)
			_, err := m.Embed(t.Context(), []string{"a", "b"}, RoleDocument)
			outcome, after := tributary.OutcomeOf(err)
			if outcome != tributary.Waiting || !strings.Contains(fmt.Sprint(err), c.want) {
				t.Errorf("%v: %v, want %v with %q", outcome, err, tributary.Waiting, c.want)
			}
			if after <= 0 || c.after > 0 && after != c.after {
				t.Errorf("to be tried again after %v, want %v", after, c.after)
			}
			if len(s.requests) != c.requests {
				t.Errorf("%d requests, want %d", len(s.requests), c.requests)
			}
		})
	}
}

func TestRemoteFindsTheTextThatIsRefused(t *testing.T) {
	s := newServer(t)
	s.poison = "poison"
	m, _ := s.model(t, Config{})
	texts := []string{"a", "b", "c", "poison", "e", "f", "more poison"}
	vectors, err := m.Embed(t.Context(), texts, RoleDocument)
	failed, ok := errors.AsType[tributary.BatchError](err)
	if !ok || len(failed) != 2 {
		t.Fatalf("error %v, want one for each of two texts", err)
	}
	for _, i := range []int{3, 6} {
		if outcome, _ := tributary.OutcomeOf(failed[i]); outcome != tributary.Rejected {
			t.Errorf("text %d: %v (%v), want a rejection", i, failed[i], outcome)
		}
	}
	wantVectors(t, vectors, 4, "a", "b", "c", "", "e", "f", "")
}

func TestRemoteRejectsNoTextForAWrongSetting(t *testing.T) {
	s := newServer(t)
	s.poison = "t" // every word, the probe included
	m, _ := s.model(t, Config{Dimensions: 9999})
	_, err := m.Embed(t.Context(), []string{"text", "other"}, RoleDocument)
	if outcome, _ := tributary.OutcomeOf(err); outcome != tributary.Waiting || !strings.Contains(fmt.Sprint(err), "embedder.dimensions (9999)") {
		t.Errorf("%v (%v), want to wait for another setting", err, outcome)
	}
}

func TestRemoteHalvesABatchThatIsTooLarge(t *testing.T) {
	s := newServer(t)
	s.maxInputs = 2
	m, _ := s.model(t, Config{})
	texts := strings.Split("a b c d e f g", " ")
	vectors, err := m.Embed(t.Context(), texts, RoleDocument)
	if err != nil {
		t.Fatal(err)
	}
	wantVectors(t, vectors, 4, texts...)
}

func TestRemoteGivesNoVectorThatCannotBeStored(t *testing.T) {
	for name, embedding := range map[string]any{
		"zero": []float32{0, 0, 0, 0},
		"null": []any{1, nil, 1, 1},
		"nan":  base64Of([]float32{1, float32(math.NaN()), 1, 1}),
	} {
		t.Run(name, func(t *testing.T) {
			s := newServer(t)
			s.edit = func(r map[string]any) { r["data"].([]map[string]any)[1]["embedding"] = embedding }
			m, _ := s.model(t, Config{})
			vectors, err := m.Embed(t.Context(), []string{"a", "b", "c"}, RoleDocument)
			failed, ok := errors.AsType[tributary.BatchError](err)
			if !ok || len(failed) != 1 || failed[1] == nil {
				t.Fatalf("error %v, want one for text 1", err)
			}
			wantVectors(t, vectors, 4, "a", "", "c")
		})
	}
}

func TestRemoteReadsTheKeyForEveryRequestAndTellsNobody(t *testing.T) {
	s := newServer(t)
	file := filepath.Join(t.TempDir(), "key")
	write := func(key string) {
		if err := os.WriteFile(file, []byte(key+"\n"), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	write("secret-1")
	m, _ := s.model(t, Config{APIKeyFile: file})
	for i, key := range []string{"secret-1", "secret-2"} {
		write(key)
		if _, err := m.Embed(t.Context(), []string{"query of " + key}, RoleQuery); err != nil {
			t.Fatal(err)
		}
		if got := s.requests[i].key; got != key {
			t.Errorf("request %d has key %q, want %q", i, got, key)
		}
	}
	s.answers = append(s.answers, status(401, `{"error":{"message":"Incorrect API key: secret-2"}}`))
	_, err := m.Embed(t.Context(), []string{"x"}, RoleQuery)
	if err == nil || strings.Contains(err.Error(), "secret") {
		t.Errorf("error %v, want one without the key", err)
	}
}

func TestRemoteStopsWhenCancelled(t *testing.T) {
	s := newServer(t)
	s.answers = append(s.answers, status(503, ""))
	m, _ := s.model(t, Config{})
	ctx, cancel := context.WithCancel(t.Context())
	m.pause = func(ctx context.Context, _ time.Duration) error { cancel(); return pause(ctx, time.Hour) }
	_, err := m.Embed(ctx, []string{"x"}, RoleDocument)
	if !errors.Is(err, context.Canceled) || len(s.requests) != 1 {
		t.Errorf("%v after %d requests, want %v after 1", err, len(s.requests), context.Canceled)
	}
}

func TestRemoteFollowsNoRedirect(t *testing.T) {
	elsewhere := newServer(t)
	s := newServer(t)
	s.answers = append(s.answers, status(307, "", "Location: "+elsewhere.URL+"/v1/embeddings"))
	m, _ := s.model(t, Config{})
	_, err := m.Embed(t.Context(), []string{"text"}, RoleDocument)
	if outcome, _ := tributary.OutcomeOf(err); outcome != tributary.Waiting || !strings.Contains(fmt.Sprint(err), "redirects are not followed") {
		t.Errorf("%v (%v), want to wait for another embedder.base_url", err, outcome)
	}
	if len(elsewhere.requests) != 0 {
		t.Error("the key went elsewhere")
	}
}

func TestRemoteHalvesARequestOfMoreTokensThanAMinuteHas(t *testing.T) {
	s := newServer(t)
	s.answers = append(s.answers, status(429, `{"error":{"message":"Request too large for test-model on tokens per min (TPM): Limit 1000, Requested 2000.","type":"tokens","param":null,"code":"rate_limit_exceeded"}}`))
	m, pauses := s.model(t, Config{})
	vectors, err := m.Embed(t.Context(), []string{"a", "b"}, RoleDocument)
	if err != nil || len(*pauses) != 0 || len(s.requests) != 3 {
		t.Fatalf("%v after %d requests and pauses %v, want three requests", err, len(s.requests), *pauses)
	}
	wantVectors(t, vectors, 4, "a", "b")
}

func TestRetryAfterTakesDatesAndNoLongerThanAnHour(t *testing.T) {
	now := time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC)
	for value, want := range map[string]time.Duration{
		"Fri, 02 Jan 2026 03:04:35 GMT": 30 * time.Second,
		"Fri, 02 Jan 2026 03:00:00 GMT": 0,
		"Fri, 31 Dec 9999 23:59:59 GMT": time.Hour,
		"1e300":                         time.Hour,
		"86400":                         time.Hour,
		"NaN":                           0,
		"0.5":                           500 * time.Millisecond,
		"-1":                            0,
		"soon":                          0,
		"":                              0,
	} {
		if got := retryAfter(http.Header{"Retry-After": {value}}, now); got != want {
			t.Errorf("Retry-After %q is %v, want %v", value, got, want)
		}
	}
}

func TestAServerThatDoesNotTellOfItselfHoldsNobodyBeyondTheirTime(t *testing.T) {
	asked, silent := make(chan struct{}), make(chan struct{})
	s := httptest.NewServer(http.HandlerFunc(func(http.ResponseWriter, *http.Request) {
		asked <- struct{}{}
		<-silent
	}))
	t.Cleanup(s.Close)
	m, err := New(Config{Provider: ProviderTEI, BaseURL: s.URL, Model: "m"})
	if err != nil {
		t.Fatal(err)
	}
	first := make(chan error)
	go func() {
		_, err := m.Embed(t.Context(), []string{"a document"}, RoleDocument)
		first <- err
	}()
	<-asked
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if _, err := m.Embed(ctx, []string{"a query"}, RoleQuery); !errors.Is(err, context.Canceled) {
		t.Errorf("the second: got %v", err)
	}
	close(silent)
	if err := <-first; err == nil {
		t.Error("the first: no error")
	}
}

func TestErrorTextIsShort(t *testing.T) {
	for body, want := range map[string]string{
		`{"error":"just text"}`:                  "just text",
		`{"error":{"message":"in an object"}}`:   "in an object",
		`{"detail":"of Voyage"}`:                 "of Voyage",
		`{"message":"of Cohere"}`:                "of Cohere",
		`{"detail":[{"msg":"of another kind"}]}`: `{"detail":[{"msg":"of another kind"}]}`,
		"<html>\n  bad gateway\n</html>":         "<html> bad gateway </html>",
		strings.Repeat("x", 400):                 strings.Repeat("x", 300) + "...",
		`{"error":{"message":"","type":"bad"}}`:  `{"error":{"message":"","type":"bad"}}`,
	} {
		if got, _ := errorText([]byte(body)); got != want {
			t.Errorf("errorText(%.40q) = %q, want %q", body, got, want)
		}
	}
}

func FuzzReply(f *testing.F) {
	f.Add(`{"data":[{"index":0,"embedding":[1,2]},{"index":1,"embedding":"AACAPwAAAEA="}],"usage":{"prompt_tokens":3}}`, 2)
	f.Add(`{"data":[{"embedding":null}]}`, 1)
	f.Add(`{"data":[{"index":-1,"embedding":[]}]}`, 1)
	f.Fuzz(func(t *testing.T, body string, count int) {
		if count < 0 || count > 1000 {
			return
		}
		r, err := readList(strings.NewReader(body), count)
		if err != nil {
			return
		}
		vectors := r.vectors
		if len(vectors) != count {
			t.Fatalf("%d vectors for %d texts", len(vectors), count)
		}
		for _, v := range vectors {
			if normalise(v) == nil {
				checkUnit(t, v, len(v))
			}
		}
	})
}

func FuzzErrorText(f *testing.F) {
	f.Add([]byte(`{"error":{"message":"m","type":"t","code":"c"}}`))
	f.Fuzz(func(t *testing.T, body []byte) {
		if text, _ := errorText(body); len(text) > 320 {
			t.Errorf("%d bytes", len(text))
		}
	})
}
