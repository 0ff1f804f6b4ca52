package queryworker

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/rogpeppe/go-internal/txtar"

	"github.com/tributary-kb/tributary"
)

// A goldenWire is one exchange with a provider, in the form that its API
// reference gives. The prompt is shortened to RULES and DATA.
type goldenWire struct {
	name, provider         string
	request, reply, answer []byte
}

func goldenWires(tb testing.TB) []goldenWire {
	tb.Helper()
	files, err := filepath.Glob("testdata/wire/*.txtar")
	if err != nil || len(files) == 0 {
		tb.Fatalf("no golden files: %v", err)
	}
	var all []goldenWire
	for _, file := range files {
		archive, err := txtar.ParseFile(file)
		if err != nil {
			tb.Fatal(err)
		}
		name := strings.TrimSuffix(filepath.Base(file), ".txtar")
		provider, _, _ := strings.Cut(name, "-")
		g := goldenWire{name: name, provider: provider}
		for _, f := range archive.Files {
			switch f.Name {
			case "request":
				g.request = f.Data
			case "reply":
				g.reply = f.Data
			case "answer":
				g.answer = f.Data
			}
		}
		all = append(all, g)
	}
	return all
}

// sent writes a request as the golden files have it.
func sent(t *testing.T, r *http.Request) string {
	t.Helper()
	var out strings.Builder
	fmt.Fprintf(&out, "%s %s\n", r.Method, r.URL.Path)
	for _, name := range []string{"Anthropic-Version", "Authorization", "X-Api-Key"} {
		if v := r.Header.Get(name); v != "" {
			fmt.Fprintf(&out, "%s: %s\n", name, v)
		}
	}
	body, err := io.ReadAll(r.Body)
	if err != nil {
		t.Error(err)
	}
	p := messages(question(), "XYZ")
	for name, m := range map[string]message{"RULES": p[0], "DATA": p[1]} {
		text, err := json.Marshal(m.Content)
		if err != nil {
			t.Error(err)
		}
		body = bytes.ReplaceAll(body, text, []byte(`"`+name+`"`))
	}
	return out.String() + string(body) + "\n"
}

func TestWires(t *testing.T) {
	for _, g := range goldenWires(t) {
		t.Run(g.name, func(t *testing.T) {
			var request string
			c := serve(t, func(w http.ResponseWriter, r *http.Request) {
				request = sent(t, r)
				if bytes.HasPrefix(g.reply, []byte(`{"id"`)) {
					w.Header().Set("Content-Type", "application/json")
				}
				w.Write(g.reply)
			})
			c.Provider = g.provider
			var deltas []string
			usage, err := c.say(t.Context(), messages(question(), "XYZ"), func(d string) error {
				deltas = append(deltas, d)
				return nil
			})
			if err != nil {
				t.Fatal(err)
			}
			if diff := cmp.Diff(string(g.request), request); diff != "" {
				t.Errorf("request (-want +got):\n%s", diff)
			}
			answer := fmt.Sprintf("%s\nin %d out %d\n", strings.Join(deltas, "|"), usage.TokensIn, usage.TokensOut)
			if diff := cmp.Diff(string(g.answer), answer); diff != "" {
				t.Errorf("answer (-want +got):\n%s", diff)
			}
		})
	}
}

// Half of what a provider sends is no answer, wherever it breaks off.
func TestWiresRefuseHalfAReply(t *testing.T) {
	for _, g := range goldenWires(t) {
		lines := bytes.SplitAfter(g.reply, []byte("\n"))
		whole := len(lines)
		for whole > 0 && !finishes(lines[whole-1]) {
			whole--
		}
		for n := range whole {
			half := bytes.Join(lines[:n], nil)
			if bytes.Contains(half, []byte(`"finish_reason":"stop"`)) {
				continue // what follows are counts
			}
			c := serve(t, func(w http.ResponseWriter, _ *http.Request) { w.Write(half) })
			c.Provider = g.provider
			_, err := generate(t.Context(), c)
			if tributary.CodeOf(err) != tributary.CodeUnavailable {
				t.Errorf("%s: after %d lines: %v", g.name, n, err)
			}
		}
	}
}

func finishes(line []byte) bool {
	for _, end := range []string{"message_stop", `"done":true`, "[DONE]", `"stop_reason":"max_tokens"`} {
		if bytes.Contains(line, []byte(end)) {
			return true
		}
	}
	return false
}

const (
	anthropicStart = `data: {"type":"message_start","message":{"usage":{"input_tokens":25,"output_tokens":1}}}` + "\n\n"
	anthropicText  = `data: {"type":"content_block_delta","index":0,"delta":{"type":"text_delta","text":"Three"}}` + "\n\n"
	overloaded     = `data: {"type":"error","error":{"type":"overloaded_error","message":"Overloaded"}}` + "\n\n"
)

func TestProvidersFail(t *testing.T) {
	for _, tt := range []struct{ name, provider, reply, text string }{
		{"overloaded in the middle", ProviderAnthropic, anthropicStart + anthropicText + overloaded, "gave up: Overloaded"},
		{"another error in the stream", ProviderAnthropic, anthropicStart + `data: {"type":"error","error":{"type":"api_error","message":"Internal server error"}}`, "gave up in the middle: Internal server error"},
		{"a refusal", ProviderAnthropic, anthropicStart + `data: {"type":"message_delta","delta":{"stop_reason":"refusal"},"usage":{"output_tokens":1}}`, "stopped the answer"},
		{"no JSON", ProviderAnthropic, "data: hello", "does not speak the protocol of anthropic"},
		{"an error of Ollama", ProviderOllama, `{"error":"an error was encountered while running the model"}`, "gave up in the middle: an error was"},
		{"a page", ProviderOllama, "<html>", "does not speak the protocol of ollama"},
		{"a prompt that filled the window", ProviderOllama, `{"message":{"content":"x"},"done":true,"done_reason":"stop","prompt_eval_count":6072}`, "cut the prompt: it read 6072 tokens"},
		{"a prompt of which little was read", ProviderOllama, `{"message":{"content":"x"},"done":true,"done_reason":"stop","prompt_eval_count":20}`, "lower generator.max_context_tokens"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			c := serve(t, func(w http.ResponseWriter, _ *http.Request) { io.WriteString(w, tt.reply) })
			c.Provider = tt.provider
			_, err := generate(t.Context(), c)
			checkError(t, err, tributary.CodeUnavailable, tt.text)
		})
	}
}

func TestABusyServerIsAskedAgainBeforeTheFirstWord(t *testing.T) {
	for _, tt := range []struct {
		name, provider, after string
		status                int
		body                  string
		waits                 time.Duration // 0: some backoff
		calls                 int
	}{
		{"too many requests", ProviderOpenAI, "7", 429, "", 7 * time.Second, 2},
		{"overloaded", ProviderAnthropic, "2", 529, `{"type":"error","error":{"type":"overloaded_error","message":"Overloaded"}}`, 2 * time.Second, 2},
		{"overloaded in the stream", ProviderAnthropic, "", 200, anthropicStart + overloaded, 0, 2},
		{"overloaded behind the first word", ProviderAnthropic, "", 200, anthropicStart + anthropicText + overloaded, 0, 1},
		{"in trouble", ProviderOllama, "", 503, `{"error":"server busy, please try again"}`, 0, 2},
		{"a pause that is too long", ProviderOpenAI, "3600", 429, "", 0, 1},
		{"a fault of its own", ProviderOpenAI, "", 500, "", 0, 1},
		{"no key", ProviderOpenAI, "", 401, "", 0, 1},
	} {
		t.Run(tt.name, func(t *testing.T) {
			calls := 0
			c := serve(t, func(w http.ResponseWriter, _ *http.Request) {
				if calls++; calls > 1 {
					for _, g := range goldenWires(t) {
						if g.name == tt.provider {
							w.Write(g.reply)
						}
					}
					return
				}
				if tt.after != "" {
					w.Header().Set("Retry-After", tt.after)
				}
				w.WriteHeader(tt.status)
				io.WriteString(w, tt.body)
			})
			c.Provider = tt.provider
			var waited time.Duration
			c.pause = func(_ context.Context, d time.Duration) error { waited = d; return nil }
			_, err := generate(t.Context(), c)
			if calls != tt.calls || (err == nil) != (tt.calls == 2) {
				t.Fatalf("asked %d times, then %v; want %d", calls, err, tt.calls)
			}
			switch {
			case tt.waits > 0 && waited != tt.waits:
				t.Errorf("waited %s, want %s", waited, tt.waits)
			case tt.waits == 0 && tt.calls == 2 && (waited < firstPause/2 || waited > firstPause):
				t.Errorf("waited %s, want about %s", waited, firstPause)
			}
		})
	}
}

func TestABusyServerIsLeftAloneInTheEnd(t *testing.T) {
	calls := 0
	c := serve(t, func(w http.ResponseWriter, _ *http.Request) { calls++; w.WriteHeader(http.StatusTooManyRequests) })
	_, err := generate(t.Context(), c)
	checkError(t, err, tributary.CodeUnavailable, "too many requests")
	if calls != defaultAttempts {
		t.Errorf("asked %d times, want %d", calls, defaultAttempts)
	}
}

func TestAServerThatCannotCountIsNotAskedTo(t *testing.T) {
	var options []bool
	c := serve(t, func(w http.ResponseWriter, r *http.Request) {
		body, err := io.ReadAll(r.Body)
		if err != nil {
			t.Error(err)
		}
		with := bytes.Contains(body, []byte("stream_options"))
		if options = append(options, with); with {
			w.WriteHeader(http.StatusUnprocessableEntity)
			io.WriteString(w, `{"detail":"stream_options: extra inputs are not permitted"}`)
			return
		}
		io.WriteString(w, wireNoFinish)
	})
	for range 2 {
		if _, err := generate(t.Context(), c); err != nil {
			t.Fatal(err)
		}
	}
	if diff := cmp.Diff([]bool{true, false, false}, options); diff != "" {
		t.Errorf("asked for counts (-want +got):\n%s", diff)
	}
}

func TestQuestionsThatAreRefusedTogetherForTheirCountsAreBothAnswered(t *testing.T) {
	var asked, both sync.WaitGroup
	asked.Add(2)
	c := serve(t, func(w http.ResponseWriter, r *http.Request) {
		body, err := io.ReadAll(r.Body)
		if err != nil {
			t.Error(err)
		}
		if bytes.Contains(body, []byte("stream_options")) {
			asked.Done()
			asked.Wait() // until the other has asked for them too
			w.WriteHeader(http.StatusUnprocessableEntity)
			io.WriteString(w, `{"detail":"stream_options: extra inputs are not permitted"}`)
			return
		}
		io.WriteString(w, wireNoFinish)
	})
	for range 2 {
		both.Go(func() {
			if _, err := generate(t.Context(), c); err != nil {
				t.Error(err)
			}
		})
	}
	both.Wait()
}
