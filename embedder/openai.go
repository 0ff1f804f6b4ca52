package embedder

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"maps"
	"net/http"
	"os"
	"strings"
	"sync/atomic"
	"time"

	"github.com/tributary-kb/tributary"
)

const openAIAlpha = 0.5

// OpenAI embeds by POST {base_url}/embeddings, as OpenAI, Ollama, TEI, vLLM,
// LM Studio and others offer it. Make one with New.
type OpenAI struct {
	cfg       Config
	client    *http.Client
	pause     func(context.Context, time.Duration) error
	dimension atomic.Int64 // 0 until known
	counters  struct{ requests, retries, texts, tokens atomic.Int64 }
}

// Counters say what a server has been asked for since the model was made.
type Counters struct {
	Requests int64 // HTTP requests, attempts counted one by one
	Retries  int64 // those of them that repeated another
	Texts    int64 // embedded
	Tokens   int64 // as the server counted them, 0 if it does not
}

func newOpenAI(cfg Config) (*OpenAI, error) {
	transport := http.DefaultTransport.(*http.Transport).Clone()
	transport.MaxIdleConnsPerHost = 16
	m := &OpenAI{cfg: cfg, client: &http.Client{Transport: transport}, pause: pause}
	m.dimension.Store(int64(cfg.Dimensions))
	if _, err := m.key(); err != nil {
		return nil, err
	}
	return m, nil
}

// Counters returns the counters as they stand.
func (m *OpenAI) Counters() Counters {
	c := &m.counters
	return Counters{Requests: c.requests.Load(), Retries: c.retries.Load(), Texts: c.texts.Load(), Tokens: c.tokens.Load()}
}

// Fingerprint implements Model: the model's name, the dimension that is asked
// for, and the prefixes. Where the server is does not matter.
func (m *OpenAI) Fingerprint() string {
	prefixes := tributary.Hash([]byte(m.cfg.QueryPrefix + "\x00" + m.cfg.DocumentPrefix))
	return fmt.Sprintf("openai:%s:%d:%s", m.cfg.Model, m.cfg.Dimensions, prefixes[:8])
}

// Alpha implements Model.
func (m *OpenAI) Alpha() float64 {
	if m.cfg.Alpha != nil {
		return *m.cfg.Alpha
	}
	return openAIAlpha
}

// Limits implements Model.
func (m *OpenAI) Limits() Limits {
	return Limits{Inputs: m.cfg.MaxInputs, Tokens: m.cfg.MaxTokens, Bytes: m.cfg.MaxBytes}
}

// Dimension implements Model. It embeds one word if no reply has told yet.
func (m *OpenAI) Dimension(ctx context.Context) (int, error) {
	if d := m.dimension.Load(); d > 0 {
		return int(d), nil
	}
	if err := m.probe(ctx); err != nil {
		return 0, err
	}
	return int(m.dimension.Load()), nil
}

// Embed implements Model. It sends as many requests as the limits ask for.
func (m *OpenAI) Embed(ctx context.Context, texts []string, role Role) ([]tributary.Vector, error) {
	prefixed := make([]string, len(texts))
	for i, text := range texts {
		prefixed[i] = m.prefix(role) + text
	}
	vectors := make([]tributary.Vector, 0, len(texts))
	failed := tributary.BatchError{}
	for _, batch := range batches(prefixed, m.Limits()) {
		some, err := m.batch(ctx, batch)
		items, isBatch := errors.AsType[tributary.BatchError](err)
		if err != nil && !isBatch {
			return nil, err
		}
		for i, e := range items {
			failed[len(vectors)+i] = e
		}
		vectors = append(vectors, some...)
	}
	if len(failed) > 0 {
		return vectors, failed
	}
	return vectors, nil
}

func (m *OpenAI) prefix(role Role) string {
	if role == RoleQuery {
		return m.cfg.QueryPrefix
	}
	return m.cfg.DocumentPrefix
}

// batch embeds texts by one request. If the server refuses it for what is in
// it, the halves are tried by themselves, down to the text that is at fault.
func (m *OpenAI) batch(ctx context.Context, texts []string) ([]tributary.Vector, error) {
	vectors, err := m.request(ctx, texts)
	refusal, refused := errors.AsType[*statusError](err)
	if !refused || !refusal.aboutContent() {
		return vectors, err
	}
	if len(texts) == 1 {
		return m.refuse(ctx, texts[0], refusal)
	}
	half := len(texts) / 2
	first, err := m.batch(ctx, texts[:half])
	failed, isBatch := errors.AsType[tributary.BatchError](err)
	if err != nil && !isBatch {
		return nil, err
	}
	second, err := m.batch(ctx, texts[half:])
	others, isBatch := errors.AsType[tributary.BatchError](err)
	if err != nil && !isBatch {
		return nil, err
	}
	all := tributary.BatchError{}
	maps.Copy(all, failed)
	for i, e := range others {
		all[half+i] = e
	}
	if len(all) == 0 {
		return append(first, second...), nil
	}
	return append(first, second...), all
}

// refuse rejects the one text that the server refused, unless it refuses a
// harmless one as well: then the request is at fault, not the text, and no
// document must be lost for it.
func (m *OpenAI) refuse(ctx context.Context, text string, refusal *statusError) ([]tributary.Vector, error) {
	if err := m.probe(ctx); err != nil {
		return nil, err
	}
	err := tributary.Rejectf("the embedding server refuses a text of %d bytes: %w", len(text), refusal)
	return make([]tributary.Vector, 1), tributary.BatchError{0: err}
}

// probe embeds a harmless text.
func (m *OpenAI) probe(ctx context.Context) error {
	_, err := m.request(ctx, []string{m.cfg.DocumentPrefix + "test"})
	if refusal, ok := errors.AsType[*statusError](err); ok && refusal.aboutContent() {
		return tributary.Unavailable(fmt.Errorf("%w: it refuses any text; see embedder.model (%q) and embedder.dimensions (%d)",
			refusal, m.cfg.Model, m.cfg.Dimensions), configPause)
	}
	return err
}

// request sends one request until it is answered, Attempts times at most. The
// result is a vector for each text, a *statusError if the server does not want
// the content, or an error with an outcome.
func (m *OpenAI) request(ctx context.Context, texts []string) ([]tributary.Vector, error) {
	body, err := json.Marshal(m.payload(texts))
	if err != nil {
		return nil, fmt.Errorf("embed: encode the request: %w", err)
	}
	for attempt := 1; ; attempt++ {
		reply, err := m.send(ctx, body)
		if err == nil {
			return m.vectors(reply, len(texts))
		}
		if ctx.Err() != nil {
			return nil, fmt.Errorf("embed: %w", context.Cause(ctx))
		}
		if status, ok := errors.AsType[*statusError](err); ok {
			if status.aboutContent() {
				return nil, status
			}
			if !status.temporary() {
				return nil, tributary.Unavailable(m.explain(status), configPause)
			}
		}
		wait := m.wait(err, attempt)
		if attempt >= m.cfg.Attempts || wait > m.cfg.MaxWait {
			return nil, tributary.Unavailable(fmt.Errorf("embed: attempt %d: %w", attempt, err), wait)
		}
		if err := m.pause(ctx, wait); err != nil {
			return nil, fmt.Errorf("embed: %w", err)
		}
		m.counters.retries.Add(1)
	}
}

// payload is the request in the wire format.
func (m *OpenAI) payload(texts []string) any {
	return struct {
		Model          string   `json:"model"`
		Input          []string `json:"input"`
		EncodingFormat string   `json:"encoding_format"`
		Dimensions     int      `json:"dimensions,omitempty"`
	}{m.cfg.Model, texts, m.cfg.EncodingFormat, m.cfg.Dimensions}
}

// send makes one attempt.
func (m *OpenAI) send(ctx context.Context, body []byte) (*reply, error) {
	ctx, cancel := context.WithTimeout(ctx, m.cfg.Timeout)
	defer cancel()
	key, err := m.key()
	if err != nil {
		return nil, err
	}
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, strings.TrimSuffix(m.cfg.BaseURL, "/")+"/embeddings", bytes.NewReader(body))
	if err != nil {
		return nil, err
	}
	req.Header.Set("Content-Type", "application/json")
	req.Header.Set("Accept", "application/json")
	if key != "" {
		req.Header.Set("Authorization", "Bearer "+key)
	}
	m.counters.requests.Add(1)
	resp, err := m.client.Do(req)
	if err != nil {
		return nil, err
	}
	defer resp.Body.Close()
	if resp.StatusCode != http.StatusOK {
		return nil, newStatusError(resp, m.cfg.BaseURL, key)
	}
	return readReply(resp.Body)
}

// key returns the API key, "" if none is configured.
func (m *OpenAI) key() (string, error) {
	switch {
	case m.cfg.APIKeyFile != "":
		data, err := os.ReadFile(m.cfg.APIKeyFile)
		if err != nil {
			return "", fmt.Errorf("embedder.api_key_file: %w", err)
		}
		return strings.TrimSpace(string(data)), nil
	case m.cfg.APIKeyEnv != "":
		key := strings.TrimSpace(os.Getenv(m.cfg.APIKeyEnv))
		if key == "" {
			return "", fmt.Errorf("embedder.api_key_env: the environment variable %s is empty", m.cfg.APIKeyEnv)
		}
		return key, nil
	}
	return "", nil
}

// vectors checks a reply and returns its vectors in the order of the texts.
func (m *OpenAI) vectors(r *reply, count int) ([]tributary.Vector, error) {
	vectors, err := r.inOrder(count)
	if err != nil {
		return nil, m.badReply(err)
	}
	failed := tributary.BatchError{}
	for i, v := range vectors {
		if err := m.checkDimension(len(v)); err != nil {
			return nil, err
		}
		if err := normalise(v); err != nil {
			failed[i] = fmt.Errorf("embed: reply of %s: %w", m.cfg.BaseURL, err)
			vectors[i] = nil
		}
	}
	m.counters.texts.Add(int64(count - len(failed)))
	m.counters.tokens.Add(r.Usage.tokens())
	if len(failed) > 0 {
		return vectors, failed
	}
	return vectors, nil
}

// checkDimension learns the dimension from the first vector and holds all
// others against it.
func (m *OpenAI) checkDimension(got int) error {
	if got == 0 {
		return m.badReply(errors.New("an empty vector"))
	}
	if m.dimension.CompareAndSwap(0, int64(got)) || m.dimension.Load() == int64(got) {
		return nil
	}
	return tributary.Unavailable(fmt.Errorf("embed: %s gives vectors of %d dimensions, expected %d; see embedder.model (%q) and embedder.dimensions (%d)",
		m.cfg.BaseURL, got, m.dimension.Load(), m.cfg.Model, m.cfg.Dimensions), configPause)
}

// badReply is the outcome of a reply that no text is to blame for.
func (m *OpenAI) badReply(err error) error {
	return tributary.Unavailable(fmt.Errorf("embed: reply of %s: %w", m.cfg.BaseURL, err), configPause)
}

// explain adds to a status that will not go away by itself which setting to
// look at.
func (m *OpenAI) explain(status *statusError) error {
	setting := "embedder.base_url"
	switch status.code {
	case http.StatusUnauthorized, http.StatusForbidden:
		setting = "embedder.api_key_file and embedder.api_key_env"
	case http.StatusNotFound:
		setting = fmt.Sprintf("embedder.base_url and embedder.model (%q)", m.cfg.Model)
	}
	return fmt.Errorf("embed: %w; see %s", status, setting)
}

// pause waits for d or for the end of ctx.
func pause(ctx context.Context, d time.Duration) error {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-timer.C:
		return nil
	case <-ctx.Done():
		return context.Cause(ctx)
	}
}

// maxErrorBytes bounds what is read of an error's body.
const maxErrorBytes = 64 << 10

// readBounded reads at most maxErrorBytes bytes and ignores how reading ended.
func readBounded(r io.Reader) []byte {
	data, _ := io.ReadAll(io.LimitReader(r, maxErrorBytes))
	return data
}
