package main

import (
	"encoding/json"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"
	"github.com/nats-io/nats.go/micro"

	"github.com/tributary-kb/tributary/internal/api"
	"github.com/tributary-kb/tributary/internal/pipeline"
	"github.com/tributary-kb/tributary/internal/testenv"
)

// An example is a marked block of docs/protocol.md.
type example struct {
	kind string // request, reply, error, event, publish
	arg  string // subject or code
	body string
	line int
}

var exampleBlock = regexp.MustCompile("(?s)<!-- (request|reply|error|event|publish) ?([^ ]*) -->\n```[a-z]+\n(.*?)```")

func protocolExamples(t *testing.T) []example {
	t.Helper()
	page, err := os.ReadFile(filepath.Join(testenv.ProjectRoot(t), "docs", "protocol.md"))
	fatal(t, err)
	var out []example
	for _, m := range exampleBlock.FindAllSubmatchIndex(page, -1) {
		out = append(out, example{
			kind: string(page[m[2]:m[3]]), arg: string(page[m[4]:m[5]]), body: string(page[m[6]:m[7]]),
			line: strings.Count(string(page[:m[0]]), "\n") + 1,
		})
	}
	return out
}

// varies are the fields whose values differ from run to run; they must be
// there all the same.
var varies = []string{"score", "confidence", "ms", "seconds", "changed", "id", "accepted", "committed"}

// passing are fields that are there only for a while: while a sweep is under
// way, or once a worker has begun to follow a source.
var passing = []string{"dropped", "owner", "loaded", "age_seconds", "last_look", "last_success", "verified", "next_look"}

// steady replaces what varies, in place.
func steady(v any) any {
	switch v := v.(type) {
	case map[string]any:
		for _, key := range passing {
			delete(v, key)
		}
		for k, x := range v {
			if slices.Contains(varies, k) {
				v[k] = "varies"
				continue
			}
			v[k] = steady(x)
		}
	case []any:
		for i, x := range v {
			v[i] = steady(x)
		}
	}
	return v
}

// Every example of docs/protocol.md is sent as it stands, by a client that
// knows nothing but NATS, and answered as it says.
func TestDocsProtocolExamples(t *testing.T) {
	s := newSystem(t, set("kb", "default"))
	examples := protocolExamples(t)
	if len(examples) < 20 {
		t.Fatalf("docs/protocol.md has %d examples that can be run", len(examples))
	}
	var replies []*nats.Msg
	for _, e := range examples {
		switch e.kind {
		case "request":
			if len(replies) > 0 {
				t.Errorf("line %d: a reply is not told: %s", e.line, replies[0].Data)
			}
			replies = ask(t, s.nc, e)
		case "reply", "error":
			if len(replies) == 0 {
				t.Errorf("line %d: no such reply came", e.line)
				continue
			}
			compare(t, e, replies[0])
			replies = replies[1:]
		case "publish":
			fatal(t, s.nc.Publish(e.arg, []byte(e.body)))
		case "event":
			compare(t, e, firstEvent(t, s.nc, e.arg))
		}
	}
}

// ask sends a request and returns the replies that carry something.
func ask(t *testing.T, nc *nats.Conn, e example) []*nats.Msg {
	t.Helper()
	inbox := nc.NewInbox()
	sub, err := nc.SubscribeSync(inbox)
	fatal(t, err)
	defer func() { fatal(t, sub.Unsubscribe()) }()
	fatal(t, nc.PublishRequest(e.arg, inbox, []byte(e.body)))
	var replies []*nats.Msg
	for {
		m, err := sub.NextMsgWithContext(t.Context())
		fatal(t, err)
		frame := m.Header.Get(api.HeaderFrame)
		if want := strconv.Itoa(len(replies) + 1); frame == "data" && m.Header.Get(api.HeaderSeq) != want {
			t.Errorf("line %d: reply %s, want number %s", e.line, m.Header.Get(api.HeaderSeq), want)
		}
		if frame != "end" || len(m.Header.Get(micro.ErrorCodeHeader)) > 0 {
			replies = append(replies, m)
		}
		if frame != "data" && frame != "idle" {
			return replies
		}
	}
}

func compare(t *testing.T, e example, m *nats.Msg) {
	t.Helper()
	if code := m.Header.Get(micro.ErrorCodeHeader); e.kind == "error" || code != "" {
		if text := m.Header.Get(micro.ErrorHeader); code != e.arg || text != strings.TrimSpace(e.body) {
			t.Errorf("line %d: error %s %q, want %s %q", e.line, code, text, e.arg, e.body)
		}
		return
	}
	var got, want any
	fatal(t, json.Unmarshal(m.Data, &got))
	if err := json.Unmarshal([]byte(e.body), &want); err != nil {
		t.Fatalf("line %d: %v", e.line, err)
	}
	if diff := cmp.Diff(steady(want), steady(got)); diff != "" {
		t.Errorf("line %d (-documented +got)\n%s", e.line, diff)
	}
}

func firstEvent(t *testing.T, nc *nats.Conn, subject string) *nats.Msg {
	t.Helper()
	js, err := jetstream.New(nc)
	fatal(t, err)
	stream, err := js.Stream(t.Context(), pipeline.EventsStream)
	fatal(t, err)
	raw, err := stream.GetMsg(t.Context(), 1, jetstream.WithGetMsgSubject(subject))
	fatal(t, err)
	return &nats.Msg{Data: raw.Data}
}
