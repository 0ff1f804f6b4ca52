package gateway

import (
	"encoding/json"
	"errors"
	"io"
	"mime"
	"net/http"
	"strconv"
	"strings"

	"github.com/tributary-kb/tributary"
)

// problem is an error as a body. Its shape is that of OpenAI's errors, which
// clients of either interface can read.
type problem struct {
	Error problemDetail `json:"error"`
}

type problemDetail struct {
	Message string `json:"message"`
	Type    string `json:"type"` // invalid_request_error or server_error
	// Param is always null: the message names what is wrong.
	Param *string `json:"param"`
	Code  string  `json:"code"` // as in docs/protocol.md
}

// fail answers with err, under the status that its code names.
func (h *handler) fail(w http.ResponseWriter, r *http.Request, err error) {
	code := tributary.CodeOf(err)
	status, convErr := strconv.Atoi(string(code))
	if convErr != nil || status < 400 || status > 599 {
		status = http.StatusInternalServerError
	}
	if r.Context().Err() != nil {
		return // nobody listens any more
	}
	if status == http.StatusInternalServerError {
		h.cfg.Log.ErrorContext(r.Context(), "request", "method", r.Method, "path", r.URL.Path, "error", err)
	}
	if code == tributary.CodeBusy || code == tributary.CodeUnavailable {
		w.Header().Set("Retry-After", "1")
	}
	writeError(w, r, status, string(code), err.Error())
}

func writeError(w http.ResponseWriter, _ *http.Request, status int, code, message string) {
	writeJSON(w, status, newProblem(status, code, message))
}

func newProblem(status int, code, message string) problem {
	kind := "invalid_request_error"
	if status >= http.StatusInternalServerError {
		kind = "server_error"
	}
	return problem{problemDetail{Message: message, Type: kind, Code: code}}
}

func writeJSON(w http.ResponseWriter, status int, body any) {
	data, err := json.Marshal(body)
	if err != nil {
		status, data = http.StatusInternalServerError, []byte(`{"error":{"message":"the reply cannot be encoded","type":"server_error","code":"500"}}`)
	}
	w.Header().Set("Content-Type", "application/json")
	w.WriteHeader(status)
	_, _ = w.Write(append(data, '\n'))
}

// maxQuery bounds the body of a request that carries no document.
const maxQuery = 1 << 20

// read decodes a JSON body of at most limit bytes. An unknown field is ignored,
// as in the NATS protocol.
func read[T any](w http.ResponseWriter, r *http.Request, limit int64) (T, error) {
	var body T
	if kind, _, err := mime.ParseMediaType(r.Header.Get("Content-Type")); err != nil || kind != "application/json" {
		return body, tributary.Errorf(tributary.CodeInvalid, "Content-Type is %q, want application/json", r.Header.Get("Content-Type"))
	}
	data, err := readAll(w, r, limit)
	if err != nil {
		return body, err
	}
	if err := json.Unmarshal(data, &body); err != nil {
		return body, tributary.Errorf(tributary.CodeInvalid, "the body is not what is wanted: %w", err)
	}
	return body, nil
}

func readAll(w http.ResponseWriter, r *http.Request, limit int64) ([]byte, error) {
	data, err := io.ReadAll(http.MaxBytesReader(w, r.Body, limit))
	if _, tooLarge := errors.AsType[*http.MaxBytesError](err); tooLarge {
		return nil, tributary.Errorf(tributary.CodeTooLarge, "the body has more than %d bytes (ingest.max_bytes bounds a document)", limit)
	}
	if err != nil {
		return nil, tributary.Errorf(tributary.CodeInvalid, "read the body: %w", err)
	}
	return data, nil
}

// An eventStream writes server-sent events. The status is decided by the first
// one: before it, an error still has its own.
type eventStream struct {
	w       http.ResponseWriter
	started bool
}

func (s *eventStream) send(event string, body any) error {
	data, err := json.Marshal(body)
	if err != nil {
		return err
	}
	return s.write(event, string(data))
}

func (s *eventStream) write(event, data string) error {
	if !s.started {
		s.started = true
		s.w.Header().Set("Content-Type", "text/event-stream")
		s.w.Header().Set("Cache-Control", "no-store")
		s.w.Header().Set("X-Accel-Buffering", "no") // proxies pass it on at once
		s.w.WriteHeader(http.StatusOK)
	}
	var b strings.Builder
	if event != "" {
		b.WriteString("event: " + event + "\n")
	}
	b.WriteString("data: " + data + "\n\n")
	if _, err := io.WriteString(s.w, b.String()); err != nil {
		return err
	}
	return http.NewResponseController(s.w).Flush()
}

func acceptsEvents(r *http.Request) bool {
	return strings.Contains(r.Header.Get("Accept"), "text/event-stream")
}
