package ingest

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"sync"

	"github.com/tributary-kb/tributary"
)

// Blobs returns the content that ref, as in Request.ContentRef, names.
type Blobs func(ctx context.Context, ref string) ([]byte, error)

// Kept returns the last parsed version of a document, for OpReplay. A
// document that is not kept is an error.
type Kept func(ctx context.Context, kb, document string) (tributary.Document, error)

// An Ingester is the ingest stage: it answers requests. The zero value works
// with the default limits and without stores; fields are set before first use.
// It is safe for concurrent use and must not be copied after first use.
type Ingester struct {
	// Config holds the limits; zero fields mean defaults.
	Config Config
	// Blobs may be nil if no request refers to a blob.
	Blobs Blobs
	// Kept may be nil if no request is a replay.
	Kept Kept
	// Fetch gets the content for OpFetch. nil means a Fetcher with Config.
	Fetch func(ctx context.Context, uri string) (Fetched, error)

	once   sync.Once
	parser *Parser
	fetch  func(ctx context.Context, uri string) (Fetched, error)
	err    error // of the configuration
}

// init makes the parts that Config describes.
func (g *Ingester) init() {
	g.Config.SetDefaults()
	if g.err = g.Config.Validate(); g.err != nil {
		return
	}
	g.parser, g.fetch = NewParser(g.Config), g.Fetch
	if g.fetch == nil {
		var fetcher *Fetcher
		if fetcher, g.err = NewFetcher(g.Config); g.err == nil {
			g.fetch = fetcher.Fetch
		}
	}
}

// Ingest emits the one Document that req asks for. A document that is at
// fault is an error marked by tributary.Reject; other errors are worth another
// attempt. Nothing is emitted along with an error of Ingest's own.
func (g *Ingester) Ingest(ctx context.Context, req tributary.Request, emit func(tributary.Document) error) error {
	g.once.Do(g.init)
	if g.err != nil {
		return g.err
	}
	doc, err := g.document(ctx, req)
	if err != nil {
		return err
	}
	return emit(doc)
}

func (g *Ingester) document(ctx context.Context, req tributary.Request) (tributary.Document, error) {
	if err := tributary.CheckURI(req.URI); err != nil {
		return tributary.Document{}, tributary.Reject(err)
	}
	switch req.Op {
	case tributary.OpPut:
		return g.put(ctx, req)
	case tributary.OpFetch:
		return g.get(ctx, req)
	case tributary.OpDelete:
		return deleted(req), nil
	case tributary.OpReplay:
		return g.replay(ctx, req)
	}
	return tributary.Document{}, tributary.Rejectf("%q: operation %q is not known", req.URI, req.Op)
}

func deleted(req tributary.Request) tributary.Document {
	head := req.Head
	head.Deleted = true
	return tributary.Document{Head: head}
}

func (g *Ingester) put(ctx context.Context, req tributary.Request) (tributary.Document, error) {
	content := req.Content
	if req.ContentRef != "" {
		var err error
		if content, err = g.blob(ctx, req.ContentRef); err != nil {
			return tributary.Document{}, fmt.Errorf("content of %q: %w", req.URI, err)
		}
	}
	return g.parse(ctx, req, Input{URI: req.URI, ContentType: req.ContentType, Content: content})
}

func (g *Ingester) blob(ctx context.Context, ref string) ([]byte, error) {
	if g.Blobs == nil {
		return nil, fmt.Errorf("get %s: no blob store is configured", ref)
	}
	content, err := g.Blobs(ctx, ref)
	if err != nil {
		return nil, fmt.Errorf("get %s: %w", ref, err)
	}
	return content, nil
}

func (g *Ingester) get(ctx context.Context, req tributary.Request) (tributary.Document, error) {
	fetched, err := g.fetch(ctx, req.URI)
	if errors.Is(err, ErrGone) {
		return deleted(req), nil
	}
	if err != nil {
		return tributary.Document{}, err
	}
	contentType := fetched.ContentType
	if contentType == "" {
		contentType = req.ContentType
	}
	return g.parse(ctx, req, Input{URI: fetched.URL, ContentType: contentType, Content: fetched.Content})
}

func (g *Ingester) parse(ctx context.Context, req tributary.Request, in Input) (tributary.Document, error) {
	parsed, err := g.parser.Parse(ctx, in)
	if err != nil {
		return tributary.Document{}, err
	}
	return tributary.Document{
		Head:        req.Head,
		Attributes:  prefer(req.Attributes, parsed.Attributes),
		ContentHash: tributary.Hash(in.Content),
		Text:        parsed.Text,
		Blocks:      parsed.Blocks,
		Parser:      ParserName,
		Origin:      req.Origin,
	}, nil
}

// prefer returns what the publisher says and, where that is nothing, what the
// document says. The content type is the parsed one: it is the publisher's
// unless the content contradicts it.
func prefer(published, parsed tributary.Attributes) tributary.Attributes {
	a := tributary.Attributes{
		Title:       first(published.Title, parsed.Title),
		Source:      first(published.Source, parsed.Source),
		ContentType: parsed.ContentType,
		Language:    first(published.Language, parsed.Language),
	}
	if len(published.Metadata)+len(parsed.Metadata) > 0 {
		a.Metadata = make(map[string]string)
		maps.Copy(a.Metadata, parsed.Metadata)
		maps.Copy(a.Metadata, published.Metadata)
	}
	return a
}

// replay sends the kept document again under the request's head. A kept
// deletion stays one.
func (g *Ingester) replay(ctx context.Context, req tributary.Request) (tributary.Document, error) {
	if g.Kept == nil {
		return tributary.Document{}, fmt.Errorf("replay %q: no store of parsed documents is configured", req.URI)
	}
	doc, err := g.Kept(ctx, req.KB, req.Document)
	if err != nil {
		return tributary.Document{}, fmt.Errorf("replay %q: %w", req.URI, err)
	}
	wasDeleted := doc.Deleted
	doc.Head = req.Head
	doc.Deleted = wasDeleted
	return doc, nil
}
