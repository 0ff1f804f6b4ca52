package main

import (
	"context"
	"time"

	"github.com/spf13/cobra"

	"github.com/tributary-kb/tributary"
)

func newReindex(a *app) *cobra.Command {
	var wait bool
	var timeout time.Duration
	cmd := &cobra.Command{
		Use:     "reindex",
		GroupID: groupRun,
		Short:   "Build the index of a knowledge base anew",
		Long: `Reindex empties the index of a knowledge base and fills it again from the parsed
documents that are kept; nothing is fetched or parsed again. It is the way to
another embedder: change the configuration, restart, reindex.

Every document gets a new version. Until that is committed it is not found, so
searches see a part of the knowledge base meanwhile.`,
		Example:           `  tributary reindex --wait`,
		Args:              usage(cobra.NoArgs),
		ValidArgsFunction: noFiles,
		RunE: func(cmd *cobra.Command, _ []string) error {
			return a.session(cmd.Context(), timeout, func(ctx context.Context, c client) error {
				return a.reindex(ctx, c, wait)
			})
		},
	}
	cmd.Flags().BoolVar(&wait, "wait", false, "return when all documents can be searched again")
	timeoutFlag(cmd.Flags(), &timeout, 0)
	return cmd
}

func (a *app) reindex(ctx context.Context, c client, wait bool) error {
	jobs := func(ctx context.Context, emit func(job) error) error {
		return c.Reindex(ctx, func(r tributary.Receipt) error {
			return emit(job{uri: r.URI, send: func(context.Context, client) (tributary.Receipt, error) { return r, nil }})
		})
	}
	return a.publish(ctx, c, jobs, wait, "indexed again")
}
