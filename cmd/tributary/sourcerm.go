package main

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"os"
	"strings"
	"time"

	"github.com/spf13/cobra"
	"golang.org/x/term"

	"github.com/tributary-kb/tributary"
)

func newSourceRm(a *app) *cobra.Command {
	var keep, purge bool
	var timeout time.Duration
	cmd := &cobra.Command{
		Use:   "rm NAME",
		Short: "End the following of a source",
		Long: `Rm ends the following of a source. It asks whether the documents that came from
it go too; --purge and --keep answer beforehand, and have to where nobody can be
asked.`,
		Example:           `  tributary source rm --purge notes`,
		Args:              usage(cobra.ExactArgs(1)),
		ValidArgsFunction: a.sourceNames,
		RunE: func(cmd *cobra.Command, args []string) error {
			if keep && purge {
				return usagef("--keep and --purge are both set: set one")
			}
			return a.session(cmd.Context(), timeout, func(ctx context.Context, c client) error {
				return a.sourceRm(ctx, c, args[0], keep, purge)
			})
		},
	}
	cmd.Flags().SortFlags = false
	cmd.Flags().BoolVar(&keep, "keep", false, "its documents stay as they are")
	cmd.Flags().BoolVar(&purge, "purge", false, "its documents are removed too")
	timeoutFlag(cmd.Flags(), &timeout, syncTimeout)
	return cmd
}

func (a *app) sourceRm(ctx context.Context, c client, name string, keep, purge bool) error {
	if !keep && !purge {
		status, err := c.ShowSource(ctx, tributary.SourceRequest{Name: name})
		if err != nil {
			return err
		}
		if purge, err = a.askPurge(status); err != nil {
			return err
		}
	}
	status, err := c.RemoveSource(ctx, tributary.SourceRemoveRequest{Name: name, Purge: purge})
	if err != nil {
		return err
	}
	if a.json {
		return a.printJSON(status)
	}
	fate := "kept"
	if purge {
		fate = "removed"
	}
	a.printf("%s is no longer followed; %s %s\n", cleanLine(name), documents(status.Documents), fate)
	return nil
}

// askPurge asks whether the documents of a source go too.
func (a *app) askPurge(s tributary.SourceStatus) (bool, error) {
	file, ok := a.in.(*os.File)
	if !ok || !term.IsTerminal(int(file.Fd())) {
		return false, usagef("say whether the %s of source %s go too: --purge or --keep", documents(s.Documents), s.Name)
	}
	in := bufio.NewReader(a.in)
	for {
		fmt.Fprintf(a.err, "Do the %s of %s go too? [y/n] ", documents(s.Documents), s.Name)
		line, err := in.ReadString('\n')
		switch strings.ToLower(strings.TrimSpace(line)) {
		case "y", "yes":
			return true, nil
		case "n", "no":
			return false, nil
		}
		if err != nil {
			return false, errors.New("nobody answered")
		}
	}
}

// printSource prints all that is known of a source.
func (a *app) printSource(s tributary.SourceStatus) error {
	if a.json {
		return a.printJSON(s)
	}
	a.printf("%s  %s  %s\n", a.out.paint(bold, cleanLine(s.Name)), s.Kind, cleanLine(s.Location))
	state := string(s.State)
	if s.Reason != "" {
		state += ": " + cleanLine(s.Reason)
	}
	rows := [][]string{{"state", state}, {"documents", fmt.Sprint(s.Documents)}, {"age", age(s.AgeS)},
		{"last success", when(s.LastSuccess)}, {"next look", when(s.NextLook)}}
	if s.Kind == tributary.SourceWebhook {
		rows = append(rows, []string{"send to", "/hooks/" + s.KB + "/" + s.Name + " at sources.webhook_listen"})
	}
	if s.IntervalS > 0 {
		rows = append(rows, []string{"interval", age(s.IntervalS)})
	}
	if s.SearchableP50 > 0 {
		rows = append(rows, []string{"searchable after", latency(s.SearchableP50) + ", 99 of 100 after " + latency(s.SearchableP99)})
	}
	if s.Held > 0 {
		rows = append(rows, []string{"held", fmt.Sprintf("%s would be deleted: `tributary source confirm %s` lets them go", documents(s.Held), s.Name)})
	}
	if s.Failing > 0 {
		rows = append(rows, []string{"failing", documents(s.Failing)})
	}
	if s.Owner != "" {
		rows = append(rows, []string{"followed by", cleanLine(s.Owner)})
	}
	for _, note := range s.Notes {
		rows = append(rows, []string{"note", cleanLine(note)})
	}
	a.table(rows)
	return nil
}
