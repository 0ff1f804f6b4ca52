package source

import (
	"context"
	"errors"
	"io"
	"net/http"
	"net/url"
	"time"

	"github.com/go-git/go-git/v5/plumbing"
	"github.com/go-git/go-git/v5/plumbing/transport"
	githttp "github.com/go-git/go-git/v5/plumbing/transport/http"

	"github.com/tributary-kb/tributary"
	"github.com/tributary-kb/tributary/ingest"
)

// httpWire leads to a git server over http and https.
type httpWire struct {
	location string
	client   transport.Transport
	hop      *gitHop
}

func newHTTPWire(u *url.URL, o tributary.SourceOptions, fetcher *ingest.Fetcher, env Env) (*httpWire, error) {
	auth, err := newAuthorization(o, u)
	if err != nil {
		return nil, tributary.Reject(err)
	}
	if o.KnownHosts != "" {
		return nil, tributary.Rejectf("option known_hosts means nothing for %s", u.Scheme)
	}
	env.Ingest.SetDefaults()
	hop := &gitHop{fetcher: fetcher, next: fetcher.Transport(), auth: auth, gate: env.Gate, limit: cloneLimit(env)}
	limit := max(env.Ingest.Fetch.MaxRedirects, 0)
	client := &http.Client{Transport: hop, CheckRedirect: func(_ *http.Request, via []*http.Request) error {
		if len(via) > limit {
			return tributary.Rejectf("%w than the limit of %d (ingest.fetch.max_redirects)", ingest.ErrRedirects, limit)
		}
		return nil
	}}
	return &httpWire{location: u.String(), client: githttp.NewClient(client), hop: hop}, nil
}

func (w *httpWire) open(context.Context) (conversation, error) {
	w.hop.failed = nil
	endpoint, err := transport.NewEndpoint(w.location) // a redirect changes it for this conversation
	if err != nil {
		return nil, tributary.Reject(err)
	}
	return w.client.NewUploadPackSession(endpoint, nil)
}

// explain finds the outcome of a request, which the library hides.
func (w *httpWire) explain(err error) error {
	if w.hop.failed != nil {
		return w.hop.failed
	}
	if hidden, ok := errors.AsType[*plumbing.UnexpectedError](err); ok {
		err = hidden.Err
	}
	if inner, ok := errors.AsType[*url.Error](err); ok {
		err = inner.Err // the URL it repeats may be one of a redirect, with secrets
	}
	return err
}

// gitHop sends single requests of a conversation, those of redirects included.
// It adds the secret to those for the location's own host, and to no other.
type gitHop struct {
	fetcher *ingest.Fetcher
	next    http.RoundTripper
	auth    authorization
	gate    Gate
	limit   int64 // of the clone, in bytes
	failed  error // why the last one came to nothing
}

// RoundTrip implements http.RoundTripper.
func (h *gitHop) RoundTrip(req *http.Request) (*http.Response, error) {
	resp, err := h.send(req)
	if err != nil {
		h.failed = err
	}
	return resp, err
}

func (h *gitHop) send(req *http.Request) (_ *http.Response, err error) {
	req = req.Clone(req.Context())
	req.Header.Del("Authorization")
	authorization, err := h.auth.header(req.URL)
	if err != nil {
		return nil, err
	}
	if authorization != "" {
		req.Header.Set("Authorization", authorization)
	}
	leave := func(time.Duration) {}
	if h.gate != nil {
		if leave, err = h.gate.Enter(req.Context(), ingest.HostPort(req.URL), 0); err != nil {
			return nil, err
		}
	}
	var backoff time.Duration
	defer func() { leave(backoff) }()
	resp, err := h.next.RoundTrip(req)
	if err != nil {
		return nil, err
	}
	if resp.StatusCode >= http.StatusBadRequest {
		defer resp.Body.Close()
		backoff, err = h.fetcher.CheckReply(resp)
		return nil, err
	}
	h.bound(req, resp)
	return resp, nil
}

// bound limits the reply.
func (h *gitHop) bound(req *http.Request, resp *http.Response) {
	body := &bounded{Reader: resp.Body, left: maxRefsBytes, over: errTooManyRefs}
	if req.Method == http.MethodPost {
		body.left, body.over = wireLimit(h.limit), tooLargeRepository(h.limit)
	}
	resp.Body = &boundedBody{body, resp.Body, &h.failed}
}

// boundedBody notes that it was too large, which the library hides.
type boundedBody struct {
	*bounded
	io.Closer
	failed *error
}

// Read implements io.Reader.
func (b *boundedBody) Read(p []byte) (int, error) {
	n, err := b.bounded.Read(p)
	if b.left < 0 {
		*b.failed = err
	}
	return n, err
}
