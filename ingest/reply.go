package ingest

import (
	"errors"
	"fmt"
	"io"
	"net/http"
	"strconv"
	"strings"
	"time"

	"github.com/tributary-kb/tributary"
)

// A StatusError is the status of a reply that is no success.
type StatusError struct {
	Code   int
	Status string // as the server wrote it: "404 Not Found"
}

// Error implements error.
func (e *StatusError) Error() string { return fmt.Sprintf("the server answers %q", e.Status) }

// maxFresh is the longest that a server's word is taken for its document not
// changing.
const maxFresh = 24 * time.Hour

var errTooLarge = errors.New("too large")

// read makes the result of a successful reply, or of one that says that
// nothing has changed.
func (f *Fetcher) read(resp *http.Response, opts FetchOptions) (Fetched, error) {
	h := resp.Header
	fetched := Fetched{
		URL: resp.Request.URL.String(), ContentType: h.Get("Content-Type"), Header: h,
		ETag: h.Get("ETag"), LastModified: h.Get("Last-Modified"), Fresh: fresh(h, time.Now()),
	}
	if resp.StatusCode == http.StatusNotModified && opts.conditional(resp.Request.URL) {
		fetched.NotModified = true
		return fetched, nil
	}
	if err := f.checkStatus(resp); err != nil {
		return Fetched{}, err
	}
	if coding := h.Get("Content-Encoding"); coding != "" && !strings.EqualFold(coding, "identity") {
		return Fetched{}, tributary.Rejectf("the server sends content coding %q, which was not asked for", coding)
	}
	var err error
	fetched.Content, err = readBody(resp, opts.MaxBytes, opts.Cut)
	return fetched, err
}

// readBody reads at most limit bytes. A body that ends before the length that
// the server announced is an error. The transport has decompressed it; the
// limit holds for what comes out.
func readBody(resp *http.Response, limit int64, cut bool) ([]byte, error) {
	if resp.ContentLength > limit && !cut {
		return nil, errTooLarge
	}
	content, err := io.ReadAll(io.LimitReader(resp.Body, limit+1))
	switch {
	case err != nil:
		return nil, fmt.Errorf("read the body: %w", err)
	case int64(len(content)) <= limit:
		return content, nil
	case cut:
		return content[:limit], nil
	}
	return nil, errTooLarge
}

// checkStatus turns every status but success into the outcome it calls for.
func (f *Fetcher) checkStatus(resp *http.Response) error {
	err := &StatusError{Code: resp.StatusCode, Status: resp.Status}
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

// CheckReply says what the status of a reply comes to, for clients of other
// protocols, and how long its host wants to be left alone by everybody. The
// error of one that is no success wraps a *StatusError, and is marked as that
// of Fetch.
func (f *Fetcher) CheckReply(resp *http.Response) (backoff time.Duration, _ error) {
	return f.backoff(resp), f.checkStatus(resp)
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

// defaultBackoff is how long a host is left alone that says that it is
// overloaded and does not say for how long.
const defaultBackoff = 30 * time.Second

// backoff is how long the host of resp wants to be left alone by everybody.
func (f *Fetcher) backoff(resp *http.Response) time.Duration {
	if resp.StatusCode != http.StatusTooManyRequests && resp.StatusCode != http.StatusServiceUnavailable {
		return 0
	}
	if d := f.retryAfter(resp.Header.Get("Retry-After")); d > 0 {
		return d
	}
	return defaultBackoff
}

// fresh is the freshness lifetime that is left of a reply (RFC 9111, section
// 4.2, for a private cache), 0 to maxFresh.
func fresh(h http.Header, now time.Time) time.Duration {
	age, _ := strconv.ParseUint(h.Get("Age"), 10, 31)
	for directive := range strings.SplitSeq(strings.Join(h.Values("Cache-Control"), ","), ",") {
		name, value, _ := strings.Cut(strings.ToLower(strings.TrimSpace(directive)), "=")
		switch name {
		case "no-cache", "no-store":
			return 0
		case "max-age":
			seconds, err := strconv.ParseUint(strings.Trim(value, `"`), 10, 31)
			if err != nil {
				return 0
			}
			return bounded(time.Duration(seconds)*time.Second - time.Duration(age)*time.Second)
		}
	}
	expires, err := http.ParseTime(h.Get("Expires"))
	if err != nil {
		return 0
	}
	if date, err := http.ParseTime(h.Get("Date")); err == nil {
		now = date
	}
	return bounded(expires.Sub(now) - time.Duration(age)*time.Second)
}

func bounded(d time.Duration) time.Duration { return min(max(d, 0), maxFresh) }
