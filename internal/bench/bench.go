package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"slices"

	"github.com/tributary-kb/tributary"
	"github.com/tributary-kb/tributary/embedder"
)

// Names of the sections.
const (
	sectionThroughput = "throughput"
	sectionCPU        = "cpu"
	sectionFreshness  = "freshness"
	sectionQuery      = "query"
	sectionMemory     = "memory"
	sectionReadd      = "readd"
	sectionLanes      = "lanes"
)

// A section is one figure: a heading of the page. Its text is written from
// what was measured, which is more than one section may show.
type section struct {
	name, does, title string
	text              func(*results) string
}

// corpusSections are those that the corpus is loaded for.
var corpusSections = []string{sectionThroughput, sectionCPU, sectionFreshness, sectionQuery, sectionMemory, sectionReadd}

// sections stand in the order of the page.
var sections = []section{
	{sectionThroughput, "chunks a second, against Weaviate's own import rate", "Throughput", throughputText},
	{sectionCPU, "CPU seconds per 1,000 chunks, by process", "CPU", cpuText},
	{sectionFreshness, "time from add to the first hit, when idle", "From add to the first hit", freshnessText},
	{sectionQuery, "search through NATS, against the bare Weaviate query", "Queries", queryText},
	{sectionMemory, "memory of each process", "Memory", memoryText},
	{sectionReadd, "the whole corpus once more, unchanged", "Adding the same again", readdText},
	{sectionLanes, "time from an edit to the hit, when idle and during a first load", "An edit during a first load", lanesText},
}

// results are what was measured; what no chosen section needs stays zero.
type results struct {
	environment  environment
	load         loadResult
	bare         importResult
	edits, added freshnessResult
	query        queryResult
	idle, loaded memoryResult
	again        readdResult
	lanes        lanesResult
}

// A bench measures one system after the other.
type bench struct {
	opts     options
	progress io.Writer
	dir      string // temporary
	binary   string // the program
	model    embedder.Model
	corpus   corpus
	results  results
}

// measure runs what the chosen sections need and returns their text.
func measure(ctx context.Context, opts options, progress io.Writer) (_ string, err error) {
	b := &bench{opts: opts, progress: progress}
	if b.dir, err = os.MkdirTemp("", "tributary-bench-"); err != nil {
		return "", fmt.Errorf("temporary folder: %w", err)
	}
	defer func() { err = errors.Join(err, os.RemoveAll(b.dir)) }()
	if err := b.prepare(ctx); err != nil {
		return "", err
	}
	var objects []tributary.Object
	if b.wants(corpusSections...) {
		if objects, err = b.measureLoaded(ctx); err != nil {
			return "", err
		}
	}
	if b.wants(sectionThroughput, sectionCPU) {
		if err := b.measureImport(ctx, objects); err != nil {
			return "", err
		}
	}
	if b.wants(sectionLanes) {
		if err := b.measureLanes(ctx); err != nil {
			return "", fmt.Errorf("%s: %w", sectionLanes, err)
		}
	}
	return b.page(), nil
}

func (b *bench) prepare(ctx context.Context) (err error) {
	if _, err := os.Stat("go.mod"); err != nil {
		return fmt.Errorf("run it from the project's folder: %w", err)
	}
	if b.results.environment, err = readEnvironment(); err != nil {
		return err
	}
	if b.results.environment.busy() {
		b.say("the load average is %s: figures from a busy machine mean little", b.results.environment.load)
	}
	if b.binary = b.opts.program; b.binary == "" {
		b.say("building the program")
		if b.binary, err = build(ctx, b.dir); err != nil {
			return err
		}
	}
	b.say("collecting documents")
	if b.corpus, err = readCorpus(ctx, b.dir, b.opts.docs); err != nil {
		return err
	}
	b.model, err = embedder.New(embedder.Config{}) // as the system that is measured
	return err
}

// wants reports whether any of the sections was chosen.
func (b *bench) wants(names ...string) bool {
	return slices.ContainsFunc(names, func(name string) bool { return slices.Contains(b.opts.sections, name) })
}

func (b *bench) say(format string, args ...any) {
	fmt.Fprintf(b.progress, "bench: "+format+"\n", args...)
}
