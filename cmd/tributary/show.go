package main

import (
	"context"
	"fmt"
	"time"

	"github.com/spf13/cobra"

	"github.com/tributary-kb/tributary"
)

func newShow(a *app) *cobra.Command {
	var literal bool
	var timeout time.Duration
	cmd := &cobra.Command{
		Use:     "show URI",
		GroupID: groupLook,
		Short:   "Show one document: its manifest and chunks",
		Long: `Show prints everything that is known of one document: state and version, why its
newest version was refused if it was, the manifest that makes it visible, and
its chunks in order.

The argument is a URI, a document id as receipts have it, or a local path.`,
		Example: `  tributary show README.md
  tributary show https://docs.example.com/start --json`,
		Args: usage(cobra.ExactArgs(1)),
		RunE: func(cmd *cobra.Command, args []string) error {
			return a.show(cmd.Context(), args[0], literal, timeout)
		},
	}
	cmd.Flags().BoolVar(&literal, "literal", false, "take an argument without a scheme as a URI, not as a path")
	timeoutFlag(cmd.Flags(), &timeout, requestTimeout)
	return cmd
}

func (a *app) show(ctx context.Context, arg string, literal bool, timeout time.Duration) error {
	request := tributary.ShowRequest{Document: arg}
	if literal || !documentID.MatchString(arg) {
		uri, err := documentURI(arg, literal)
		if err != nil {
			return err
		}
		request = tributary.ShowRequest{URI: uri}
	}
	return a.session(ctx, timeout, func(ctx context.Context, c client) error {
		reply, err := c.Show(ctx, request)
		if err != nil {
			return err
		}
		if a.json {
			return a.printJSON(reply)
		}
		a.printDocument(reply)
		return nil
	})
}

func (a *app) printDocument(r tributary.ShowReply) {
	a.printf("%s\n", a.out.paint(bold, cleanLine(r.URI)))
	rows := [][]string{
		{"title", cleanLine(r.Title)},
		{"document", r.Document},
		{"state", string(r.State)},
		{"version", fmt.Sprint(r.Version)},
		{"chunks", fmt.Sprint(r.Chunks)},
		{"changed", when(r.Changed)},
	}
	if r.Reason != "" {
		rows = append(rows, []string{"refused", refusal(r.Item)})
	}
	if r.Manifest != nil {
		rows = append(rows, manifestRows(*r.Manifest)...)
	}
	var known [][]string
	for _, row := range rows {
		if row[1] != "" {
			known = append(known, row)
		}
	}
	a.table(known)
	for _, id := range r.Missing {
		a.warnf("missing in the index: chunk %s", id)
	}
	for _, hit := range r.Passages {
		a.printChunk(hit)
	}
}

func manifestRows(m tributary.Manifest) [][]string {
	return [][]string{
		{"visible version", fmt.Sprint(m.Version)},
		{"committed", when(m.Committed)},
		{"content type", cleanLine(m.ContentType)},
		{"language", cleanLine(m.Language)},
		{"source", cleanLine(m.Source)},
		{"content hash", cleanLine(m.ContentHash)},
		{"parser", cleanLine(m.Fingerprint.Parser)},
		{"chunker", cleanLine(m.Fingerprint.Chunker)},
		{"embedder", cleanLine(m.Fingerprint.Embedder)},
	}
}

func (a *app) printChunk(hit tributary.Hit) {
	place := fmt.Sprintf("bytes %d to %d", hit.Location.Start, hit.Location.End)
	if named := location(hit.Location); named != "" {
		place = named + " · " + place
	}
	a.printf("\n%s %s\n", a.out.paint(bold, fmt.Sprintf("#%d", hit.Rank)), a.out.paint(yellow, place))
	a.printPassage(hit.Text, true)
}
