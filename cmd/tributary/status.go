package main

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/spf13/cobra"

	"github.com/tributary-kb/tributary"
)

func newStatus(a *app) *cobra.Command {
	var check bool
	var timeout time.Duration
	cmd := &cobra.Command{
		Use:     "status",
		GroupID: groupLook,
		Short:   "Show how the system is, and what to do about problems",
		Long: `Status shows the stages with what waits for them, the streams, the knowledge
bases with their documents and chunks, the sources with the age of what is
searched of them, how long a change took to be searchable (half of them, and 99
of 100), their last success and next look, the versions of NATS and Weaviate,
and anything unhealthy with what to do about it.

With --check the exit code is 1 if there is a problem, for scripts and health
checks. With --json the whole is one object.`,
		Example: `  tributary status
  tributary status --check --json`,
		Args:              usage(cobra.NoArgs),
		ValidArgsFunction: noFiles,
		RunE: func(cmd *cobra.Command, _ []string) error {
			return a.status(cmd.Context(), check, timeout)
		},
	}
	cmd.Flags().BoolVar(&check, "check", false, "exit with 1 if there is a problem")
	timeoutFlag(cmd.Flags(), &timeout, requestTimeout)
	return cmd
}

func (a *app) status(ctx context.Context, check bool, timeout time.Duration) error {
	return a.session(ctx, timeout, func(ctx context.Context, c client) error {
		s, err := c.Status(ctx)
		if err != nil {
			return err
		}
		if a.json {
			err = a.printJSON(s)
		} else {
			a.printStatus(s)
		}
		if err == nil && check && len(s.Problems) > 0 {
			return errors.New(problems(len(s.Problems)))
		}
		return err
	})
}

func problems(n int) string {
	switch n {
	case 0:
		return "no problems"
	case 1:
		return "1 problem"
	}
	return fmt.Sprintf("%d problems", n)
}

func (a *app) printStatus(s tributary.StatusReply) {
	weaviate := cleanLine(s.Weaviate)
	if weaviate == "" {
		weaviate = "not reachable"
	}
	a.printf("Tributary %s · NATS %s · Weaviate %s\n", cleanLine(s.Version), cleanLine(s.NATS), weaviate)
	a.heading("Knowledge bases")
	a.table(kbRows(s.KBs))
	if len(s.Sources) > 0 {
		a.heading("Sources")
		a.table(sourceRows(s.Sources))
	}
	a.heading("Stages")
	a.table(stageRows(s.Stages))
	a.heading("Streams")
	a.table(streamRows(s.Streams))
	if s.Dead > 0 {
		a.printf("\nDead letters: %d\n", s.Dead)
	}
	for _, kb := range s.KBs {
		a.printRefused(kb)
	}
	a.printProblems(s.Problems)
}

func (a *app) heading(text string) { a.printf("\n%s\n", a.out.paint(bold, text)) }

func kbRows(kbs []tributary.KBStatus) [][]string {
	rows := [][]string{{"NAME", "LIVE", "PENDING", "REFUSED", "DELETED", "CHUNKS", "OBJECTS", "LAST CHANGE", "EMBEDDER"}}
	for _, kb := range kbs {
		rows = append(rows, []string{
			kb.KB, fmt.Sprint(kb.Live), fmt.Sprint(kb.Pending), fmt.Sprint(kb.Rejected), fmt.Sprint(kb.Deleted),
			fmt.Sprint(kb.Chunks), fmt.Sprint(kb.Objects), when(kb.Freshest), cleanLine(kb.Embedder),
		})
	}
	return rows
}

func sourceRows(sources []tributary.SourceStatus) [][]string {
	rows := [][]string{{"KB", "SOURCE", "STATE", "DOCUMENTS", "AGE", "P50", "P99", "LAST SUCCESS", "NEXT LOOK"}}
	for _, s := range sources {
		rows = append(rows, []string{
			s.KB, s.Name, string(s.State), fmt.Sprint(s.Documents), age(s.AgeS),
			latency(s.SearchableP50), latency(s.SearchableP99), when(s.LastSuccess), when(s.NextLook),
		})
	}
	return rows
}

func stageRows(stages []tributary.StageStatus) [][]string {
	rows := [][]string{{"STAGE", "LANE", "WAITING", "IN FLIGHT", "RETRIED", "WORKERS", "OLDEST"}}
	for _, s := range stages {
		rows = append(rows, []string{
			cleanLine(s.Stage), string(s.Lane), fmt.Sprint(s.Waiting), fmt.Sprint(s.InFlight), fmt.Sprint(s.Retried),
			fmt.Sprint(s.Workers), age(s.OldestS),
		})
	}
	return rows
}

func streamRows(streams []tributary.StreamStatus) [][]string {
	rows := [][]string{{"STREAM", "MESSAGES", "SIZE", "LIMIT", "USED"}}
	for _, s := range streams {
		limit, used := "none", "-"
		if s.MaxBytes > 0 {
			limit, used = size(uint64(s.MaxBytes)), fmt.Sprintf("%.0f%%", 100*float64(s.Bytes)/float64(s.MaxBytes))
		}
		rows = append(rows, []string{cleanLine(s.Stream), fmt.Sprint(s.Messages), size(s.Bytes), limit, used})
	}
	return rows
}

func (a *app) printRefused(kb tributary.KBStatus) {
	if len(kb.Refused) == 0 {
		return
	}
	a.heading("Newest refusals in " + kb.KB)
	for _, item := range kb.Refused {
		a.printf("  %s\n    %s\n", cleanLine(item.URI), a.out.paint(red, refusal(item)))
	}
}

func (a *app) printProblems(all []tributary.Problem) {
	if len(all) == 0 {
		a.printf("\n%s\n", a.out.paint(green, "No problems."))
		return
	}
	a.heading("Problems")
	for _, p := range all {
		a.printf("  %s\n    %s\n", a.out.paint(red, cleanLine(p.What)), cleanLine(p.Do))
	}
}

// age prints seconds as a short duration, "-" for none.
func age(seconds float64) string {
	if seconds <= 0 {
		return "-"
	}
	d := time.Duration(seconds * float64(time.Second))
	if d < time.Minute {
		return fmt.Sprintf("%.1fs", seconds)
	}
	return d.Round(time.Second).String()
}

// size prints a number of bytes in the unit that suits it.
func size(bytes uint64) string {
	units := []string{"B", "KiB", "MiB", "GiB", "TiB", "PiB", "EiB"}
	value, i := float64(bytes), 0
	for value >= 1024 && i < len(units)-1 {
		value /= 1024
		i++
	}
	if i == 0 {
		return fmt.Sprintf("%d B", bytes)
	}
	return fmt.Sprintf("%.1f %s", value, units[i])
}
