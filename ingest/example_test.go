package ingest_test

import (
	"context"
	"fmt"
	"log"

	"github.com/tributary-kb/tributary"
	"github.com/tributary-kb/tributary/ingest"
)

func ExampleParse() {
	parsed, err := ingest.Parse(context.Background(), ingest.Input{
		URI:     "https://example.com/guide.html",
		Content: []byte(`<html lang="en"><title>Guide</title><h1>Install</h1><p>Run <code>make</code>.</p></html>`),
	})
	if err != nil {
		log.Fatal(err)
	}
	fmt.Println(parsed.Title, parsed.Language, parsed.ContentType)
	for _, b := range parsed.Blocks {
		fmt.Printf("%s: %s\n", b.Kind, parsed.Text[b.Start:b.End])
	}
	// Output:
	// Guide en text/html
	// heading: # Install
	// paragraph: Run `make`.
}

func ExampleIngester() {
	ingester := &ingest.Ingester{}
	req := tributary.Request{
		Head:    tributary.Head{KB: tributary.DefaultKB, URI: "file:///notes.md", Version: 1},
		Op:      tributary.OpPut,
		Content: []byte("# Notes\n\nBuy milk.\n"),
	}
	err := ingester.Ingest(context.Background(), req, func(d tributary.Document) error {
		fmt.Println(d.Title, len(d.Blocks), d.Parser)
		return nil
	})
	if err != nil {
		log.Fatal(err)
	}
	// Output: Notes 2 ingest/2
}
