// Package push reads what programs push: a NATS message or an HTTP request
// comes in, the changes of documents that it asks for come out. It also listens
// to HTTP, for those who can prove who they are. It publishes nothing itself.
package push

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"mime"
	"strings"

	"github.com/tributary-kb/tributary"
)

// A Message is what came, over NATS or HTTP.
type Message struct {
	Header map[string][]string // names in any case
	Body   []byte
}

// A Change is what a message asks for: a document, or that there is none.
type Change struct {
	tributary.Attributes
	URI     string
	Op      tributary.Op // put, fetch or delete
	Content []byte       // of a put, never nil then
	// Origin is for the manifest: of an event its id, source, type and time.
	Origin map[string]string
	// ID tells events apart, "" for what is no event.
	ID string
}

// Headers of a message whose body is the document itself.
const (
	HeaderURI      = "Tributary-Uri"
	HeaderOp       = "Tributary-Op" // "put", which need not be said, or "delete"
	HeaderTitle    = "Tributary-Title"
	HeaderLanguage = "Tributary-Language"
	HeaderMeta     = "Tributary-Meta-" // and the key
)

// Media types of CloudEvents.
const (
	typeEvent = "application/cloudevents+json"
	typeBatch = "application/cloudevents-batch+json"
)

// Read returns the changes that a message asks for, in order: one, or as many
// as a batch has, which may be none. In order of trial a message is a
// CloudEvent (by its media type, or by the header ce-specversion), a document
// (by the header Tributary-Uri), or JSON in the form of AddRequest, which may
// have "deleted": true. A message that cannot be read is refused as a whole.
func Read(m Message) ([]Change, error) {
	h := lower(m.Header)
	kind, _, err := mime.ParseMediaType(h["content-type"])
	if err != nil && h["content-type"] != "" {
		return nil, fmt.Errorf("content type %q: %w", h["content-type"], err)
	}
	switch {
	case kind == typeBatch:
		return readBatch(m.Body)
	case kind == typeEvent:
		return one(readStructured(m.Body))
	case strings.HasPrefix(kind, "application/cloudevents"):
		return nil, fmt.Errorf("content type %s: of CloudEvents the JSON format is read", kind)
	case h["ce-specversion"] != "":
		return one(readBinary(h, m.Body))
	case h[strings.ToLower(HeaderURI)] != "":
		return one(readDocument(h, m.Body))
	case isJSON(kind) || kind == "":
		if isEvent(m.Body) { // NATS messages often have no headers
			return one(readStructured(m.Body))
		}
		return one(readForm(m.Body, Change{}))
	}
	return nil, fmt.Errorf("content type %s: the message names no document, give it the header %s", kind, HeaderURI)
}

func one(c Change, err error) ([]Change, error) {
	if err == nil {
		err = c.check()
	}
	if err != nil {
		return nil, err
	}
	return []Change{c}, nil
}

// lower returns the first value of each header under its name in lower case.
func lower(header map[string][]string) map[string]string {
	h := make(map[string]string, len(header))
	for name, values := range header {
		if len(values) > 0 {
			h[strings.ToLower(name)] = values[0]
		}
	}
	return h
}

// isJSON reports whether a media type is JSON as CloudEvents define it.
func isJSON(kind string) bool {
	kind = strings.ToLower(kind)
	return strings.HasSuffix(kind, "/json") || strings.HasSuffix(kind, "+json")
}

func isEvent(body []byte) bool {
	var e struct {
		SpecVersion string `json:"specversion"`
	}
	return json.Unmarshal(body, &e) == nil && e.SpecVersion != ""
}

// readDocument reads a message whose body is the document.
func readDocument(h map[string]string, body []byte) (Change, error) {
	get := func(name string) string { return h[strings.ToLower(name)] }
	c := Change{URI: get(HeaderURI), Op: tributary.OpPut, Attributes: tributary.Attributes{
		Title: get(HeaderTitle), Language: get(HeaderLanguage), ContentType: get("Content-Type"),
	}}
	prefix := strings.ToLower(HeaderMeta)
	for name, value := range h {
		if key, ok := strings.CutPrefix(name, prefix); ok {
			c.describe(key, value)
		}
	}
	switch op := get(HeaderOp); op {
	case "", string(tributary.OpPut):
		c.Content = notNil(body)
	case string(tributary.OpDelete):
		c.Op = tributary.OpDelete
	default:
		return c, fmt.Errorf("header %s: %q is neither put nor delete", HeaderOp, op)
	}
	return c, nil
}

// form is the body of an AddRequest, or of a deletion.
type form struct {
	tributary.AddRequest
	Deleted bool `json:"deleted"`
}

// readForm reads JSON in the form of AddRequest. What base says already, JSON
// overrides where it says something.
func readForm(body []byte, base Change) (Change, error) {
	var f form
	if err := json.Unmarshal(body, &f); err != nil {
		return base, fmt.Errorf("the JSON is not what `add` takes: %w", err)
	}
	c := base
	override(&c.URI, f.URI)
	override(&c.Title, f.Title)
	override(&c.Language, f.Language)
	for key, value := range f.Metadata {
		c.describe(key, value)
	}
	c.ContentType, c.Op = f.ContentType, tributary.OpPut
	given := 0
	if f.Text != "" {
		given++
		c.Content = []byte(f.Text)
		if c.ContentType == "" {
			c.ContentType = "text/plain"
		}
	}
	if f.Content != nil {
		given++
		c.Content = f.Content
	}
	if f.Fetch {
		given++
		c.Op = tributary.OpFetch
	}
	if f.Deleted {
		given++
		c.Op = tributary.OpDelete
	}
	switch {
	case f.ContentRef != "":
		return c, errors.New("content_ref is not taken here: give text, content, fetch or deleted")
	case given != 1:
		return c, errors.New("give one of text, content, fetch and deleted")
	}
	return c, nil
}

// describe adds metadata.
func (c *Change) describe(key, value string) {
	if key == "" || value == "" {
		return
	}
	if c.Metadata == nil {
		c.Metadata = map[string]string{}
	}
	c.Metadata[key] = value
}

// check reports why the change cannot be asked for.
func (c *Change) check() error {
	if err := tributary.CheckURI(c.URI); err != nil {
		return err
	}
	if c.Op == tributary.OpFetch {
		if err := tributary.CheckFetch(c.URI); err != nil {
			return err
		}
	}
	for _, text := range []string{c.Title, c.Language, c.ContentType} {
		if strings.ToValidUTF8(text, "") != text {
			return fmt.Errorf("%q: %q is not valid UTF-8", c.URI, text)
		}
	}
	if c.ContentType == "" {
		return nil
	}
	kind, _, err := mime.ParseMediaType(c.ContentType)
	if err != nil {
		return fmt.Errorf("%q: content type %q: %w", c.URI, c.ContentType, err)
	}
	c.ContentType = kind
	return nil
}

func override(v *string, by string) {
	if by != "" {
		*v = by
	}
}

func notNil(b []byte) []byte {
	if b == nil {
		return []byte{}
	}
	return b
}

// isObject reports whether JSON text is an object.
func isObject(data []byte) bool { return bytes.HasPrefix(bytes.TrimSpace(data), []byte("{")) }
