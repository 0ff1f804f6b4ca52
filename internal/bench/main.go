// Command bench measures a whole Tributary: documents and questions go in
// through the public protocol, figures come out as Markdown. It builds the
// program, runs `tributary up` with its own Weaviate on a temporary folder,
// and leaves neither behind.
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"os/signal"
	"slices"
	"strings"
	"syscall"
	"time"
)

const usage = `Bench measures Tributary end to end and prints the figures as Markdown.

  go run ./internal/bench [flags]

Run it from the project's folder, on a machine that does nothing else. It takes
about ten minutes and needs the Weaviate that "tributary up" uses. Sections:

`

const usageEnd = `
Examples:
  go run ./internal/bench -docs 100 -rounds 10 -section throughput,freshness
  go run ./internal/bench -o docs/benchmarks.md
`

// options are what the command line says.
type options struct {
	sections []string
	docs     int    // documents in the corpus
	rounds   int    // of the freshness section, for edits and for new documents
	queries  int    // at most, of the query section
	edits    int    // of the lanes section, when idle
	backfill int    // documents that the lanes section loads
	adders   int    // requests that the client has under way while it loads
	program  string // binary to measure, "" to build it
	output   string // file whose block is replaced, "" for standard output
	timeout  time.Duration
}

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	err := run(ctx, os.Args[1:], os.Stdout, os.Stderr)
	stop()
	switch {
	case errors.Is(err, flag.ErrHelp):
	case err != nil:
		fmt.Fprintln(os.Stderr, "bench:", err)
		os.Exit(1) //nolint:forbidigo // this is main, and nothing is deferred
	}
}

func run(ctx context.Context, args []string, stdout, stderr io.Writer) error {
	opts, err := parse(args, stderr)
	if err != nil {
		return err
	}
	ctx, cancel := context.WithTimeout(ctx, opts.timeout)
	defer cancel()
	text, err := measure(ctx, opts, stderr)
	if err != nil {
		return err
	}
	if opts.output == "" {
		_, err = io.WriteString(stdout, text)
		return err
	}
	return replaceBlock(opts.output, text)
}

func parse(args []string, stderr io.Writer) (options, error) {
	var opts options
	var chosen string
	flags := flag.NewFlagSet("bench", flag.ContinueOnError)
	flags.SetOutput(stderr)
	flags.StringVar(&chosen, "section", "", "comma-separated `NAMES` of the sections (default all); the corpus is loaded for any of them but lanes")
	flags.IntVar(&opts.docs, "docs", 2000, "`NUMBER` of documents in the corpus")
	flags.IntVar(&opts.rounds, "rounds", 100, "`NUMBER` of edits, and of new documents, whose way to the first hit is timed")
	flags.IntVar(&opts.queries, "queries", 300, "largest `NUMBER` of questions")
	flags.IntVar(&opts.edits, "edits", 60, "`NUMBER` of edits, a second apart, that are timed while nothing else happens")
	flags.IntVar(&opts.backfill, "backfill", 10_000, "`NUMBER` of documents that are loaded while edits are timed")
	flags.IntVar(&opts.adders, "adders", 16, "`NUMBER` of add requests under way at once")
	flags.StringVar(&opts.program, "program", "", "tributary `BINARY` to measure (default: build it)")
	flags.StringVar(&opts.output, "o", "", "`FILE` in which the block between the bench marks is replaced (default: print it)")
	flags.DurationVar(&opts.timeout, "timeout", 30*time.Minute, "longest `TIME` that the whole may take")
	flags.Usage = func() {
		fmt.Fprint(stderr, usage)
		for _, s := range sections {
			fmt.Fprintf(stderr, "  %-11s %s\n", s.name, s.does)
		}
		fmt.Fprint(stderr, "\nFlags:\n")
		flags.PrintDefaults()
		fmt.Fprint(stderr, usageEnd)
	}
	if err := flags.Parse(args); err != nil {
		return opts, err
	}
	if flags.NArg() > 0 {
		return opts, fmt.Errorf("unexpected argument %q; -h prints the usage", flags.Arg(0))
	}
	if min(opts.docs, opts.rounds, opts.queries, opts.edits, opts.backfill, opts.adders) < 1 {
		return opts, errors.New("-docs, -rounds, -queries, -edits, -backfill and -adders must be at least 1")
	}
	var err error
	opts.sections, err = chooseSections(chosen)
	return opts, err
}

// chooseSections returns the names in the order in which they are run, all
// for "".
func chooseSections(chosen string) ([]string, error) {
	var all []string
	for _, s := range sections {
		all = append(all, s.name)
	}
	if chosen == "" {
		return all, nil
	}
	names := strings.Split(chosen, ",")
	for _, name := range names {
		if !slices.Contains(all, name) {
			return nil, fmt.Errorf("section %q: the sections are %s", name, strings.Join(all, ", "))
		}
	}
	return slices.DeleteFunc(all, func(name string) bool { return !slices.Contains(names, name) }), nil
}
