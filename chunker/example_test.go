package chunker_test

import (
	"context"
	"fmt"

	"github.com/tributary-kb/tributary"
	"github.com/tributary-kb/tributary/chunker"
)

func ExampleChunker_Chunk() {
	doc := tributary.Document{
		Text: "Guide\n\nInstall it first.",
		Blocks: []tributary.Block{
			{Kind: tributary.BlockHeading, Level: 1, Title: "Guide", Start: 0, End: 5},
			{Kind: tributary.BlockParagraph, Start: 7, End: 24},
		},
	}
	err := chunker.Chunker{}.Chunk(context.Background(), doc, func(c tributary.Chunked) error {
		for _, chunk := range c.Chunks {
			fmt.Printf("%q below %q at [%d, %d)\n", chunk.Text, chunk.Heading, chunk.Start, chunk.End)
		}
		return nil
	})
	if err != nil {
		fmt.Println(err)
	}
	// Output: "Guide\n\nInstall it first." below ["Guide"] at [0, 24)
}
