package embedder

import (
	"bufio"
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"os"
	"regexp"
	"strconv"
	"strings"
	"time"
)

const (
	// configPause is how long work is held that only a change of the
	// configuration, here or at the server, can help.
	configPause = 30 * time.Second
	// quotaPause is how long work is held for an account without credit.
	quotaPause = 5 * time.Minute
	// longestPause bounds what a server may ask for. All workers keep to it, and
	// over a restart: a page of a proxy with a date far away must not end the
	// work for good.
	longestPause = time.Hour
	// maxErrorBytes bounds what is read of an error's body.
	maxErrorBytes = 64 << 10
)

// An endpoint is the server of a provider, and the key that it wants.
type endpoint struct {
	base    string // without a slash at the end
	keyFile string
	keyEnv  string
	timeout time.Duration
	client  *http.Client
}

func newEndpoint(cfg Config) (*endpoint, error) {
	transport := http.DefaultTransport.(*http.Transport).Clone()
	transport.MaxIdleConnsPerHost = cfg.MaxConcurrency
	e := &endpoint{
		base: strings.TrimSuffix(cfg.BaseURL, "/"), keyFile: cfg.APIKeyFile, keyEnv: cfg.APIKeyEnv, timeout: cfg.Timeout,
		// A redirect would carry the texts, and the key with them, to another
		// place than the configured one.
		client: &http.Client{Transport: transport, CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }},
	}
	_, err := e.key()
	return e, err
}

// call makes one attempt: it sends body, which is JSON or nil, and hands a
// successful response to read. Any other response is a *statusError.
func (e *endpoint) call(ctx context.Context, method, path string, body []byte, read func(*http.Response) error) error {
	ctx, cancel := context.WithTimeout(ctx, e.timeout)
	defer cancel()
	key, err := e.key()
	if err != nil {
		return err
	}
	req, err := http.NewRequestWithContext(ctx, method, e.base+path, bytes.NewReader(body))
	if err != nil {
		return err
	}
	if body != nil {
		req.Header.Set("Content-Type", "application/json")
	}
	req.Header.Set("Accept", "application/json")
	if key != "" {
		req.Header.Set("Authorization", "Bearer "+key)
	}
	resp, err := e.client.Do(req)
	if err != nil {
		return err
	}
	defer resp.Body.Close()
	if resp.StatusCode != http.StatusOK || isError(resp) {
		return newStatusError(resp, e.base, key)
	}
	return read(resp)
}

// isError reports whether the body is an error whatever the status says, as
// some proxies have it.
func isError(resp *http.Response) bool {
	body := bufio.NewReader(resp.Body)
	head, _ := body.Peek(32) // what there is of it
	resp.Body = struct {
		io.Reader
		io.Closer
	}{body, resp.Body}
	return errorHead.Match(head)
}

var errorHead = regexp.MustCompile(`^\s*\{\s*"error"\s*:\s*["{]`)

// key returns the API key, "" if none is configured.
func (e *endpoint) key() (string, error) {
	switch {
	case e.keyFile != "":
		data, err := os.ReadFile(e.keyFile)
		if err != nil {
			return "", fmt.Errorf("embedder.api_key_file: %w", err)
		}
		return strings.TrimSpace(string(data)), nil
	case e.keyEnv != "":
		key := strings.TrimSpace(os.Getenv(e.keyEnv))
		if key == "" {
			return "", fmt.Errorf("embedder.api_key_env: the environment variable %s is empty", e.keyEnv)
		}
		return key, nil
	}
	return "", nil
}

// A statusError is a response other than 200, or one that is an error all the
// same.
type statusError struct {
	code    int
	server  string // base URL
	message string // what the server says, without the key
	kind    string // of the error, as the server names it
	after   time.Duration
}

// Error implements error.
func (e *statusError) Error() string {
	text := fmt.Sprintf("%s answers %d %s", e.server, e.code, http.StatusText(e.code))
	if e.message != "" {
		text += ": " + e.message
	}
	return text
}

// aboutContent reports whether the server refuses what the request contains,
// so that less of it may pass. OpenAI answers 429 to a request that alone is
// more than the tokens of a minute; no patience helps it.
func (e *statusError) aboutContent() bool {
	switch e.code {
	case http.StatusBadRequest, http.StatusRequestEntityTooLarge, http.StatusUnprocessableEntity:
		return true
	}
	return e.code == http.StatusTooManyRequests && strings.HasPrefix(e.message, "Request too large")
}

// temporary reports whether the same request may succeed later. TEI answers
// 424 if its backend fails.
func (e *statusError) temporary() bool {
	switch e.code {
	case http.StatusRequestTimeout, http.StatusConflict, http.StatusTooManyRequests, http.StatusFailedDependency:
		return true
	}
	return e.code >= 500
}

// overloaded reports whether the server has more to do than it can, or than
// it wants to do for this key.
func (e *statusError) overloaded() bool {
	return e.code == http.StatusTooManyRequests || e.code == http.StatusServiceUnavailable
}

// quota reports whether the account has no credit left.
func (e *statusError) quota() bool { return e.kind == "insufficient_quota" }

// setting names what to look at for a status that will not go away by itself.
func (e *statusError) setting(model string) string {
	switch {
	case e.code == http.StatusUnauthorized, e.code == http.StatusForbidden:
		return "embedder.api_key_file and embedder.api_key_env"
	case e.code == http.StatusNotFound:
		return fmt.Sprintf("embedder.base_url and embedder.model (%q)", model)
	case e.code >= 300 && e.code < 400:
		return "embedder.base_url: redirects are not followed"
	}
	return "embedder.base_url"
}

func newStatusError(resp *http.Response, server, key string) *statusError {
	body, _ := io.ReadAll(io.LimitReader(resp.Body, maxErrorBytes)) // what there is of it
	if key != "" {                                                  // before it is cut, or half of the key might stay
		body = bytes.ReplaceAll(body, []byte(key), []byte("[key]"))
	}
	message, kind := errorText(body)
	return &statusError{
		code:    resp.StatusCode,
		server:  server,
		message: message,
		kind:    kind,
		after:   retryAfter(resp.Header, time.Now()),
	}
}

// errorText reads the error bodies of OpenAI ({"error": {"message", "type",
// "code"}}), of Ollama and TEI ({"error": "...", "error_type": "..."}), of
// Voyage and Jina ({"detail": "..."}) and of Cohere ({"message": "..."}); of
// anything else the beginning.
func errorText(body []byte) (message, kind string) {
	const most = 300
	var outer struct {
		Error     json.RawMessage `json:"error"`
		ErrorType string          `json:"error_type"`
		Detail    any             `json:"detail"`
		Message   any             `json:"message"`
	}
	if json.Unmarshal(body, &outer) == nil {
		message, kind = errorField(outer.Error)
		if kind == "" {
			kind = outer.ErrorType
		}
		for _, other := range []any{outer.Detail, outer.Message} {
			if text, ok := other.(string); ok && message == "" {
				message = text
			}
		}
	}
	if message == "" {
		message = string(body)
	}
	message = strings.Join(strings.Fields(strings.ToValidUTF8(message, "?")), " ")
	if len(message) > most {
		message = strings.ToValidUTF8(message[:most], "") + "..."
	}
	return message, kind
}

// errorField reads an error that is a text or an object.
func errorField(raw json.RawMessage) (message, kind string) {
	if len(raw) == 0 || json.Unmarshal(raw, &message) == nil {
		return message, ""
	}
	var inner struct {
		Message string `json:"message"`
		Code    any    `json:"code"`
		Type    string `json:"type"`
	}
	if json.Unmarshal(raw, &inner) != nil {
		return "", ""
	}
	if code, ok := inner.Code.(string); ok && code != "" {
		return inner.Message, code
	}
	return inner.Message, inner.Type
}

// retryAfter reads Retry-After-Ms and Retry-After, in seconds or as a date; 0
// if there is neither, longestPause if it is more.
func retryAfter(h http.Header, now time.Time) time.Duration {
	if ms, err := strconv.ParseFloat(h.Get("Retry-After-Ms"), 64); err == nil && ms > 0 {
		return time.Duration(min(ms, float64(longestPause.Milliseconds())) * float64(time.Millisecond))
	}
	value := h.Get("Retry-After")
	if s, err := strconv.ParseFloat(value, 64); err == nil && s > 0 {
		return time.Duration(min(s, longestPause.Seconds()) * float64(time.Second))
	}
	if at, err := http.ParseTime(value); err == nil && at.After(now) {
		return min(at.Sub(now), longestPause)
	}
	return 0
}
