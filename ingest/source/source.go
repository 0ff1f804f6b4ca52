// Package source looks at what a tributary.Source follows and tells what it
// holds now: a Source comes in; the items that it lists and their content come
// out. It remembers nothing: what was known before is handed to it, and what is
// to be remembered is returned. Schedules, checkpoints and the publishing of
// requests are the business of its caller.
package source

import (
	"context"
	"encoding/json"
	"time"

	"github.com/tributary-kb/tributary"
)

// A Follower looks at one source. Its methods may run concurrently with each
// other. Their errors are marked as tributary.OutcomeOf reads them: RetryAfter
// where the other side says when to come again, Reject where the configuration
// or the item is at fault and will stay so, plain for anything that may pass.
type Follower interface {
	// List calls yield for each item that the source has now. The cursor is
	// that of the last Listing that was acted upon, nil at first. An error,
	// yield's included, means that the listing is worth nothing.
	List(ctx context.Context, cursor json.RawMessage, yield func(Item) error) (Listing, error)
	// Load gets the content of an item, as far as it is not what known says.
	Load(ctx context.Context, item Item, known Known) (Loaded, error)
}

// A Watcher is a Follower that hears of changes by itself.
type Watcher interface {
	// Watch calls changed with the URIs of items that may have changed, appeared
	// or gone, and with none where anything may have. It returns when ctx ends
	// or when it cannot hear any more. What it misses a later List finds.
	Watch(ctx context.Context, changed func(uris ...string)) error
}

// A Listener is a Follower whose source publishes what changes, in messages that
// somebody else receives.
type Listener interface {
	Looker
	// Heard returns the URIs of the items that a message says have changed,
	// appeared or gone; none if it is about others. What is no such message is an
	// error. A message may come late, twice, or be made up: what is true Look tells.
	Heard(message []byte) ([]string, error)
}

// A Looker is a Follower that can look at one item without listing the others.
type Looker interface {
	// Look returns the item as List would, and false if List would not yield it.
	Look(ctx context.Context, uri string) (Item, bool, error)
}

// An Item is one document of a source, as a listing sees it.
type Item struct {
	URI string `json:"uri"`
	// Tag changes whenever the content does: a blob hash, size and time of a
	// file, a lastmod. "" if the listing cannot tell.
	Tag string `json:"tag,omitempty"`
	// Modified is when the content changed, as the source says; zero if it
	// does not.
	Modified time.Time `json:"modified,omitzero"`
	// Attributes that the source itself gives the document. Title and Language
	// are overridden by nothing; metadata is added.
	Attributes tributary.Attributes `json:"attributes,omitzero"`
	Depth      int                  `json:"depth,omitempty"` // links from the start of a site
	// Content is set where the listing carries it (an entry of a feed). Load
	// then returns it and asks nobody.
	Content     []byte `json:"content,omitempty"`
	ContentType string `json:"content_type,omitempty"`
}

// Known is what is remembered of an item since it was last loaded; zero for
// one that never was.
type Known struct {
	Tag          string `json:"tag,omitempty"`
	ETag         string `json:"etag,omitempty"`          // validators of its URL
	LastModified string `json:"last_modified,omitempty"` // as the server wrote it
	Of           string `json:"of,omitempty"`            // the URL that the validators are of, "" for the item's own
	Hash         string `json:"hash,omitempty"`          // covers the content that was published
}

// A Listing sums up a List.
type Listing struct {
	// Cursor is handed to the next List once what was listed has been acted
	// upon.
	Cursor json.RawMessage
	// Unchanged says that nothing was yielded because nothing changed since the
	// cursor: every item is as it was.
	Unchanged bool
	// Authoritative says that an item whose Tag is what it was has the content
	// that it had. Items of other listings are loaded from time to time.
	Authoritative bool
	// Partial says that items may exist that were not listed (a feed shows its
	// newest entries): nothing follows from an item's absence.
	Partial bool
	// Through is the place up to which a page has all items, those at it
	// included; "" for the last page, and for what comes in one piece.
	Through string
	// SecondLook says that an absent item is gone only if it is absent from the
	// next listing too, or does not load.
	SecondLook bool
	// Fresh is for how long the source says that looking again is useless.
	Fresh time.Duration
	// Notes are for a person: what was left out, and why.
	Notes []string
}

// A Pager is a Follower that lists in pages, so that a long listing can be gone
// on with by somebody else. An item has a place, and the pages come in the order
// of places, compared byte by byte.
type Pager interface {
	Looker
	// Page calls yield for the items of the page that begins after a place, ""
	// for the first one. The Listing says how far it went.
	Page(ctx context.Context, after string, yield func(Item) error) (Listing, error)
	// Place returns the place of an item, "" if the source cannot have it.
	Place(uri string) string
}

// A Verdict says what loading an item came to.
type Verdict int

// The verdicts.
const (
	Changed   Verdict = iota // the content is in Loaded
	Unchanged                // the content is what Known says
	Gone                     // there is no such document (any more)
	Hidden                   // it asks not to be indexed: nothing to publish, but Links and Known hold
)

// Loaded is the content of an item, or why there is none.
type Loaded struct {
	Verdict     Verdict
	URI         string // the canonical one of the document, "" for the item's own
	Content     []byte
	ContentType string
	Attributes  tributary.Attributes
	// Origin says where the content came from, for the manifest: "commit", ...
	Origin map[string]string
	// Known replaces what was known.
	Known Known
	// Links are the items in scope that this one leads to, with their Depth.
	// There are none where the item is Unchanged and was not read again: they
	// are then what they were.
	Links []Item
	// Fresh is for how long the server says that asking again is useless.
	Fresh time.Duration
	// Modified is when the content changed, as far as the server says.
	Modified time.Time
	// Notes are for a person: which links were left out, and why.
	Notes []string
}
