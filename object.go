package tributary

import "time"

// Object is a chunk as the index stores it. Birth is the version whose
// indexing wrote it; objects are never changed after that, only deleted.
type Object struct {
	ID       string // ChunkID
	Document string
	URI      string
	Birth    uint64
	Attributes
	Heading []string
	Text    string
	Hash    string
	Changed time.Time // acceptance of the Birth version, UTC, to the millisecond
	Vector  Vector    // only on the way in; nil on objects that are read
}

// IndexQuery is what a search asks of the index: keywords and a vector, fused
// by Alpha.
type IndexQuery struct {
	Text   string
	Vector Vector  // nil for keywords only
	Alpha  float64 // 0 keywords only .. 1 vector only
	Filter Filter
	Limit  int
}

// Candidate is an object that the index returns for a query, before any
// manifest was asked whether it is current.
type Candidate struct {
	Object
	Score float64 // higher is better
}
