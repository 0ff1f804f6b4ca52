package main

import (
	"context"
	"time"

	"github.com/spf13/cobra"

	"github.com/tributary-kb/tributary"
)

type rmFlags struct {
	wait, literal bool
	lane          string
	timeout       time.Duration
}

func newRm(a *app) *cobra.Command {
	var f rmFlags
	cmd := &cobra.Command{
		Use:     "rm URI...",
		GroupID: groupUse,
		Short:   "Take documents out of answers",
		Long: `Rm takes documents out of answers. An argument without a scheme is a local
path, and means its file:// URI; --literal takes it as the URI itself.

It prints a receipt per document: URI, document, version. --wait returns when
the documents are gone. With --json a receipt is one object: uri, document,
version.`,
		Example: `  tributary rm --wait https://docs.example.com/old.html
  tributary rm notes/draft.md`,
		Args: usage(cobra.MinimumNArgs(1)),
		RunE: func(cmd *cobra.Command, args []string) error { return a.rm(cmd.Context(), args, f) },
	}
	flags := cmd.Flags()
	flags.SortFlags = false
	flags.BoolVar(&f.wait, "wait", false, "return when the documents are gone from answers")
	flags.BoolVar(&f.literal, "literal", false, "take arguments without a scheme as URIs, not as paths")
	laneFlag(cmd, &f.lane, "live")
	timeoutFlag(flags, &f.timeout, 0)
	return cmd
}

func (a *app) rm(ctx context.Context, args []string, f rmFlags) error {
	lane, err := parseLane(f.lane)
	if err != nil {
		return err
	}
	var jobs []job
	for _, arg := range args {
		uri, err := documentURI(arg, f.literal)
		if err != nil {
			return err
		}
		jobs = append(jobs, job{uri: uri, send: func(ctx context.Context, c client) (tributary.Receipt, error) {
			return c.Remove(ctx, tributary.RemoveRequest{URI: uri, Lane: lane})
		}})
	}
	list := func(_ context.Context, emit func(job) error) error { return emitAll(jobs, emit) }
	return a.session(ctx, f.timeout, func(ctx context.Context, c client) error {
		return a.publish(ctx, c, list, f.wait, "removed")
	})
}

func emitAll(jobs []job, emit func(job) error) error {
	for _, j := range jobs {
		if err := emit(j); err != nil {
			return err
		}
	}
	return nil
}
