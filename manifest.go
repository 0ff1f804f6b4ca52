package tributary

import "time"

// A State says where a document stands.
type State string

// The states of a document.
const (
	StateLive     State = "live"     // searchable
	StateDeleted  State = "deleted"  // a tombstone: not searchable, fences late writers
	StateRejected State = "rejected" // the newest version was refused; an older one may still be searched
	StatePending  State = "pending"  // accepted, not committed yet
)

// A ChunkRef names one chunk of a manifest: which object holds it, and where
// in this version of the document it stands.
type ChunkRef struct {
	ID    string `json:"i"`
	Hash  string `json:"h"`           // ChunkHash, for reuse by the next version
	Start int    `json:"s"`           // byte offset into the document's text
	End   int    `json:"e"`           // exclusive
	Page  int    `json:"p,omitempty"` // 1-based, 0 if the format has none
}

// Fingerprint names the parts that turned a document into vectors.
type Fingerprint struct {
	Parser   string `json:"parser,omitempty"`
	Chunker  string `json:"chunker,omitempty"`
	Embedder string `json:"embedder,omitempty"`
}

// A Manifest is one committed version of a document: the complete list of its
// chunks, in order. What no manifest names is not there for a reader.
type Manifest struct {
	Version     uint64      `json:"version"`
	State       State       `json:"state"` // StateLive or StateDeleted
	ContentHash string      `json:"content_hash,omitempty"`
	Fingerprint Fingerprint `json:"fingerprint"`
	Title       string      `json:"title,omitempty"`
	ContentType string      `json:"content_type,omitempty"`
	Source      string      `json:"source,omitempty"`
	Language    string      `json:"language,omitempty"`
	Accepted    time.Time   `json:"accepted"`  // when the request for this version was accepted
	Committed   time.Time   `json:"committed"` // when it became searchable
	Changed     time.Time   `json:"changed"`   // acceptance of the version that last changed the content
	Change      Change      `json:"change"`
	Chunks      []ChunkRef  `json:"chunks,omitempty"`
	// Origin says where the content of this version came from, e.g. "commit".
	Origin map[string]string `json:"origin,omitempty"`
}

// A Change sums up what a version did to the one before it.
type Change struct {
	Kind    ChangeKind `json:"kind"`
	Kept    int        `json:"kept"`    // chunks that were there before
	Added   int        `json:"added"`   // chunks that are new
	Removed int        `json:"removed"` // chunks that are gone
}

// A ChangeKind classifies a Change.
type ChangeKind string

// The kinds of change.
const (
	ChangeAdded     ChangeKind = "added"     // the document was not searchable before
	ChangeUpdated   ChangeKind = "updated"   // its passages changed
	ChangeUnchanged ChangeKind = "unchanged" // published again, with the same passages
	ChangeDeleted   ChangeKind = "deleted"
)

// A Failure says why a version was refused.
type Failure struct {
	Version uint64    `json:"version"`
	Stage   string    `json:"stage"`
	Reason  string    `json:"reason"`
	At      time.Time `json:"at"`
}

// A Record is what the registry holds of one document: its committed manifest
// and, if a version was refused, the highest such. Its version only moves up.
type Record struct {
	KB       string    `json:"kb"`
	URI      string    `json:"uri"`
	Document string    `json:"document"`
	Manifest *Manifest `json:"manifest,omitempty"` // nil before the first commit
	Failure  *Failure  `json:"failure,omitempty"`
	// Revision is the registry's own number of this state of the record, for
	// compare-and-set; 0 means that the record does not exist.
	Revision uint64 `json:"-"`
}

// Settled returns the highest version about which something final is known:
// committed or refused.
func (r Record) Settled() uint64 {
	var v uint64
	if r.Manifest != nil {
		v = r.Manifest.Version
	}
	if r.Failure != nil {
		v = max(v, r.Failure.Version)
	}
	return v
}

// State is the document's state as far as the registry knows it: pending for
// a record without manifest and failure.
func (r Record) State() State {
	switch {
	case r.Refused() != nil:
		return StateRejected
	case r.Manifest != nil:
		return r.Manifest.State
	}
	return StatePending
}

// Refused returns the failure of the newest version, nil if that one was
// committed.
func (r Record) Refused() *Failure {
	if r.Failure != nil && (r.Manifest == nil || r.Failure.Version > r.Manifest.Version) {
		return r.Failure
	}
	return nil
}

// Chunks returns the live chunks, nil for a deleted or unknown document.
func (r Record) Chunks() []ChunkRef {
	if r.Manifest == nil || r.Manifest.State != StateLive {
		return nil
	}
	return r.Manifest.Chunks
}

// Find returns the place of the chunk with this object id in the live
// manifest, or -1.
func (r Record) Find(id string) int {
	for i, c := range r.Chunks() {
		if c.ID == id {
			return i
		}
	}
	return -1
}
