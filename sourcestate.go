package tributary

import "time"

// A SourceState says how a source is doing.
type SourceState string

// The states of a source.
const (
	SourceActive   SourceState = "active"   // looked at when its time comes
	SourcePaused   SourceState = "paused"   // until somebody resumes it
	SourceHeld     SourceState = "held"     // active, but its deletions wait for somebody to confirm them
	SourceFailing  SourceState = "failing"  // the last look failed; tried again by itself
	SourceRemoving SourceState = "removing" // on its way out, its documents too
)

// A SourceStatus is a source and how current it is. It is one line of
// `tributary source ls`.
type SourceStatus struct {
	KB string `json:"kb"`
	Source
	State     SourceState `json:"state"`
	Reason    string      `json:"reason,omitempty"` // of held and failing, for a person
	Documents int         `json:"documents"`        // that it has, as last looked at
	// Held counts what the deletions that wait would remove.
	Held   int  `json:"held,omitempty"`
	Loaded bool `json:"loaded"` // the first load is complete; until then what it lists goes on the bulk lane
	// LastLook is when it was last looked at, LastSuccess when that last went
	// well, Verified the time at which all it holds was known to be current.
	LastLook    time.Time `json:"last_look,omitzero"`
	LastSuccess time.Time `json:"last_success,omitzero"`
	Verified    time.Time `json:"verified,omitzero"`
	NextLook    time.Time `json:"next_look,omitzero"`
	IntervalS   float64   `json:"interval_seconds,omitempty"` // from the last listing to the next, learned or fixed
	AgeS        float64   `json:"age_seconds"`                // now minus Verified; -1 if never verified
	// Percentiles of seconds from a change to its commit, of the last 1000; 0
	// where there was none.
	SearchableP50 float64  `json:"searchable_p50_seconds,omitempty"`
	SearchableP99 float64  `json:"searchable_p99_seconds,omitempty"`
	Owner         string   `json:"owner,omitempty"`   // the worker that follows it now
	Failing       int      `json:"failing,omitempty"` // documents that could not be loaded when last tried
	Notes         []string `json:"notes,omitempty"`   // what was left out, and why
}

// SourceAddRequest declares a source, or changes one that exists under its
// name. The reply is its SourceStatus.
type SourceAddRequest struct {
	Source
}

// SourceRequest names a source, for show, pause, resume and confirm. The reply
// is its SourceStatus.
type SourceRequest struct {
	Name string `json:"name"`
}

// SourceListRequest asks for all sources of a knowledge base, in order of
// name. The reply is a stream of SourceStatus.
type SourceListRequest struct{}

// SourceRemoveRequest ends the following of a source.
type SourceRemoveRequest struct {
	Name string `json:"name"`
	// Purge removes its documents too; otherwise they stay as they are.
	Purge bool `json:"purge,omitempty"`
}

// SourceSyncRequest asks to look at a source now. The reply comes when that
// look is done: its SourceStatus.
type SourceSyncRequest struct {
	Name string `json:"name"`
	// Full loads every document again, as if nothing was known of it, on the
	// bulk lane.
	Full bool `json:"full,omitempty"`
}
