package embedder_test

import (
	"context"
	"fmt"

	"github.com/tributary-kb/tributary"
	"github.com/tributary-kb/tributary/embedder"
)

func ExampleStage() {
	model, err := embedder.New(embedder.Config{}) // the built-in lexical model
	if err != nil {
		fmt.Println(err)
		return
	}
	out, err := embedder.Stage{Model: model}.Embed(context.Background(), []tributary.Chunked{{
		Head:   tributary.Head{KB: "default", URI: "https://example.org/guide"},
		Chunks: []tributary.Chunk{{Text: "A durable consumer keeps its position."}},
	}})
	if err != nil {
		fmt.Println(err)
		return
	}
	fmt.Println(len(out[0].Chunks[0].Vector), "components")
	// Output: 1024 components
}
