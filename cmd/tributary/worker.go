package main

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/nats-io/nats.go"
	"github.com/spf13/cobra"

	"github.com/tributary-kb/tributary/internal/config"
	"github.com/tributary-kb/tributary/internal/pipeline"
	"github.com/tributary-kb/tributary/internal/weaviate"
)

func newWorker(a *app) *cobra.Command {
	cmd := &cobra.Command{
		Use:     "worker STAGE...",
		GroupID: groupRun,
		Short:   "Run some stages against a NATS and a Weaviate that run elsewhere",
		Long: `Worker runs the named stages: ingest, chunk, embed, index, query. Any number of
workers may run, anywhere; they share the work of a stage.

They need --nats, and the stages index and query need --weaviate too. On the
machine where ` + "`tributary up`" + ` runs both are found in the data folder.

An interrupt lets the worker finish what it has begun; what it has not begun
goes to another worker at once.`,
		Example: `  tributary worker embed index --nats nats://queue:4222 --weaviate http://index:8080`,
		Args:    usage(checkStages),
		ValidArgsFunction: func(_ *cobra.Command, args []string, _ string) ([]string, cobra.ShellCompDirective) {
			left := slices.DeleteFunc(stageNames(), func(s string) bool { return slices.Contains(args, s) })
			return left, cobra.ShellCompDirectiveNoFileComp
		},
		RunE: func(cmd *cobra.Command, args []string) error { return a.worker(cmd.Context(), args) },
	}
	weaviateFlags(cmd)
	return cmd
}

func weaviateFlags(cmd *cobra.Command) {
	cmd.Flags().SortFlags = false
	configFlag(cmd.Flags(), "weaviate", "weaviate.url", "", "`URL` of Weaviate (default: the one that `up` manages)")
	configFlag(cmd.Flags(), "weaviate-grpc", "weaviate.grpc", "", "`HOST:PORT` of its gRPC interface (default: port 50051 of its host)")
	configFlag(cmd.Flags(), "metrics", "metrics.listen", "", "`HOST:PORT` to serve Prometheus metrics at (default 127.0.0.1, a free port)")
}

func stageNames() []string {
	names := make([]string, len(pipeline.Stages))
	for i, s := range pipeline.Stages {
		names[i] = s.Name
	}
	return names
}

func checkStages(_ *cobra.Command, args []string) error {
	if len(args) == 0 {
		return fmt.Errorf("name at least one stage of %s", strings.Join(stageNames(), ", "))
	}
	for _, name := range args {
		if !slices.Contains(stageNames(), name) {
			return fmt.Errorf("stage %q: the stages are %s", name, strings.Join(stageNames(), ", "))
		}
	}
	return nil
}

func (a *app) worker(ctx context.Context, stages []string) error {
	slices.Sort(stages)
	stages = slices.Compact(stages)
	natsURL, index, err := a.whereabouts(stages)
	if err != nil {
		return err
	}
	nc, err := connectNATS(a.cfg.NATS, natsURL, "tributary worker", stayConnected(a)...)
	if err != nil {
		return &exitError{exitUnreachable, err}
	}
	defer nc.Close()
	obs, err := observe(ctx, a.cfg.Metrics, a.log)
	if err != nil {
		return err
	}
	defer obs.close()
	p, err := newPlant(ctx, a.cfg, a.log, obs.registry, nc, index, stages)
	if err != nil {
		return err
	}
	a.log.InfoContext(ctx, "working", "stages", stages, "nats", config.Redact(natsURL), "metrics", obs.url)
	if err := p.run(ctx, stages); err != nil {
		return err
	}
	a.log.InfoContext(ctx, "stopped", "stages", stages)
	return nil
}

// whereabouts returns where NATS and the index are: as configured, or as the
// `up` on the data folder says.
func (a *app) whereabouts(stages []string) (string, weaviate.Config, error) {
	var running RunFile
	needsIndex := slices.Contains(stages, pipeline.Index) || slices.Contains(stages, pipeline.Query)
	if a.cfg.NATS.URL == "" || needsIndex && a.cfg.Weaviate.URL == "" {
		var err error
		if running, err = ReadRunFile(a.cfg.Data); err != nil {
			return "", weaviate.Config{}, fmt.Errorf("%w; or name NATS and Weaviate with --nats and --weaviate", err)
		}
	}
	natsURL := a.cfg.NATS.URL
	if natsURL == "" {
		natsURL = running.NATS
	}
	w := a.cfg.Weaviate
	if w.URL == "" && needsIndex {
		w.URL, w.GRPC, w.APIKeyFile = running.Weaviate, running.WeaviateGRPC, running.WeaviateKeyFile
	}
	index, err := indexAddress(w)
	return natsURL, index, err
}

// stayConnected makes a connection that outlives its server: a worker waits
// for it as long as it takes.
func stayConnected(a *app) []nats.Option {
	return []nats.Option{
		nats.MaxReconnects(-1),
		nats.RetryOnFailedConnect(false),
		nats.DisconnectErrHandler(func(_ *nats.Conn, err error) {
			if err != nil {
				a.log.Warn("NATS is away", "error", err)
			}
		}),
		nats.ReconnectHandler(func(nc *nats.Conn) { a.log.Info("NATS is back", "server", nc.ConnectedUrlRedacted()) }),
		nats.ErrorHandler(func(_ *nats.Conn, s *nats.Subscription, err error) {
			if errors.Is(err, nats.ErrConnectionClosed) {
				return
			}
			subject := ""
			if s != nil {
				subject = s.Subject
			}
			a.log.Warn("NATS", "subject", subject, "error", err)
		}),
	}
}
