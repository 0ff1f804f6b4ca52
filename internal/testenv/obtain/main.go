// Command obtain fetches or builds the Weaviate that the tests run against,
// and prints its path. Progress goes to standard error.
//
//	go run ./internal/testenv/obtain
package main

import (
	"context"
	"fmt"
	"os"
	"os/signal"

	"github.com/tributary-kb/tributary/internal/embedded"
	"github.com/tributary-kb/tributary/internal/testenv"
)

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt)
	defer stop()
	path, err := embedded.ObtainWeaviate(ctx, embedded.ObtainConfig{Progress: testenv.Progress(os.Stderr)})
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
	fmt.Println(path)
}
