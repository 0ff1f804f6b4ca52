package queryworker

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"strings"
	"time"
	"unicode"

	"github.com/tributary-kb/tributary"
)

// errNoUsage says that the server does not know how to be asked for counts.
var errNoUsage = errors.New("the server does not know stream_options")

// refusal turns an answer that is not 200 into an error that says what to do.
func (c *Chat) refusal(resp *http.Response, s *stream) error {
	data, _ := io.ReadAll(io.LimitReader(s.body, 8<<10)) // what came is enough for a message
	status := fmt.Sprintf("%s answered %d", c.host(), resp.StatusCode)
	if said := complaint(data, s.hide); said != "" {
		status += " (" + said + ")"
	}
	after := retryAfter(resp.Header.Get("Retry-After"), time.Now())
	switch code := resp.StatusCode; {
	case code >= 300 && code < 400:
		return unavailable("%s, a redirect to %s: set generator.base_url to where the server is", status, printable(resp.Header.Get("Location"), s.hide))
	case code == http.StatusUnauthorized || code == http.StatusForbidden:
		return unavailable("%s: check the key in generator.api_key_file or generator.api_key_env", status)
	case code == http.StatusNotFound || code == http.StatusMethodNotAllowed:
		return unavailable("%s: check generator.base_url and generator.model", status)
	case code == http.StatusTooManyRequests:
		return busy(after, "%s: it has too many requests, or the account's quota is used up", status)
	case passing(code):
		return busy(after, "%s: it is in trouble; generator.base_url names another", status)
	case code >= 500:
		return unavailable("%s: it is in trouble; generator.base_url names another", status)
	case (code == http.StatusBadRequest || code == http.StatusUnprocessableEntity) && bytes.Contains(data, []byte("stream_options")):
		return unavailable("%s: %w", status, errNoUsage)
	case code == http.StatusBadRequest || code == http.StatusRequestEntityTooLarge:
		return unavailable("%s: check generator.model, and lower generator.max_context_tokens if the prompt was too long", status)
	}
	return unavailable("%s: check generator.base_url", status)
}

// complaint returns the message of an error body: {"error":{"message":...}},
// {"error":"..."}, {"message":...} or {"detail":...}; else the text itself.
func complaint(data []byte, hide string) string {
	var body struct {
		Error   json.RawMessage `json:"error"`
		Message string          `json:"message"`
		Detail  json.RawMessage `json:"detail"`
	}
	if json.Unmarshal(data, &body) != nil {
		if bytes.HasPrefix(bytes.TrimSpace(data), []byte("<")) { // a page of some proxy
			return ""
		}
		return printable(string(data), hide)
	}
	for _, raw := range []json.RawMessage{body.Error, body.Detail} {
		var text string
		var object struct {
			Message string `json:"message"`
		}
		if json.Unmarshal(raw, &text) == nil && text != "" {
			return printable(text, hide)
		}
		if json.Unmarshal(raw, &object) == nil && object.Message != "" {
			return printable(object.Message, hide)
		}
	}
	return printable(body.Message, hide)
}

// printable makes one short line of what a server said, without the key.
func printable(s, hide string) string {
	if hide != "" {
		s = strings.ReplaceAll(s, hide, "[key]")
	}
	s = strings.Map(func(r rune) rune {
		if unicode.IsControl(r) {
			return ' '
		}
		return r
	}, strings.ToValidUTF8(s, ""))
	s = strings.Join(strings.Fields(s), " ")
	if runes := []rune(s); len(runes) > 300 {
		s = string(runes[:300]) + "..."
	}
	return s
}

func unavailable(format string, args ...any) error {
	return tributary.Errorf(tributary.CodeUnavailable, format, args...)
}
