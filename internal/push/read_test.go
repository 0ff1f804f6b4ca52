package push

import (
	"encoding/json"
	"net/http"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/tributary-kb/tributary"
)

func header(lines ...string) map[string][]string {
	h := map[string][]string{}
	for _, line := range lines {
		name, value, _ := strings.Cut(line, ": ")
		h[name] = []string{value}
	}
	return h
}

// The attributes of the examples in the specification's JSON format, 1.0.2.
const example = `"specversion": "1.0", "type": "com.example.someevent", "source": "/mycontext", "id": "A234-1234-1234",
	"time": "2018-04-05T17:31:00Z", "comexampleextension1": "value", "comexampleothervalue": 5, "unsetextension": null`

var exampleHeader = []string{"ce-specversion: 1.0", "ce-type: com.example.someevent", "ce-source: /mycontext", "ce-id: A234-1234-1234",
	"ce-time: 2018-04-05T17:31:00Z", "ce-comexampleextension1: value", "ce-comexampleothervalue: 5"}

var exampleOrigin = map[string]string{"event": "A234-1234-1234", "event_source": "/mycontext",
	"event_type": "com.example.someevent", "event_time": "2018-04-05T17:31:00Z"}

func put(uri, kind, content string) Change {
	return Change{URI: uri, Op: tributary.OpPut, Content: []byte(content), Attributes: tributary.Attributes{ContentType: kind}}
}

func (c Change) ofExample() Change {
	c.ID, c.Origin = "/mycontext A234-1234-1234", exampleOrigin
	return c
}

func TestWhatAMessageAsksFor(t *testing.T) {
	structured := header("Content-Type: application/cloudevents+json; charset=utf-8")
	tests := []struct {
		name   string
		header map[string][]string
		body   string
		want   Change
	}{
		{"an event with binary data", structured, `{` + example + `, "datacontenttype": "text/markdown", "data_base64": "IyBTa3k="}`,
			put("/mycontext/A234-1234-1234", "text/markdown", "# Sky").ofExample()},
		{"an event with text as data", structured, `{` + example + `, "datacontenttype": "application/xml", "data": "<much wow=\"xml\"/>"}`,
			put("/mycontext/A234-1234-1234", "application/xml", `<much wow="xml"/>`).ofExample()},
		{"an event whose data is in the form of add", structured, `{` + example + `, "subject": null, "datacontenttype": "application/json",
			"data": {"uri": "note:sky", "text": "Blue.", "title": "Sky", "metadata": {"team": "a"}}}`,
			func() Change {
				c := put("note:sky", "text/plain", "Blue.").ofExample()
				c.Title, c.Metadata = "Sky", map[string]string{"team": "a"}
				return c
			}()},
		{"an event without datacontenttype is JSON", structured, `{` + example + `, "data": {"content": "IyBTa3k=", "content_type": "text/markdown"}}`,
			put("/mycontext/A234-1234-1234", "text/markdown", "# Sky").ofExample()},
		{"an event without headers, as over NATS", nil, `{` + example + `, "subject": "sky", "datacontenttype": "text/plain", "data": "Blue."}`,
			put("/mycontext/sky", "text/plain", "Blue.").ofExample()},
		{"an event in headers over HTTP", http.Header(header(append(exampleHeader, "Content-Type: text/plain; charset=utf-8")...)), "Blue.",
			put("/mycontext/A234-1234-1234", "text/plain", "Blue.").ofExample()},
		{"an event in headers over NATS", header(append(exampleHeader, "ce-datacontenttype: text/plain", "CE-Subject: https://docs.example/caf%C3%A9",
			"ce-title: Caf%C3%A9", "ce-language: en", "ce-metateam: %22a%22")...), "Open.",
			func() Change {
				c := put("https://docs.example/café", "text/plain", "Open.").ofExample()
				c.Title, c.Language, c.Metadata = "Café", "en", map[string]string{"team": "a"}
				return c
			}()},
		{"an event that says that a document is gone", header("ce-specversion: 1.0", "ce-type: org.wiki.page.Deleted", "ce-source: https://wiki.example/", "ce-id: 1", "ce-subject: sky"), "",
			Change{URI: "https://wiki.example/sky", Op: tributary.OpDelete, ID: "https://wiki.example/ 1",
				Origin: map[string]string{"event": "1", "event_source": "https://wiki.example/", "event_type": "org.wiki.page.Deleted"}}},
		{"a deletion by extension, named by data", structured, `{` + example + `, "tributaryop": "delete", "data": {"uri": "note:sky"}}`,
			Change{URI: "note:sky", Op: tributary.OpDelete}.ofExample()},
		{"an event that is no deletion although its type says so", structured, `{` + example + `, "tributaryop": "put", "datacontenttype": "text/plain", "data": ""}`,
			put("/mycontext/A234-1234-1234", "text/plain", "").ofExample()},
		{"an event whose data is elsewhere", structured, `{` + example + `, "datacontenttype": "text/html", "dataref": "https://wiki.example/sky"}`,
			Change{URI: "https://wiki.example/sky", Op: tributary.OpFetch}.ofExample()},
		{"the form of add", header("Content-Type: application/json"), `{"uri": "note:sky", "text": "Blue.", "language": "en"}`,
			func() Change { c := put("note:sky", "text/plain", "Blue."); c.Language = "en"; return c }()},
		{"an empty document", nil, `{"uri": "note:sky", "content": ""}`, put("note:sky", "", "")},
		{"a document to fetch", nil, `{"uri": "https://wiki.example/sky", "fetch": true}`, Change{URI: "https://wiki.example/sky", Op: tributary.OpFetch}},
		{"a deletion", nil, `{"uri": "note:sky", "deleted": true}`, Change{URI: "note:sky", Op: tributary.OpDelete}},
		{"a document as it is", header("Tributary-Uri: note:sky", "Content-Type: text/html", "Tributary-Title: Sky", "Tributary-Meta-Team: a"), "<p>Blue.",
			func() Change {
				c := put("note:sky", "text/html", "<p>Blue.")
				c.Title, c.Metadata = "Sky", map[string]string{"team": "a"}
				return c
			}()},
		{"a document that is JSON", header("Tributary-Uri: note:sky", "Content-Type: application/json"), `{"a": 1}`, put("note:sky", "application/json", `{"a": 1}`)},
		{"a deletion in headers", header("tributary-uri: note:sky", "tributary-op: delete"), "", Change{URI: "note:sky", Op: tributary.OpDelete}},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			got, err := Read(Message{tt.header, []byte(tt.body)})
			if err != nil {
				t.Fatal(err)
			}
			if diff := cmp.Diff([]Change{tt.want}, got); diff != "" {
				t.Errorf("(-want +got)\n%s", diff)
			}
		})
	}
}

func TestABatchIsReadInOrder(t *testing.T) {
	event := func(id, data string) string {
		return `{"specversion": "1.0", "type": "t", "source": "s:/", "id": "` + id + `", "datacontenttype": "text/plain", "data": ` + data + `}`
	}
	batch := header("Content-Type: application/cloudevents-batch+json")
	got, err := Read(Message{batch, []byte(`[` + event("1", `"a"`) + `,` + event("2", `"b"`) + `]`)})
	if err != nil || len(got) != 2 || got[0].URI != "s:/1" || string(got[1].Content) != "b" {
		t.Errorf("%+v, %v", got, err)
	}
	if got, err := Read(Message{batch, []byte(`[]`)}); err != nil || len(got) != 0 {
		t.Errorf("an empty batch: %+v, %v", got, err)
	}
	if got, err := Read(Message{batch, []byte(`[` + event("1", `"a"`) + `,` + event("2", `3`) + `]`)}); err == nil || !strings.Contains(err.Error(), "event 2") {
		t.Errorf("a batch of which one event is bad: %+v, %v", got, err)
	}
	if _, err := Read(Message{batch, []byte("[" + strings.Repeat("{},", maxBatch) + "{}]")}); err == nil || !strings.Contains(err.Error(), "limit") {
		t.Errorf("a batch that is too long: %v", err)
	}
}

func TestMessagesThatAreRefused(t *testing.T) {
	structured := header("Content-Type: application/cloudevents+json")
	tests := []struct {
		name   string
		header map[string][]string
		body   string
		want   string // part of the error
	}{
		{"nothing", nil, "", "JSON"},
		{"no uri", nil, `{"text": "Blue."}`, "uri"},
		{"no content", nil, `{"uri": "note:sky"}`, "give one of"},
		{"two contents", nil, `{"uri": "note:sky", "text": "a", "deleted": true}`, "give one of"},
		{"a reference to the blob store", nil, `{"uri": "note:sky", "content_ref": "x"}`, "content_ref"},
		{"a fetch of what is no address", nil, `{"uri": "file:///etc/passwd", "fetch": true}`, "fetched"},
		{"a uri with control characters", header("Tributary-Uri: a\x07"), "x", "control"},
		{"a content type that is none", nil, `{"uri": "note:sky", "text": "a", "content_type": "text/"}`, "content type"},
		{"an unknown operation", header("Tributary-Uri: a", "Tributary-Op: burn"), "x", "burn"},
		{"text without a name", header("Content-Type: text/plain"), "Blue.", "Tributary-Uri"},
		{"an event of another format", header("Content-Type: application/cloudevents+avro"), "", "JSON"},
		{"an event of an old version", structured, `{"specversion": "0.3", "type": "t", "source": "s", "id": "1", "data": {"text": "a"}}`, "specversion"},
		{"an event without source", structured, `{"specversion": "1.0", "type": "t", "id": "1", "data": {"text": "a"}}`, "source"},
		{"an event with two kinds of data", structured, `{` + example + `, "data": 1, "data_base64": ""}`, "both"},
		{"an event with broken base64", structured, `{` + example + `, "data_base64": "!"}`, "data_base64"},
		{"an event with an object as attribute", structured, `{` + example + `, "subject": {}}`, "subject"},
		{"an event without data", structured, `{` + example + `}`, "no data"},
		{"an event of somebody else", structured, `{` + example + `, "data": {"appinfoA": "abc", "appinfoB": 123}}`, "give one of"},
		{"an event that is a string", structured, `{` + example + `, "data": "I'm just a string"}`, "add"},
		{"a deletion of nothing", structured, `{` + example + `, "tributaryop": "delete"}`, "does not name"},
		{"an event that is no object", structured, `[]`, "object"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			if got, err := Read(Message{tt.header, []byte(tt.body)}); err == nil || !strings.Contains(err.Error(), tt.want) {
				t.Errorf("%+v, error %v, want one with %q", got, err, tt.want)
			}
		})
	}
}

// Whatever comes, what is read can be published, and says the same when it is
// read again as a document.
func FuzzRead(f *testing.F) {
	f.Add("application/cloudevents+json", "", "", "", `{`+example+`, "subject": "sky", "datacontenttype": "text/plain", "data": "Blue."}`)
	f.Add("application/cloudevents-batch+json", "", "", "", `[{`+example+`, "data": {"text": "a"}}, {`+example+`, "tributaryop": "delete", "subject": "b"}]`)
	f.Add("text/plain", "1.0", "/s", "s:%41", "Blue.")
	f.Add("", "", "", "", `{"uri": "note:sky", "content": "", "metadata": {"": "x"}}`)
	f.Fuzz(func(t *testing.T, kind, version, source, subject, body string) {
		h := header("Content-Type: "+kind, "ce-specversion: "+version, "ce-source: "+source, "ce-id: 1", "ce-type: t", "ce-subject: "+subject)
		changes, err := Read(Message{h, []byte(body)})
		if err != nil {
			if changes != nil {
				t.Fatalf("an error and %d changes", len(changes))
			}
			return
		}
		for _, c := range changes {
			if err := tributary.CheckURI(c.URI); err != nil {
				t.Error(err)
			}
			if (c.Op == tributary.OpPut) != (c.Content != nil) {
				t.Errorf("%s with content %v", c.Op, c.Content)
			}
			if _, err := json.Marshal(c); err != nil {
				t.Error(err)
			}
			if c.Op != tributary.OpPut || strings.HasPrefix(c.ContentType, "application/cloudevents") {
				continue
			}
			again, err := Read(Message{header("Tributary-Uri: "+c.URI, "Content-Type: "+c.ContentType), c.Content})
			if err != nil || len(again) != 1 || again[0].URI != c.URI || string(again[0].Content) != string(c.Content) {
				t.Errorf("%q read again is %+v, %v", c.URI, again, err)
			}
		}
	})
}
