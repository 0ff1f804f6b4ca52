package ingest

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/netip"
	"net/url"
	"strconv"
	"strings"
	"time"

	"code.dny.dev/ssrf"

	"github.com/tributary-kb/tributary"
)

// ErrGone is what Fetch wraps when the server says that the document does not
// exist (any more): status 404 or 410. An Ingester makes a deleted Document
// of it.
var ErrGone = errors.New("the document is gone")

var (
	errRedirects = errors.New("too many redirects")
	errTooLarge  = errors.New("too large")
)

// Fetched is what a server returned for a document.
type Fetched struct {
	URL         string // where it was found, after redirects
	ContentType string // as declared by the server, "" if it did not say
	Content     []byte // decompressed
}

// A Fetcher gets documents over http and https. Connections go only to public
// addresses, and to private ones that the configuration names; this is checked
// when a connection is made, after names were resolved and for each redirect.
// It uses no proxy, which would make that check pointless. It is safe for
// concurrent use.
type Fetcher struct {
	cfg      FetchConfig
	maxBytes int64
	client   *http.Client
	allowed  map[string]bool // hosts, and host:port, in lower case
}

// NewFetcher returns a Fetcher with cfg's limits; zero fields mean defaults.
func NewFetcher(cfg Config) (*Fetcher, error) {
	cfg.SetDefaults()
	networks, err := cfg.Fetch.networks()
	if err != nil {
		return nil, err
	}
	f := &Fetcher{cfg: cfg.Fetch, maxBytes: cfg.MaxBytes, allowed: make(map[string]bool)}
	for _, host := range cfg.Fetch.AllowHosts {
		f.allowed[strings.ToLower(host)] = true
	}
	f.client = &http.Client{
		Transport: &http.Transport{
			Proxy:                  nil,
			DialContext:            f.dialer(networks),
			ForceAttemptHTTP2:      true,
			MaxIdleConnsPerHost:    2,
			IdleConnTimeout:        time.Minute,
			TLSHandshakeTimeout:    10 * time.Second,
			MaxResponseHeaderBytes: 1 << 20,
		},
		CheckRedirect: f.checkRedirect,
	}
	return f, nil
}

// dialer returns a dial function that refuses private addresses, except for
// allowed hosts and networks.
func (f *Fetcher) dialer(networks []netip.Prefix) func(context.Context, string, string) (net.Conn, error) {
	var v4, v6 []netip.Prefix
	for _, p := range networks {
		if p.Addr().Is4() {
			v4 = append(v4, p)
		} else {
			v6 = append(v6, p)
		}
	}
	guardian := ssrf.New(ssrf.WithAnyPort(), ssrf.WithAllowedV4Prefixes(v4...), ssrf.WithAllowedV6Prefixes(v6...))
	guarded := &net.Dialer{Timeout: 10 * time.Second, Control: guardian.Safe}
	open := &net.Dialer{Timeout: 10 * time.Second}
	return func(ctx context.Context, network, addr string) (net.Conn, error) {
		host, _, err := net.SplitHostPort(addr)
		if err != nil {
			return nil, fmt.Errorf("dial %q: %w", addr, err)
		}
		if f.allowed[strings.ToLower(host)] || f.allowed[strings.ToLower(addr)] {
			return open.DialContext(ctx, network, addr)
		}
		return guarded.DialContext(ctx, network, addr)
	}
}

func (f *Fetcher) checkRedirect(req *http.Request, via []*http.Request) error {
	if len(via) > max(f.cfg.MaxRedirects, 0) {
		return errRedirects
	}
	return checkFetchURL(req.URL)
}

// checkFetchURL refuses URLs that are not for fetching.
func checkFetchURL(u *url.URL) error {
	switch {
	case u.Scheme != "http" && u.Scheme != "https":
		return tributary.Rejectf("scheme %q cannot be fetched, only http and https", u.Scheme)
	case u.Host == "":
		return tributary.Rejectf("the URL names no host")
	case u.User != nil:
		return tributary.Rejectf("the URL carries credentials, which would end up in messages and answers")
	}
	return nil
}

// Fetch gets the document at uri. Its error wraps ErrGone for status 404 and
// 410; it is marked by tributary.Reject where another attempt cannot help
// (other 4xx, private addresses, too many bytes or redirects), and by
// tributary.RetryAfter for 429 and 5xx with the delay that the server asks
// for. Other errors, of the network and of a cancelled ctx, are plain.
func (f *Fetcher) Fetch(ctx context.Context, uri string) (Fetched, error) {
	u, err := url.Parse(uri)
	if err != nil {
		return Fetched{}, tributary.Rejectf("fetch %.200q: malformed URL", uri)
	}
	if err := checkFetchURL(u); err != nil {
		return Fetched{}, tributary.Reject(fmt.Errorf("fetch %q: %w", u.Redacted(), err))
	}
	limited, cancel := context.WithTimeout(ctx, f.cfg.Timeout)
	defer cancel()
	fetched, err := f.get(limited, u)
	if err != nil && limited.Err() != nil && ctx.Err() == nil {
		return Fetched{}, fmt.Errorf("fetch %q: no answer within the limit of %v (ingest.fetch.timeout)", uri, f.cfg.Timeout)
	}
	if err != nil {
		return Fetched{}, f.explain(uri, err)
	}
	return fetched, nil
}

func (f *Fetcher) get(ctx context.Context, u *url.URL) (Fetched, error) {
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, u.String(), http.NoBody)
	if err != nil {
		return Fetched{}, tributary.Reject(err)
	}
	req.Header.Set("User-Agent", strings.TrimSpace(f.cfg.UserAgent+" ("+f.cfg.Contact+")"))
	req.Header.Set("Accept", "text/html,application/xhtml+xml,text/markdown,text/plain,application/pdf;q=0.9,*/*;q=0.5")
	resp, err := f.client.Do(req)
	if err != nil {
		return Fetched{}, err
	}
	defer resp.Body.Close()
	if err := f.checkStatus(resp); err != nil {
		return Fetched{}, err
	}
	if resp.ContentLength > f.maxBytes {
		return Fetched{}, errTooLarge
	}
	// The transport has decompressed the body; the limit holds for what comes out.
	content, err := io.ReadAll(io.LimitReader(resp.Body, f.maxBytes+1))
	if err != nil {
		return Fetched{}, fmt.Errorf("read the body: %w", err)
	}
	if int64(len(content)) > f.maxBytes {
		return Fetched{}, errTooLarge
	}
	return Fetched{URL: resp.Request.URL.String(), ContentType: resp.Header.Get("Content-Type"), Content: content}, nil
}

// checkStatus turns every status but success into the outcome it calls for.
func (f *Fetcher) checkStatus(resp *http.Response) error {
	err := fmt.Errorf("the server answers %q", resp.Status)
	switch code := resp.StatusCode; {
	case code == http.StatusNotFound || code == http.StatusGone:
		return fmt.Errorf("%w: %w", err, ErrGone)
	case code == http.StatusTooManyRequests || code == http.StatusRequestTimeout || code == http.StatusTooEarly || code >= 500:
		return tributary.RetryAfter(err, f.retryAfter(resp.Header.Get("Retry-After")))
	case code < 200 || code > 299 || code == http.StatusPartialContent:
		return tributary.Reject(err)
	}
	return nil
}

// retryAfter reads a Retry-After header: seconds or a date. It returns 0
// where there is none, and never more than the configured cap.
func (f *Fetcher) retryAfter(header string) time.Duration {
	var d time.Duration
	if seconds, err := strconv.ParseUint(strings.TrimSpace(header), 10, 32); err == nil {
		d = time.Duration(seconds) * time.Second
	} else if at, err := http.ParseTime(header); err == nil {
		d = time.Until(at)
	}
	return min(max(d, 0), f.cfg.MaxRetryAfter)
}

// explain names the limit and the setting where one of them stopped a fetch.
func (f *Fetcher) explain(uri string, err error) error {
	if inner, ok := errors.AsType[*url.Error](err); ok {
		err = inner.Err // the URL it repeats may be one of a redirect, with secrets
	}
	switch {
	case errors.Is(err, errRedirects):
		return tributary.Rejectf("fetch %q: more redirects than the limit of %d (ingest.fetch.max_redirects)", uri, max(f.cfg.MaxRedirects, 0))
	case errors.Is(err, errTooLarge):
		return tributary.Rejectf("fetch %q: more bytes than the limit of %d (ingest.max_bytes)", uri, f.maxBytes)
	case errors.Is(err, ssrf.ErrProhibitedIP) || errors.Is(err, ssrf.ErrProhibitedNetwork):
		return tributary.Rejectf("fetch %q: %w; name the host in ingest.fetch.allow_hosts or its network in ingest.fetch.allow_networks to allow it",
			uri, errPrivate)
	}
	return fmt.Errorf("fetch %q: %w", uri, err)
}

var errPrivate = errors.New("the host's address is private or reserved")
