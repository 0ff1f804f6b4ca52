package gateway_test

import (
	"encoding/json"
	"errors"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"
	"github.com/openai/openai-go/v3"
	"github.com/openai/openai-go/v3/option"

	"github.com/tributary-kb/tributary"
)

// openAIClient is OpenAI's own client, before a gateway.
func openAIClient(t *testing.T, s *system) openai.Client {
	t.Helper()
	return openai.NewClient(option.WithBaseURL(serve(t, s, "right").URL+"/v1"), option.WithAPIKey("right"), option.WithMaxRetries(0))
}

// aChat is a follow-up question as front ends send it.
var aChat = openai.ChatCompletionNewParams{
	Model: "tributary/wiki",
	Messages: []openai.ChatCompletionMessageParamUnion{
		openai.SystemMessage("Be brief."),
		openai.UserMessage("Which colour is the sky?"),
		openai.AssistantMessage("It is blue. [1]\n\nSources:\n[1] One: note:1"),
		openai.DeveloperMessage("Answer in English."),
		openai.UserMessage("And the sea?"),
	},
}

const whatIsAnswered = "It is blue. [1]\n\nSources:\n[1] One: note:1"

func TestOpenAIsClientChats(t *testing.T) {
	s := &system{}
	client := openAIClient(t, s)
	got, err := client.Chat.Completions.New(t.Context(), aChat)
	if err != nil {
		t.Fatal(err)
	}
	if c := got.Choices[0]; c.Message.Content != whatIsAnswered || c.FinishReason != "stop" || c.Message.Role != "assistant" {
		t.Errorf("got %+v", c)
	}
	if u := got.Usage; u.PromptTokens != 20 || u.CompletionTokens != 4 || u.TotalTokens != 24 {
		t.Errorf("usage %+v", u)
	}
	want := tributary.AskRequest{Question: "And the sea?", AskOptions: tributary.AskOptions{
		History:      []tributary.Turn{{Question: "Which colour is the sky?", Answer: "It is blue. [1]"}},
		Instructions: "Be brief.\n\nAnswer in English.",
	}}
	if diff := cmp.Diff(want, s.asked[0], cmpopts.EquateEmpty()); diff != "" || s.kb != "wiki" {
		t.Errorf("asked %s (-want +got):\n%s", s.kb, diff)
	}
}

func TestOpenAIsClientReadsTheStream(t *testing.T) {
	client := openAIClient(t, &system{})
	params := aChat
	params.StreamOptions.IncludeUsage = openai.Bool(true)
	stream := client.Chat.Completions.NewStreaming(t.Context(), params)
	whole := openai.ChatCompletionAccumulator{}
	last := ""
	for stream.Next() {
		if !whole.AddChunk(stream.Current()) {
			t.Fatalf("a piece that does not belong there: %s", stream.Current().RawJSON())
		}
		last = stream.Current().RawJSON()
	}
	if err := stream.Err(); err != nil {
		t.Fatal(err)
	}
	if got := whole.Choices[0]; got.Message.Content != whatIsAnswered || got.FinishReason != "stop" {
		t.Errorf("got %+v", got)
	}
	if whole.Usage.TotalTokens != 24 || !strings.Contains(last, `"choices":[]`) {
		t.Errorf("usage %+v, the last piece %s", whole.Usage, last)
	}
	params.StreamOptions.IncludeUsage = openai.Bool(false)
	stream = client.Chat.Completions.NewStreaming(t.Context(), params)
	for stream.Next() {
		if len(stream.Current().Choices) != 1 {
			t.Errorf("unasked: %s", stream.Current().RawJSON())
		}
	}
	if err := stream.Err(); err != nil {
		t.Fatal(err)
	}
}

func TestOpenAIsClientReadsErrors(t *testing.T) {
	for _, tt := range []struct {
		name, model string
		fail        error
		status      int
		text        string
	}{
		{"a name that no model has", "GPT-5", nil, 404, "the models are knowledge bases"},
		{"a knowledge base that is not there", "tributary/nope", tributary.Errorf(tributary.CodeNotFound, "no knowledge base"), 404, "no knowledge base"},
		{"a model that is away", "tributary/wiki", tributary.Errorf(tributary.CodeUnavailable, "away"), 503, "away"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			client := openAIClient(t, &system{fail: tt.fail})
			params := aChat
			params.Model = tt.model
			_, err := client.Chat.Completions.New(t.Context(), params)
			stream := client.Chat.Completions.NewStreaming(t.Context(), params)
			stream.Next()
			for _, err := range []error{err, stream.Err()} {
				said, ok := errors.AsType[*openai.Error](err)
				if !ok || said.StatusCode != tt.status || !strings.Contains(said.Message, tt.text) || said.Type == "" || said.Code == "" {
					t.Errorf("got %v", err)
				}
			}
		})
	}
}

func TestOpenAIsClientListsModels(t *testing.T) {
	client := openAIClient(t, &system{})
	models, err := client.Models.List(t.Context())
	if err != nil || len(models.Data) != 2 {
		t.Fatalf("got %+v, %v", models, err)
	}
	if one, err := client.Models.Get(t.Context(), "tributary/wiki"); err != nil || one.ID != "tributary/wiki" {
		t.Errorf("got %+v, %v", one, err)
	}
	if _, err := client.Models.Get(t.Context(), "tributary/nope"); err == nil {
		t.Error("a model that is not there is found")
	}
}

// What front ends send beside a text has its place in OpenAI's form.
func TestMessagesOfAnyFormAreRead(t *testing.T) {
	s := &system{}
	server := serve(t, s, "")
	for _, body := range []string{
		`{"messages":[{"role":"assistant","content":"Hello!"},{"role":"user","content":"x"}]}`,
		`{"messages":[{"role":"user","content":"x"},{"role":"assistant","content":null,"tool_calls":[]},{"role":"tool","content":"y","tool_call_id":"1"}]}`,
		`{"messages":[{"role":"user","content":"x"}],"n":1,"tools":[],"response_format":{"type":"text"},"stream_options":null}`,
	} {
		if status, reply := do(t, "POST", server.URL+"/v1/chat/completions", body); status != 200 {
			t.Errorf("%s: %d %s", body, status, reply)
		}
		if got := s.asked[len(s.asked)-1]; got.Question != "x" || len(got.History) > 0 {
			asked, err := json.Marshal(got)
			t.Errorf("%s: asked %s, %v", body, asked, err)
		}
	}
}

// Front ends render the text: what a publisher chose must not become more than
// letters there.
func TestSourcesAreNamedWithoutWhatAFrontEndWouldFollow(t *testing.T) {
	for _, tt := range []struct{ title, uri, want string }{
		{"One\n two", "https://a.test/b_(c)?d=e&f#g", "[1] One two: https://a.test/b_(c)?d=e&f#g"},
		{"![x](https://evil.test/p.png)", "note:1", "[1] note:1"},
		{"![x] (//evil.test/p.png)", "note:1", "[1] !(x) (//evil.test/p.png): note:1"},
		{`<img src="//evil.test/p.png">`, "note:1", `[1] ‹img src="//evil.test/p.png"›: note:1`},
		{"Sign in at https://evil.test or www.evil.test `now`", "note:1", "[1] Sign in at or 'now': note:1"},
		{"", "note:x ![](https://evil.test/p.png) <b>`", "[1] note:x%20!%5B%5D(https://evil.test/p.png)%20%3Cb%3E%60"},
		{"One [2] Two", "note:1", "[1] One (2) Two: note:1"},
	} {
		s := &system{cites: []tributary.Citation{{N: 1, URI: tt.uri, Title: tt.title}}}
		client := openAIClient(t, s)
		got, err := client.Chat.Completions.New(t.Context(), aChat)
		if err != nil {
			t.Fatal(err)
		}
		if _, sources, _ := strings.Cut(got.Choices[0].Message.Content, "\n\nSources:\n"); sources != tt.want {
			t.Errorf("%q, %q: got %q, want %q", tt.title, tt.uri, sources, tt.want)
		}
	}
}
