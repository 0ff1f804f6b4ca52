package source

import (
	"context"
	"encoding/json"

	"github.com/tributary-kb/tributary"
)

// A page is one URL. It is the user's own request, as that of a browser is, so
// robots.txt is not asked: that is for programs which find their pages by
// themselves (RFC 9309, section 1). Where it redirects to does not matter, the
// document keeps the URI that it was added by.
type page struct {
	*visitor
	uri string
}

func newPage(s tributary.Source, env Env) (Follower, error) {
	if err := onlyOptions(s); err != nil {
		return nil, err
	}
	v, err := newVisitor(s, env)
	if err != nil {
		return nil, err
	}
	return &page{visitor: v, uri: s.Location}, nil
}

// List implements Follower.
func (p *page) List(_ context.Context, _ json.RawMessage, yield func(Item) error) (Listing, error) {
	return Listing{}, yield(Item{URI: p.uri})
}

// Load implements Follower.
func (p *page) Load(ctx context.Context, item Item, known Known) (Loaded, error) {
	loaded, _, err := p.load(ctx, item, known)
	return loaded, err
}
