package tributary

import (
	"bytes"
	"encoding/base64"
	"encoding/binary"
	"encoding/json"
	"errors"
	"fmt"
	"math"
	"strings"
	"time"
)

// A Lane separates work that somebody waits for from work that nobody does.
type Lane string

// The lanes. A live edit never waits behind a backfill.
const (
	LaneLive Lane = "live"
	LaneBulk Lane = "bulk"
)

// Lanes lists the lanes in the order in which workers prefer them.
var Lanes = []Lane{LaneLive, LaneBulk}

// An Op says what a Request asks for.
type Op string

// The operations of a Request.
const (
	// OpPut carries the content of the document, or names it by ContentRef.
	OpPut Op = "put"
	// OpFetch asks the ingest stage to get the content from the URI.
	OpFetch Op = "fetch"
	// OpDelete removes the document from answers.
	OpDelete Op = "delete"
	// OpReplay sends the kept parsed document down the pipeline again, under
	// a new version: the way to a new chunker, embedder or collection.
	OpReplay Op = "replay"
)

// Head says which version of which document a message is about. It is the
// first part of every message between stages.
type Head struct {
	KB       string `json:"kb"`
	URI      string `json:"uri"`
	Document string `json:"document"` // DocumentID(KB, URI)
	// Version is the sequence number JetStream gave the request. Zero only on
	// a Request that has not been accepted yet.
	Version  uint64    `json:"version"`
	Lane     Lane      `json:"lane"`
	Accepted time.Time `json:"accepted"` // when the request was accepted, UTC
	Deleted  bool      `json:"deleted,omitempty"`
	// Redelivered says that this message may have been handled before, in
	// part or in full. The stage runtime sets it; it does not travel.
	Redelivered bool `json:"-"`
}

// MessageHead returns the head; every message between stages has one.
func (h Head) MessageHead() Head { return h }

// MarkRedelivered sets Redelivered.
func (h *Head) MarkRedelivered() { h.Redelivered = true }

// Attributes describe a document as a whole. They are stored with every chunk
// so that queries can filter on them; a change of any of them gives the
// document's chunks new hashes.
type Attributes struct {
	Title       string            `json:"title,omitempty"`
	Source      string            `json:"source,omitempty"`       // who publishes it, "" if nobody said
	ContentType string            `json:"content_type,omitempty"` // media type without parameters, e.g. "text/html"
	Language    string            `json:"language,omitempty"`     // ISO 639-1, "" if unknown
	Metadata    map[string]string `json:"metadata,omitempty"`
}

// A Request asks for one change of one document. Input of the ingest stage.
type Request struct {
	Head
	Attributes
	Op Op `json:"op"`
	// Content is the document as published, for OpPut. Exactly one of Content
	// and ContentRef is set.
	Content []byte `json:"content,omitempty"`
	// ContentRef names content that is kept in the blob store.
	ContentRef string `json:"content_ref,omitempty"`
	// Origin says where the content came from ("commit", ...). It stands in the
	// manifest and is not part of what is embedded: a new commit alone changes
	// no chunk.
	Origin map[string]string `json:"origin,omitempty"`
}

// Accept gives the request the version under which the stream accepted it,
// unless it has one already: a dead letter that is played again keeps its own.
func (r *Request) Accept(version uint64, at time.Time) {
	if r.Version == 0 {
		r.Version, r.Accepted = version, at.UTC()
	}
}

// BlockKind classifies a Block.
type BlockKind string

// The kinds of Block.
const (
	BlockHeading   BlockKind = "heading"
	BlockParagraph BlockKind = "paragraph"
	BlockList      BlockKind = "list"
	BlockCode      BlockKind = "code"
	BlockTable     BlockKind = "table"
	BlockQuote     BlockKind = "quote"
)

// A Block is a structural part of a Document's Text: the half-open byte range
// [Start, End). Blocks are in order and do not overlap; between them stands
// nothing but white space.
type Block struct {
	Kind  BlockKind `json:"kind"`
	Level int       `json:"level,omitempty"` // 1..6 for headings, else 0
	Start int       `json:"start"`
	End   int       `json:"end"`
	Page  int       `json:"page,omitempty"` // 1-based page, 0 where the format has none
	// Title is a heading's text without its markup; empty for other kinds.
	Title string `json:"title,omitempty"`
}

// Document is the parsed content of one version. Output of ingest, input of
// chunk. For a deleted version only the Head is set.
type Document struct {
	Head
	Attributes
	ContentHash string  `json:"content_hash,omitempty"` // Hash of the bytes that were parsed
	Text        string  `json:"text,omitempty"`         // valid UTF-8, the text that offsets refer to
	Blocks      []Block `json:"blocks,omitempty"`
	Parser      string  `json:"parser,omitempty"` // name and version of the parser, part of the Fingerprint
	// Origin is that of the Request.
	Origin map[string]string `json:"origin,omitempty"`
}

// A Chunk is a passage of a Document: Text == Document.Text[Start:End].
type Chunk struct {
	Hash    string   `json:"hash"`              // ChunkHash of what is embedded and stored
	Ordinal int      `json:"ordinal"`           // 0-based place among chunks of equal Hash in this document
	Text    string   `json:"text"`              // never empty, never only white space
	Heading []string `json:"heading,omitempty"` // titles of the headings above, outermost first
	Start   int      `json:"start"`             // byte offset into Document.Text
	End     int      `json:"end"`               // byte offset, exclusive
	Page    int      `json:"page,omitempty"`    // 1-based page on which the chunk starts, 0 if unknown
	Tokens  int      `json:"tokens,omitempty"`  // estimated, see chunker
	// Vector is set by the embed stage, except for a chunk that stands in the
	// base manifest already; that one carries its ID instead.
	Vector Vector `json:"vector,omitempty"`
	ID     string `json:"id,omitempty"`
}

// Chunked is a Document cut into chunks. Output of chunk, input of embed.
type Chunked struct {
	Head
	Attributes
	ContentHash string  `json:"content_hash,omitempty"`
	Parser      string  `json:"parser,omitempty"`
	Chunker     string  `json:"chunker,omitempty"`
	Chunks      []Chunk `json:"chunks,omitempty"` // in order of Start
	// Origin is that of the Request.
	Origin map[string]string `json:"origin,omitempty"`
}

// Embedded is a Chunked whose chunks have a Vector or the ID of a chunk that
// is in the index already. Output of embed, input of index.
type Embedded struct {
	Chunked
	Embedder string `json:"embedder,omitempty"` // fingerprint of the embedder that made the vectors
}

// A Vector is an embedding: float32 components, finite, not all zero,
// L2-normalised unless its embedder says otherwise. In JSON it is the base64
// of the little-endian bytes.
type Vector []float32

// MarshalJSON implements json.Marshaler.
func (v Vector) MarshalJSON() ([]byte, error) {
	if v == nil {
		return []byte("null"), nil
	}
	raw := make([]byte, 4*len(v))
	for i, x := range v {
		binary.LittleEndian.PutUint32(raw[4*i:], math.Float32bits(x))
	}
	out := make([]byte, 0, base64.StdEncoding.EncodedLen(len(raw))+2)
	out = append(out, '"')
	out = base64.StdEncoding.AppendEncode(out, raw) // nothing in base64 needs escaping
	return append(out, '"'), nil
}

// UnmarshalJSON implements json.Unmarshaler.
func (v *Vector) UnmarshalJSON(data []byte) error {
	raw, err := fromBase64(data)
	if err != nil {
		return fmt.Errorf("vector: %w", err)
	}
	if raw == nil {
		*v = nil
		return nil
	}
	if len(raw)%4 != 0 {
		return fmt.Errorf("vector: %d bytes is not a whole number of float32", len(raw))
	}
	out := make(Vector, len(raw)/4)
	for i := range out {
		out[i] = math.Float32frombits(binary.LittleEndian.Uint32(raw[4*i:]))
	}
	*v = out
	return nil
}

// fromBase64 reads a JSON string of base64, or null. Vectors are most of the
// bytes between stages, so the usual form does not pass through the decoder of
// JSON twice.
func fromBase64(data []byte) ([]byte, error) {
	if n := len(data); n >= 2 && data[0] == '"' && data[n-1] == '"' && bytes.IndexByte(data, '\\') < 0 {
		return base64.StdEncoding.AppendDecode([]byte{}, data[1:n-1])
	}
	var raw []byte
	err := json.Unmarshal(data, &raw)
	return raw, err
}

// Check reports why v cannot be stored as a vector of dim components.
func (v Vector) Check(dim int) error {
	if len(v) != dim {
		return fmt.Errorf("vector has %d dimensions, want %d", len(v), dim)
	}
	zero := true
	for i, x := range v {
		if math.IsNaN(float64(x)) || math.IsInf(float64(x), 0) {
			return fmt.Errorf("vector component %d is %v", i, x)
		}
		zero = zero && x == 0
	}
	if zero {
		return errors.New("vector is zero")
	}
	return nil
}

// EmbeddingText is what an embedder sees of a chunk: the title and heading
// path, which place the passage, and then the passage itself.
func EmbeddingText(title string, c Chunk) string {
	path := make([]string, 0, len(c.Heading)+1)
	for _, h := range append([]string{title}, c.Heading...) {
		if h != "" && (len(path) == 0 || path[len(path)-1] != h) {
			path = append(path, h)
		}
	}
	if len(path) == 0 {
		return c.Text
	}
	return strings.Join(path, " > ") + "\n\n" + c.Text
}
