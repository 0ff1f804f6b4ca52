package source

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"regexp"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/jimsmart/grobotstxt"
	"golang.org/x/text/encoding/unicode"
	"golang.org/x/text/transform"

	"github.com/tributary-kb/tributary"
	"github.com/tributary-kb/tributary/ingest"
)

// What RFC 9309 says of how to get a robots.txt.
const (
	robotsBytes       = 500 << 10           // section 2.5: at least so much is parsed
	robotsRedirects   = 5                   // section 2.3.1.2
	robotsUnreachable = 30 * 24 * time.Hour // section 2.3.1.4: after that it counts as not there
	robotsRetry       = 5 * time.Minute     // between attempts at one that is unreachable
	robotsFresh       = 24 * time.Hour      // section 2.4: the longest that a copy is used
)

// maxCrawlDelay is the longest pause between requests that a host is granted.
const maxCrawlDelay = time.Minute

// robotsHost is what one host allows.
type robotsHost struct {
	mu      sync.Mutex
	rules   *robotsRules // nil if there never were any
	expires time.Time    // of rules, or of err
	failing time.Time    // since when it is unreachable, zero if it is not
	err     error        // why it is unreachable
}

// permit reports why u must not be fetched, or the pause that its host asks
// for between requests.
func (w *Web) permit(ctx context.Context, u *url.URL) (time.Duration, error) {
	rules, err := w.robotsOf(ctx, u)
	if err != nil {
		return 0, err
	}
	if !rules.allows(w.product, u) {
		return 0, tributary.Rejectf("the robots.txt of %s does not allow %s to fetch it", u.Host, w.product)
	}
	return rules.delay(w.product), nil
}

// robotsOf returns the rules of u's host, fetched at most once a day. While
// they cannot be had nothing may be fetched, and the error says when to come
// again.
func (w *Web) robotsOf(ctx context.Context, u *url.URL) (*robotsRules, error) {
	key := u.Scheme + "://" + ingest.HostPort(u)
	host := &robotsHost{}
	if known, ok, _ := w.robots.PeekOrAdd(key, host); ok {
		host = known
	}
	host.mu.Lock()
	defer host.mu.Unlock()
	now := w.now()
	if now.After(host.expires) {
		if err := host.refresh(ctx, w, u, now); err != nil {
			return nil, err
		}
	}
	switch {
	case host.err == nil || host.rules != nil: // a copy is used as long as there is no newer one
		return host.rules, nil
	case now.Sub(host.failing) > robotsUnreachable:
		return &robotsRules{}, nil
	}
	return nil, tributary.RetryAfter(fmt.Errorf("the robots.txt of %s is unreachable, so nothing is fetched: %w", u.Host, host.err), host.expires.Sub(now))
}

// refresh gets the rules. An error is one that says nothing about the host.
func (h *robotsHost) refresh(ctx context.Context, w *Web, u *url.URL, now time.Time) error {
	at := url.URL{Scheme: u.Scheme, Host: u.Host, Path: "/robots.txt"}
	fetched, err := w.fetcher.FetchWith(ctx, at.String(), ingest.FetchOptions{
		Accept: "text/plain,*/*;q=0.5", MaxBytes: robotsBytes, Cut: true, MaxRedirects: robotsRedirects,
		Enter: func(ctx context.Context, host string) (func(time.Duration), error) { return w.enter(ctx, host, 0) },
	})
	if ctx.Err() != nil {
		return ctx.Err()
	}
	outcome, after := tributary.OutcomeOf(err)
	var status *ingest.StatusError
	unavailable := errors.As(err, &status) && status.Code < 500 && status.Code != http.StatusTooManyRequests || errors.Is(err, ingest.ErrRedirects)
	switch {
	case err == nil || unavailable:
		h.rules, h.expires, h.failing, h.err = parseRobots(fetched.Content), now.Add(robotsLife(fetched)), time.Time{}, nil
	case outcome == tributary.Rejected && status == nil:
		return err // a private address, and whatever else is never asked
	default:
		h.err, h.expires = err, now.Add(max(after, robotsRetry))
		if h.failing.IsZero() {
			h.failing = now
		}
	}
	return nil
}

// robotsLife is for how long a copy is used: as long as its server says, and
// at least an hour, so that a crawl does not ask for it with every page.
func robotsLife(fetched ingest.Fetched) time.Duration {
	if fetched.Fresh == 0 {
		return robotsFresh
	}
	return min(max(fetched.Fresh, time.Hour), robotsFresh)
}

// robotsRules are what a robots.txt says.
type robotsRules struct {
	text     string
	sitemaps []string                 // as they are written
	agents   map[string]bool          // that have a group, in lower case
	delays   map[string]time.Duration // by agent
}

var escape = regexp.MustCompile(`%[0-9a-fA-F]{2}`)

// parseRobots reads a robots.txt. Whatever is no rule is passed over.
func parseRobots(content []byte) *robotsRules {
	decoded, _, err := transform.Bytes(unicode.BOMOverride(unicode.UTF8.NewDecoder()), content)
	if err != nil {
		decoded = content
	}
	r := &robotsRules{text: escape.ReplaceAllStringFunc(string(decoded), plainEscape),
		agents: make(map[string]bool), delays: make(map[string]time.Duration)}
	grobotstxt.Parse(string(decoded), &robotsExtras{rules: r})
	return r
}

// plainEscape writes a percent escape as RFC 9309, section 2.2.2, compares
// them: characters that need none are decoded, the others are in upper case.
// The parser compares them as they stand.
func plainEscape(s string) string {
	c, err := strconv.ParseUint(s[1:], 16, 8)
	if err == nil && unreserved(byte(c)) {
		return string(rune(c))
	}
	return strings.ToUpper(s)
}

func unreserved(c byte) bool {
	return 'a' <= c && c <= 'z' || 'A' <= c && c <= 'Z' || '0' <= c && c <= '9' || strings.IndexByte("-._~", c) >= 0
}

// allows reports whether product may fetch u. A robots.txt itself is always
// allowed.
func (r *robotsRules) allows(product string, u *url.URL) bool {
	if u.Path == "/robots.txt" {
		return true
	}
	uri := escape.ReplaceAllStringFunc(u.EscapedPath(), plainEscape)
	if u.RawQuery != "" {
		uri += "?" + escape.ReplaceAllStringFunc(u.RawQuery, plainEscape)
	}
	// In a pattern these stand for themselves only when they are escaped.
	uri = strings.NewReplacer("*", "%2A", "$", "%24").Replace(uri)
	return grobotstxt.AgentAllowed(r.text, product, "http://host"+uri)
}

// delay returns the pause between requests that product is asked for.
func (r *robotsRules) delay(product string) time.Duration {
	agent := strings.ToLower(product)
	if !r.agents[agent] {
		agent = "*"
	}
	return r.delays[agent]
}

// robotsExtras collects what the parser only passes on.
type robotsExtras struct {
	rules  *robotsRules
	agents []string // of the group that is being read
	closed bool     // a rule was seen: the next user agent begins a group
}

// HandleRobotsStart implements grobotstxt.ParseHandler.
func (e *robotsExtras) HandleRobotsStart() {}

// HandleRobotsEnd implements grobotstxt.ParseHandler.
func (e *robotsExtras) HandleRobotsEnd() {}

// HandleUserAgent implements grobotstxt.ParseHandler.
func (e *robotsExtras) HandleUserAgent(_ int, value string) {
	if e.closed {
		e.agents, e.closed = nil, false
	}
	agent := strings.ToLower(strings.TrimSpace(value))
	e.agents = append(e.agents, agent)
	e.rules.agents[agent] = true
}

// HandleAllow implements grobotstxt.ParseHandler.
func (e *robotsExtras) HandleAllow(int, string) { e.closed = true }

// HandleDisallow implements grobotstxt.ParseHandler.
func (e *robotsExtras) HandleDisallow(int, string) { e.closed = true }

// HandleSitemap implements grobotstxt.ParseHandler.
func (e *robotsExtras) HandleSitemap(_ int, value string) {
	e.rules.sitemaps = append(e.rules.sitemaps, strings.TrimSpace(value))
}

// HandleUnknownAction implements grobotstxt.ParseHandler. A delay is for those
// agents of the group that were named before it and have none yet.
func (e *robotsExtras) HandleUnknownAction(_ int, action, value string) {
	seconds, err := strconv.ParseFloat(strings.TrimSpace(value), 64)
	if !strings.EqualFold(action, "crawl-delay") || err != nil || !(seconds >= 0) {
		return
	}
	d := time.Duration(min(seconds, maxCrawlDelay.Seconds()) * float64(time.Second))
	for _, agent := range e.agents {
		if _, ok := e.rules.delays[agent]; !ok {
			e.rules.delays[agent] = d
		}
	}
}
