package weaviate_test

import (
	"context"
	"fmt"
	"log"
	"time"

	tributary "github.com/tributary-kb/tributary"
	"github.com/tributary-kb/tributary/internal/weaviate"
)

// Inserting the chunks of a document, finding them, and sweeping what an
// earlier version left.
func Example() { //nolint:testableexamples // it needs a server
	ctx := context.Background()
	store, err := weaviate.Open(ctx, weaviate.Config{Address: "127.0.0.1:8080", GRPCAddress: "127.0.0.1:50051"})
	if err != nil {
		log.Fatal(err)
	}
	defer store.Close()
	const kb = "docs"
	if err := store.EnsureCollection(ctx, kb, weaviate.Collection{Embedder: "toy/1", Dimension: 3}); err != nil {
		log.Fatal(err)
	}

	document := tributary.DocumentID(kb, "file:///streams.md")
	chunk := tributary.Object{
		ID:       tributary.ChunkID(document, 7, "attempt-1", "hash", 0),
		Document: document,
		URI:      "file:///streams.md",
		Birth:    7,
		Text:     "A stream keeps messages.",
		Changed:  time.Now(),
		Vector:   tributary.Vector{0.6, 0, 0.8},
	}
	if err := store.Insert(ctx, kb, []tributary.Object{chunk}); err != nil {
		log.Fatal(err) // the next attempt writes under new ids
	}
	if _, err := store.Sweep(ctx, kb, document, 7, []string{chunk.ID}); err != nil {
		log.Fatal(err)
	}

	found, err := store.Candidates(ctx, kb, tributary.IndexQuery{
		Text: "what keeps messages?", Vector: tributary.Vector{0.6, 0, 0.8}, Alpha: 0.25, Limit: 10,
		Filter: tributary.Filter{URIPrefix: "file:///"},
	})
	if err != nil {
		log.Fatal(err)
	}
	for _, c := range found {
		fmt.Println(c.Score, c.URI, c.Text)
	}
}
