package main

import (
	"context"
	"fmt"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/tributary-kb/tributary"
)

// hitLines is how much of a passage search shows without --full.
const hitLines = 6

func newSearch(a *app) *cobra.Command {
	var q queryFlags
	var r rankFlags
	var full bool
	cmd := &cobra.Command{
		Use:     "search QUERY",
		GroupID: groupUse,
		Short:   "Find the passages that fit a query",
		Long: `Search finds the passages that fit a query best, by words and by meaning.

Each hit shows its rank and score, title, URI, the place in the document
(headings, page) and the beginning of the passage. Scores compare within one
search only. Words that begin with a dash go after --.

Terms of the query such as source:docs, lang:en, type:pdf, uri:file:///x,
changed:>2026-01-01 and meta.team:red narrow the search as the flags do; with a
dash before them (-source:old) they keep out what fits.

With --json each hit is one object: rank, score, uri, title, text, document,
version, location, and verified: when the source last had it so. With --explain
the last object tells how the hits were found.`,
		Example: `  tributary search "how do I rotate credentials"
  tributary search -k 3 --changed-after 36h --language en "release notes"
  tributary search "credentials source:docs -type:pdf"
  tributary search --max-age 1h "office hours"`,
		Args:              usage(cobra.MinimumNArgs(1)),
		ValidArgsFunction: noFiles,
		RunE: func(cmd *cobra.Command, args []string) error {
			return a.search(cmd.Context(), strings.Join(args, " "), &q, &r, full)
		},
	}
	q.add(cmd.Flags(), 10, "`NUMBER` of hits", 30*time.Second)
	r.add(cmd.Flags(), "tell how each hit came to its rank")
	cmd.Flags().BoolVar(&full, "full", false, "show passages whole")
	return cmd
}

func (a *app) search(ctx context.Context, query string, q *queryFlags, r *rankFlags, full bool) error {
	request, err := q.searchRequest(query)
	if err != nil {
		return err
	}
	request.SearchOptions = r.options()
	return a.session(ctx, q.timeout, func(ctx context.Context, c client) error {
		reply, err := c.Search(ctx, request)
		if err != nil {
			return err
		}
		for _, note := range reply.Notes {
			a.warnf("note: %s", cleanLine(note))
		}
		if a.json {
			for _, hit := range reply.Hits {
				if err := a.printJSON(hit); err != nil {
					return err
				}
			}
			if reply.Explain != nil {
				return a.printJSON(reply.Explain)
			}
			return nil
		}
		a.printReply(reply, full)
		return nil
	})
}

func (q *queryFlags) searchRequest(query string) (tributary.SearchRequest, error) {
	r := tributary.SearchRequest{Query: query, K: q.k}
	if strings.TrimSpace(query) == "" {
		return r, usagef("the query is empty")
	}
	var err error
	if err = q.check(); err != nil {
		return r, err
	}
	if err = q.narrow(&r, time.Now()); err != nil {
		return r, err
	}
	if r.Alpha, err = q.weight(); err != nil {
		return r, err
	}
	r.AtLeast, err = q.versions()
	return r, err
}

func (a *app) printReply(reply tributary.SearchReply, full bool) {
	a.printHits(reply.Hits, full)
	if reply.NoGoodAnswer && len(reply.Hits) > 0 {
		a.warnf("None of these may be what was asked for (confidence %.2f).", reply.Confidence)
	}
	if reply.Explain != nil {
		a.printExplain(reply.Explain)
	}
}

func (a *app) printHits(hits []tributary.Hit, full bool) {
	if len(hits) == 0 {
		a.warnf("Nothing found. `tributary ls` lists what is there.")
	}
	for i, hit := range hits {
		if i > 0 {
			a.printf("\n")
		}
		a.printHit(hit, full)
	}
}

func (a *app) printHit(hit tributary.Hit, full bool) {
	title := cleanLine(hit.Title)
	if title == "" {
		title = cleanLine(hit.URI)
	}
	rank := fmt.Sprintf("%2d.", hit.Rank)
	a.printf("%s %s  %s\n", a.out.paint(dim, rank), a.out.paint(bold, title), a.out.paint(dim, fmt.Sprintf("%.3f", hit.Score)))
	a.printf("    %s\n", a.out.paint(cyan, cleanLine(hit.URI)))
	if place := location(hit.Location); place != "" {
		a.printf("    %s\n", a.out.paint(yellow, place))
	}
	if !hit.Verified.IsZero() {
		a.printf("    %s\n", a.out.paint(dim, fmt.Sprintf("version %d, verified %s", hit.Version, when(hit.Verified))))
	}
	if hit.Explain != nil {
		a.printf("    %s\n", a.out.paint(dim, reasons(hit.Explain)))
	}
	a.printPassage(hit.Text, full)
}

// printPassage prints text wrapped and indented, whole or its first lines.
func (a *app) printPassage(text string, full bool) {
	lines := wrap(clean(text), a.out.width-4)
	if !full {
		lines = firstLines(lines, hitLines)
	}
	for _, line := range lines {
		a.printf("%s\n", strings.TrimRight("    "+line, " "))
	}
}

// location is a place in a document in words: "Guide › Install · page 3". It
// is "" if nothing but offsets is known.
func location(l tributary.Location) string {
	var parts []string
	var headings []string
	for _, h := range l.Heading {
		if h = cleanLine(h); h != "" {
			headings = append(headings, h)
		}
	}
	if len(headings) > 0 {
		parts = append(parts, strings.Join(headings, " › "))
	}
	if l.Page > 0 {
		parts = append(parts, fmt.Sprintf("page %d", l.Page))
	}
	return strings.Join(parts, " · ")
}
