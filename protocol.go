package tributary

import (
	"errors"
	"fmt"
	"time"
)

// The types below are the bodies of the public protocol (docs/protocol.md):
// JSON over NATS requests. They are a contract: fields are added, none is
// taken away.

// AddRequest publishes one document. Exactly one of Content, Text, ContentRef
// and Fetch is set.
type AddRequest struct {
	URI string `json:"uri"`
	Attributes
	Text       string `json:"text,omitempty"`        // content that is text
	Content    []byte `json:"content,omitzero"`      // content of any type, base64 in JSON; may be empty
	ContentRef string `json:"content_ref,omitempty"` // name of an object in the blob store
	Fetch      bool   `json:"fetch,omitempty"`       // get the content from the URI, http or https
	Lane       Lane   `json:"lane,omitempty"`        // "" means live
}

// RemoveRequest takes one document out of answers.
type RemoveRequest struct {
	URI  string `json:"uri"`
	Lane Lane   `json:"lane,omitempty"` // "" means live
}

// Receipt says that a change was accepted, durably, and under which version.
type Receipt struct {
	URI      string `json:"uri"`
	Document string `json:"document"`
	Version  uint64 `json:"version"`
}

// At names a version of a document that something must have reached. Document
// or URI is set.
type At struct {
	Document string `json:"document,omitempty"`
	URI      string `json:"uri,omitempty"`
	Version  uint64 `json:"version"`
}

// WaitRequest asks to be told when versions are settled: committed or
// refused. The reply is a stream of Settled, one per At, in the order in
// which they settle.
type WaitRequest struct {
	Documents []At `json:"documents"`
}

// Settled says what became of a version that was waited for.
type Settled struct {
	URI      string `json:"uri,omitempty"`
	Document string `json:"document"`
	Version  uint64 `json:"version"` // of the settled version, at least the one asked for
	State    State  `json:"state"`   // live, deleted or rejected
	Chunks   int    `json:"chunks"`
	Reason   string `json:"reason,omitempty"` // why it was rejected
	Stage    string `json:"stage,omitempty"`  // which stage rejected it
	// Seconds from acceptance to commit, 0 if rejected.
	Seconds float64 `json:"seconds,omitempty"`
}

// Filter narrows a search. The zero value lets everything through; several
// set fields must all hold; of a list, one must.
type Filter struct {
	URIPrefix    string    `json:"uri_prefix,omitempty"`
	Sources      []string  `json:"sources,omitempty"`
	ContentTypes []string  `json:"content_types,omitempty"`
	Languages    []string  `json:"languages,omitempty"`
	ChangedAfter time.Time `json:"changed_after,omitzero"`  // passage last changed at or after
	ChangedUntil time.Time `json:"changed_before,omitzero"` // passage last changed before
	FilterTerms
}

// SearchRequest asks for the passages that fit a query best.
type SearchRequest struct {
	Query  string `json:"query"`
	K      int    `json:"k,omitempty"` // number of hits, 0 means 10
	Filter Filter `json:"filter,omitzero"`
	// Alpha weighs the vector part of the score against the keyword part,
	// from 0 (keywords only) to 1; nil means what is set for the knowledge
	// base, the embedder's own default if nothing is.
	Alpha *float64 `json:"alpha,omitempty"`
	// AtLeast lists versions that must be settled before the search runs. The
	// search waits for them within its deadline and otherwise fails with
	// CodeNotYet.
	AtLeast []At `json:"at_least,omitempty"`
	SearchOptions
}

// Location is a hit's place in its document.
type Location struct {
	Heading []string `json:"heading,omitempty"` // outermost first
	Page    int      `json:"page,omitempty"`    // 1-based
	Start   int      `json:"start"`             // byte offsets into the parsed text, half-open
	End     int      `json:"end"`
	Chunk   int      `json:"chunk"`  // 0-based number of the chunk in the document
	Chunks  int      `json:"chunks"` // how many chunks the document has
}

// Hit is a passage that answers a search. It is named by the document's
// current manifest.
type Hit struct {
	Rank        int       `json:"rank"`  // from 1
	Score       float64   `json:"score"` // fused, comparable within one reply only
	URI         string    `json:"uri"`
	Title       string    `json:"title"`
	Text        string    `json:"text"`
	Document    string    `json:"document"`
	Version     uint64    `json:"version"` // the document's current version
	Location    Location  `json:"location"`
	Source      string    `json:"source,omitempty"`
	ContentType string    `json:"content_type,omitempty"`
	Language    string    `json:"language,omitempty"`
	Changed     time.Time `json:"changed,omitzero"` // when the passage last changed
	ID          string    `json:"id"`               // of the chunk
	// Origin says where the document's version came from, e.g. "commit".
	Origin map[string]string `json:"origin,omitempty"`
	KB     string            `json:"kb,omitempty"` // only where the search named several
	// Verified is when Version was last known to be what the document's source
	// has; zero for a document that no source is followed for.
	Verified time.Time `json:"verified,omitzero"`
	// Duplicates counts the passages that Unique merged into this one.
	Duplicates int         `json:"duplicates,omitempty"`
	Explain    *HitExplain `json:"explain,omitempty"`
}

// SearchReply is the answer to a SearchRequest.
type SearchReply struct {
	Hits []Hit `json:"hits"`
	// Dropped counts candidates that the index returned and no current
	// manifest names: versions being written or swept.
	Dropped int `json:"dropped,omitempty"`
	// Confidence, 0 to 1, estimates how likely the hits hold an answer; see
	// NoGoodAnswer.
	Confidence float64 `json:"confidence"`
	// NoGoodAnswer says that Confidence is below search.min_confidence: the
	// hits are the best there are, and probably not what was asked for.
	NoGoodAnswer bool `json:"no_good_answer,omitempty"`
	// TooOld counts passages that fit and were left out, and StaleSources names
	// the sources that were looked at in vain, because of MaxAgeS.
	TooOld       int         `json:"too_old,omitempty"`
	StaleSources []SourceAge `json:"stale_sources,omitempty"`
	// Notes tell, in words, what could not be done as asked: a reranker that
	// failed, for one.
	Notes   []string       `json:"notes,omitempty"`
	Explain *SearchExplain `json:"explain,omitempty"`
	Seconds float64        `json:"seconds"`
}

// AskRequest asks for an answer in words.
type AskRequest struct {
	Question string   `json:"question"`
	K        int      `json:"k,omitempty"` // passages to answer from, 0 means 6
	Filter   Filter   `json:"filter,omitzero"`
	Alpha    *float64 `json:"alpha,omitempty"`
	AtLeast  []At     `json:"at_least,omitempty"`
	AskOptions
	// SearchOptions hold for every search that the answer is made from. Under
	// Context and Expand, MaxTokens is by default what the generator may read;
	// what does not fit beside better passages is left at the passage.
	SearchOptions
}

// Citation is a passage that an answer refers to as [N].
type Citation struct {
	N        int      `json:"n"` // from 1
	URI      string   `json:"uri"`
	Title    string   `json:"title,omitempty"`
	Text     string   `json:"text"`
	Version  uint64   `json:"version"`
	Document string   `json:"document"`
	Location Location `json:"location"`
	KB       string   `json:"kb,omitempty"` // only where the request named several
	// Verified is that of the Hit.
	Verified time.Time `json:"verified,omitzero"`
}

// Answer is the whole answer to an AskRequest.
type Answer struct {
	Answer    string     `json:"answer"`
	Citations []Citation `json:"citations"` // in order of N; only those the answer refers to
	// Generator names what wrote the answer: "extractive" (sentences copied
	// from the passages, no model) or "provider:model".
	Generator string `json:"generator"`
	// Sentences are those of Answer, in order, headings and code left out; none
	// where NoAnswer is set. Unsupported counts those that are not supported.
	Sentences   []Sentence `json:"sentences,omitempty"`
	Unsupported int        `json:"unsupported,omitempty"`
	// Confidence is that of the search, 0 to 1; of several searches, the best.
	Confidence float64 `json:"confidence"`
	// NoAnswer says that the documents do not answer the question, Reason why
	// that is thought.
	NoAnswer bool   `json:"no_answer,omitempty"`
	Reason   string `json:"reason,omitempty"`
	// RemovedLinks lists links that were taken out of the answer, because they
	// lead to no cited document.
	RemovedLinks []string `json:"removed_links,omitempty"`
	// Steps tells what was done before the search, in order.
	Steps []AskStep `json:"steps,omitempty"`
	// Cached says that the text was written for the same question and the same
	// passages before.
	Cached bool `json:"cached,omitempty"`
	// Usage counts what the model read and wrote for this answer, steps
	// included.
	Usage Usage `json:"usage,omitzero"`
	// TooOld and StaleSources are those of the searches together.
	TooOld       int         `json:"too_old,omitempty"`
	StaleSources []SourceAge `json:"stale_sources,omitempty"`
	// Notes are those of the searches: what could not be done as asked.
	Notes   []string    `json:"notes,omitempty"`
	Explain *AskExplain `json:"explain,omitempty"`
	Seconds float64     `json:"seconds,omitempty"`
}

// AskEvent is one part of the streamed reply to an AskRequest: some Delta
// events whose texts make up the answer, then one with the whole Answer.
type AskEvent struct {
	Delta  string  `json:"delta,omitempty"`
	Answer *Answer `json:"answer,omitempty"`
}

// ListRequest asks for the documents of a knowledge base, in order of URI.
// The reply is a stream of Item.
type ListRequest struct {
	URIPrefix string `json:"uri_prefix,omitempty"`
	Deleted   bool   `json:"deleted,omitempty"` // tombstones too
}

// Item is one document of a list.
type Item struct {
	URI      string    `json:"uri"`
	Document string    `json:"document"`
	Version  uint64    `json:"version"` // of State: the refused one for StateRejected
	State    State     `json:"state"`
	Chunks   int       `json:"chunks"` // that are searched now
	Changed  time.Time `json:"changed"`
	Title    string    `json:"title,omitempty"`
	Reason   string    `json:"reason,omitempty"` // why the newest version was refused
	Stage    string    `json:"stage,omitempty"`
}

// Item is the record as a line of a list.
func (r Record) Item() Item {
	item := Item{URI: r.URI, Document: r.Document, State: r.State(), Chunks: len(r.Chunks())}
	if m := r.Manifest; m != nil {
		item.Version, item.Changed, item.Title = m.Version, m.Changed, m.Title
	}
	if f := r.Refused(); f != nil {
		item.Version, item.Reason, item.Stage = f.Version, f.Reason, f.Stage
		if r.Manifest == nil {
			item.Changed = f.At
		}
	}
	return item
}

// ShowRequest asks for everything about one document. Document or URI is set.
type ShowRequest struct {
	URI      string `json:"uri,omitempty"`
	Document string `json:"document,omitempty"`
}

// ShowReply is one document: its list entry, manifest and chunks in order.
type ShowReply struct {
	Item
	Manifest *Manifest `json:"manifest,omitempty"`
	Passages []Hit     `json:"passages,omitempty"` // the chunks' texts; Rank is the chunk's number from 1
	// Missing lists chunks that the manifest names and the index does not
	// have. It should be empty; `tributary verify` mends it.
	Missing []string `json:"missing,omitempty"`
}

// StageStatus is the state of one stage's input in one lane.
type StageStatus struct {
	Stage    string  `json:"stage"`
	Lane     Lane    `json:"lane"`
	Stream   string  `json:"stream"`
	Waiting  uint64  `json:"waiting"`   // not delivered yet: the lag
	InFlight int     `json:"in_flight"` // delivered, not acknowledged yet
	Retried  int     `json:"retried"`   // of those in flight, how often delivered before
	Workers  int     `json:"workers"`   // pulls that wait for work; 0 with lag means nobody works here
	OldestS  float64 `json:"oldest_seconds,omitempty"`
}

// StreamStatus is the state of one stream.
type StreamStatus struct {
	Stream   string `json:"stream"`
	Messages uint64 `json:"messages"`
	Bytes    uint64 `json:"bytes"`
	MaxBytes int64  `json:"max_bytes"`
}

// KBStatus counts one knowledge base.
type KBStatus struct {
	KB       string    `json:"kb"`
	Live     int       `json:"live"`
	Deleted  int       `json:"deleted"`
	Rejected int       `json:"rejected"`
	Pending  int       `json:"pending"`
	Chunks   int       `json:"chunks"`  // named by manifests
	Objects  int       `json:"objects"` // stored in the index; more than Chunks while sweeping
	Embedder string    `json:"embedder,omitempty"`
	Refused  []Item    `json:"refused,omitempty"` // the newest refusals, at most 20
	Freshest time.Time `json:"freshest,omitzero"` // last commit
}

// Problem is something unhealthy, in words, with what to do about it.
type Problem struct {
	What string `json:"what"`
	Do   string `json:"do"`
}

// StatusReply is the state of the whole system.
type StatusReply struct {
	Version  string         `json:"version"`
	NATS     string         `json:"nats"`     // server version
	Weaviate string         `json:"weaviate"` // server version, "" if not reachable
	Stages   []StageStatus  `json:"stages"`
	Streams  []StreamStatus `json:"streams"`
	KBs      []KBStatus     `json:"kbs"`
	Sources  []SourceStatus `json:"sources,omitempty"`
	Dead     uint64         `json:"dead_letters"`
	Problems []Problem      `json:"problems"`
}

// Commit is published on the events subject of a knowledge base when a
// version becomes visible.
type Commit struct {
	KB       string `json:"kb"`
	URI      string `json:"uri"`
	Document string `json:"document"`
	Version  uint64 `json:"version"`
	Source   string `json:"source,omitempty"` // of the document, "" of a deletion
	Change
	Accepted  time.Time `json:"accepted"`
	Committed time.Time `json:"committed"`
}

// A Code classifies a protocol error; it travels in the header
// Nats-Service-Error-Code.
type Code string

// The protocol's error codes.
const (
	CodeInvalid     Code = "400" // the request is not well formed; the text says how
	CodeNotFound    Code = "404" // no such document or knowledge base
	CodeNotYet      Code = "409" // at_least was not reached within the deadline
	CodeTooLarge    Code = "413" // a limit; the text names it and its setting
	CodeBusy        Code = "429" // too many requests at once; try again
	CodeCancelled   Code = "499" // the client said that it went away
	CodeInternal    Code = "500"
	CodeUnavailable Code = "503" // index, embedder or generator is away
	CodeDeadline    Code = "504" // the deadline passed
)

// Error is an error with a protocol code and a text for a person.
type Error struct {
	Code Code
	Err  error // never nil
}

// Error implements error.
func (e *Error) Error() string { return e.Err.Error() }

// Unwrap returns the cause.
func (e *Error) Unwrap() error { return e.Err }

// Errorf returns an *Error with a formatted text; %w wraps as in fmt.Errorf.
func Errorf(code Code, format string, args ...any) error {
	return &Error{Code: code, Err: fmt.Errorf(format, args...)}
}

// CodeOf returns the protocol code of err: that of the first *Error in its
// chain, CodeInternal for any other.
func CodeOf(err error) Code {
	if e, ok := errors.AsType[*Error](err); ok {
		return e.Code
	}
	return CodeInternal
}

// VerifyRequest asks whether registry and index agree.
type VerifyRequest struct {
	// Repair mends what is found: orphans are deleted, documents with missing
	// or unindexed chunks are indexed again from what is kept of them.
	Repair bool `json:"repair,omitempty"`
}

// ReindexRequest asks to build the index of a knowledge base anew from the
// parsed documents that are kept: after a change of embedder or chunker. The
// reply is a stream of Receipt. Documents are found again as their new
// versions are committed.
type ReindexRequest struct{}

// FindingKind classifies a Finding.
type FindingKind string

// The kinds of Finding. The last message of a verification is a summary.
const (
	FindingMissing   FindingKind = "missing"   // a manifest names a chunk that the index does not hold
	FindingOrphan    FindingKind = "orphan"    // the index holds a chunk that no manifest names
	FindingUnindexed FindingKind = "unindexed" // the chunk is stored and not found by its own vector
	FindingSummary   FindingKind = "summary"
)

// Finding is one disagreement, or the summary at the end.
type Finding struct {
	Kind     FindingKind `json:"kind"`
	URI      string      `json:"uri,omitempty"`
	Document string      `json:"document,omitempty"`
	Version  uint64      `json:"version,omitempty"`
	Chunk    string      `json:"chunk,omitempty"`
	Repaired bool        `json:"repaired,omitempty"`
	// Of the summary: what was compared and found.
	Documents int `json:"documents,omitempty"`
	Chunks    int `json:"chunks,omitempty"`
	Objects   int `json:"objects,omitempty"`
	Problems  int `json:"problems,omitempty"`
}
