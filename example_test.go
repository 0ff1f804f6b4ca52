package tributary_test

import (
	"encoding/json"
	"errors"
	"fmt"
	"time"

	"github.com/tributary-kb/tributary"
)

func ExampleDocumentID() {
	fmt.Println(tributary.DocumentID(tributary.DefaultKB, "https://example.com/a"))
	// Output: e64579e7-a86c-570f-837d-a4b31fc7cd53
}

// A handler says what is to become of its message by the error it returns.
func ExampleOutcomeOf() {
	failures := []error{
		tributary.Rejectf("the page has no text"),
		tributary.Unavailable(errors.New("index: connection refused"), 2*time.Second),
		errors.New("something else"),
	}
	for _, err := range failures {
		outcome, after := tributary.OutcomeOf(fmt.Errorf("index %q: %w", "a", err))
		fmt.Println(outcome, after)
	}
	// Output:
	// rejected 0s
	// waiting 2s
	// retry 0s
}

// An edit was refused: the document is rejected, and the version before it is
// still searched.
func ExampleRecord() {
	r := tributary.Record{
		Manifest: &tributary.Manifest{Version: 3, State: tributary.StateLive, Chunks: make([]tributary.ChunkRef, 8)},
		Failure:  &tributary.Failure{Version: 5, Stage: "ingest", Reason: "the page has no text"},
	}
	fmt.Println(r.State(), r.Settled(), len(r.Chunks()), r.Refused().Reason)
	// Output: rejected 5 8 the page has no text
}

func ExampleEmbeddingText() {
	c := tributary.Chunk{Heading: []string{"Rivers", "Rhine"}, Text: "It rises in the Alps."}
	fmt.Println(tributary.EmbeddingText("Atlas", c))
	// Output:
	// Atlas > Rivers > Rhine
	//
	// It rises in the Alps.
}

func ExampleVector_MarshalJSON() {
	data, err := json.Marshal(tributary.Vector{1, -2})
	fmt.Println(string(data), err)
	// Output: "AACAPwAAAMA=" <nil>
}
