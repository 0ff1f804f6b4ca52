package main

import (
	"bytes"
	"encoding/json"
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/modelcontextprotocol/go-sdk/mcp"

	"github.com/tributary-kb/tributary/internal/gateway"
	"github.com/tributary-kb/tributary/internal/testenv"
	"github.com/tributary-kb/tributary/queryworker"
)

// serveHTTP puts the gateway, as the commands build it, before s.
func serveHTTP(t *testing.T, s *system) string {
	t.Helper()
	handler, err := gateway.NewHandler((&app{cfg: s.cfg, log: s.plant.log}).gatewayConfig(s.nc))
	fatal(t, err)
	server := httptest.NewServer(handler)
	t.Cleanup(server.Close)
	return server.URL
}

var httpBlock = regexp.MustCompile("(?s)<!-- (http|reply) ?([0-9]*) -->\n```[a-z]+\n(.*?)```")

// Every request of docs/http.md is sent as it stands, and answered as it says.
func TestDocsHTTPExamples(t *testing.T) {
	url := serveHTTP(t, newSystem(t, set("kb", "default")))
	sendExamples(t, url, "http.md", 8)
}

// sendExamples sends the requests of a page, of which there are at least so
// many, and compares the replies that it shows.
func sendExamples(t *testing.T, url, name string, least int) {
	t.Helper()
	page, err := os.ReadFile(filepath.Join(testenv.ProjectRoot(t), "docs", name))
	fatal(t, err)
	blocks := httpBlock.FindAllStringSubmatch(string(page), -1)
	if len(blocks) < least {
		t.Fatalf("docs/%s has %d examples that can be run", name, len(blocks))
	}
	var reply []byte
	for _, b := range blocks {
		if b[1] == "http" {
			reply = sendExample(t, url, b[3], b[2])
			continue
		}
		var got, want any
		fatal(t, json.Unmarshal(reply, &got))
		fatal(t, json.Unmarshal([]byte(b[3]), &want))
		if diff := cmp.Diff(steady(want), steady(got)); diff != "" {
			t.Errorf("(-documented +got)\n%s", diff)
		}
	}
}

// sendExample sends a request as it is written, and returns the reply's body.
func sendExample(t *testing.T, url, text, status string) []byte {
	t.Helper()
	head, body, _ := strings.Cut(text, "\n\n")
	line, header, _ := strings.Cut(strings.TrimSpace(head), "\n")
	method, path, _ := strings.Cut(line, " ")
	req, err := http.NewRequestWithContext(t.Context(), method, url+path, bytes.NewReader([]byte(strings.TrimSuffix(body, "\n"))))
	fatal(t, err)
	for line := range strings.Lines(header) {
		if name, value, ok := strings.Cut(strings.TrimSpace(line), ": "); ok {
			req.Header.Set(name, value)
		}
	}
	resp, err := http.DefaultClient.Do(req)
	fatal(t, err)
	defer resp.Body.Close()
	reply, err := io.ReadAll(resp.Body)
	fatal(t, err)
	if strconv.Itoa(resp.StatusCode) != status {
		t.Errorf("%s: status %d, documented %s: %s", line, resp.StatusCode, status, reply)
	}
	return reply
}

func TestAKnowledgeBaseIsAModelForChatFrontEnds(t *testing.T) {
	s := newSystem(t)
	s.settled(s.put("note:sky", "The sky over the harbour is vermilion at dusk."))
	reply := sendExample(t, serveHTTP(t, s), "POST /v1/chat/completions\nContent-Type: application/json\n\n"+
		`{"model":"tributary/`+s.kb+`","messages":[{"role":"user","content":"What colour is the sky over the harbour at dusk?"}]}`, "200")
	var got struct {
		Choices []struct{ Message struct{ Content string } }
	}
	fatal(t, json.Unmarshal(reply, &got))
	for _, want := range []string{"vermilion", "[1]", "note:sky"} {
		if !strings.Contains(got.Choices[0].Message.Content, want) {
			t.Errorf("%q is not in the answer %q", want, got.Choices[0].Message.Content)
		}
	}
}

// A model is told what was said before and what the answer should be like, and
// its tokens are told at the end.
func TestAChatGoesToTheConfiguredModel(t *testing.T) {
	var told []string
	model := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		data, err := io.ReadAll(r.Body)
		if err != nil {
			t.Error(err)
		}
		told = append(told, string(data))
		text := "It is vermilion [1]."
		if strings.Contains(string(data), "Rewrite the last question") {
			text = `{"question": "What colour is the sky over the harbour at dusk?"}`
		}
		w.Header().Set("Content-Type", "application/json")
		fatal(t, json.NewEncoder(w).Encode(map[string]any{
			"choices": []any{map[string]any{"message": map[string]any{"content": text}, "finish_reason": "stop"}},
			"usage":   map[string]any{"prompt_tokens": 50, "completion_tokens": 5},
		}))
	}))
	t.Cleanup(model.Close)
	s := newSystem(t, func(s *system) {
		s.cfg.Query.Generator.Provider, s.cfg.Query.Generator.BaseURL, s.cfg.Query.Generator.Model = queryworker.ProviderOpenAI, model.URL, "m"
	})
	s.settled(s.put("note:sky", "The sky over the harbour is vermilion at dusk."))
	reply := sendExample(t, serveHTTP(t, s), "POST /v1/chat/completions\nContent-Type: application/json\n\n"+
		`{"model":"tributary/`+s.kb+`","stream":true,"stream_options":{"include_usage":true},"messages":[
		{"role":"system","content":"Be brief."},{"role":"user","content":"Is there a harbour?"},{"role":"assistant","content":"Yes."},
		{"role":"user","content":"And what colour is the sky over it at dusk?"}]}`, "200")
	for _, want := range []string{"vermilion", "note:sky", `"usage":{"prompt_tokens":100,"completion_tokens":10,"total_tokens":110}`, "[DONE]"} {
		if !strings.Contains(string(reply), want) {
			t.Errorf("%q is not in the reply %s", want, reply)
		}
	}
	if len(told) != 2 {
		t.Fatalf("the model was asked %d times, want for the question and for the answer", len(told))
	}
	for _, want := range []string{"Be brief.", "Is there a harbour?", "vermilion at dusk", "What colour is the sky"} {
		if !strings.Contains(told[1], want) {
			t.Errorf("%q is not in what the model was told: %s", want, told[1])
		}
	}
}

func TestAnAssistantUsesTheProgramOverMCP(t *testing.T) {
	s := newSystem(t)
	in := &installation{data: t.TempDir(), kb: s.kb, env: os.Environ()}
	in.set("DATA="+in.data, "KB="+in.kb, "NATS_URL="+s.server.ClientURL())
	cmd, err := in.command("mcp")
	fatal(t, err)
	client := mcp.NewClient(&mcp.Implementation{Name: "assistant", Version: "1"}, nil)
	session, err := client.Connect(t.Context(), &mcp.CommandTransport{Command: cmd}, nil)
	fatal(t, err)
	call := func(tool string, args map[string]any) string {
		reply, err := session.CallTool(t.Context(), &mcp.CallToolParams{Name: tool, Arguments: args})
		fatal(t, err)
		text := reply.Content[0].(*mcp.TextContent).Text
		if reply.IsError {
			t.Errorf("%s: %s", tool, text)
		}
		return text
	}
	call("add", map[string]any{"uri": "note:sky", "text": "The sky over the harbour is vermilion at dusk."})
	for tool, args := range map[string]map[string]any{
		"search": {"query": "harbour at dusk"}, "ask": {"question": "What colour is the sky at dusk?"}, "show": {"uri": "note:sky"},
	} {
		if got := call(tool, args); !strings.Contains(got, "vermilion") {
			t.Errorf("%s gives %q", tool, got)
		}
	}
	fatal(t, session.Close())
	if code := cmd.ProcessState.ExitCode(); code != exitOK {
		t.Errorf("the program ended with %d", code)
	}
}
