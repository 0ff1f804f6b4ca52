package gateway

import (
	"crypto/rand"
	"encoding/json"
	"fmt"
	"net/http"
	"slices"
	"strings"
	"time"

	"github.com/tributary-kb/tributary"
)

// The types of OpenAI's chat completions and models, as far as they mean
// something here: https://platform.openai.com/docs/api-reference/chat. What
// steers a model (temperature, tools, ...) is accepted and ignored, because
// chat front ends send it unasked.
type chatRequest struct {
	Model    string        `json:"model"`
	Messages []chatMessage `json:"messages"`
	Stream   bool          `json:"stream,omitempty"`
	// StreamOptions is OpenAI's: whether a last piece tells the tokens.
	StreamOptions struct {
		IncludeUsage bool `json:"include_usage,omitempty"`
	} `json:"stream_options,omitzero"`
}

type chatMessage struct {
	Role    string      `json:"role"`
	Content chatContent `json:"content"`
}

// chatContent is a text; in requests it may also be a list of parts, of which
// those of type "text" count.
type chatContent string

// UnmarshalJSON implements json.Unmarshaler.
func (c *chatContent) UnmarshalJSON(data []byte) error {
	var text string
	if json.Unmarshal(data, &text) == nil {
		*c = chatContent(text)
		return nil
	}
	var parts []struct {
		Type string `json:"type"`
		Text string `json:"text"`
	}
	if err := json.Unmarshal(data, &parts); err != nil {
		return fmt.Errorf("content is neither a text nor a list of parts: %w", err)
	}
	var texts []string
	for _, p := range parts {
		if p.Type == "text" {
			texts = append(texts, p.Text)
		}
	}
	*c = chatContent(strings.Join(texts, "\n"))
	return nil
}

type chatReply struct {
	ID      string       `json:"id"`
	Object  string       `json:"object"` // chat.completion
	Created int64        `json:"created"`
	Model   string       `json:"model"`
	Choices []chatChoice `json:"choices"`
	// Citations are not OpenAI's: what the numbers in the text refer to.
	Citations []tributary.Citation `json:"citations"`
	Usage     chatUsage            `json:"usage"`
	// Notes are not OpenAI's: what could not be done as asked.
	Notes []string `json:"notes,omitempty"`
}

// chatUsage counts the tokens of the model that wrote the answer: none where
// sentences were copied.
type chatUsage struct {
	Prompt     int `json:"prompt_tokens"`
	Completion int `json:"completion_tokens"`
	Total      int `json:"total_tokens"`
}

func newUsage(u tributary.Usage) chatUsage {
	return chatUsage{Prompt: u.TokensIn, Completion: u.TokensOut, Total: u.TokensIn + u.TokensOut}
}

type chatChoice struct {
	Index        int         `json:"index"`
	Message      chatMessage `json:"message"`
	FinishReason string      `json:"finish_reason"` // stop
}

type chatChunk struct {
	ID        string               `json:"id"`
	Object    string               `json:"object"` // chat.completion.chunk
	Created   int64                `json:"created"`
	Model     string               `json:"model"`
	Choices   []chunkChoice        `json:"choices"`
	Citations []tributary.Citation `json:"citations,omitempty"` // of the last
	Notes     []string             `json:"notes,omitempty"`     // of the last
	Usage     *chatUsage           `json:"usage,omitempty"`     // of one without choices at the end
}

type chunkChoice struct {
	Index        int        `json:"index"`
	Delta        chunkDelta `json:"delta"`
	FinishReason *string    `json:"finish_reason"` // null, and stop on the last
}

type chunkDelta struct {
	Role    string `json:"role,omitempty"`
	Content string `json:"content,omitempty"`
}

type model struct {
	ID      string `json:"id"`
	Object  string `json:"object"` // model
	Created int64  `json:"created"`
	OwnedBy string `json:"owned_by"` // tributary
}

type modelList struct {
	Object string  `json:"object"` // list
	Data   []model `json:"data"`
}

// modelPrefix begins the names under which knowledge bases are models.
const modelPrefix = "tributary/"

func newModel(kb string) model {
	return model{ID: modelPrefix + kb, Object: "model", OwnedBy: "tributary"}
}

func (h *handler) models(w http.ResponseWriter, r *http.Request) {
	list, err := h.listModels(r)
	h.reply(w, r, list, err)
}

func (h *handler) listModels(r *http.Request) (modelList, error) {
	status, err := h.cfg.For(h.cfg.KB).Status(r.Context())
	list := modelList{Object: "list", Data: []model{newModel(h.cfg.KB)}}
	for _, kb := range status.KBs {
		if kb.KB != h.cfg.KB {
			list.Data = append(list.Data, newModel(kb.KB))
		}
	}
	return list, err
}

func (h *handler) model(w http.ResponseWriter, r *http.Request) {
	kb, err := h.kbOf(r.PathValue("model"))
	if err != nil {
		h.fail(w, r, err)
		return
	}
	list, err := h.listModels(r)
	if err == nil && !slices.Contains(list.Data, newModel(kb)) {
		err = tributary.Errorf(tributary.CodeNotFound, "model %q: no knowledge base %q; GET /v1/models lists those that there are", r.PathValue("model"), kb)
	}
	h.reply(w, r, newModel(kb), err)
}

// kbOf returns the knowledge base that a model's name means.
func (h *handler) kbOf(name string) (string, error) {
	if name == "" {
		return h.cfg.KB, nil
	}
	kb := strings.TrimPrefix(name, modelPrefix)
	if err := tributary.CheckKB(kb); err != nil {
		return "", tributary.Errorf(tributary.CodeNotFound, "model %q: the models are knowledge bases, as %s%s: %w", name, modelPrefix, h.cfg.KB, err)
	}
	return kb, nil
}

func (h *handler) chat(w http.ResponseWriter, r *http.Request) {
	req, err := read[chatRequest](w, r, maxQuery)
	if err != nil {
		h.fail(w, r, err)
		return
	}
	kb, err := h.kbOf(req.Model)
	if err != nil {
		h.fail(w, r, err)
		return
	}
	ask, err := chatQuestion(req.Messages)
	if err != nil {
		h.fail(w, r, err)
		return
	}
	c := completion{id: "chatcmpl-" + rand.Text(), created: time.Now().Unix(), model: modelPrefix + kb}
	if req.Stream {
		c.usage = req.StreamOptions.IncludeUsage
		h.chatStream(w, r, c, h.cfg.For(kb), ask)
		return
	}
	answer, err := answerTo(r.Context(), h.cfg.For(kb), ask, func(string) error { return nil })
	h.reply(w, r, c.whole(answer), err)
}

// chatQuestion is what a chat asks: its last message of the user is the
// question, what was said before the history, and what stands under the roles
// system and developer says what the answer should be like.
func chatQuestion(messages []chatMessage) (tributary.AskRequest, error) {
	var ask tributary.AskRequest
	last := len(messages) - 1
	for last >= 0 && messages[last].Role != "user" {
		last--
	}
	if last >= 0 {
		ask.Question = strings.TrimSpace(string(messages[last].Content))
	}
	if ask.Question == "" {
		return ask, tributary.Errorf(tributary.CodeInvalid, "messages: the last one of role user has no text")
	}
	var wishes []string
	for i, m := range messages {
		text := strings.TrimSpace(string(m.Content))
		switch {
		case text == "":
		case m.Role == "system" || m.Role == "developer":
			wishes = append(wishes, text)
		case i >= last: // the question, or what stands behind it
		case m.Role == "user":
			ask.History = append(ask.History, tributary.Turn{Question: text})
		case m.Role == "assistant" && len(ask.History) > 0:
			ask.History[len(ask.History)-1].Answer = withoutSources(text)
		}
	}
	ask.Instructions = strings.Join(wishes, "\n\n")
	return ask, nil
}

// A completion is one reply to a chat.
type completion struct {
	id      string
	created int64
	model   string
	usage   bool // tell the tokens at the end of the stream
}

func (c completion) whole(a tributary.Answer) chatReply {
	return chatReply{ID: c.id, Object: "chat.completion", Created: c.created, Model: c.model, Citations: a.Citations,
		Usage: newUsage(a.Usage), Notes: a.Notes,
		Choices: []chatChoice{{FinishReason: "stop", Message: chatMessage{Role: "assistant", Content: chatContent(a.Answer + sourceList(a.Citations))}}}}
}

func (c completion) chunk(d chunkDelta) chatChunk {
	return chatChunk{ID: c.id, Object: "chat.completion.chunk", Created: c.created, Model: c.model, Choices: []chunkChoice{{Delta: d}}}
}

func (h *handler) chatStream(w http.ResponseWriter, r *http.Request, c completion, s System, ask tributary.AskRequest) {
	events := &eventStream{w: w}
	role := "assistant" // of the first piece
	answer, err := answerTo(r.Context(), s, ask, func(delta string) error {
		d := chunkDelta{Role: role, Content: delta}
		role = ""
		return events.send("", c.chunk(d))
	})
	if err != nil && !events.started {
		h.fail(w, r, err)
		return
	}
	if err != nil {
		_ = events.send("", brokenOff(err))
		return
	}
	last := c.chunk(chunkDelta{Content: sourceList(answer.Citations)})
	stop := "stop"
	last.Choices[0].FinishReason, last.Citations, last.Notes = &stop, answer.Citations, answer.Notes
	err = events.send("", last)
	if c.usage && err == nil {
		used := newUsage(answer.Usage)
		tail := c.chunk(chunkDelta{})
		tail.Choices, tail.Usage = []chunkChoice{}, &used
		err = events.send("", tail)
	}
	if err == nil {
		_ = events.write("", "[DONE]") // a client that is gone needs none
	}
}

// sourcesHead begins a list of sources.
const sourcesHead = "\n\nSources:\n"

// withoutSources is what a chat says without the list that was put below it.
func withoutSources(text string) string {
	if i := strings.LastIndex(text, sourcesHead+"["); i >= 0 {
		return text[:i]
	}
	return text
}

// sourceList names what the numbers of an answer refer to, for front ends that
// show the text alone.
func sourceList(citations []tributary.Citation) string {
	var b strings.Builder
	for i, c := range citations {
		if i == 0 {
			b.WriteString(sourcesHead)
		}
		fmt.Fprintf(&b, "[%d] ", c.N)
		if title := plain(c.Title); title != "" {
			b.WriteString(title + ": ")
		}
		b.WriteString(plainURI.Replace(c.URI) + "\n")
	}
	return strings.TrimSuffix(b.String(), "\n")
}

// plain is a title on one line, as text that no front end takes for more:
// whoever publishes a document chooses it, and a picture in it would be fetched
// from where they like.
func plain(title string) string {
	words := slices.DeleteFunc(strings.Fields(title), func(w string) bool {
		return strings.Contains(w, "://") || strings.HasPrefix(strings.ToLower(w), "www.")
	})
	return plainTitle.Replace(strings.Join(words, " "))
}

var (
	plainTitle = strings.NewReplacer("[", "(", "]", ")", "<", "‹", ">", "›", "`", "'")
	// plainURI escapes what does not belong in a URI and means something in
	// Markdown.
	plainURI = strings.NewReplacer(" ", "%20", "[", "%5B", "]", "%5D", "<", "%3C", ">", "%3E", "`", "%60")
)
