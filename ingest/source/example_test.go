package source_test

import (
	"context"
	"fmt"
	"log"
	"os"
	"path"
	"path/filepath"

	"github.com/tributary-kb/tributary"
	"github.com/tributary-kb/tributary/ingest/source"
)

// A folder is listed, and what is listed is loaded.
func Example() {
	dir, err := os.MkdirTemp("", "docs")
	if err != nil {
		log.Fatal(err)
	}
	defer func() { _ = os.RemoveAll(dir) }()
	if err := os.WriteFile(filepath.Join(dir, "hello.md"), []byte("# Hello"), 0o600); err != nil {
		log.Print(err)
		return
	}
	follower, err := source.New(tributary.Source{Name: "docs", Kind: tributary.SourceFolder, Location: dir}, source.Env{})
	if err != nil {
		log.Print(err)
		return
	}
	ctx := context.Background()
	_, err = follower.List(ctx, nil, func(item source.Item) error {
		loaded, err := follower.Load(ctx, item, source.Known{})
		fmt.Printf("%s: %s\n", path.Base(item.URI), loaded.Content)
		return err
	})
	if err != nil {
		log.Print(err)
	}
	// Output: hello.md: # Hello
}
