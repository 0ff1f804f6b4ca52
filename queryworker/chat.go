package queryworker

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"mime"
	"net/http"
	"net/url"
	"strings"
	"sync/atomic"
	"time"

	"github.com/tributary-kb/tributary"
)

const (
	// maxAnswerBytes bounds what a model may write, and each line of its stream.
	maxAnswerBytes = 256 << 10
	// maxThoughtBytes bounds what a model may think aloud before.
	maxThoughtBytes = 4 * maxAnswerBytes
	// defaultAnswerTokens is what a model may write where nothing else is said.
	defaultAnswerTokens = 1024
	// defaultAttempts is how often a question is sent to a busy server.
	defaultAttempts = 3
)

// Chat lets a model write the answer, over HTTP: any chat endpoint of the
// OpenAI form (OpenAI, vLLM, LM Studio, llama.cpp, TGI), Anthropic's Messages
// API, or Ollama's own.
//
// A server that says that it is busy (429, 502, 503, 504, 529, or an
// overloaded_error in its stream) is asked again while nothing of the answer
// has come, after the pause it asks for; once something was emitted there is
// no second try. Its errors are CodeUnavailable and name the setting that
// mends them. An answer that the model's length limit cut ends in " ...".
type Chat struct {
	// Provider is ProviderOpenAI, ProviderAnthropic or ProviderOllama; "" means
	// ProviderOpenAI.
	Provider string
	// BaseURL as in GeneratorConfig.
	BaseURL string
	Model   string
	// APIKey returns the key to send, "" for none. Nil sends none. The key
	// stands in no error.
	APIKey func() (string, error)
	// Timeout is the longest silence of the model, and the longest pause that
	// a busy server may ask for; 0 means 60s.
	Timeout time.Duration
	// MaxContextTokens is what the passages of a prompt have together at most,
	// in estimated tokens; 0 means 3000. Ollama is told to make room for it.
	MaxContextTokens int
	// MaxAnswerTokens bounds the answer; 0 means 1024. Servers of the OpenAI
	// form keep their own bound: they do not agree on the field's name.
	MaxAnswerTokens int
	// Attempts is how often a question is sent to a busy server; 0 means 3.
	Attempts int
	// Client sends the requests; nil means a client that follows no redirect.
	Client *http.Client

	// pause waits between attempts; nil waits on the clock.
	pause func(ctx context.Context, d time.Duration) error
	// noUsage is set once the server refused to count tokens.
	noUsage atomic.Bool
}

// Name returns the provider and the model: "openai:gpt-5-mini".
func (c *Chat) Name() string { return c.provider() + ":" + c.Model }

// Generate asks the model and emits its words as they come. When ctx ends or
// emit fails, the request to the model is cancelled.
func (c *Chat) Generate(ctx context.Context, p Prompt, emit func(delta string) error) (tributary.Usage, error) {
	return c.say(ctx, messages(p, newBoundary()), emit)
}

// Complete asks the model to make something of data.
func (c *Chat) Complete(ctx context.Context, instruction, data string) (string, tributary.Usage, error) {
	var text strings.Builder
	usage, err := c.say(ctx, instructed(instruction, data, newBoundary()), func(delta string) error {
		text.WriteString(delta)
		return nil
	})
	return text.String(), usage, err
}

// A wire is the form of one provider's requests and replies.
type wire interface {
	// endpoint is where to post, given what the user set.
	endpoint(base string) string
	// sign adds the headers that the provider wants; key may be "".
	sign(h http.Header, key string)
	// body is the request.
	body(c *Chat, messages []message) any
	// read emits the streamed reply. whole reads one that was not streamed.
	read(s *stream) error
	whole(s *stream) error
}

var wires = map[string]wire{
	ProviderOpenAI:    openAI{},
	ProviderAnthropic: anthropic{},
	ProviderOllama:    ollama{},
}

func (c *Chat) provider() string {
	if c.Provider == "" {
		return ProviderOpenAI
	}
	return c.Provider
}

// say sends a chat and emits the reply, with as many attempts as are allowed.
func (c *Chat) say(ctx context.Context, chat []message, emit func(string) error) (tributary.Usage, error) {
	key := ""
	if c.APIKey != nil {
		var err error
		if key, err = c.APIKey(); err != nil {
			return tributary.Usage{}, unavailable("%w", err)
		}
	}
	uncounted := false
	for attempt := 1; ; attempt++ {
		s := &stream{host: c.host(), hide: key, chat: c, messages: chat}
		err := c.once(ctx, s, emit)
		if err == nil || s.wrote > 0 || ctx.Err() != nil {
			return s.usage, err
		}
		if errors.Is(err, errNoUsage) && !uncounted {
			attempt-- // the same request, without asking for counts
			uncounted = true
			c.noUsage.Store(true)
			continue
		}
		if attempt >= c.attempts() || c.rest(ctx, err, attempt) != nil {
			return s.usage, err
		}
	}
}

// once makes one attempt, under the guard of the longest silence.
func (c *Chat) once(ctx context.Context, s *stream, emit func(string) error) error {
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	idle := newIdleTimer(c.timeout(), func() { cancel(errSilent) })
	defer idle.stop()
	s.emit = idle.pausing(emit)
	err := c.ask(ctx, s, idle)
	if err != nil && errors.Is(context.Cause(ctx), errSilent) {
		return unavailable("%s: the model was silent for %s (generator.timeout)", c.host(), c.timeout())
	}
	return err
}

var errSilent = errors.New("the model is silent")

func (c *Chat) ask(ctx context.Context, s *stream, idle *idleTimer) error {
	req, err := c.request(ctx, s)
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
	s.body = &activeReader{r: resp.Body, idle: idle}
	if resp.StatusCode != http.StatusOK {
		return c.refusal(resp, s)
	}
	if media, _, _ := mime.ParseMediaType(resp.Header.Get("Content-Type")); media == "application/json" {
		err = c.wire().whole(s)
	} else {
		err = c.wire().read(s)
	}
	if err == nil {
		err = s.pass(s.thoughts.rest())
	}
	if err != nil && ctx.Err() != nil {
		return ctx.Err()
	}
	return err
}

func (c *Chat) request(ctx context.Context, s *stream) (*http.Request, error) {
	body, err := json.Marshal(c.wire().body(c, s.messages))
	if err != nil {
		return nil, fmt.Errorf("encode the request to the model: %w", err)
	}
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, c.wire().endpoint(c.BaseURL), bytes.NewReader(body))
	if err != nil {
		return nil, unavailable("generator.base_url is not a URL")
	}
	req.Header.Set("Content-Type", "application/json")
	req.Header.Set("Accept", "text/event-stream, application/x-ndjson")
	c.wire().sign(req.Header, s.hide)
	return req, nil
}

func (c *Chat) wire() wire { return wires[c.provider()] }

func (c *Chat) timeout() time.Duration {
	if c.Timeout > 0 {
		return c.Timeout
	}
	return time.Minute
}

func (c *Chat) answerTokens() int {
	if c.MaxAnswerTokens > 0 {
		return c.MaxAnswerTokens
	}
	return defaultAnswerTokens
}

func (c *Chat) contextTokens() int {
	if c.MaxContextTokens > 0 {
		return c.MaxContextTokens
	}
	return defaultContextTokens
}

func (c *Chat) attempts() int {
	if c.Attempts > 0 {
		return c.Attempts
	}
	return defaultAttempts
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
