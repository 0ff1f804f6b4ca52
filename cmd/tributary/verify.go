package main

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/spf13/cobra"

	"github.com/tributary-kb/tributary"
)

func newVerify(a *app) *cobra.Command {
	var request tributary.VerifyRequest
	var timeout time.Duration
	cmd := &cobra.Command{
		Use:     "verify",
		GroupID: groupLook,
		Short:   "Compare what should be searchable with what is",
		Long: `Verify compares the manifests with the index: chunks that are missing, chunks
that no manifest names, and chunks that are stored but that a search by meaning
does not return. Documents that change meanwhile may show up and are no problem.

--repair mends what is found. The exit code is 1 if problems remain. With --json
each finding is one object, the last one a summary.`,
		Example: `  tributary verify
  tributary verify --repair`,
		Args:              usage(cobra.NoArgs),
		ValidArgsFunction: noFiles,
		RunE: func(cmd *cobra.Command, _ []string) error {
			return a.verify(cmd.Context(), request, timeout)
		},
	}
	cmd.Flags().BoolVar(&request.Repair, "repair", false, "mend what is found")
	timeoutFlag(cmd.Flags(), &timeout, 0)
	return cmd
}

func (a *app) verify(ctx context.Context, r tributary.VerifyRequest, timeout time.Duration) error {
	return a.session(ctx, timeout, func(ctx context.Context, c client) error {
		left := 0
		err := c.Verify(ctx, r, func(f tributary.Finding) error {
			if f.Kind != tributary.FindingSummary && !f.Repaired {
				left++
			}
			if a.json {
				return a.printJSON(f)
			}
			a.printFinding(f)
			return nil
		})
		switch {
		case err != nil:
			return err
		case left > 0 && r.Repair:
			return errors.New(problems(left) + " could not be mended")
		case left > 0:
			return errors.New(problems(left) + "; `tributary verify --repair` mends what can be mended")
		}
		return nil
	})
}

func (a *app) printFinding(f tributary.Finding) {
	if f.Kind == tributary.FindingSummary {
		a.printf("%s\n", a.out.paint(bold, fmt.Sprintf("%s with %d chunks compared with %d stored: %s",
			documents(f.Documents), f.Chunks, f.Objects, problems(f.Problems))))
		return
	}
	line := fmt.Sprintf("%-9s  chunk %s", f.Kind, cleanLine(f.Chunk))
	if f.URI != "" {
		line += " of " + cleanLine(f.URI)
	}
	if f.Repaired {
		a.printf("%s  %s\n", line, a.out.paint(green, "repaired"))
		return
	}
	a.printf("%s\n", a.out.paint(red, line))
}
