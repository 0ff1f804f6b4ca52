package push

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"strconv"
	"strings"
	"time"

	"github.com/tributary-kb/tributary"
)

// ErrPaused is part of the error of a Hooks for a source that is paused.
var ErrPaused = errors.New("the source is paused")

// Hooks are the sources that documents are sent to by HTTP. Their errors carry
// protocol codes.
type Hooks interface {
	// Find returns a source, if it takes documents now.
	Find(ctx context.Context, kb, name string) (tributary.Source, error)
	// Publish stores what is asked for, in order, and returns when that is done.
	// What was stored under the same id before gets the receipts that it got;
	// "" is no id.
	Publish(ctx context.Context, kb, name, id string, changes []Change) ([]tributary.Receipt, error)
	// Refused shows to a person that a request came to nothing.
	Refused(ctx context.Context, kb, name, reason string)
}

// Config of a Listener. All fields are needed.
type Config struct {
	// Listen is host:port; port 0 takes a free one, and without a host only this
	// machine is served.
	Listen string
	// MaxBytes bounds the body of a request.
	MaxBytes int64
	Hooks    Hooks
	// Secrets returns the secrets of a source, at least one. It is asked for
	// each request, so that they can be replaced.
	Secrets func(tributary.SourceOptions) ([]string, error)
	Log     *slog.Logger
}

const (
	maxAtOnce    = 32               // requests; together with MaxBytes it bounds the memory
	patience     = 20 * time.Second // with a stream that is full
	pausedFor    = 60               // seconds after which to try a paused source again
	readTimeout  = time.Minute
	maxHeader    = 64 << 10
	pathOfSource = "/hooks/{kb}/{source}"
)

// A Listener takes documents over HTTP until it is closed.
type Listener struct {
	cfg      Config
	listener net.Listener
	server   *http.Server
	slots    chan struct{}
}

// Listen returns a listener that has its address and serves nothing yet.
func Listen(ctx context.Context, cfg Config) (*Listener, error) {
	address := cfg.Listen
	if strings.HasPrefix(address, ":") {
		address = "127.0.0.1" + address
	}
	listener, err := (&net.ListenConfig{}).Listen(ctx, "tcp", address)
	if err != nil {
		return nil, fmt.Errorf("serve webhooks (sources.webhook_listen): %w", err)
	}
	l := &Listener{cfg: cfg, listener: listener, slots: make(chan struct{}, maxAtOnce)}
	mux := http.NewServeMux()
	for _, method := range []string{http.MethodPost, http.MethodPut, http.MethodDelete} {
		mux.HandleFunc(method+" "+pathOfSource, l.serve)
	}
	mux.HandleFunc("GET /healthz", func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(http.StatusNoContent) })
	l.server = &http.Server{
		Handler: mux, ReadHeaderTimeout: 10 * time.Second, ReadTimeout: readTimeout, WriteTimeout: readTimeout + 2*patience,
		IdleTimeout: 2 * time.Minute, MaxHeaderBytes: maxHeader, ErrorLog: slog.NewLogLogger(cfg.Log.Handler(), slog.LevelWarn),
	}
	return l, nil
}

// URL is the address for clients.
func (l *Listener) URL() string { return "http://" + l.listener.Addr().String() }

// Serve answers requests until ctx ends, and then those that are under way for
// at most grace.
func (l *Listener) Serve(ctx context.Context, grace time.Duration) error {
	failed := make(chan error, 1)
	go func() { failed <- l.server.Serve(l.listener) }()
	select {
	case err := <-failed:
		return fmt.Errorf("serve webhooks: %w", err)
	case <-ctx.Done():
	}
	last, cancel := context.WithTimeout(context.WithoutCancel(ctx), grace)
	defer cancel()
	err := l.server.Shutdown(last)
	if errors.Is(err, context.DeadlineExceeded) {
		err = l.server.Close()
	}
	if ended := <-failed; !errors.Is(ended, http.ErrServerClosed) {
		err = errors.Join(err, ended)
	}
	return err
}

// serve answers one request.
func (l *Listener) serve(w http.ResponseWriter, r *http.Request) {
	select {
	case l.slots <- struct{}{}:
		defer func() { <-l.slots }()
	default:
		l.fail(w, r, tributary.Errorf(tributary.CodeBusy, "%d requests are under way, which is as many as are taken at once", maxAtOnce))
		return
	}
	ctx, cancel := context.WithTimeout(r.Context(), readTimeout+patience)
	defer cancel()
	kb, name := r.PathValue("kb"), r.PathValue("source")
	src, err := l.cfg.Hooks.Find(ctx, kb, name)
	if err != nil {
		l.fail(w, r, err)
		return
	}
	reply, err := l.handle(ctx, w, r.WithContext(ctx), kb, src)
	if err != nil {
		if code := tributary.CodeOf(err); r.Context().Err() == nil && code != tributary.CodeBusy && code != tributary.CodeUnavailable {
			l.cfg.Hooks.Refused(ctx, kb, name, fmt.Sprintf("%s from %s: %v", r.Method, host(r.RemoteAddr), err))
		}
		l.fail(w, r, err)
		return
	}
	writeJSON(w, http.StatusAccepted, reply)
}

func host(address string) string {
	name, _, err := net.SplitHostPort(address)
	if err != nil {
		return address
	}
	return name
}

// The codes of HTTP that the protocol has no use for.
const (
	codeUnproven  tributary.Code = "401"
	codeForbidden tributary.Code = "403"
)

// handle returns the receipts of what a request asks for: one, or a list where
// it has a batch.
func (l *Listener) handle(ctx context.Context, w http.ResponseWriter, r *http.Request, kb string, src tributary.Source) (any, error) {
	body, how, err := l.prove(w, r, src)
	if err != nil {
		return nil, err
	}
	m, err := messageOf(r, body, how)
	if err != nil {
		return nil, err
	}
	changes, err := Read(m)
	if err != nil {
		return nil, tributary.Errorf(tributary.CodeInvalid, "%w", err)
	}
	publish, cancel := context.WithTimeout(ctx, patience)
	defer cancel()
	receipts, err := l.cfg.Hooks.Publish(publish, kb, src.Name, requestID(r.Header, how, changes), changes)
	if errors.Is(err, context.DeadlineExceeded) {
		return nil, tributary.Errorf(tributary.CodeUnavailable, "not stored within %v: %w", patience, err)
	}
	if err != nil {
		return nil, err
	}
	if mediaType(r.Header.Get("Content-Type")) == typeBatch || len(receipts) != 1 {
		return receipts, nil
	}
	return receipts[0], nil
}

// prove reads the body of a request once its sender has shown that they know
// a secret, or to check that they do.
func (l *Listener) prove(w http.ResponseWriter, r *http.Request, src tributary.Source) ([]byte, proof, error) {
	how := proofOf(r.Header)
	secrets, err := l.cfg.Secrets(src.Options)
	if err != nil {
		l.cfg.Log.ErrorContext(r.Context(), "secret of a webhook", "source", src.Name, "error", err)
		return nil, how, tributary.Errorf(tributary.CodeInternal, "the worker cannot use the secret of the source; its log has more")
	}
	if !how.signed() {
		if err := how.verify(r.Header, nil, secrets); err != nil {
			return nil, how, tributary.Errorf(codeUnproven, "%w", err)
		}
	}
	body, err := io.ReadAll(http.MaxBytesReader(w, r.Body, l.cfg.MaxBytes))
	if _, tooLarge := errors.AsType[*http.MaxBytesError](err); tooLarge {
		return nil, how, tributary.Errorf(tributary.CodeTooLarge, "the body has more than %d bytes (sources.webhook_max_bytes)", l.cfg.MaxBytes)
	}
	if err != nil {
		return nil, how, tributary.Errorf(tributary.CodeInvalid, "read the body: %w", err)
	}
	if how.signed() {
		if err := how.verify(r.Header, body, secrets); err != nil {
			return nil, how, tributary.Errorf(codeUnproven, "%w", err)
		}
	}
	return body, how, nil
}

// messageOf returns what a request says. A signature covers the body and
// neither method, address nor headers: who records a signed request must not
// be able to make another one of it. So the body has to say everything then.
func messageOf(r *http.Request, body []byte, how proof) (Message, error) {
	kind := r.Header.Get("Content-Type")
	if how.signed() {
		if r.Method != http.MethodPost || r.Header.Get("Ce-Specversion") != "" || r.Header.Get(HeaderURI) != "" {
			return Message{}, tributary.Errorf(codeForbidden,
				"a signature covers the body alone: send a POST whose body says everything (JSON, or a CloudEvent in structured mode), or use a bearer token")
		}
		return Message{map[string][]string{"Content-Type": {kind}}, body}, nil
	}
	if r.Method == http.MethodPost {
		return Message{r.Header, body}, nil
	}
	q := r.URL.Query()
	if q.Get("uri") == "" {
		return Message{}, tributary.Errorf(tributary.CodeInvalid, "%s names the document in the address: ?uri=...", r.Method)
	}
	h := map[string][]string{HeaderURI: {q.Get("uri")}}
	if r.Method == http.MethodDelete {
		h[HeaderOp] = []string{string(tributary.OpDelete)}
		return Message{h, nil}, nil
	}
	h[HeaderTitle], h[HeaderLanguage] = q["title"], q["language"]
	for name, values := range q {
		if key, ok := strings.CutPrefix(name, "meta."); ok {
			h[HeaderMeta+key] = values
		}
	}
	switch kind { // what clients send when they do not know it
	case "application/octet-stream", "application/x-www-form-urlencoded":
	default:
		h["Content-Type"] = []string{kind}
	}
	return Message{h, body}, nil
}

// requestID names a request, or the one event that it has.
func requestID(h http.Header, how proof, changes []Change) string {
	switch id := how.id(h); {
	case id != "":
		return "request " + id
	case len(changes) == 1 && changes[0].ID != "":
		return "event " + changes[0].ID
	}
	return ""
}

// problem is an error as a body, in the shape of the gateway's.
type problem struct {
	Error problemDetail `json:"error"`
}

type problemDetail struct {
	Message string `json:"message"`
	Code    string `json:"code"`
}

func (l *Listener) fail(w http.ResponseWriter, r *http.Request, err error) {
	code := tributary.CodeOf(err)
	status, convErr := strconv.Atoi(string(code))
	if convErr != nil || status < 400 || status > 599 {
		status = http.StatusInternalServerError
	}
	message := err.Error()
	switch {
	case errors.Is(err, ErrPaused):
		w.Header().Set("Retry-After", strconv.Itoa(pausedFor))
	case code == tributary.CodeBusy || code == tributary.CodeUnavailable:
		w.Header().Set("Retry-After", "5")
	case code == codeUnproven:
		w.Header().Set("WWW-Authenticate", "Bearer")
	case status == http.StatusInternalServerError:
		l.cfg.Log.ErrorContext(r.Context(), "webhook", "path", r.URL.Path, "error", err)
		message = "internal error; the worker's log has more"
	}
	writeJSON(w, status, problem{problemDetail{message, string(code)}})
}

func writeJSON(w http.ResponseWriter, status int, body any) {
	data, err := json.Marshal(body)
	if err != nil {
		status, data = http.StatusInternalServerError, []byte(`{"error":{"message":"the reply cannot be encoded","code":"500"}}`)
	}
	w.Header().Set("Content-Type", "application/json")
	w.WriteHeader(status)
	_, _ = w.Write(append(data, '\n'))
}
