package tributary

// Sentence is one sentence of an answer, and how far the passages that it
// cites carry it.
type Sentence struct {
	Start int `json:"start"` // byte offsets into the answer, half-open; marks such as [1] are part of it
	End   int `json:"end"`
	// Citations are the numbers that the sentence cites, or, where it has none,
	// those of the next one in its paragraph that has.
	Citations []int `json:"citations,omitempty"`
	// Support is the share, 0 to 1, of what the sentence says that stands in
	// the passages it cites: words, with numbers and names counted twice.
	Support float64 `json:"support"`
	// Supported is false where Support is too low, nothing is cited, or a
	// number stands in no cited passage.
	Supported bool `json:"supported"`
}
