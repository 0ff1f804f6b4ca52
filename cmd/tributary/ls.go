package main

import (
	"context"
	"fmt"
	"io"
	"strings"
	"text/tabwriter"
	"time"

	"github.com/spf13/cobra"

	"github.com/tributary-kb/tributary"
)

// requestTimeout is the usual patience of commands that read.
const requestTimeout = 30 * time.Second

func newLs(a *app) *cobra.Command {
	var request tributary.ListRequest
	var timeout time.Duration
	cmd := &cobra.Command{
		Use:     "ls",
		GroupID: groupLook,
		Short:   "List the documents",
		Long: `Ls lists the documents in order of URI: state, version, chunks that can be
searched, when it last changed, URI. A refused document shows why below.

States: live (searchable), deleted, rejected (the newest version was refused; an
older one may still be searched), pending (accepted, not searchable yet).

With --json each document is one object: uri, document, version, state, chunks,
changed.`,
		Example: `  tributary ls
  tributary ls --prefix https://docs.example.com/ --json`,
		Args:              usage(cobra.NoArgs),
		ValidArgsFunction: noFiles,
		RunE: func(cmd *cobra.Command, _ []string) error {
			return a.ls(cmd.Context(), request, timeout)
		},
	}
	flags := cmd.Flags()
	flags.SortFlags = false
	flags.StringVar(&request.URIPrefix, "prefix", "", "only documents whose URI begins with `PREFIX`")
	flags.BoolVar(&request.Deleted, "deleted", false, "deleted documents too")
	timeoutFlag(flags, &timeout, requestTimeout)
	return cmd
}

func (a *app) ls(ctx context.Context, r tributary.ListRequest, timeout time.Duration) error {
	return a.session(ctx, timeout, func(ctx context.Context, c client) error {
		if a.json {
			return c.List(ctx, r, func(item tributary.Item) error { return a.printJSON(item) })
		}
		count := 0
		err := c.List(ctx, r, func(item tributary.Item) error {
			if count++; count == 1 {
				a.printf("%s\n", a.out.paint(dim, fmt.Sprintf(itemFormat, "STATE", "VERSION", "CHUNKS", "CHANGED", "URI")))
			}
			a.printItem(item)
			return nil
		})
		if err == nil && count == 0 {
			a.warnf("No documents. Add some with `tributary add PATH`.")
		}
		return err
	})
}

// itemFormat lays a list out in fixed columns, so that long lists can be
// printed as they come.
const itemFormat = "%-8s  %9v  %6v  %-16s  %s"

func (a *app) printItem(item tributary.Item) {
	line := fmt.Sprintf(itemFormat, item.State, item.Version, item.Chunks, when(item.Changed), cleanLine(item.URI))
	a.printf("%s\n", a.paintState(item.State, line))
	if item.Reason != "" {
		a.printf("          %s\n", refusal(item))
	}
}

// refusal is why the newest version of item was refused, in words.
func refusal(item tributary.Item) string {
	if item.Stage == "" {
		return cleanLine(item.Reason)
	}
	return cleanLine(item.Stage) + ": " + cleanLine(item.Reason)
}

func (a *app) paintState(s tributary.State, text string) string {
	switch s {
	case tributary.StateRejected:
		return a.out.paint(red, text)
	case tributary.StateDeleted:
		return a.out.paint(dim, text)
	case tributary.StatePending:
		return a.out.paint(yellow, text)
	}
	return text
}

// when prints a time to the minute, in local time; "-" for the zero time.
func when(t time.Time) string {
	if t.IsZero() {
		return "-"
	}
	return t.Local().Format("2006-01-02 15:04")
}

// table prints rows in aligned, indented columns, the first row being their names.
func (a *app) table(rows [][]string) {
	w := tabwriter.NewWriter(a.out, 0, 0, 2, ' ', 0)
	for _, row := range rows {
		_, _ = io.WriteString(w, "  "+strings.Join(row, "\t")+"\n")
	}
	_ = w.Flush()
}
