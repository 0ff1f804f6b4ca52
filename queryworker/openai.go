package queryworker

import (
	"bytes"
	"encoding/json"
	"net/http"
	"net/url"
	"strings"
)

// openAI is the form of OpenAI's chat completions, which most servers speak.
type openAI struct{}

// endpoint appends what the base URL leaves out.
func (openAI) endpoint(base string) string {
	base = strings.TrimRight(base, "/")
	if u, err := url.Parse(base); err == nil && u.Path == "" {
		base += "/v1"
	}
	return base + "/chat/completions"
}

func (openAI) sign(h http.Header, key string) {
	if key != "" {
		h.Set("Authorization", "Bearer "+key)
	}
}

func (openAI) body(c *Chat, messages []message) any {
	body := map[string]any{"model": c.Model, "messages": messages, "stream": true}
	if !c.noUsage.Load() {
		body["stream_options"] = map[string]any{"include_usage": true}
	}
	return body
}

// completion is one event of a streamed chat completion, or a whole one that
// was not streamed.
type completion struct {
	Choices []struct {
		Index        int     `json:"index"`
		Delta        content `json:"delta"`
		Message      content `json:"message"`
		FinishReason string  `json:"finish_reason"`
	} `json:"choices"`
	Usage struct {
		Prompt     int `json:"prompt_tokens"`
		Completion int `json:"completion_tokens"`
	} `json:"usage"`
	Error json.RawMessage `json:"error"`
}

type content struct {
	Content string `json:"content"`
}

// read goes on behind the finish_reason: the counts come after it.
func (w openAI) read(s *stream) error {
	return s.events(func(data []byte) error {
		if bytes.Equal(data, []byte("[DONE]")) {
			s.done, s.ended = true, true
			return nil
		}
		return w.event(s, data)
	})
}

func (w openAI) whole(s *stream) error {
	return s.all(func(data []byte) error { return w.event(s, data) })
}

func (w openAI) event(s *stream, data []byte) error {
	if len(data) == 0 {
		return nil
	}
	var c completion
	if err := json.Unmarshal(data, &c); err != nil {
		return s.strange(err)
	}
	if len(c.Error) > 0 && !bytes.Equal(c.Error, []byte("null")) {
		return s.gaveUp(data)
	}
	if c.Usage.Prompt > 0 {
		s.usage.TokensIn, s.usage.TokensOut = c.Usage.Prompt, c.Usage.Completion
	}
	for _, choice := range c.Choices {
		if choice.Index != 0 || s.done {
			continue
		}
		if err := s.write(choice.Delta.Content + choice.Message.Content); err != nil {
			return err
		}
		if err := w.finish(s, choice.FinishReason); err != nil {
			return err
		}
	}
	return nil
}

func (openAI) finish(s *stream, reason string) error {
	switch reason {
	case "":
		return nil
	case "length":
		if err := s.cut(); err != nil {
			return err
		}
	case "content_filter":
		return unavailable("%s: its content filter stopped the answer", s.host)
	}
	s.done = true
	return nil
}
