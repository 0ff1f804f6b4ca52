package gateway_test

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/modelcontextprotocol/go-sdk/mcp"

	"github.com/tributary-kb/tributary"
	"github.com/tributary-kb/tributary/internal/gateway"
)

// system is what the gateway talks to: it remembers what it was asked.
type system struct {
	kb       string
	added    []tributary.AddRequest
	asked    []tributary.AskRequest
	searched []tributary.SearchRequest
	fail     error // of every call
	late     error // of Ask, after its first piece
	state    tributary.State
	cites    []tributary.Citation // of Ask, nil for a note
}

func (s *system) Add(_ context.Context, r tributary.AddRequest) (tributary.Receipt, error) {
	s.added = append(s.added, r)
	return tributary.Receipt{URI: r.URI, Document: "d", Version: 7}, s.fail
}

func (s *system) Remove(_ context.Context, r tributary.RemoveRequest) (tributary.Receipt, error) {
	return tributary.Receipt{URI: r.URI, Document: "d", Version: 8}, s.fail
}

func (s *system) Wait(_ context.Context, at []tributary.At, settled func(tributary.Settled) error) error {
	return settled(tributary.Settled{Document: at[0].Document, Version: at[0].Version, State: s.state, Stage: "ingest", Reason: "empty"})
}

func (s *system) Search(_ context.Context, r tributary.SearchRequest) (tributary.SearchReply, error) {
	s.searched = append(s.searched, r)
	return tributary.SearchReply{
		Hits: []tributary.Hit{{Rank: 1, URI: "note:1", Title: "One", Text: "about " + r.Query}}, Notes: []string{"by words"},
	}, s.fail
}

func (s *system) Ask(_ context.Context, r tributary.AskRequest, event func(tributary.AskEvent) error) error {
	s.asked = append(s.asked, r)
	if s.fail != nil {
		return s.fail
	}
	for _, piece := range []string{"It is ", "blue. [1]"} {
		if err := event(tributary.AskEvent{Delta: piece}); err != nil {
			return err
		}
		if s.late != nil {
			return s.late
		}
	}
	cites := s.cites
	if cites == nil {
		cites = []tributary.Citation{{N: 1, URI: "note:1", Title: "One", Text: "blue"}}
	}
	return event(tributary.AskEvent{Answer: &tributary.Answer{Answer: "It is blue. [1]", Generator: "extractive",
		Usage: tributary.Usage{TokensIn: 20, TokensOut: 4}, Notes: []string{"by words"}, Citations: cites}})
}

func (s *system) Forget(_ context.Context, r tributary.ForgetRequest) (tributary.ForgetReply, error) {
	return tributary.ForgetReply(r), s.fail
}

func (s *system) List(_ context.Context, r tributary.ListRequest, item func(tributary.Item) error) error {
	return errors.Join(item(tributary.Item{URI: r.URIPrefix + "a"}), item(tributary.Item{URI: r.URIPrefix + "b"}), s.fail)
}

func (s *system) Show(_ context.Context, r tributary.ShowRequest) (tributary.ShowReply, error) {
	return tributary.ShowReply{Item: tributary.Item{URI: r.URI, State: tributary.StateLive}, Passages: []tributary.Hit{{Text: "blue"}}}, s.fail
}

// follow answers for a source with the verb that it was asked.
func (s *system) follow(verb, name string) (tributary.SourceStatus, error) {
	return tributary.SourceStatus{Source: tributary.Source{Name: name}, Reason: verb}, s.fail
}

func (s *system) AddSource(_ context.Context, r tributary.SourceAddRequest) (tributary.SourceStatus, error) {
	return s.follow("add "+string(r.Kind), r.Name)
}

func (s *system) ShowSource(_ context.Context, r tributary.SourceRequest) (tributary.SourceStatus, error) {
	return s.follow("show", r.Name)
}

func (s *system) ListSources(_ context.Context, source func(tributary.SourceStatus) error) error {
	return errors.Join(source(tributary.SourceStatus{Source: tributary.Source{Name: "wiki"}}), s.fail)
}

func (s *system) RemoveSource(_ context.Context, r tributary.SourceRemoveRequest) (tributary.SourceStatus, error) {
	return s.follow(fmt.Sprintf("remove %t", r.Purge), r.Name)
}

func (s *system) SyncSource(_ context.Context, r tributary.SourceSyncRequest) (tributary.SourceStatus, error) {
	return s.follow(fmt.Sprintf("sync %t", r.Full), r.Name)
}

func (s *system) PauseSource(_ context.Context, r tributary.SourceRequest) (tributary.SourceStatus, error) {
	return s.follow("pause", r.Name)
}

func (s *system) ResumeSource(_ context.Context, r tributary.SourceRequest) (tributary.SourceStatus, error) {
	return s.follow("resume", r.Name)
}

func (s *system) ConfirmSource(_ context.Context, r tributary.SourceRequest) (tributary.SourceStatus, error) {
	return s.follow("confirm", r.Name)
}

func (s *system) Status(context.Context) (tributary.StatusReply, error) {
	return tributary.StatusReply{KBs: []tributary.KBStatus{{KB: "default"}, {KB: "wiki"}}}, s.fail
}

func configFor(s *system, token string) gateway.Config {
	return gateway.Config{KB: "default", MaxBytes: 1 << 20, Version: "1.0.0", Log: slog.New(slog.DiscardHandler),
		Token: func() (string, error) { return token, nil },
		For:   func(kb string) gateway.System { s.kb = kb; return s }}
}

// serve starts a gateway on this machine, before s.
func serve(t *testing.T, s *system, token string) *httptest.Server {
	t.Helper()
	handler, err := gateway.NewHandler(configFor(s, token))
	if err != nil {
		t.Fatal(err)
	}
	server := httptest.NewServer(handler)
	t.Cleanup(server.Close)
	return server
}

// do sends a request and returns status and body.
func do(t *testing.T, method, url, body string, header ...string) (int, string) {
	t.Helper()
	req, err := http.NewRequestWithContext(t.Context(), method, url, strings.NewReader(body))
	if err != nil {
		t.Fatal(err)
	}
	if body != "" {
		req.Header.Set("Content-Type", "application/json")
	}
	for i := 0; i < len(header); i += 2 {
		if req.Header.Set(header[i], header[i+1]); header[i] == "Host" {
			req.Host = header[i+1]
		}
	}
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	data, err := io.ReadAll(resp.Body)
	if err != nil {
		t.Fatal(err)
	}
	return resp.StatusCode, string(data)
}

func TestRESTRequestsBecomeRequestsOfTheProtocol(t *testing.T) {
	tests := []struct {
		name, method, path, body string
		status                   int
		want                     string
	}{
		{"add", "POST", "/v1/kbs/wiki/documents", `{"uri":"note:1","text":"blue"}`, 202, `"version":7`},
		{"add and wait", "POST", "/v1/kbs/wiki/documents?wait=true", `{"uri":"note:1","text":"blue"}`, 200, `"state":"live"`},
		{"remove", "DELETE", "/v1/kbs/wiki/documents?uri=note:1", "", 202, `"version":8`},
		{"list", "GET", "/v1/kbs/wiki/documents?uri_prefix=note:", "", 200, `"uri":"note:b"`},
		{"show", "GET", "/v1/kbs/wiki/document?uri=note:1", "", 200, `"passages"`},
		{"search", "POST", "/v1/kbs/wiki/search", `{"query":"colour"}`, 200, "about colour"},
		{"ask", "POST", "/v1/kbs/wiki/ask", `{"question":"which colour"}`, 200, `"generator":"extractive"`},
		{"forget", "DELETE", "/v1/kbs/wiki/conversations/3f9c2a7e51", "", 200, `"conversation":"3f9c2a7e51"`},
		{"follow", "POST", "/v1/kbs/wiki/sources", `{"name":"notes","kind":"folder","location":"/n"}`, 200, `"reason":"add folder"`},
		{"list sources", "GET", "/v1/kbs/wiki/sources", "", 200, `"name":"wiki"`},
		{"show a source", "GET", "/v1/kbs/wiki/sources/notes", "", 200, `"reason":"show"`},
		{"pause", "POST", "/v1/kbs/wiki/sources/notes/pause", "", 200, `"reason":"pause"`},
		{"resume", "POST", "/v1/kbs/wiki/sources/notes/resume", "", 200, `"reason":"resume"`},
		{"confirm", "POST", "/v1/kbs/wiki/sources/notes/confirm", "", 200, `"reason":"confirm"`},
		{"sync", "POST", "/v1/kbs/wiki/sources/notes/sync?full=true", "", 200, `"reason":"sync true"`},
		{"end the following", "DELETE", "/v1/kbs/wiki/sources/notes?purge=true", "", 200, `"reason":"remove true"`},
		{"not JSON", "POST", "/v1/kbs/wiki/search", `{`, 400, "the body is not what is wanted"},
		{"a filter by nothing known", "POST", "/v1/kbs/wiki/search", `{"query":"x","filter":{"source":["hr"]}}`, 400, `unknown field \"source\"`},
		{"no such path", "GET", "/v1/nothing", "", 404, "/openapi.json"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			s := &system{state: tributary.StateLive}
			status, body := do(t, tt.method, serve(t, s, "").URL+tt.path, tt.body)
			if status != tt.status || !strings.Contains(body, tt.want) {
				t.Errorf("got %d %s, want %d with %q", status, body, tt.status, tt.want)
			}
			if status < 300 && s.kb != "wiki" {
				t.Errorf("asked knowledge base %q", s.kb)
			}
		})
	}
}

func TestPutTakesTheBodyAsTheDocument(t *testing.T) {
	s := &system{}
	status, body := do(t, "PUT", serve(t, s, "").URL+"/v1/kbs/wiki/documents?uri=note:1&title=One", "# Blue", "Content-Type", "text/markdown")
	if status != 202 {
		t.Fatalf("got %d %s", status, body)
	}
	if got := s.added[0]; string(got.Content) != "# Blue" || got.ContentType != "text/markdown" || got.Title != "One" {
		t.Errorf("published %+v", got)
	}
}

func TestADocumentThatIsRefusedIsAnErrorForWhoWaits(t *testing.T) {
	status, body := do(t, "POST", serve(t, &system{state: tributary.StateRejected}, "").URL+"/v1/kbs/wiki/documents?wait=true", `{"uri":"a","text":"x"}`)
	if status != 422 || !strings.Contains(body, "ingest refused it: empty") {
		t.Errorf("got %d %s", status, body)
	}
}

func TestErrorsOfTheSystemKeepTheirCode(t *testing.T) {
	for _, code := range []tributary.Code{tributary.CodeInvalid, tributary.CodeNotFound, tributary.CodeNotYet, tributary.CodeTooLarge,
		tributary.CodeBusy, tributary.CodeInternal, tributary.CodeUnavailable, tributary.CodeDeadline} {
		s := &system{fail: tributary.Errorf(code, "because")}
		server := serve(t, s, "")
		for _, path := range []string{"/v1/kbs/wiki/search", "/v1/kbs/wiki/ask", "/v1/chat/completions"} {
			status, body := do(t, "POST", server.URL+path, `{"query":"x","question":"x","messages":[{"role":"user","content":"x"}]}`)
			if fmt.Sprint(status) != string(code) || !strings.Contains(body, "because") {
				t.Errorf("%s with code %s: got %d %s", path, code, status, body)
			}
		}
	}
}

// tributary.wiki.events.search is a subject of the stream of events.
func TestAPathMustNameAKnowledgeBase(t *testing.T) {
	for _, kb := range []string{"wiki.events", "*", "%3E", "Wiki", "a%20b", "a%2Fb"} {
		for _, request := range []struct{ method, path, body string }{
			{"POST", "search", `{"query": "x"}`}, {"POST", "ask", `{"question": "x"}`}, {"POST", "documents", `{"uri": "note:1", "text": "x"}`},
			{"GET", "documents", ""}, {"DELETE", "documents?uri=note:1", ""}, {"GET", "sources", ""}, {"POST", "sources/wiki/sync", ""},
		} {
			s := &system{}
			status, body := do(t, request.method, serve(t, s, "").URL+"/v1/kbs/"+kb+"/"+request.path, request.body)
			if status != 400 || !strings.Contains(body, "knowledge base") || s.kb != "" {
				t.Errorf("%s %s: got %d %s, asked %q", kb, request.path, status, body, s.kb)
			}
		}
	}
}

func TestABodyBeyondTheLimitIsRefused(t *testing.T) {
	status, body := do(t, "PUT", serve(t, &system{}, "").URL+"/v1/kbs/wiki/documents?uri=a", strings.Repeat("x", 1<<20+1), "Content-Type", "text/plain")
	if status != 413 || !strings.Contains(body, "ingest.max_bytes") {
		t.Errorf("got %d %s", status, body)
	}
}

// events reads server-sent events up to the end.
func events(t *testing.T, body string) (names, datas []string) {
	t.Helper()
	name := ""
	for lines := bufio.NewScanner(strings.NewReader(body)); lines.Scan(); {
		line := lines.Text()
		if after, ok := strings.CutPrefix(line, "event: "); ok {
			name = after
		}
		if after, ok := strings.CutPrefix(line, "data: "); ok {
			names, datas = append(names, name), append(datas, after)
			name = ""
		}
	}
	return names, datas
}

func TestAnAnswerIsStreamedAsEvents(t *testing.T) {
	_, body := do(t, "POST", serve(t, &system{}, "").URL+"/v1/kbs/wiki/ask", `{"question":"x"}`, "Accept", "text/event-stream")
	names, datas := events(t, body)
	if got := strings.Join(names, " "); got != "delta delta answer" || !strings.Contains(datas[2], `"answer":"It is blue. [1]"`) {
		t.Errorf("got %s: %q", got, datas)
	}
}

func TestAnAnswerThatBreaksOffSaysSo(t *testing.T) {
	s := &system{late: tributary.Errorf(tributary.CodeUnavailable, "the model is away")}
	_, body := do(t, "POST", serve(t, s, "").URL+"/v1/kbs/wiki/ask", `{"question":"x"}`, "Accept", "text/event-stream")
	names, datas := events(t, body)
	if got := strings.Join(names, " "); got != "delta error" || !strings.Contains(datas[1], "the model is away") {
		t.Errorf("got %s: %q", got, datas)
	}
	_, body = do(t, "POST", serve(t, s, "").URL+"/v1/chat/completions", `{"stream":true,"messages":[{"role":"user","content":"x"}]}`)
	if _, datas := events(t, body); len(datas) != 2 || !strings.Contains(datas[1], "the model is away") {
		t.Errorf("got %q", datas)
	}
}

func TestChatCompletionsHaveOpenAIsForm(t *testing.T) {
	s := &system{}
	_, body := do(t, "POST", serve(t, s, "").URL+"/v1/chat/completions", `{"model":"tributary/wiki","temperature":0.2,"messages":[
		{"role":"system","content":"Be brief."},{"role":"user","content":"earlier"},{"role":"assistant","content":"yes"},
		{"role":"user","content":[{"type":"text","text":"Which colour?"},{"type":"image_url","image_url":{"url":"x"}}]}]}`)
	var got struct {
		Object, Model string
		Choices       []struct {
			Message      struct{ Role, Content string }
			FinishReason string `json:"finish_reason"`
		}
	}
	if err := json.Unmarshal([]byte(body), &got); err != nil {
		t.Fatal(err)
	}
	want := "It is blue. [1]\n\nSources:\n[1] One: note:1"
	if got.Object != "chat.completion" || got.Model != "tributary/wiki" || got.Choices[0].FinishReason != "stop" || got.Choices[0].Message.Content != want {
		t.Errorf("got %s", body)
	}
	if s.kb != "wiki" || s.asked[0].Question != "Which colour?" {
		t.Errorf("asked %q in %q", s.asked[0].Question, s.kb)
	}
}

func TestChatCompletionsStreamInOpenAIsForm(t *testing.T) {
	_, body := do(t, "POST", serve(t, &system{}, "").URL+"/v1/chat/completions", `{"stream":true,"messages":[{"role":"user","content":"x"}]}`)
	_, datas := events(t, body)
	if datas[len(datas)-1] != "[DONE]" {
		t.Fatalf("the last event is %q", datas[len(datas)-1])
	}
	var text strings.Builder
	finish := ""
	for _, data := range datas[:len(datas)-1] {
		var chunk struct {
			Object  string
			Choices []struct {
				Delta        struct{ Role, Content string }
				FinishReason string `json:"finish_reason"`
			}
		}
		if err := json.Unmarshal([]byte(data), &chunk); err != nil || chunk.Object != "chat.completion.chunk" {
			t.Fatalf("%s: %v", data, err)
		}
		text.WriteString(chunk.Choices[0].Delta.Content)
		finish = chunk.Choices[0].FinishReason
	}
	if want := "It is blue. [1]\n\nSources:\n[1] One: note:1"; text.String() != want || finish != "stop" {
		t.Errorf("got %q, finish %q", text.String(), finish)
	}
}

func TestAChatWithoutAQuestionIsRefused(t *testing.T) {
	for name, body := range map[string]string{
		"no messages":    `{"messages":[]}`,
		"an empty one":   `{"messages":[{"role":"user","content":" "}]}`,
		"only a system":  `{"messages":[{"role":"system","content":"x"}]}`,
		"content of one": `{"messages":[{"role":"user","content":1}]}`,
	} {
		t.Run(name, func(t *testing.T) {
			if status, reply := do(t, "POST", serve(t, &system{}, "").URL+"/v1/chat/completions", body); status != 400 {
				t.Errorf("got %d %s", status, reply)
			}
		})
	}
}

func TestKnowledgeBasesAreModels(t *testing.T) {
	server := serve(t, &system{}, "")
	if _, body := do(t, "GET", server.URL+"/v1/models", ""); !strings.Contains(body, `"tributary/default"`) || !strings.Contains(body, `"tributary/wiki"`) {
		t.Errorf("got %s", body)
	}
	if status, body := do(t, "GET", server.URL+"/v1/models/tributary/wiki", ""); status != 200 || !strings.Contains(body, `"id":"tributary/wiki"`) {
		t.Errorf("got %d %s", status, body)
	}
	if status, body := do(t, "POST", server.URL+"/v1/chat/completions", `{"model":"gpt-5","messages":[{"role":"user","content":"x"}]}`); status == 404 {
		t.Errorf("a valid name of a knowledge base is not found: %s", body)
	}
	if status, _ := do(t, "GET", server.URL+"/v1/models/GPT", ""); status != 404 {
		t.Errorf("got %d for a name that no knowledge base can have", status)
	}
}

func TestWhoHasNoTokenIsTurnedAway(t *testing.T) {
	server := serve(t, &system{}, "right")
	for _, tt := range []struct {
		name, authorization string
		status              int
	}{
		{"none", "", 401}, {"wrong", "Bearer wrong", 401}, {"another scheme", "Basic right", 401},
		{"right", "Bearer right", 200}, {"another case of the scheme", "bearer right", 200},
	} {
		for _, path := range []string{"/v1/status", "/v1/models", "/openapi.json"} {
			if status, _ := do(t, "GET", server.URL+path, "", "Authorization", tt.authorization); status != tt.status {
				t.Errorf("%s: %s gives %d, want %d", tt.name, path, status, tt.status)
			}
		}
		if status, _ := do(t, "POST", server.URL+"/mcp", "{}", "Authorization", tt.authorization); (status == 401) != (tt.status == 401) {
			t.Errorf("%s: /mcp gives %d", tt.name, status)
		}
	}
	if status, _ := do(t, "GET", server.URL+"/healthz", ""); status != 204 {
		t.Errorf("/healthz gives %d without a token", status)
	}
}

func TestAPageOfAnotherSiteCannotUseAGatewayWithoutToken(t *testing.T) {
	server := serve(t, &system{}, "")
	if status, _ := do(t, "GET", server.URL+"/v1/status", "", "Host", "rebound.example"); status != 403 {
		t.Errorf("another name for this machine gives %d, want 403", status)
	}
	if status, _ := do(t, "POST", server.URL+"/v1/kbs/wiki/search", `{"query":"x"}`, "Sec-Fetch-Site", "cross-site"); status != 403 {
		t.Errorf("a request from another site gives %d, want 403", status)
	}
	if status, _ := do(t, "POST", server.URL+"/v1/kbs/wiki/search", `{"query":"x"}`, "Content-Type", "text/plain"); status != 400 {
		t.Errorf("a form's content type gives %d, want 400", status)
	}
}

func TestListeningBeyondThisMachineNeedsAToken(t *testing.T) {
	cfg := configFor(&system{}, "")
	for _, address := range []string{"0.0.0.0:0", ":0", "[::]:0", "192.0.2.1:0"} {
		cfg.Listen = address
		if _, err := gateway.Listen(t.Context(), cfg); !errors.Is(err, gateway.ErrOpen) {
			t.Errorf("%s: got %v, want ErrOpen", address, err)
		}
	}
}

func TestAGatewayEndsInOrder(t *testing.T) {
	cfg := configFor(&system{}, "")
	cfg.Listen = "127.0.0.1:0"
	g, err := gateway.Listen(t.Context(), cfg)
	if err != nil {
		t.Fatal(err)
	}
	ctx, stop := context.WithCancel(t.Context())
	ended := make(chan error, 1)
	go func() { ended <- g.Serve(ctx, 0) }()
	if status, _ := do(t, "GET", g.URL()+"/healthz", ""); status != 204 {
		t.Errorf("got %d", status)
	}
	stop()
	if err := <-ended; err != nil {
		t.Error(err)
	}
}

func TestOpenAPIDescribesWhatIsServed(t *testing.T) {
	server := serve(t, &system{state: tributary.StateLive}, "")
	_, body := do(t, "GET", server.URL+"/openapi.json", "")
	var doc struct {
		OpenAPI    string
		Paths      map[string]map[string]struct{ Responses map[string]any }
		Components struct {
			Schemas map[string]struct{ Properties map[string]any }
		}
	}
	if err := json.Unmarshal([]byte(body), &doc); err != nil {
		t.Fatal(err)
	}
	for path, operations := range doc.Paths {
		for method := range operations {
			url := strings.NewReplacer("{kb}", "wiki", "{model}", "tributary/wiki", "{name}", "notes").Replace(server.URL + path)
			if status, reply := do(t, strings.ToUpper(method), url+"?uri=a", "{}"); status == 404 || status == 405 {
				t.Errorf("%s %s is described and gives %d %s", method, path, status, reply)
			}
		}
	}
	for name, field := range map[string]string{"SearchRequest": "at_least", "SearchReply": "hits", "Answer": "citations", "AddRequest": "text", "ChatRequest": "messages"} {
		if doc.Components.Schemas[name].Properties[field] == nil {
			t.Errorf("the schema %s has no %s", name, field)
		}
	}
	for _, field := range []string{"max_age_seconds", "verified", "too_old", "stale_sources"} {
		if !strings.Contains(body, `"`+field+`"`) {
			t.Errorf("the description lacks %s", field)
		}
	}
	if doc.OpenAPI != "3.1.0" || len(doc.Paths) < 8 {
		t.Errorf("OpenAPI %s with %d paths", doc.OpenAPI, len(doc.Paths))
	}
}

func TestMCPToolsOverHTTP(t *testing.T) {
	s := &system{state: tributary.StateLive}
	server := serve(t, s, "")
	client := mcp.NewClient(&mcp.Implementation{Name: "test", Version: "1"}, nil)
	session, err := client.Connect(t.Context(), &mcp.StreamableClientTransport{Endpoint: server.URL + "/mcp", DisableStandaloneSSE: true}, nil)
	if err != nil {
		t.Fatal(err)
	}
	useTools(t, session, s)
	if err := session.Close(); err != nil {
		t.Error(err)
	}
}

func TestMCPToolsOverAPipe(t *testing.T) {
	s := &system{state: tributary.StateLive}
	here, there := mcp.NewInMemoryTransports()
	if _, err := gateway.NewMCP(configFor(s, "")).Connect(t.Context(), there, nil); err != nil {
		t.Fatal(err)
	}
	session, err := mcp.NewClient(&mcp.Implementation{Name: "test", Version: "1"}, nil).Connect(t.Context(), here, nil)
	if err != nil {
		t.Fatal(err)
	}
	useTools(t, session, s)
	if err := session.Close(); err != nil {
		t.Error(err)
	}
}

// useOptions searches and asks with fields that both share, as JSON.
func useOptions(t *testing.T, session *mcp.ClientSession, s *system) {
	t.Helper()
	args := map[string]any{"query": "x", "k": 3, "alpha": 0.5, "document_weight": 0.5, "kbs": []string{"wiki", "notes"}, "context": "documents",
		"filter": map[string]any{"sources": []string{"docs"}, "not": map[string]any{"languages": []string{"de"}}}, "explain": true, "max_age_seconds": 60}
	for _, tool := range []string{"search", "ask"} {
		reply, err := session.CallTool(t.Context(), &mcp.CallToolParams{Name: tool, Arguments: args})
		if err != nil || reply.IsError || !strings.Contains(reply.Content[0].(*mcp.TextContent).Text, "Note: by words") {
			t.Fatalf("%s: %+v, %v", tool, reply, err)
		}
		args["question"] = args["query"]
		delete(args, "query")
	}
	half := 0.5
	want := tributary.SearchRequest{K: 3, Alpha: &half,
		Filter:        tributary.Filter{Sources: []string{"docs"}, FilterTerms: tributary.FilterTerms{Not: &tributary.PlainFilter{Languages: []string{"de"}}}},
		SearchOptions: tributary.SearchOptions{KBs: []string{"wiki", "notes"}, DocumentWeight: &half, Context: tributary.ContextDocuments, MaxAgeS: 60, Explain: true}}
	search, ask := s.searched[len(s.searched)-1], s.asked[len(s.asked)-1]
	search.Query = ""
	if diff := cmp.Diff(want, search); diff != "" {
		t.Errorf("searched (-want +got):\n%s", diff)
	}
	got := tributary.SearchRequest{K: ask.K, Alpha: ask.Alpha, Filter: ask.Filter, SearchOptions: ask.SearchOptions}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("asked (-want +got):\n%s", diff)
	}
}

func useTools(t *testing.T, session *mcp.ClientSession, s *system) {
	t.Helper()
	for _, tt := range []struct {
		tool string
		args map[string]any
		want string
	}{
		{"search", map[string]any{"query": "colour"}, "1. One (note:1)\nabout colour"},
		{"ask", map[string]any{"question": "Which colour?", "kb": "wiki"}, "It is blue. [1]\n\nSources:\n[1] One: note:1"},
		{"add", map[string]any{"uri": "note:2", "text": "red"}, "note:2 is live at version 7"},
		{"show", map[string]any{"uri": "note:1"}, "blue"},
	} {
		reply, err := session.CallTool(t.Context(), &mcp.CallToolParams{Name: tt.tool, Arguments: tt.args})
		if err != nil {
			t.Fatalf("%s: %v", tt.tool, err)
		}
		text := reply.Content[0].(*mcp.TextContent).Text
		if reply.IsError || !strings.Contains(text, tt.want) {
			t.Errorf("%s gives %q (error %t), want %q", tt.tool, text, reply.IsError, tt.want)
		}
	}
	useOptions(t, session, s)
	s.fail = tributary.Errorf(tributary.CodeUnavailable, "the index is away")
	reply, err := session.CallTool(t.Context(), &mcp.CallToolParams{Name: "search", Arguments: map[string]any{"query": "x"}})
	if err != nil || !reply.IsError || !strings.Contains(reply.Content[0].(*mcp.TextContent).Text, "the index is away") {
		t.Errorf("a failure gives %+v, %v", reply, err)
	}
}
