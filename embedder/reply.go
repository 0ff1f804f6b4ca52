package embedder

import (
	"encoding/base64"
	"encoding/binary"
	"encoding/json"
	"fmt"
	"io"
	"math"

	"github.com/tributary-kb/tributary"
)

// maxReplyBytes bounds a reply: 2,048 vectors of 3,072 components as decimal
// numbers are 130 MB.
const maxReplyBytes = 256 << 20

// A reply is what a provider answers: a vector for each text, in their order,
// and the tokens that it counted, 0 if it does not count.
type reply struct {
	vectors []tributary.Vector
	tokens  int
}

// decode reads one JSON value of at most maxReplyBytes.
func decode(body io.Reader, into any) error {
	limited := &io.LimitedReader{R: body, N: maxReplyBytes}
	if err := json.NewDecoder(limited).Decode(into); err != nil {
		if limited.N <= 0 {
			return fmt.Errorf("decode the reply: it has more than %d bytes", int64(maxReplyBytes))
		}
		return fmt.Errorf("decode the reply: %w", err)
	}
	return nil
}

// A listReply is the form of OpenAI, which Voyage and Jina share: vectors with
// their index.
type listReply struct {
	Data []struct {
		Index     *int      `json:"index"`
		Embedding embedding `json:"embedding"`
	} `json:"data"`
	Usage struct {
		Prompt int `json:"prompt_tokens"`
		Total  int `json:"total_tokens"`
	} `json:"usage"`
}

func readList(body io.Reader, count int) (reply, error) {
	var r listReply
	if err := decode(body, &r); err != nil {
		return reply{}, err
	}
	vectors, err := r.inOrder(count)
	if err != nil {
		return reply{}, &malformedError{err}
	}
	return reply{vectors, max(r.Usage.Prompt, r.Usage.Total)}, nil
}

// inOrder returns the vectors by their index. Servers that give no index at
// all keep the order of the request.
func (r *listReply) inOrder(count int) ([]tributary.Vector, error) {
	if len(r.Data) != count {
		return nil, fmt.Errorf("%d vectors for %d texts", len(r.Data), count)
	}
	vectors := make([]tributary.Vector, count)
	for i, d := range r.Data {
		at := i
		if d.Index != nil {
			at = *d.Index
		}
		if at < 0 || at >= count {
			return nil, fmt.Errorf("index %d for %d texts", at, count)
		}
		if vectors[at] != nil {
			return nil, fmt.Errorf("two vectors with index %d", at)
		}
		if d.Embedding == nil {
			return nil, fmt.Errorf("no vector with index %d", at)
		}
		vectors[at] = tributary.Vector(d.Embedding)
	}
	return vectors, nil
}

// inLine returns vectors that stand in the order of the request.
func inLine(rows []embedding, tokens, count int) (reply, error) {
	if len(rows) != count {
		return reply{}, &malformedError{fmt.Errorf("%d vectors for %d texts", len(rows), count)}
	}
	r := reply{make([]tributary.Vector, count), tokens}
	for i, row := range rows {
		if row == nil {
			return reply{}, &malformedError{fmt.Errorf("no vector with index %d", i)}
		}
		r.vectors[i] = tributary.Vector(row)
	}
	return r, nil
}

// A malformedError is a complete reply that does not answer the request.
type malformedError struct{ err error }

// Error implements error.
func (e *malformedError) Error() string { return e.err.Error() }

// An embedding is a vector as numbers or as the base64 of little-endian
// float32.
type embedding tributary.Vector

// UnmarshalJSON implements json.Unmarshaler.
func (e *embedding) UnmarshalJSON(data []byte) error {
	if len(data) == 0 || data[0] != '"' {
		// A null among the numbers is what some servers make of NaN; it must
		// not pass for 0.
		var numbers []*float32
		if err := json.Unmarshal(data, &numbers); err != nil {
			return err
		}
		if numbers == nil {
			return nil
		}
		*e = make(embedding, len(numbers))
		for i, x := range numbers {
			if x == nil {
				(*e)[i] = float32(math.NaN())
			} else {
				(*e)[i] = *x
			}
		}
		return nil
	}
	var text string
	if err := json.Unmarshal(data, &text); err != nil {
		return err
	}
	raw, err := base64.StdEncoding.DecodeString(text)
	if err != nil {
		return err
	}
	if len(raw)%4 != 0 {
		return fmt.Errorf("embedding of %d bytes is not a whole number of float32", len(raw))
	}
	*e = make(embedding, len(raw)/4)
	for i := range *e {
		(*e)[i] = math.Float32frombits(binary.LittleEndian.Uint32(raw[4*i:]))
	}
	return nil
}
