package push

import (
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"mime"
	"net/url"
	"strings"

	"github.com/tributary-kb/tributary"
)

// An event is a CloudEvent of version 1.0.
type event struct {
	attributes map[string]string // extensions too, as their canonical strings
	data       []byte            // nil if it has none
}

const maxBatch = 1000 // events

// deletedSuffix of an event's type says that its document is gone.
const deletedSuffix = ".deleted"

// Extension attributes that mean something here. metaExtension is followed by
// the key: metateam is the metadata "team".
const (
	opExtension       = "tributaryop" // "put" or "delete", before what the type says
	titleExtension    = "title"
	languageExtension = "language"
	dataRef           = "dataref" // of the claim check pattern
	metaExtension     = "meta"
)

func readBatch(body []byte) ([]Change, error) {
	var events []json.RawMessage
	if err := json.Unmarshal(body, &events); err != nil {
		return nil, fmt.Errorf("the batch is no array of events: %w", err)
	}
	if len(events) > maxBatch {
		return nil, fmt.Errorf("the batch has %d events, the limit is %d", len(events), maxBatch)
	}
	changes := make([]Change, len(events))
	for i, data := range events {
		c, err := one(readStructured(data))
		if err != nil {
			return nil, fmt.Errorf("event %d of the batch: %w", i+1, err)
		}
		changes[i] = c[0]
	}
	return changes, nil
}

// readStructured reads an event in the JSON format.
func readStructured(body []byte) (Change, error) {
	var members map[string]json.RawMessage
	if err := json.Unmarshal(body, &members); err != nil {
		return Change{}, fmt.Errorf("the event is no JSON object: %w", err)
	}
	e := event{attributes: map[string]string{}}
	for name, value := range members {
		if name == "data" || name == "data_base64" {
			continue
		}
		text, err := attribute(value)
		if err != nil {
			return Change{}, fmt.Errorf("attribute %s of the event: %w", name, err)
		}
		if text != "" {
			e.attributes[name] = text
		}
	}
	if err := e.decode(members); err != nil {
		return Change{}, err
	}
	return e.change()
}

// attribute returns a value of the JSON format as the string that it has in
// headers.
func attribute(value json.RawMessage) (string, error) {
	var text *string
	if err := json.Unmarshal(value, &text); err == nil {
		if text == nil {
			return "", nil
		}
		return *text, nil
	}
	var v any
	if err := json.Unmarshal(value, &v); err != nil {
		return "", err
	}
	switch v.(type) {
	case bool, float64:
		return string(value), nil
	}
	return "", errors.New("neither a string nor a number nor true or false")
}

// decode gets the data of an event in the JSON format.
func (e *event) decode(members map[string]json.RawMessage) error {
	data, plain := members["data"]
	encoded, binary := members["data_base64"]
	switch {
	case plain && binary:
		return errors.New("the event has both data and data_base64")
	case binary:
		var text string
		err := json.Unmarshal(encoded, &text)
		if err == nil {
			e.data, err = base64.StdEncoding.DecodeString(text)
		}
		if err != nil {
			return fmt.Errorf("data_base64 of the event: %w", err)
		}
		e.data = notNil(e.data)
	case plain && e.attributes["datacontenttype"] == "":
		e.attributes["datacontenttype"] = "application/json" // as the format says
		e.data = data
	case plain && isJSON(mediaType(e.attributes["datacontenttype"])):
		e.data = data
	case plain:
		var text string
		if err := json.Unmarshal(data, &text); err != nil {
			return fmt.Errorf("data of the event is %s and no string: %w", e.attributes["datacontenttype"], err)
		}
		e.data = []byte(text)
	}
	return nil
}

func mediaType(contentType string) string {
	kind, _, err := mime.ParseMediaType(contentType)
	if err != nil {
		return contentType
	}
	return kind
}

// readBinary reads an event whose attributes are headers and whose data is the
// body.
func readBinary(h map[string]string, body []byte) (Change, error) {
	e := event{attributes: map[string]string{}}
	for name, value := range h {
		attribute, ok := strings.CutPrefix(name, "ce-")
		if !ok {
			continue
		}
		text, err := url.PathUnescape(value)
		if err != nil { // some senders escape nothing
			text = value
		}
		e.attributes[attribute] = strings.Trim(text, `"`)
	}
	if kind := h["content-type"]; kind != "" {
		e.attributes["datacontenttype"] = kind
	}
	if len(body) > 0 {
		e.data = body
	}
	return e.change()
}

// change turns an event into what it asks for.
func (e event) change() (Change, error) {
	a := e.attributes
	if v := a["specversion"]; v != "1.0" {
		return Change{}, fmt.Errorf("specversion of the event is %q, want 1.0", v)
	}
	for _, name := range []string{"id", "source", "type"} {
		if a[name] == "" {
			return Change{}, fmt.Errorf("the event has no %s", name)
		}
	}
	c := Change{
		URI: e.uri(), Op: tributary.OpPut, ID: a["source"] + " " + a["id"],
		Attributes: tributary.Attributes{Title: a[titleExtension], Language: a[languageExtension], ContentType: a["datacontenttype"]},
		Origin:     map[string]string{"event": a["id"], "event_source": a["source"], "event_type": a["type"]},
	}
	if t := a["time"]; t != "" {
		c.Origin["event_time"] = t
	}
	for name, value := range a {
		if key, ok := strings.CutPrefix(name, metaExtension); ok {
			c.describe(key, value)
		}
	}
	op := a[opExtension]
	switch {
	case op == "delete", op == "" && strings.HasSuffix(strings.ToLower(a["type"]), deletedSuffix):
		c.Op = tributary.OpDelete
		return c, e.deletion(&c)
	case op != "" && op != "put":
		return c, fmt.Errorf("extension %s: %q is neither put nor delete", opExtension, op)
	case e.data == nil && a[dataRef] != "":
		c.URI, c.Op = a[dataRef], tributary.OpFetch
		c.ContentType = ""
		return c, nil
	case e.data == nil:
		return c, errors.New("the event has no data and no dataref")
	case isJSON(mediaType(a["datacontenttype"])):
		if !isObject(e.data) {
			return c, errors.New("data of the event is JSON and not in the form of `add`")
		}
		return readForm(e.data, c)
	}
	c.Content = e.data
	return c, nil
}

// deletion names the document that is gone. The id of the event that says so
// cannot.
func (e event) deletion(c *Change) error {
	var named struct {
		URI string `json:"uri"`
	}
	if isJSON(mediaType(e.attributes["datacontenttype"])) && isObject(e.data) && json.Unmarshal(e.data, &named) == nil && named.URI != "" {
		c.URI = named.URI
	} else if e.attributes["subject"] == "" && e.attributes[dataRef] == "" {
		return errors.New("the event deletes a document and does not name it: it has no subject")
	}
	c.Attributes = tributary.Attributes{}
	return nil
}

// uri names the document of an event: its subject if that is an address of its
// own, its subject below its source, or the place where its data is. Without
// any of them an event is a document by itself.
func (e event) uri() string {
	a := e.attributes
	subject := a["subject"]
	switch {
	case subject == "" && a[dataRef] != "":
		return a[dataRef]
	case subject == "":
		return join(a["source"], a["id"])
	case absolute(subject):
		return subject
	}
	return join(a["source"], subject)
}

func absolute(uri string) bool {
	u, err := url.Parse(uri)
	return err == nil && u.IsAbs()
}

func join(base, name string) string {
	return strings.TrimSuffix(base, "/") + "/" + strings.TrimPrefix(name, "/")
}
