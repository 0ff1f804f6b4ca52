// Package pipeline is the topology of Tributary: which stages there are, which
// stream feeds each, and where its outputs go. Everything else follows from
// the lists in this file.
package pipeline

import (
	"fmt"
	"io"
	"text/tabwriter"
	"time"

	"github.com/nats-io/nats.go/jetstream"

	"github.com/tributary-kb/tributary"
	"github.com/tributary-kb/tributary/internal/stage"
)

// The stages, by name.
const (
	Ingest = "ingest"
	Chunk  = "chunk"
	Embed  = "embed"
	Index  = "index"
	// Query is no stage of the stream: it answers requests.
	Query = "query"
	// Source is none either: it follows sources and publishes requests.
	Source = "source"
)

// Stages lists what a worker can run, in the order in which a document passes.
var Stages = []Stage{
	{Name: Ingest, In: "Request", Out: "Document", Next: Chunk, Does: "fetches and parses"},
	{Name: Chunk, In: "Document", Out: "Chunked", Next: Embed, Does: "cuts into passages"},
	{Name: Embed, In: "Chunked", Out: "Embedded", Next: Index, Does: "adds vectors to new passages"},
	{Name: Index, In: "Embedded", Out: "Commit", Next: "", Does: "writes, commits, sweeps"},
	{Name: Source, In: "", Out: "Request", Next: Ingest, Does: "follows sources, publishes what changed"},
	{Name: Query, In: "", Out: "", Next: "", Does: "answers search, ask, ls, show, wait, status"},
}

// A Stage is one line of the topology.
type Stage struct {
	Name string `json:"name"`
	Does string `json:"does"`
	In   string `json:"in,omitempty"`   // type of its input
	Out  string `json:"out,omitempty"`  // type of its output
	Next string `json:"next,omitempty"` // the stage that takes the output
}

// A Stream is one stream of the topology.
type Stream struct {
	Name     string   `json:"name"`
	Subjects []string `json:"subjects"`
	Keeps    string   `json:"keeps"`
	config   func(*jetstream.StreamConfig)
}

// Names of the streams that are no stage's input.
const (
	DocumentsStream = "tributary-documents"
	EventsStream    = "tributary-events"
	DeadStream      = "tributary-dead"
)

// Subjects of those streams.
const (
	documentsPrefix = "tributary-documents."
	eventsFilter    = "tributary.*.events.*"
)

// eventsAge is how long commit events can be read again.
const eventsAge = 7 * 24 * time.Hour

// dedupWindow is how long the id of a message is remembered.
const dedupWindow = 2 * time.Minute

// StreamName is the stream that holds the input of a stage.
func StreamName(stageName string) string { return "tributary-" + stageName }

// EventSubject is where the commits of a document are published.
func EventSubject(kb, document string) string { return "tributary." + kb + ".events." + document }

func documentSubject(kb, document string) string { return documentsPrefix + kb + "." + document }

// Streams lists all streams: a work queue per stage, and three that remember.
var Streams = append(workQueues(),
	Stream{Name: DocumentsStream, Subjects: []string{documentsPrefix + ">"}, Keeps: "the last parsed version of every document",
		config: func(c *jetstream.StreamConfig) {
			c.MaxMsgsPerSubject = 1
			c.AllowDirect = true
		}},
	Stream{Name: EventsStream, Subjects: []string{eventsFilter}, Keeps: "what was committed, for 7 days",
		config: func(c *jetstream.StreamConfig) { c.MaxAge = eventsAge }},
	Stream{Name: DeadStream, Subjects: []string{stage.DeadFilter}, Keeps: "messages that were refused, until somebody removes them",
		config: func(c *jetstream.StreamConfig) { c.Discard = jetstream.DiscardNew }},
)

// workQueues makes the input streams of the stages: bounded, refusing what is
// new when full, so that a slow stage holds up the ones before it and nothing
// is dropped.
func workQueues() []Stream {
	var streams []Stream
	for _, s := range Stages {
		if s.In == "" {
			continue
		}
		first := s.Name == Ingest
		keeps := "the input of " + s.Name
		if first {
			keeps += ", the newest request of each document"
		}
		streams = append(streams, Stream{Name: StreamName(s.Name), Subjects: []string{stage.Filter(s.Name)}, Keeps: keeps,
			config: func(c *jetstream.StreamConfig) {
				c.Retention = jetstream.WorkQueuePolicy
				c.Discard = jetstream.DiscardNew
				if first { // a burst of edits of a document coalesces
					c.MaxMsgsPerSubject = 1
				}
			}})
	}
	return streams
}

// Topology is the wiring as a value, for programs.
type Topology struct {
	Stages  []Stage  `json:"stages"`
	Streams []Stream `json:"streams"`
}

// Describe writes the wiring for people.
func Describe(w io.Writer) error {
	tw := tabwriter.NewWriter(w, 0, 4, 2, ' ', 0)
	fmt.Fprintln(tw, "STAGE\tTAKES\tFROM STREAM\tGIVES\tTO\tDOES")
	for _, s := range Stages {
		from, to := "", ""
		if s.In != "" {
			from = StreamName(s.Name)
		}
		switch {
		case s.Next != "":
			to = StreamName(s.Next)
		case s.Out != "":
			to = EventsStream
		}
		fmt.Fprintf(tw, "%s\t%s\t%s\t%s\t%s\t%s\n", s.Name, s.In, from, s.Out, to, s.Does)
	}
	fmt.Fprintln(tw, "\nSTREAM\tSUBJECTS\tKEEPS")
	for _, s := range Streams {
		fmt.Fprintf(tw, "%s\t%s\t%s\n", s.Name, s.Subjects[0], s.Keeps)
	}
	return tw.Flush()
}

// eventOutput publishes commits; a version that was superseded makes none.
func eventOutput() stage.Output[tributary.Commit] {
	return stage.Output[tributary.Commit]{
		Subject: func(c tributary.Commit) string {
			if c.Version == 0 || c.Kind == tributary.ChangeUnchanged {
				return ""
			}
			return EventSubject(c.KB, c.Document)
		},
		ID: func(c tributary.Commit) string { return fmt.Sprintf("event:%s:%d", c.Document, c.Version) },
	}
}

// outputTo publishes to the input of the next stage, one message per document
// and version.
func outputTo[Out stage.Message](next string) stage.Output[Out] {
	return stage.Output[Out]{
		Subject: func(o Out) string { return stage.Subject(next, o.MessageHead()) },
		ID: func(o Out) string {
			h := o.MessageHead()
			return fmt.Sprintf("%s:%s:%d", next, h.Document, h.Version)
		},
	}
}
