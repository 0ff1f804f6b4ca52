package queryworker

import (
	"encoding/json"
	"net/http"
	"strings"
)

// promptOverhead is what the rules and the question of a prompt may cost
// beside its passages, in tokens.
const promptOverhead = 2048

// ollama is the form of Ollama's own chat endpoint.
//
// Through its OpenAI form Ollama cuts what does not fit its window (4096 tokens
// where nothing is set) and says nothing. Here the window is asked for, the
// server is told to refuse rather than cut (truncate and shift, since 0.12),
// and what it counts is compared with what was sent, for servers that know
// neither.
type ollama struct{}

func (ollama) endpoint(base string) string {
	base = strings.TrimRight(base, "/")
	for _, suffix := range []string{"/v1", "/api"} {
		base = strings.TrimSuffix(base, suffix)
	}
	return base + "/api/chat"
}

func (ollama) sign(h http.Header, key string) {
	if key != "" { // Ollama has none; what stands before it may
		h.Set("Authorization", "Bearer "+key)
	}
}

// window is the context that is asked for, in tokens. It is the same for all
// questions: another one would load the model anew.
func (ollama) window(c *Chat) int { return c.contextTokens() + promptOverhead + c.answerTokens() }

func (w ollama) body(c *Chat, messages []message) any {
	return map[string]any{
		"model":    c.Model,
		"messages": messages,
		"stream":   true,
		"truncate": false,
		"shift":    false,
		"options":  map[string]any{"num_ctx": w.window(c), "num_predict": c.answerTokens()},
	}
}

// ollamaReply is one line of the stream; the last one counts.
type ollamaReply struct {
	Message    content `json:"message"`
	Done       bool    `json:"done"`
	DoneReason string  `json:"done_reason"`
	PromptEval int     `json:"prompt_eval_count"`
	Eval       int     `json:"eval_count"`
	Error      string  `json:"error"`
}

func (w ollama) read(s *stream) error {
	return s.lines(func(line []byte) error { return w.event(s, line) })
}

func (w ollama) whole(s *stream) error {
	return s.all(func(data []byte) error { return w.event(s, data) })
}

func (w ollama) event(s *stream, line []byte) error {
	var r ollamaReply
	if err := json.Unmarshal(line, &r); err != nil {
		return s.strange(err)
	}
	if r.Error != "" {
		return s.gaveUp(line)
	}
	if err := s.write(r.Message.Content); err != nil || !r.Done {
		return err
	}
	s.usage.TokensIn, s.usage.TokensOut = r.PromptEval, r.Eval
	if err := w.uncut(s); err != nil {
		return err
	}
	if r.DoneReason == "length" {
		if err := s.cut(); err != nil {
			return err
		}
	}
	s.done, s.ended = true, true
	return nil
}

// uncut reports a prompt that the server has shortened: it then counts as many
// tokens as its window has, or far fewer than the text can have. The estimate
// counts three bytes to a token; of prose one has four to five.
func (w ollama) uncut(s *stream) error {
	window, counted, sent := w.window(s.chat), s.usage.TokensIn, 0
	for _, m := range s.messages {
		sent += tokens(m.Content)
	}
	if counted == 0 || counted < window && counted >= sent/3 {
		return nil
	}
	return unavailable("%s cut the prompt: it read %d tokens of about %d, with a window of %d asked for: lower generator.max_context_tokens, or use a model with a longer context",
		s.host, counted, sent, window)
}
