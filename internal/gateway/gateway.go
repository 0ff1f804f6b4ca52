// Package gateway lets HTTP clients use a running system: a request comes in
// over HTTP, in the form of this project's REST interface, of OpenAI's chat
// completions or of MCP, and goes on as a request of the NATS protocol. The
// gateway decides nothing by itself and keeps nothing.
package gateway

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"time"

	"github.com/tributary-kb/tributary"
)

// A System is one knowledge base of a running system, as the NATS protocol
// lets a client use it.
type System interface {
	Add(ctx context.Context, r tributary.AddRequest) (tributary.Receipt, error)
	Remove(ctx context.Context, r tributary.RemoveRequest) (tributary.Receipt, error)
	Wait(ctx context.Context, versions []tributary.At, settled func(tributary.Settled) error) error
	Asker
	Inspector
	Follower
}

// An Asker answers from the documents.
type Asker interface {
	Search(ctx context.Context, r tributary.SearchRequest) (tributary.SearchReply, error)
	Ask(ctx context.Context, r tributary.AskRequest, event func(tributary.AskEvent) error) error
	// Forget deletes a conversation.
	Forget(ctx context.Context, r tributary.ForgetRequest) (tributary.ForgetReply, error)
}

// An Inspector tells what is there.
type Inspector interface {
	List(ctx context.Context, r tributary.ListRequest, item func(tributary.Item) error) error
	Show(ctx context.Context, r tributary.ShowRequest) (tributary.ShowReply, error)
	Status(ctx context.Context) (tributary.StatusReply, error)
}

// ErrOpen is returned by New for an address that others can reach, without a
// token to ask them for.
var ErrOpen = errors.New("beyond this machine needs a token")

// Config of a Gateway. All fields are needed; of NewHandler all but Listen.
type Config struct {
	// Listen is the host:port to serve at; port 0 takes a free one.
	Listen string
	// Token returns the bearer token that every request must carry, "" for
	// none. It is asked for each request, so that it can be replaced.
	Token func() (string, error)
	// KB is the knowledge base of a request that names none.
	KB string
	// For returns the system's side of a knowledge base.
	For func(kb string) System
	// MaxBytes bounds the content of one document.
	MaxBytes int64
	// Version of the program.
	Version string
	Log     *slog.Logger
}

// A Gateway serves HTTP until it is closed.
type Gateway struct {
	cfg      Config
	listener net.Listener
	server   *http.Server
}

// Listen returns a gateway that has its address and serves nothing yet. An
// address beyond loopback without a token is ErrOpen.
func Listen(ctx context.Context, cfg Config) (*Gateway, error) {
	token, err := cfg.Token()
	if err != nil {
		return nil, err
	}
	if token == "" && !loopback(cfg.Listen) {
		return nil, fmt.Errorf("listen at %s: %w", cfg.Listen, ErrOpen)
	}
	listener, err := (&net.ListenConfig{}).Listen(ctx, "tcp", cfg.Listen)
	if err != nil {
		return nil, fmt.Errorf("serve HTTP (gateway.listen): %w", err)
	}
	handler, err := NewHandler(cfg)
	if err != nil {
		return nil, errors.Join(err, listener.Close())
	}
	return &Gateway{cfg: cfg, listener: listener, server: &http.Server{
		Handler: handler, ReadHeaderTimeout: 10 * time.Second, ReadTimeout: 5 * time.Minute,
		IdleTimeout: 2 * time.Minute, MaxHeaderBytes: 64 << 10, ErrorLog: slog.NewLogLogger(cfg.Log.Handler(), slog.LevelWarn),
	}}, nil
}

// URL is the address for clients.
func (g *Gateway) URL() string { return "http://" + g.listener.Addr().String() }

// Serve answers requests until ctx ends, and then those that are under way for
// at most grace.
func (g *Gateway) Serve(ctx context.Context, grace time.Duration) error {
	failed := make(chan error, 1)
	go func() { failed <- g.server.Serve(g.listener) }()
	select {
	case err := <-failed:
		return fmt.Errorf("serve HTTP: %w", err)
	case <-ctx.Done():
	}
	last, cancel := context.WithTimeout(context.WithoutCancel(ctx), grace)
	defer cancel()
	err := g.server.Shutdown(last)
	if errors.Is(err, context.DeadlineExceeded) { // who still streams is cut off
		err = g.server.Close()
	}
	if ended := <-failed; !errors.Is(ended, http.ErrServerClosed) {
		err = errors.Join(err, ended)
	}
	return err
}

// NewHandler returns the gateway's handler without a server around it.
func NewHandler(cfg Config) (http.Handler, error) {
	h := &handler{cfg: cfg}
	mux := http.NewServeMux()
	for _, r := range h.routes() {
		mux.Handle(r.method+" "+r.path, h.named(r.handle))
	}
	document, err := openAPI(cfg.Version, h.routes())
	if err != nil {
		return nil, err
	}
	mux.HandleFunc("GET /openapi.json", func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Type", "application/json")
		_, _ = w.Write(document)
	})
	mux.HandleFunc("GET /healthz", func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(http.StatusNoContent) })
	mux.Handle("/mcp", h.mcpHandler())
	mux.HandleFunc("/", func(w http.ResponseWriter, r *http.Request) {
		h.fail(w, r, tributary.Errorf(tributary.CodeNotFound, "%s %s: no such thing here; GET /openapi.json lists what there is", r.Method, r.URL.Path))
	})
	// A page of some other site must not use a gateway on this machine.
	return http.NewCrossOriginProtection().Handler(h.guard(mux)), nil
}

// handler holds what the handlers share.
type handler struct{ cfg Config }

// named refuses a path whose knowledge base has no such name: it becomes part
// of a subject, and one with dots would be another subject than that of a
// request.
func (h *handler) named(next http.HandlerFunc) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		if kb := r.PathValue("kb"); kb != "" {
			if err := tributary.CheckKB(kb); err != nil {
				h.fail(w, r, tributary.Errorf(tributary.CodeInvalid, "%w", err))
				return
			}
		}
		next(w, r)
	}
}

// A route is one operation of the REST and OpenAI interfaces.
type route struct {
	method, path string
	summary      string
	query        []parameter
	in, out      any // zero values of the body's types; nil for none
	status       int // of success
	streams      bool
	handle       http.HandlerFunc
}

// A parameter is one of a route's query string.
type parameter struct {
	name, about string
	required    bool
}

func (h *handler) routes() []route {
	uri := parameter{"uri", "the document's name", true}
	return append(h.sourceRoutes(), []route{
		{method: "POST", path: "/v1/kbs/{kb}/documents", summary: "Publish a document",
			query: []parameter{wait}, in: tributary.AddRequest{}, out: tributary.Receipt{}, status: http.StatusAccepted, handle: h.add},
		{method: "PUT", path: "/v1/kbs/{kb}/documents", summary: "Publish a document: the body is its content",
			query: []parameter{uri, {"title", "its title", false}, {"source", "who publishes it", false}, {"language", "ISO 639-1", false}, wait},
			in:    content{}, out: tributary.Receipt{}, status: http.StatusAccepted, handle: h.put},
		{method: "DELETE", path: "/v1/kbs/{kb}/documents", summary: "Take a document out of answers",
			query: []parameter{uri, wait}, out: tributary.Receipt{}, status: http.StatusAccepted, handle: h.remove},
		{method: "GET", path: "/v1/kbs/{kb}/documents", summary: "List documents",
			query: []parameter{{"uri_prefix", "only those whose name begins so", false}, {"deleted", "true: tombstones too", false}},
			out:   documents{}, status: http.StatusOK, handle: h.list},
		{method: "GET", path: "/v1/kbs/{kb}/document", summary: "One document with its manifest and passages",
			query: []parameter{uri}, out: tributary.ShowReply{}, status: http.StatusOK, handle: h.show},
		{method: "POST", path: "/v1/kbs/{kb}/search", summary: "Find passages",
			in: tributary.SearchRequest{}, out: tributary.SearchReply{}, status: http.StatusOK, handle: h.search},
		{method: "POST", path: "/v1/kbs/{kb}/ask", summary: "Answer a question; as server-sent events where the client accepts them",
			in: tributary.AskRequest{}, out: tributary.Answer{}, status: http.StatusOK, streams: true, handle: h.ask},
		{method: "DELETE", path: "/v1/kbs/{kb}/conversations/{id}", summary: "Forget a conversation",
			out: tributary.ForgetReply{}, status: http.StatusOK, handle: h.forget},
		{method: "GET", path: "/v1/status", summary: "The state of the system", out: tributary.StatusReply{}, status: http.StatusOK, handle: h.status},
		{method: "GET", path: "/v1/models", summary: "The knowledge bases, as models in OpenAI's form", out: modelList{}, status: http.StatusOK, handle: h.models},
		{method: "GET", path: "/v1/models/{model...}", summary: "One knowledge base, as a model in OpenAI's form", out: model{}, status: http.StatusOK, handle: h.model},
		{method: "POST", path: "/v1/chat/completions", summary: "Answer the last message of a chat, in OpenAI's form",
			in: chatRequest{}, out: chatReply{}, status: http.StatusOK, streams: true, handle: h.chat},
	}...)
}
