package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"math/bits"
	"net"
	"os"
	"path/filepath"
	"strconv"
	"syscall"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/spf13/cobra"
	"golang.org/x/sync/errgroup"

	"github.com/tributary-kb/tributary/internal/api"
	"github.com/tributary-kb/tributary/internal/config"
	"github.com/tributary-kb/tributary/internal/embedded"
	"github.com/tributary-kb/tributary/internal/gateway"
	"github.com/tributary-kb/tributary/internal/pipeline"
	"github.com/tributary-kb/tributary/internal/weaviate"
)

type upFlags struct {
	add addFlags
	ask string
}

func newUp(a *app) *cobra.Command {
	var f upFlags
	cmd := &cobra.Command{
		Use:     "up [PATH or URL...]",
		GroupID: groupRun,
		Short:   "Run everything in this process, and add what is named",
		Long: `Up runs everything: NATS with JetStream on disk, Weaviate as a child process,
all stages, and the query worker. It adds the named files, folders and URLs, as
` + "`tributary add`" + ` does, prints one line when it is ready, and runs until it is
interrupted; then it finishes what it has begun. Nothing that was accepted is
lost, by an interrupt or otherwise: the next up goes on with it.

Weaviate is taken from the cache; the first time it is downloaded, or where that
cannot be, built with the Go toolchain, which takes some minutes.

Everything is in the data folder (--data), and only this machine can reach it
unless nats.listen says otherwise.`,
		Example: `  tributary up ~/notes
  tributary up --ask "who is on call?" ~/notes
  tributary up --nats nats://queue:4222 --weaviate http://index:8080`,
		RunE: func(cmd *cobra.Command, args []string) error { return a.up(cmd.Context(), args, f) },
	}
	weaviateFlags(cmd)
	gatewayFlag(cmd, "http")
	cmd.Flags().StringVar(&f.ask, "ask", "", "ask this `QUESTION` when all that is named can be searched, print the answer, and end")
	configFlag(cmd.Flags(), "listen", "nats.listen", "", "`HOST:PORT` of NATS (default "+config.DefaultNATSListen+")")
	return cmd
}

func (a *app) up(ctx context.Context, args []string, f upFlags) error {
	if err := f.add.check(args); err != nil {
		return err
	}
	m, err := a.startMachines(ctx)
	if err != nil {
		return err
	}
	err = a.upOn(ctx, m, args, f)
	return errors.Join(err, m.stop(a))
}

// machines are the servers that up runs, and where those are that it does not.
type machines struct {
	run      RunFile
	nats     *embedded.NATS     // nil: somebody else's
	weaviate *embedded.Weaviate // nil: somebody else's
	index    weaviate.Config
	nc       *nats.Conn
	obs      *observation
	gateway  *gateway.Gateway // nil: no HTTP
	audit    *auditor
}

func (a *app) startMachines(ctx context.Context) (_ *machines, err error) {
	m := &machines{audit: newAuditor(a)}
	defer func() {
		if err != nil {
			err = errors.Join(err, m.stop(a))
		}
	}()
	if m.obs, err = observe(ctx, a.cfg.Metrics, a.log); err != nil {
		return m, err
	}
	if err = m.startNATS(ctx, a); err != nil {
		return m, err
	}
	return m, m.startWeaviate(ctx, a)
}

func (m *machines) startNATS(ctx context.Context, a *app) (err error) {
	if a.cfg.NATS.URL != "" {
		m.run.NATS = a.cfg.NATS.URL
		m.nc, err = connectNATS(a.cfg.NATS, a.cfg.NATS.URL, "tributary up", stayConnected(a)...)
		if err != nil {
			return &exitError{exitUnreachable, err}
		}
		return nil
	}
	host, portText, err := net.SplitHostPort(a.cfg.NATS.Listen)
	if err != nil {
		return fmt.Errorf("nats.listen %q: %w", a.cfg.NATS.Listen, err)
	}
	port, err := strconv.Atoi(portText)
	if err != nil {
		return fmt.Errorf("nats.listen %q: %w", a.cfg.NATS.Listen, err)
	}
	user, password, err := a.cfg.NATS.Credentials()
	if err != nil {
		return err
	}
	if port == 0 || a.cfg.NATS.Listen == config.DefaultNATSListen && taken(a.cfg.NATS.Listen) {
		port = -1
	}
	m.nats, err = embedded.StartNATS(ctx, embedded.NATSConfig{
		Dir: filepath.Join(a.cfg.Data, "nats"), Host: host, Port: port, User: user, Password: password,
		MaxStore: a.cfg.NATS.MaxStoreBytes, Logger: a.log.With("server", "nats"),
	})
	if errors.Is(err, embedded.ErrOpen) {
		return usagef("nats.listen is %s: listening there %w; set nats.user and nats.password_file, or listen on 127.0.0.1",
			a.cfg.NATS.Listen, embedded.ErrOpen)
	}
	if _, ours := errors.AsType[*embedded.InUseError](err); err != nil && !ours && port > 0 && taken(a.cfg.NATS.Listen) {
		return fmt.Errorf("nats.listen is %s (from %s): %w; name another port, or 0 for a free one",
			a.cfg.NATS.Listen, a.cfg.Origin("nats.listen"), syscall.EADDRINUSE)
	}
	if err != nil {
		return err
	}
	m.run.NATS = m.nats.ClientURL()
	options := stayConnected(a)
	if user != "" {
		options = append(options, nats.UserInfo(user, password))
	}
	m.nc, err = m.nats.Connect(append(options, nats.Name("tributary up"))...)
	return err
}

// fitStages returns the configuration with no more for the streams between the
// stages than the disk has room for. The limit is rounded, so that it does not
// change with every file that comes and goes.
func (m *machines) fitStages(a *app) *config.Loaded {
	if m.nats == nil {
		return a.cfg
	}
	cfg := *a.cfg
	room := int64(embedded.StreamShare * float64(m.nats.MaxStore()) / float64(pipeline.LimitedStreams()))
	if room < cfg.NATS.MaxStageBytes {
		cfg.NATS.MaxStageBytes = 1 << (bits.Len64(uint64(room)) - 1)
		a.log.Warn("there is little room for what waits between the stages", "max_stage_bytes", cfg.NATS.MaxStageBytes,
			"wanted", a.cfg.NATS.MaxStageBytes, "store", m.nats.MaxStore())
	}
	return &cfg
}

func taken(address string) bool {
	l, err := net.Listen("tcp", address) //nolint:noctx // binds and lets go at once
	if err != nil {
		return errors.Is(err, syscall.EADDRINUSE)
	}
	_ = l.Close()
	return false
}

func (m *machines) startWeaviate(ctx context.Context, a *app) (err error) {
	if a.cfg.Weaviate.URL != "" {
		m.run.Weaviate, m.run.WeaviateGRPC, m.run.WeaviateKeyFile = a.cfg.Weaviate.URL, a.cfg.Weaviate.GRPC, a.cfg.Weaviate.APIKeyFile
		m.index, err = indexAddress(a.cfg.Weaviate)
		return err
	}
	binary := a.cfg.Weaviate.Binary
	if binary == "" {
		steps := a.newSteps()
		binary, err = embedded.ObtainWeaviate(ctx, embedded.ObtainConfig{Progress: steps.report})
		steps.finish()
		if err != nil {
			return err
		}
	}
	m.weaviate, err = embedded.StartWeaviate(ctx, embedded.WeaviateConfig{
		Binary: binary, Dir: filepath.Join(a.cfg.Data, "weaviate"), MemoryLimit: a.cfg.Weaviate.MemoryBytes,
		Logger: a.log.With("server", "weaviate"),
		OnChange: func(health error) {
			if health == nil { // it had died, and is back
				if err := m.audit.due(); err != nil {
					a.log.ErrorContext(ctx, "audit", "error", err)
				}
			}
		},
	})
	if err != nil {
		return err
	}
	if m.weaviate.Unclean() {
		if err := m.audit.due(); err != nil {
			return err
		}
	}
	m.run.Weaviate, m.run.WeaviateGRPC = "http://"+m.weaviate.HTTPAddr(), m.weaviate.GRPCAddr()
	m.run.WeaviateKeyFile = m.weaviate.APIKeyFile()
	m.index = weaviate.Config{
		Address: m.weaviate.HTTPAddr(), GRPCAddress: m.weaviate.GRPCAddr(), APIKey: m.weaviate.APIKey(), Timeout: a.cfg.Weaviate.Timeout,
	}
	return nil
}

// healthy says what is wrong with the servers that up runs.
func (m *machines) healthy() error {
	var err error
	if m.nats != nil {
		err = m.nats.Healthy()
	}
	if m.weaviate != nil {
		err = errors.Join(err, m.weaviate.Healthy(), m.audit.health())
	}
	return err
}

// stop ends the servers, those that others depend on last.
func (m *machines) stop(a *app) error {
	ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
	defer cancel()
	var err error
	if m.nc != nil {
		m.nc.Close()
	}
	if m.weaviate != nil {
		err = errors.Join(err, m.weaviate.Shutdown(ctx))
	}
	if m.nats != nil {
		err = errors.Join(err, RemoveRunFile(a.cfg.Data), m.nats.Shutdown(ctx))
	}
	if m.obs != nil {
		m.obs.close()
	}
	return err
}

// upOn runs all stages on m until ctx ends, or until the question that f
// holds is answered.
func (a *app) upOn(ctx context.Context, m *machines, args []string, f upFlags) error {
	stages := stageNames()
	p, err := newPlant(ctx, m.fitStages(a), a.log, m.obs.registry, m.nc, m.index, stages)
	if err != nil {
		return err
	}
	p.health = m.healthy
	if a.cfg.Gateway.Listen != "" {
		if m.gateway, err = a.openGateway(ctx, m.nc); err != nil {
			return err
		}
		m.run.Gateway = m.gateway.URL()
	}
	ctx, stop := context.WithCancel(ctx)
	defer stop()
	g, ctx := errgroup.WithContext(ctx)
	g.Go(func() error { return p.run(ctx, stages) })
	if m.gateway != nil {
		g.Go(func() error { return m.gateway.Serve(ctx, gatewayGrace) })
	}
	if m.weaviate != nil {
		g.Go(func() error { return m.audit.run(ctx, m) })
	}
	g.Go(func() error {
		err := a.serveHere(ctx, m, args, f)
		if err != nil || f.ask != "" {
			stop()
		}
		return err
	})
	return g.Wait()
}

// serveHere announces the system, and adds and asks what the command line
// says, as any other client.
func (a *app) serveHere(ctx context.Context, m *machines, args []string, f upFlags) error {
	if err := a.announce(ctx, m); err != nil {
		return err
	}
	here := *a
	here.dial = func(context.Context, *config.Loaded) (client, func(), error) {
		return api.NewClient(m.nc, a.cfg.KB), func() {}, nil
	}
	var missing error // what was named and cannot be searched
	if len(args) > 0 {
		quiet := here
		quiet.out = newTerminal(io.Discard, nil)
		f.add.wait = true
		switch err := quiet.add(ctx, args, f.add); {
		case ctx.Err() != nil: // what was accepted waits for the next up
		case err != nil && f.ask != "": // the answer may lack it
			missing = err
		case err != nil:
			a.warnf("tributary: %v", err)
		default:
			a.warnf("all that was named can be searched")
		}
	}
	if f.ask != "" && ctx.Err() == nil {
		if err := here.ask(ctx, f.ask, &askFlags{queryFlags: queryFlags{k: askPassages, timeout: 5 * time.Minute}}); err != nil {
			return err
		}
	}
	return missing
}

// announce waits until the services answer, writes the run file, and prints
// the line that says so.
func (a *app) announce(ctx context.Context, m *machines) error {
	c := api.NewClient(m.nc, a.cfg.KB)
	for {
		_, err := c.Status(ctx)
		if err == nil {
			break
		}
		if !isUnreachable(err) {
			return err
		}
		select {
		case <-ctx.Done():
			return nil
		case <-time.After(20 * time.Millisecond):
		}
	}
	m.run.PID, m.run.Started, m.run.Metrics = os.Getpid(), time.Now().UTC(), m.obs.url
	if err := WriteRunFile(a.cfg.Data, m.run); err != nil {
		return err
	}
	if a.json {
		return a.printJSON(struct {
			RunFile
			Data string `json:"data"`
		}{m.run, a.cfg.Data})
	}
	http := ""
	if m.run.Gateway != "" {
		http = ", HTTP " + m.run.Gateway
	}
	a.printf("ready: NATS %s, Weaviate %s%s, metrics %s, data %s\n", config.Redact(m.run.NATS), config.Redact(m.run.Weaviate), http, m.run.Metrics, a.cfg.Data)
	return nil
}
