package queryworker

import (
	"encoding/json"
	"net/http"
	"strings"
)

// anthropicVersion is the version of the Messages API that is spoken here.
const anthropicVersion = "2023-06-01"

// anthropic is the form of Anthropic's Messages API.
type anthropic struct{}

func (anthropic) endpoint(base string) string {
	base = strings.TrimSuffix(strings.TrimRight(base, "/"), "/v1")
	return base + "/v1/messages"
}

func (anthropic) sign(h http.Header, key string) {
	h.Set("anthropic-version", anthropicVersion)
	if key != "" {
		h.Set("x-api-key", key)
	}
}

// body moves the system message to where the API wants it.
func (anthropic) body(c *Chat, messages []message) any {
	body := map[string]any{"model": c.Model, "max_tokens": c.answerTokens(), "stream": true}
	if messages[0].Role == roleSystem {
		body["system"] = messages[0].Content
		messages = messages[1:]
	}
	body["messages"] = messages
	return body
}

// anthropicEvent is one event of the stream, or a whole message: of each kind
// the fields that matter here.
type anthropicEvent struct {
	Type    string           `json:"type"`
	Message anthropicMessage `json:"message"` // of message_start
	Delta   struct {         // of content_block_delta and message_delta
		Type       string `json:"type"`
		Text       string `json:"text"`
		StopReason string `json:"stop_reason"`
	} `json:"delta"`
	Error struct {
		Type string `json:"type"`
	} `json:"error"`
	anthropicMessage
}

type anthropicMessage struct {
	Content []struct {
		Type string `json:"type"`
		Text string `json:"text"`
	} `json:"content"`
	StopReason string         `json:"stop_reason"`
	Usage      anthropicUsage `json:"usage"`
}

// anthropicUsage counts tokens. What was read from or written to the
// provider's cache is not part of input_tokens. Counts are cumulative.
type anthropicUsage struct {
	Input      int `json:"input_tokens"`
	CacheRead  int `json:"cache_read_input_tokens"`
	CacheWrite int `json:"cache_creation_input_tokens"`
	Output     int `json:"output_tokens"`
}

func (u anthropicUsage) count(s *stream) {
	s.usage.TokensIn = max(s.usage.TokensIn, u.Input+u.CacheRead+u.CacheWrite)
	s.usage.TokensOut = max(s.usage.TokensOut, u.Output)
}

func (w anthropic) read(s *stream) error {
	return s.events(func(data []byte) error {
		var e anthropicEvent
		if err := json.Unmarshal(data, &e); err != nil {
			return s.strange(err)
		}
		return w.event(s, e, data)
	})
}

// event takes in one event. Kinds that are not known here are passed over, as
// the API asks of its clients.
func (w anthropic) event(s *stream, e anthropicEvent, data []byte) error {
	switch e.Type {
	case "message_start":
		e.Message.Usage.count(s)
	case "content_block_delta":
		if e.Delta.Type == "text_delta" {
			return s.write(e.Delta.Text)
		}
	case "message_delta":
		e.Usage.count(s)
		return w.stop(s, e.Delta.StopReason)
	case "message_stop":
		s.done, s.ended = true, true
	case "error":
		return w.failure(s, e.Error.Type, data)
	}
	return nil
}

// failure is an error in the stream, where the status could say nothing more.
func (anthropic) failure(s *stream, kind string, data []byte) error {
	switch kind {
	case "overloaded_error", "rate_limit_error":
		return busy(0, "%s gave up: %s", s.host, complaint(data, s.hide))
	}
	return s.gaveUp(data)
}

func (anthropic) stop(s *stream, reason string) error {
	switch reason {
	case "max_tokens", "model_context_window_exceeded":
		return s.cut()
	case "refusal":
		return unavailable("%s: the model's provider stopped the answer (stop_reason refusal)", s.host)
	}
	return nil
}

func (w anthropic) whole(s *stream) error {
	return s.all(func(data []byte) error {
		var e anthropicEvent
		if err := json.Unmarshal(data, &e); err != nil {
			return s.strange(err)
		}
		if e.Type == "error" {
			return w.failure(s, e.Error.Type, data)
		}
		e.Usage.count(s)
		for _, block := range e.Content {
			if block.Type == "text" {
				if err := s.write(block.Text); err != nil {
					return err
				}
			}
		}
		s.done = e.StopReason != ""
		return w.stop(s, e.StopReason)
	})
}
