package source

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"strings"
	"time"

	lru "github.com/hashicorp/golang-lru/v2"

	"github.com/tributary-kb/tributary"
	"github.com/tributary-kb/tributary/ingest"
)

// A Web is how followers look at the web: one client, one gate, and what hosts
// say in their robots.txt. It is safe for concurrent use.
type Web struct {
	fetcher *ingest.Fetcher
	gate    Gate
	product string // the name that robots.txt files know the program by
	robots  *lru.Cache[string, *robotsHost]
	now     func() time.Time
}

// robotsHosts is how many hosts' robots.txt are remembered.
const robotsHosts = 1000

// NewWeb returns a Web with cfg's limits. gate may be nil.
func NewWeb(cfg ingest.Config, gate Gate) (*Web, error) {
	cfg.SetDefaults()
	fetcher, err := ingest.NewFetcher(cfg)
	if err != nil {
		return nil, err
	}
	robots, err := lru.New[string, *robotsHost](robotsHosts)
	if err != nil {
		return nil, err
	}
	return &Web{fetcher: fetcher, gate: gate, product: cfg.Fetch.Product(), robots: robots, now: time.Now}, nil
}

// A visitor asks for the URLs of one source.
type visitor struct {
	web      *Web
	location *url.URL
	auth     authorization
	polite   bool                 // robots.txt is asked first
	allows   func(*url.URL) error // refuses what is out of scope; nil refuses nothing
}

func newVisitor(s tributary.Source, env Env) (*visitor, error) {
	location, err := url.Parse(s.Location)
	if err != nil || location.Scheme != "http" && location.Scheme != "https" || location.Hostname() == "" {
		return nil, errors.New("the location of a source of the web is an absolute URL of http or https")
	}
	if location.User != nil {
		return nil, errors.New("the location carries credentials: name them by user and secret_file or secret_env")
	}
	auth, err := newAuthorization(s.Options, location)
	if err != nil {
		return nil, err
	}
	if env.Web == nil {
		if env.Web, err = NewWeb(env.Ingest, env.Gate); err != nil {
			return nil, err
		}
	}
	return &visitor{web: env.Web, location: location, auth: auth}, nil
}

// fetch gets uri, as far as it is not what known says.
func (v *visitor) fetch(ctx context.Context, uri string, known Known, opts ingest.FetchOptions) (ingest.Fetched, error) {
	var pause time.Duration
	opts.ETag, opts.LastModified, opts.Of = known.ETag, known.LastModified, known.Of
	opts.Authorize = v.auth.header
	opts.Check = func(ctx context.Context, u *url.URL) (err error) {
		if v.allows != nil {
			if err := v.allows(u); err != nil {
				return err
			}
		}
		if v.polite {
			pause, err = v.web.permit(ctx, u)
		}
		return err
	}
	opts.Enter = func(ctx context.Context, host string) (func(time.Duration), error) {
		return v.web.enter(ctx, host, pause)
	}
	return v.web.fetcher.FetchWith(ctx, uri, opts)
}

// validators are what is remembered of what was found for uri.
func validators(uri string, fetched ingest.Fetched) Known {
	known := Known{ETag: fetched.ETag, LastModified: fetched.LastModified}
	if fetched.URL != uri {
		known.Of = fetched.URL
	}
	return known
}

func (w *Web) enter(ctx context.Context, host string, pause time.Duration) (func(time.Duration), error) {
	if w.gate == nil {
		return func(time.Duration) {}, nil
	}
	return w.gate.Enter(ctx, host, pause)
}

// load gets the item. Links and attributes are for the caller to add, from
// what was fetched.
func (v *visitor) load(ctx context.Context, item Item, known Known) (Loaded, ingest.Fetched, error) {
	fetched, err := v.fetch(ctx, item.URI, known, ingest.FetchOptions{})
	if errors.Is(err, ingest.ErrGone) {
		return Loaded{Verdict: Gone}, fetched, nil
	}
	if err != nil {
		return Loaded{}, fetched, err
	}
	loaded := Loaded{Fresh: fetched.Fresh, Known: validators(item.URI, fetched)}
	loaded.Known.Tag = item.Tag
	if at, err := http.ParseTime(fetched.LastModified); err == nil {
		loaded.Modified = at
	}
	if fetched.NotModified {
		loaded.Verdict = Unchanged
		loaded.Known.Hash = known.Hash
		loaded.Known.ETag = cmp.Or(fetched.ETag, known.ETag)
		loaded.Known.LastModified = cmp.Or(fetched.LastModified, known.LastModified)
		return loaded, fetched, nil
	}
	// What the bytes say depends on the type and charset that they have.
	loaded.Known.Hash = tributary.Hash(append([]byte(fetched.ContentType+"\n"), fetched.Content...))
	if loaded.Known.Hash == known.Hash {
		loaded.Verdict = Unchanged
		return loaded, fetched, nil
	}
	loaded.Content, loaded.ContentType = fetched.Content, fetched.ContentType
	return loaded, fetched, nil
}

// hosts are the hosts in scope: the location's and those that the source
// names, as canonical writes them.
func (v *visitor) hosts(more []string) map[string]bool {
	hosts := map[string]bool{hostOf(v.location): true}
	for _, h := range more {
		hosts[strings.TrimSuffix(strings.ToLower(h), ".")] = true
	}
	return hosts
}

// onHosts returns an allows that refuses other hosts.
func onHosts(hosts map[string]bool) func(*url.URL) error {
	return func(u *url.URL) error {
		if !hosts[hostOf(u)] {
			return tributary.Rejectf("host %s is out of scope, which is the location's host and those of the option hosts", hostOf(u))
		}
		return nil
	}
}

// limited returns yield with at most limit items, 0 for no limit, each URI
// once; full says that the limit left something out.
func limited(limit int, yield func(Item) error) (_ func(Item) error, full *bool) {
	full = new(bool)
	seen := make(map[string]bool)
	return func(item Item) error {
		switch {
		case seen[item.URI]:
			return nil
		case limit > 0 && len(seen) == limit:
			*full = true
			return nil
		}
		seen[item.URI] = true
		if err := yield(item); err != nil {
			return fmt.Errorf("list %q: %w", item.URI, err)
		}
		return nil
	}, full
}
