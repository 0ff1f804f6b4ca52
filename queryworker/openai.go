package queryworker

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"mime"
	"net/http"
	"net/url"
	"strings"
	"sync"
	"time"
	"unicode"

	"github.com/tributary-kb/tributary"
)

// maxAnswerBytes bounds what a model may write, and each line of its stream.
const maxAnswerBytes = 256 << 10

// Chat lets a model write the answer, over any chat endpoint of the OpenAI
// form: OpenAI, Ollama, vLLM, LM Studio, llama.cpp, TGI.
//
// Its errors are CodeUnavailable and name the setting that mends them. An
// answer that the model's length limit cut ends in " ...".
type Chat struct {
	// BaseURL as in GeneratorConfig.
	BaseURL string
	Model   string
	// APIKey returns the key to send, "" for none. Nil sends none. The key
	// stands in no error.
	APIKey func() (string, error)
	// Timeout is the longest silence of the model; 0 means 60s.
	Timeout time.Duration
	// Client sends the requests; nil means a client that follows no redirect.
	Client *http.Client
}

// Name returns "openai:" and the model.
func (c *Chat) Name() string { return ProviderOpenAI + ":" + c.Model }

// Generate asks the model and emits its words as they come. When ctx ends or
// emit fails, the request to the model is cancelled.
func (c *Chat) Generate(ctx context.Context, p Prompt, emit func(delta string) error) error {
	var key string
	if c.APIKey != nil {
		var err error
		if key, err = c.APIKey(); err != nil {
			return unavailable("%w", err)
		}
	}
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	idle := newIdleTimer(c.timeout(), func() { cancel(errSilent) })
	defer idle.stop()
	err := c.ask(ctx, key, p, idle, emit)
	if err != nil && errors.Is(context.Cause(ctx), errSilent) {
		return unavailable("%s: the model was silent for %s (generator.timeout)", c.host(), c.timeout())
	}
	return err
}

var errSilent = errors.New("the model is silent")

func (c *Chat) ask(ctx context.Context, key string, p Prompt, idle *idleTimer, emit func(string) error) error {
	req, err := c.request(ctx, key, p)
	if err != nil {
		return err
	}
	resp, err := c.client().Do(req)
	if err != nil {
		if ctx.Err() != nil {
			return ctx.Err()
		}
		return unavailable("%s does not answer (generator.base_url): %w", c.host(), err)
	}
	defer resp.Body.Close()
	body := &activeReader{r: resp.Body, idle: idle}
	if resp.StatusCode != http.StatusOK {
		return c.refusal(resp, key, body)
	}
	s := stream{host: c.host(), hide: key, emit: idle.pausing(emit)}
	if media, _, _ := mime.ParseMediaType(resp.Header.Get("Content-Type")); media == "application/json" {
		err = s.whole(body)
	} else {
		err = s.events(body)
	}
	if err != nil && ctx.Err() != nil {
		return ctx.Err()
	}
	return err
}

func (c *Chat) request(ctx context.Context, key string, p Prompt) (*http.Request, error) {
	body, err := json.Marshal(map[string]any{
		"model":    c.Model,
		"messages": messages(p, newBoundary()),
		"stream":   true,
	})
	if err != nil {
		return nil, fmt.Errorf("encode the request to the model: %w", err)
	}
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, endpoint(c.BaseURL), bytes.NewReader(body))
	if err != nil {
		return nil, unavailable("generator.base_url is not a URL")
	}
	req.Header.Set("Content-Type", "application/json")
	req.Header.Set("Accept", "text/event-stream")
	if key != "" {
		req.Header.Set("Authorization", "Bearer "+key)
	}
	return req, nil
}

// endpoint appends what the base URL leaves out.
func endpoint(base string) string {
	base = strings.TrimRight(base, "/")
	if u, err := url.Parse(base); err == nil && u.Path == "" {
		base += "/v1"
	}
	return base + "/chat/completions"
}

func (c *Chat) timeout() time.Duration {
	if c.Timeout > 0 {
		return c.Timeout
	}
	return time.Minute
}

func (c *Chat) client() *http.Client {
	if c.Client != nil {
		return c.Client
	}
	return noRedirects
}

// noRedirects reports a redirect as an answer: followed, it would turn a POST
// into a GET, or take the question to a host that nobody named.
var noRedirects = &http.Client{CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }}

// host is how errors name the server: without path, user or password.
func (c *Chat) host() string {
	u, err := url.Parse(c.BaseURL)
	if err != nil || u.Host == "" {
		return "the model's server"
	}
	return u.Host
}

// refusal turns an answer that is not 200 into an error that says what to do.
func (c *Chat) refusal(resp *http.Response, key string, body io.Reader) error {
	data, _ := io.ReadAll(io.LimitReader(body, 8<<10)) // what came is enough for a message
	status := fmt.Sprintf("%s answered %d", c.host(), resp.StatusCode)
	if said := complaint(data, key); said != "" {
		status += " (" + said + ")"
	}
	switch code := resp.StatusCode; {
	case code >= 300 && code < 400:
		return unavailable("%s, a redirect to %s: set generator.base_url to where the server is", status, printable(resp.Header.Get("Location"), key))
	case code == http.StatusUnauthorized || code == http.StatusForbidden:
		return unavailable("%s: check the key in generator.api_key_file or generator.api_key_env", status)
	case code == http.StatusNotFound || code == http.StatusMethodNotAllowed:
		return unavailable("%s: check generator.base_url and generator.model", status)
	case code == http.StatusTooManyRequests:
		return c.busy(resp, status, "it has too many requests, or the account's quota is used up")
	case code >= 500:
		return c.busy(resp, status, "it is in trouble; generator.base_url names another")
	case code == http.StatusBadRequest || code == http.StatusRequestEntityTooLarge:
		return unavailable("%s: check generator.model, and lower generator.max_context_tokens if the prompt was too long", status)
	}
	return unavailable("%s: check generator.base_url", status)
}

// busy is a refusal that may pass by itself.
func (c *Chat) busy(resp *http.Response, status, why string) error {
	after := retryAfter(resp.Header.Get("Retry-After"), time.Now())
	if after > 0 {
		why += fmt.Sprintf("; it asks to try again in %s", after)
	}
	return unavailable("%w", tributary.Unavailable(fmt.Errorf("%s: %s", status, why), after))
}

// retryAfter reads the header: seconds or a date, zero if it says nothing.
func retryAfter(header string, now time.Time) time.Duration {
	if d, err := time.ParseDuration(header + "s"); err == nil && d > 0 {
		return d
	}
	if at, err := http.ParseTime(header); err == nil && at.After(now) {
		return at.Sub(now).Round(time.Second)
	}
	return 0
}

// complaint returns the message of an error body: {"error":{"message":...}},
// {"error":"..."}, {"message":...} or {"detail":...}; else the text itself.
func complaint(data []byte, hide string) string {
	var body struct {
		Error   json.RawMessage `json:"error"`
		Message string          `json:"message"`
		Detail  json.RawMessage `json:"detail"`
	}
	if json.Unmarshal(data, &body) != nil {
		if bytes.HasPrefix(bytes.TrimSpace(data), []byte("<")) { // a page of some proxy
			return ""
		}
		return printable(string(data), hide)
	}
	for _, raw := range []json.RawMessage{body.Error, body.Detail} {
		var text string
		var object struct {
			Message string `json:"message"`
		}
		if json.Unmarshal(raw, &text) == nil && text != "" {
			return printable(text, hide)
		}
		if json.Unmarshal(raw, &object) == nil && object.Message != "" {
			return printable(object.Message, hide)
		}
	}
	return printable(body.Message, hide)
}

// printable makes one short line of what a server said, without the key.
func printable(s, hide string) string {
	if hide != "" {
		s = strings.ReplaceAll(s, hide, "[key]")
	}
	s = strings.Map(func(r rune) rune {
		if unicode.IsControl(r) {
			return ' '
		}
		return r
	}, strings.ToValidUTF8(s, ""))
	s = strings.Join(strings.Fields(s), " ")
	if runes := []rune(s); len(runes) > 300 {
		s = string(runes[:300]) + "..."
	}
	return s
}

func unavailable(format string, args ...any) error {
	return tributary.Errorf(tributary.CodeUnavailable, format, args...)
}

// idleTimer calls its function when nothing was heard for a while.
type idleTimer struct {
	after time.Duration
	timer *time.Timer
	mu    sync.Mutex
	off   bool
}

func newIdleTimer(after time.Duration, f func()) *idleTimer {
	return &idleTimer{after: after, timer: time.AfterFunc(after, f)}
}

func (t *idleTimer) heard() {
	t.mu.Lock()
	defer t.mu.Unlock()
	if !t.off {
		t.timer.Reset(t.after)
	}
}

func (t *idleTimer) stop() {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.off = true
	t.timer.Stop()
}

// pausing wraps emit so that a slow reader does not count as a silent model.
func (t *idleTimer) pausing(emit func(string) error) func(string) error {
	return func(delta string) error {
		t.timer.Stop()
		defer t.heard()
		return emit(delta)
	}
}

// activeReader tells the timer of everything that arrives.
type activeReader struct {
	r    io.Reader
	idle *idleTimer
}

func (a *activeReader) Read(p []byte) (int, error) {
	n, err := a.r.Read(p)
	if n > 0 {
		a.idle.heard()
	}
	return n, err
}
