package ingest

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"strings"
	"time"

	"github.com/tributary-kb/tributary"
)

// Transport returns a transport for clients of other protocols over http and
// https, with the identity and the guard of f: a private address that the
// configuration does not name is an error marked by tributary.Reject, and a
// server that falls silent for ingest.fetch.timeout is a plain one. It follows
// no redirects, which is a client's business; each one that a client follows
// passes the guard.
func (f *Fetcher) Transport() http.RoundTripper { return &guarded{f} }

// DialContext connects to addr, as host:port, for protocols other than http,
// under the same guard. Each read and each write may take ingest.fetch.timeout.
func (f *Fetcher) DialContext(ctx context.Context, network, addr string) (net.Conn, error) {
	conn, err := f.dial(ctx, network, addr)
	if refused := refusal(err); refused != nil {
		return nil, tributary.Rejectf("%s: %w", addr, refused)
	}
	if err != nil {
		return nil, err
	}
	return &watchedConn{conn, f.cfg.Timeout}, nil
}

// watchedConn ends when the other side falls silent.
type watchedConn struct {
	net.Conn
	limit time.Duration
}

// Read implements io.Reader.
func (c *watchedConn) Read(p []byte) (int, error) {
	if err := c.SetReadDeadline(time.Now().Add(c.limit)); err != nil {
		return 0, err
	}
	n, err := c.Conn.Read(p)
	return n, c.explain(err)
}

// Write implements io.Writer.
func (c *watchedConn) Write(p []byte) (int, error) {
	if err := c.SetWriteDeadline(time.Now().Add(c.limit)); err != nil {
		return 0, err
	}
	n, err := c.Conn.Write(p)
	return n, c.explain(err)
}

func (c *watchedConn) explain(err error) error {
	if errors.Is(err, os.ErrDeadlineExceeded) {
		return silent(c.limit)
	}
	return err
}

func silent(limit time.Duration) error {
	return fmt.Errorf("no answer within the limit of %v (ingest.fetch.timeout)", limit)
}

type guarded struct{ fetcher *Fetcher }

// RoundTrip implements http.RoundTripper.
func (g *guarded) RoundTrip(req *http.Request) (*http.Response, error) {
	cfg := g.fetcher.cfg
	ctx, cancel := context.WithCancelCause(req.Context())
	quiet := time.AfterFunc(cfg.Timeout, func() {
		cancel(silent(cfg.Timeout))
	})
	body := &watchedBody{ctx: ctx, cancel: cancel, quiet: quiet, limit: cfg.Timeout}
	req = req.Clone(ctx)
	req.Header.Set("User-Agent", strings.TrimSpace(cfg.UserAgent+" ("+cfg.Contact+")"))
	resp, err := g.fetcher.client.Transport.RoundTrip(req)
	if err != nil {
		err = body.explain(err)
		body.stop()
		if refused := refusal(err); refused != nil {
			err = tributary.Rejectf("%s: %w", req.URL.Host, refused)
		}
		return nil, err
	}
	quiet.Stop()
	body.ReadCloser, resp.Body = resp.Body, body
	return resp, nil
}

// watchedBody ends a reply whose server falls silent.
type watchedBody struct {
	io.ReadCloser
	ctx    context.Context //nolint:containedctx // of the one request that the body belongs to
	cancel context.CancelCauseFunc
	quiet  *time.Timer
	limit  time.Duration
}

// Read implements io.Reader.
func (b *watchedBody) Read(p []byte) (int, error) {
	b.quiet.Reset(b.limit)
	n, err := b.ReadCloser.Read(p)
	b.quiet.Stop() // how long the reader takes is not the server's fault
	if err != nil && !errors.Is(err, io.EOF) {
		err = b.explain(err)
	}
	return n, err
}

// Close implements io.Closer.
func (b *watchedBody) Close() error {
	b.stop()
	return b.ReadCloser.Close()
}

func (b *watchedBody) stop() {
	b.quiet.Stop()
	b.cancel(context.Canceled)
}

func (b *watchedBody) explain(err error) error {
	if cause := context.Cause(b.ctx); cause != nil && !errors.Is(cause, context.Canceled) {
		return cause
	}
	return err
}
