package ingest

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/http"
	"net/url"
	"strings"
	"time"

	"code.dny.dev/ssrf"

	"github.com/tributary-kb/tributary"
)

// ErrGone is what Fetch wraps when the server says that the document does not
// exist (any more): status 404 or 410. An Ingester makes a deleted Document
// of it.
var ErrGone = errors.New("the document is gone")

// ErrRedirects is what Fetch wraps when it is sent on more often than allowed.
var ErrRedirects = errors.New("more redirects")

// Fetched is what a server returned for a document.
type Fetched struct {
	URL         string // where it was found, after redirects
	ContentType string // as declared by the server, "" if it did not say
	Content     []byte // decompressed
	// NotModified says that the document is what the validators of the request
	// stand for. There is no Content then.
	NotModified bool
	// ETag and LastModified are the document's validators, as the server wrote
	// them; "" where it did not.
	ETag, LastModified string
	// Fresh is for how long the server says that asking again is useless, at
	// most a day; 0 if it does not say.
	Fresh  time.Duration
	Header http.Header // of the reply
}

// FetchOptions are the terms of one fetch. The zero value gets a document.
type FetchOptions struct {
	// ETag and LastModified are the validators of what is there already. The
	// server may answer that it is NotModified.
	ETag, LastModified string
	// Of is the URL that the validators are of, "" for the one asked for. After
	// a redirect to another one they say nothing.
	Of string
	// Accept is sent as it is; "" asks for documents.
	Accept string
	// MaxBytes is the most that is read of the body; 0 means Config.MaxBytes.
	MaxBytes int64
	// Cut keeps the beginning of a longer body, which is otherwise refused.
	Cut bool
	// MaxRedirects is how many redirects are followed; 0 means as configured.
	MaxRedirects int
	// Check refuses a URL before it is asked for, redirects included; nil
	// refuses none beyond those that are refused always.
	Check func(ctx context.Context, u *url.URL) error
	// Authorize returns the Authorization header of a request for u, "" for
	// none. It is asked for each redirect; nil sends none.
	Authorize func(u *url.URL) (string, error)
	// Enter is called before each request for a host ("example.com:443"), and
	// leave once its reply was read, with how long the host wants to be left
	// alone by everybody. What Enter waits does not count as time of the fetch.
	Enter func(ctx context.Context, host string) (leave func(backoff time.Duration), err error)
}

func (o FetchOptions) conditional(u *url.URL) bool {
	return (o.ETag != "" || o.LastModified != "") && u.String() == o.Of
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
	dial     func(ctx context.Context, network, addr string) (net.Conn, error)
	allowed  map[string]bool // hosts, and host:port, in lower case
}

// NewFetcher returns a Fetcher with cfg's limits; zero fields mean defaults.
func NewFetcher(cfg Config) (*Fetcher, error) { return newFetcher(cfg, net.DefaultResolver) }

func newFetcher(cfg Config, resolver *net.Resolver) (*Fetcher, error) {
	cfg.SetDefaults()
	networks, err := cfg.Fetch.networks()
	if err != nil {
		return nil, err
	}
	f := &Fetcher{cfg: cfg.Fetch, maxBytes: cfg.MaxBytes, allowed: make(map[string]bool)}
	for _, host := range cfg.Fetch.AllowHosts {
		f.allowed[strings.ToLower(host)] = true
	}
	f.dial = f.dialer(networks, resolver)
	f.client = &http.Client{
		Transport: &http.Transport{
			Proxy:                  nil,
			DialContext:            f.dial,
			ForceAttemptHTTP2:      true,
			MaxIdleConnsPerHost:    2,
			IdleConnTimeout:        time.Minute,
			TLSHandshakeTimeout:    10 * time.Second,
			MaxResponseHeaderBytes: 1 << 20,
		},
		// Redirects are followed by hand: each is a request of its own to
		// whoever spaces out requests, and has its own credentials.
		CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
	}
	return f, nil
}

// checkFetchURL refuses URLs that are not for fetching.
func checkFetchURL(u *url.URL) error {
	switch {
	case u.Scheme != "http" && u.Scheme != "https":
		return tributary.Rejectf("scheme %q cannot be fetched, only http and https", u.Scheme)
	case u.Hostname() == "":
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
// for. It wraps a *StatusError where a status is the reason. Other errors, of
// the network and of a cancelled ctx, are plain.
func (f *Fetcher) Fetch(ctx context.Context, uri string) (Fetched, error) {
	return f.FetchWith(ctx, uri, FetchOptions{})
}

// FetchWith is Fetch on the terms of opts. An error of one of its functions
// is wrapped.
func (f *Fetcher) FetchWith(ctx context.Context, uri string, opts FetchOptions) (Fetched, error) {
	u, err := url.Parse(uri)
	if err != nil {
		return Fetched{}, tributary.Rejectf("fetch %.200q: malformed URL", uri[strings.LastIndexByte(uri, '@')+1:])
	}
	setDefault(&opts.Of, u.String())
	setDefault(&opts.MaxBytes, f.maxBytes)
	setDefault(&opts.MaxRedirects, f.cfg.MaxRedirects)
	setDefault(&opts.Accept, "text/html,application/xhtml+xml,text/markdown,text/plain,application/pdf;q=0.9,*/*;q=0.5")
	fetched, err := f.follow(ctx, u, opts)
	if err != nil {
		return Fetched{}, f.explain(u.Redacted(), err, opts)
	}
	return fetched, nil
}

// follow asks for u, and for what it is sent on to. The time limit is one for
// all of its requests.
func (f *Fetcher) follow(ctx context.Context, u *url.URL, opts FetchOptions) (Fetched, error) {
	left := f.cfg.Timeout
	for range max(opts.MaxRedirects, 0) + 1 {
		if err := checkFetchURL(u); err != nil {
			return Fetched{}, err
		}
		if opts.Check != nil {
			if err := opts.Check(ctx, u); err != nil {
				return Fetched{}, err
			}
		}
		fetched, next, err := f.ask(ctx, u, opts, &left)
		if err != nil || next == nil {
			return fetched, err
		}
		u = next
	}
	return Fetched{}, ErrRedirects
}

var errSlow = errors.New("no answer in time")

// ask sends one request for u and reads the reply, or returns where it sends
// us on to. The time it takes is taken from left.
func (f *Fetcher) ask(ctx context.Context, u *url.URL, opts FetchOptions, left *time.Duration) (_ Fetched, next *url.URL, _ error) {
	var backoff time.Duration
	if opts.Enter != nil {
		leave, err := opts.Enter(ctx, HostPort(u))
		if err != nil {
			return Fetched{}, nil, err
		}
		defer func() { leave(backoff) }()
	}
	start := time.Now()
	defer func() { *left -= time.Since(start) }()
	ctx, cancel := context.WithTimeoutCause(ctx, *left, errSlow)
	defer cancel()
	req, err := f.request(ctx, u, opts)
	if err != nil {
		return Fetched{}, nil, err
	}
	resp, err := f.client.Do(req)
	if err != nil {
		return Fetched{}, nil, slow(ctx, err)
	}
	defer resp.Body.Close()
	if next, err = redirect(resp); next != nil || err != nil {
		return Fetched{}, next, err
	}
	backoff = f.backoff(resp)
	fetched, err := f.read(resp, opts)
	return fetched, nil, slow(ctx, err)
}

// slow says so where the time limit is what stopped a request.
func slow(ctx context.Context, err error) error {
	if err != nil && context.Cause(ctx) == errSlow { //nolint:errorlint // the cause itself
		return errSlow
	}
	return err
}

func (f *Fetcher) request(ctx context.Context, u *url.URL, opts FetchOptions) (*http.Request, error) {
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, u.String(), http.NoBody)
	if err != nil {
		return nil, tributary.Reject(err)
	}
	req.Header.Set("User-Agent", strings.TrimSpace(f.cfg.UserAgent+" ("+f.cfg.Contact+")"))
	req.Header.Set("Accept", opts.Accept)
	conditional := opts.conditional(u)
	if conditional && opts.ETag != "" {
		req.Header.Set("If-None-Match", opts.ETag)
	}
	if conditional && opts.LastModified != "" {
		req.Header.Set("If-Modified-Since", opts.LastModified)
	}
	if opts.Authorize != nil {
		authorization, err := opts.Authorize(u)
		if err != nil {
			return nil, err
		}
		if authorization != "" {
			req.Header.Set("Authorization", authorization)
		}
	}
	return req, nil
}

// redirect returns where resp sends us on to, nil if it does not.
func redirect(resp *http.Response) (*url.URL, error) {
	switch resp.StatusCode {
	case http.StatusMovedPermanently, http.StatusFound, http.StatusSeeOther, http.StatusTemporaryRedirect, http.StatusPermanentRedirect:
	default:
		return nil, nil
	}
	next, err := resp.Location()
	if err != nil {
		return nil, tributary.Rejectf("the server answers %q and no URL to go to", resp.Status)
	}
	next.Fragment, next.RawFragment = "", ""
	return next, nil
}

// HostPort returns the host of u with its port, the scheme's own where u names
// none: "example.com:443".
func HostPort(u *url.URL) string {
	port := u.Port()
	if port == "" {
		port = map[string]string{"http": "80", "https": "443"}[u.Scheme]
	}
	return net.JoinHostPort(strings.ToLower(u.Hostname()), port)
}

// explain names the limit and the setting where one of them stopped a fetch.
func (f *Fetcher) explain(uri string, err error, opts FetchOptions) error {
	if inner, ok := errors.AsType[*url.Error](err); ok {
		err = inner.Err // the URL it repeats may be one of a redirect, with secrets
	}
	switch {
	case errors.Is(err, errSlow):
		return fmt.Errorf("fetch %q: no answer within the limit of %v (ingest.fetch.timeout)", uri, f.cfg.Timeout)
	case errors.Is(err, ErrRedirects):
		return tributary.Rejectf("fetch %q: %w than the limit of %d (ingest.fetch.max_redirects)", uri, ErrRedirects, max(opts.MaxRedirects, 0))
	case errors.Is(err, errTooLarge):
		return tributary.Rejectf("fetch %q: more bytes than the limit of %d (%s)", uri, opts.MaxBytes, f.byteLimit(opts))
	}
	if refused := refusal(err); refused != nil {
		return tributary.Rejectf("fetch %q: %w", uri, refused)
	}
	return fmt.Errorf("fetch %q: %w", uri, err)
}

// refusal says how to allow what the dialer refused, nil if err is not that.
func refusal(err error) error {
	switch {
	case errors.Is(err, ssrf.ErrProhibitedIP) || errors.Is(err, ssrf.ErrProhibitedNetwork):
		return fmt.Errorf("%w; name the host in ingest.fetch.allow_hosts or its network in ingest.fetch.allow_networks to allow it", errPrivate)
	case errors.Is(err, errOddHost):
		return fmt.Errorf("%w; name the host in ingest.fetch.allow_hosts to allow it as it is", errOddHost)
	}
	return nil
}

// byteLimit says where the limit of opts is from.
func (f *Fetcher) byteLimit(opts FetchOptions) string {
	if opts.MaxBytes == f.maxBytes {
		return "ingest.max_bytes"
	}
	return "fixed for what it is fetched for"
}
