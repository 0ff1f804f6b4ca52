package tributary

import "time"

// A Sighting is what is known of a document at its source.
type Sighting struct {
	// Verified is when the version that is searched was last known to be what
	// the source has; zero for a document that no source is followed for.
	Verified time.Time
	// Newest is the version under which the source's content was published
	// last. While it is above the one that is searched, a change is on its way.
	Newest uint64
}

// A SourceAge names a source that is older than a search demanded.
type SourceAge struct {
	KB     string `json:"kb"`
	Source string `json:"source"`
	// AgeS is for how long it is not known to be current, in seconds; -1 if it
	// never was.
	AgeS   float64 `json:"age_seconds"`
	Reason string  `json:"reason"` // why it is, for a person
}

// TooOld names a passage that fits a search and was left out for its age.
type TooOld struct {
	URI    string  `json:"uri"`
	Source string  `json:"source,omitempty"`
	ID     string  `json:"id"`          // of the chunk
	AgeS   float64 `json:"age_seconds"` // since it was verified, or accepted if no source has it
}
