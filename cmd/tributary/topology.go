package main

import (
	"github.com/spf13/cobra"

	"github.com/tributary-kb/tributary/internal/pipeline"
)

func newTopology(a *app) *cobra.Command {
	return &cobra.Command{
		Use:     "topology",
		GroupID: groupLook,
		Short:   "Show the stages and streams as they are wired",
		Long: `Topology prints the stages in the order in which a document passes them, and
the streams between them. It needs nothing that runs. With --json the whole is
one object: stages, streams.`,
		Example:           `  tributary topology`,
		Args:              usage(cobra.NoArgs),
		ValidArgsFunction: noFiles,
		RunE: func(*cobra.Command, []string) error {
			if a.json {
				return a.printJSON(pipeline.Topology{Stages: pipeline.Stages, Streams: pipeline.Streams})
			}
			return pipeline.Describe(a.out)
		},
	}
}
