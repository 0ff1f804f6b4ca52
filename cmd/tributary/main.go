// Command tributary keeps a knowledge base searchable while its documents
// change: it runs the pipeline, publishes documents to it, and asks it
// questions. Start with `tributary help`.
package main

import (
	"context"
	"os"
	"os/signal"
	"syscall"

	"github.com/tributary-kb/tributary/ingest"
)

func main() { mainWith(newApp()) }

// mainWith is main, for tests with an app of their own.
func mainWith(a *app) {
	ingest.ServeParser() // ends here in a process that parses for another
	os.Exit(run(a, os.Args[1:]))
}

// run executes one command line and returns the exit code. The first
// interrupt cancels the command's context, the second one ends the process.
func run(a *app, args []string) int {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	context.AfterFunc(ctx, stop)
	root := newRoot(a)
	root.SetArgs(args)
	cmd, err := root.ExecuteContextC(ctx)
	if err == nil {
		err = a.out.failure()
	}
	if err == nil {
		return exitOK
	}
	code := exitCode(ctx, err)
	a.report(cmd, code, err)
	return code
}
