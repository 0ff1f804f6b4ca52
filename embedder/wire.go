package embedder

import (
	"encoding/base64"
	"encoding/binary"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"math"
	"math/rand/v2"
	"net/http"
	"strconv"
	"strings"
	"time"

	"github.com/tributary-kb/tributary"
)

// How vectors are encoded in replies.
const (
	encodingFloat  = "float"
	encodingBase64 = "base64"
)

const (
	// maxReplyBytes bounds a reply: 2,048 vectors of 3,072 components as
	// decimal numbers are 130 MB.
	maxReplyBytes = 256 << 20
	// configPause is how long work is held that only a change of the
	// configuration, here or at the server, can help.
	configPause = 30 * time.Second
	// firstPause is the mean pause before the second attempt; it doubles.
	firstPause = 500 * time.Millisecond
)

// reply is the body of a successful response.
type reply struct {
	Data []struct {
		Index     *int      `json:"index"`
		Embedding embedding `json:"embedding"`
	} `json:"data"`
	Usage tokenUsage `json:"usage"`
}

type tokenUsage struct {
	Prompt int64 `json:"prompt_tokens"`
	Total  int64 `json:"total_tokens"`
}

func (u tokenUsage) tokens() int64 { return max(u.Prompt, u.Total) }

func readReply(body io.Reader) (*reply, error) {
	limited := &io.LimitedReader{R: body, N: maxReplyBytes}
	var r reply
	if err := json.NewDecoder(limited).Decode(&r); err != nil {
		if limited.N <= 0 {
			return nil, fmt.Errorf("decode the reply: it has more than %d bytes", int64(maxReplyBytes))
		}
		return nil, fmt.Errorf("decode the reply: %w", err)
	}
	return &r, nil
}

// inOrder returns the vectors by their index. Servers that give no index at
// all keep the order of the request.
func (r *reply) inOrder(count int) ([]tributary.Vector, error) {
	if len(r.Data) != count {
		return nil, fmt.Errorf("%d vectors for %d texts", len(r.Data), count)
	}
	vectors := make([]tributary.Vector, count)
	for i, d := range r.Data {
		at := i
		if d.Index != nil {
			at = *d.Index
		}
		if at < 0 || at >= count {
			return nil, fmt.Errorf("index %d for %d texts", at, count)
		}
		if vectors[at] != nil {
			return nil, fmt.Errorf("two vectors with index %d", at)
		}
		if d.Embedding == nil {
			return nil, fmt.Errorf("no vector with index %d", at)
		}
		vectors[at] = tributary.Vector(d.Embedding)
	}
	return vectors, nil
}

// An embedding is a vector as numbers or as the base64 of little-endian
// float32.
type embedding tributary.Vector

// UnmarshalJSON implements json.Unmarshaler.
func (e *embedding) UnmarshalJSON(data []byte) error {
	if len(data) == 0 || data[0] != '"' {
		// A null among the numbers is what some servers make of NaN; it must
		// not pass for 0.
		var numbers []*float32
		if err := json.Unmarshal(data, &numbers); err != nil {
			return err
		}
		if numbers == nil {
			return nil
		}
		*e = make(embedding, len(numbers))
		for i, x := range numbers {
			if x == nil {
				(*e)[i] = float32(math.NaN())
			} else {
				(*e)[i] = *x
			}
		}
		return nil
	}
	var text string
	if err := json.Unmarshal(data, &text); err != nil {
		return err
	}
	raw, err := base64.StdEncoding.DecodeString(text)
	if err != nil {
		return err
	}
	if len(raw)%4 != 0 {
		return fmt.Errorf("embedding of %d bytes is not a whole number of float32", len(raw))
	}
	*e = make(embedding, len(raw)/4)
	for i := range *e {
		(*e)[i] = math.Float32frombits(binary.LittleEndian.Uint32(raw[4*i:]))
	}
	return nil
}

// A statusError is a response other than 200.
type statusError struct {
	code    int
	server  string // base URL
	message string // what the server says, without the key
	quota   bool   // the account has no credit left
	after   time.Duration
}

// Error implements error.
func (e *statusError) Error() string {
	text := fmt.Sprintf("%s answers %d %s", e.server, e.code, http.StatusText(e.code))
	if e.message != "" {
		text += ": " + e.message
	}
	return text
}

// aboutContent reports whether the server refuses what the request contains.
func (e *statusError) aboutContent() bool {
	switch e.code {
	case http.StatusBadRequest, http.StatusRequestEntityTooLarge, http.StatusUnprocessableEntity:
		return true
	}
	return false
}

// temporary reports whether the same request may succeed later. TEI answers
// 424 if its backend fails.
func (e *statusError) temporary() bool {
	switch e.code {
	case http.StatusRequestTimeout, http.StatusConflict, http.StatusTooManyRequests, http.StatusFailedDependency:
		return true
	}
	return e.code >= 500
}

// quotaPause is how long work is held for an account without credit.
const quotaPause = 5 * time.Minute

func newStatusError(resp *http.Response, server, key string) *statusError {
	message, kind := errorText(readBounded(resp.Body))
	if key != "" {
		message = strings.ReplaceAll(message, key, "[key]")
	}
	return &statusError{
		code:    resp.StatusCode,
		server:  server,
		message: message,
		quota:   kind == "insufficient_quota",
		after:   retryAfter(resp.Header, time.Now()),
	}
}

// errorText reads the error bodies of OpenAI and Ollama ({"error": {"message",
// "type", "code"}}) and of TEI and old Ollama ({"error": "...", "error_type":
// "..."}); of anything else the beginning.
func errorText(body []byte) (message, kind string) {
	const most = 300
	var outer struct {
		Error     json.RawMessage `json:"error"`
		ErrorType string          `json:"error_type"`
	}
	if json.Unmarshal(body, &outer) == nil && len(outer.Error) > 0 {
		var inner struct {
			Message string `json:"message"`
			Code    any    `json:"code"`
			Type    string `json:"type"`
		}
		if json.Unmarshal(outer.Error, &message) == nil {
			kind = outer.ErrorType
		} else if json.Unmarshal(outer.Error, &inner) == nil {
			message, kind = inner.Message, inner.Type
			if code, ok := inner.Code.(string); ok && code != "" {
				kind = code
			}
		}
	}
	if message == "" {
		message = string(body)
	}
	message = strings.Join(strings.Fields(strings.ToValidUTF8(message, "?")), " ")
	if len(message) > most {
		message = strings.ToValidUTF8(message[:most], "") + "..."
	}
	return message, kind
}

// retryAfter reads Retry-After-Ms and Retry-After, in seconds or as a date; 0
// if there is neither.
func retryAfter(h http.Header, now time.Time) time.Duration {
	if ms, err := strconv.ParseFloat(h.Get("Retry-After-Ms"), 64); err == nil && ms > 0 && ms < math.MaxInt32 {
		return time.Duration(ms * float64(time.Millisecond))
	}
	value := h.Get("Retry-After")
	if s, err := strconv.ParseFloat(value, 64); err == nil && s > 0 && s < math.MaxInt32 {
		return time.Duration(s * float64(time.Second))
	}
	if at, err := http.ParseTime(value); err == nil && at.After(now) {
		return at.Sub(now)
	}
	return 0
}

// wait returns the pause after a failed attempt: what the server asks for, or
// twice the one before, with jitter.
func (m *OpenAI) wait(err error, attempt int) time.Duration {
	if status, ok := errors.AsType[*statusError](err); ok {
		switch {
		case status.after > 0:
			return status.after
		case status.quota:
			return quotaPause
		}
	}
	d := min(firstPause<<min(attempt-1, 10), m.cfg.MaxWait)
	return d/2 + rand.N(d/2+1)
}
