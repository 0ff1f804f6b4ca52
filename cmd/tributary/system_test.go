package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/prometheus/client_golang/prometheus"

	"github.com/tributary-kb/tributary"
	"github.com/tributary-kb/tributary/internal/api"
	"github.com/tributary-kb/tributary/internal/config"
	"github.com/tributary-kb/tributary/internal/embedded"
	"github.com/tributary-kb/tributary/internal/pipeline"
	"github.com/tributary-kb/tributary/internal/testenv"
	"github.com/tributary-kb/tributary/internal/weaviate"
)

// A system is a NATS of its own, the shared Weaviate, and what `up` and
// `worker` run on them, in this process.
type system struct {
	*api.Client
	t       testing.TB
	kb      string
	cfg     *config.Loaded
	server  *embedded.NATS
	nc      *nats.Conn
	index   weaviate.Config
	plant   *plant
	metrics *prometheus.Registry
	log     record                              // what the stages log, at level warn
	wrap    func(pipeline.Parts) pipeline.Parts // around the stages' functions, may be nil
	stop    func()                              // stops the stages and waits for them
}

// A systemOption changes a system before it starts.
type systemOption func(*system)

// set changes a setting, as a flag does.
func set(key, value string) systemOption {
	return func(s *system) {
		var err error
		s.cfg, err = config.Load(config.Sources{Env: []string{}, Flags: append(flagsOf(s.cfg), config.Flag{Name: key, Key: key, Value: value})})
		fatal(s.t, err)
	}
}

// flagsOf keeps what a test system always sets.
func flagsOf(cfg *config.Loaded) []config.Flag {
	return []config.Flag{{Name: "data", Key: "data", Value: cfg.Data}, {Name: "kb", Key: "kb", Value: cfg.KB}}
}

func fatal(t testing.TB, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

// newSystem starts a system that ends with the test.
func newSystem(t testing.TB, options ...systemOption) *system {
	t.Helper()
	server := testenv.Weaviate(t)
	s := &system{t: t, kb: testenv.KB(t), index: weaviate.Config{Address: server.HTTP, GRPCAddress: server.GRPC}}
	var err error
	s.cfg, err = config.Load(config.Sources{Env: []string{}, Flags: flagsOf(&config.Loaded{Config: config.Config{Data: t.TempDir(), KB: s.kb}})})
	fatal(t, err)
	for _, o := range options {
		o(s)
	}
	s.kb = s.cfg.KB
	s.server = testenv.NATSServer(t)
	s.nc = testenv.Connect(t, s.server)
	s.Client = api.NewClient(s.nc, s.kb)
	s.start(stageNames()...)
	t.Cleanup(func() {
		s.stop()
		ctx, cancel := context.WithTimeout(context.WithoutCancel(t.Context()), time.Minute)
		defer cancel()
		if err := s.plant.index.DropCollection(ctx, s.kb); err != nil {
			t.Error(err)
		}
	})
	return s
}

// start runs stages until stop is called.
func (s *system) start(stages ...string) {
	s.t.Helper()
	log := slog.New(slog.NewTextHandler(io.MultiWriter(s.t.Output(), &s.log), &slog.HandlerOptions{Level: slog.LevelWarn}))
	s.metrics = prometheus.NewRegistry()
	p, err := newPlant(s.t.Context(), s.cfg, log, s.metrics, s.nc, s.index, stages)
	fatal(s.t, err)
	s.plant = p
	parts := p.parts()
	if s.wrap != nil {
		parts = s.wrap(parts)
	}
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan error, 1)
	go func() { done <- p.runWith(ctx, parts, stages) }()
	stopped := false
	s.stop = func() {
		if stopped {
			return
		}
		stopped = true
		cancel()
		if err := <-done; err != nil {
			s.t.Errorf("the stages ended with %v", err)
		}
	}
	s.awaitServices()
}

// A record is a log that can be read while it is written.
type record struct {
	mu   sync.Mutex
	text strings.Builder
}

func (r *record) Write(p []byte) (int, error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.text.Write(p)
}

// await returns when a line has all the parts.
func (r *record) await(t testing.TB, parts ...string) {
	t.Helper()
	testenv.Eventually(t, t.Context(), func() error {
		r.mu.Lock()
		defer r.mu.Unlock()
		for line := range strings.Lines(r.text.String()) {
			if !slices.ContainsFunc(parts, func(part string) bool { return !strings.Contains(line, part) }) {
				return nil
			}
		}
		return fmt.Errorf("no line of the log has %q", parts)
	})
}

// awaitServices returns when the services answer.
func (s *system) awaitServices() {
	s.t.Helper()
	testenv.Eventually(s.t, s.t.Context(), func() error {
		_, err := s.Status(s.t.Context())
		if err != nil {
			return err
		}
		_, err = s.nc.RequestWithContext(s.t.Context(), "$SRV.PING.tributary-ingest", nil)
		return err
	})
}

// put publishes a text and returns the receipt.
func (s *system) put(uri, text string) tributary.Receipt {
	s.t.Helper()
	r, err := s.Add(s.t.Context(), tributary.AddRequest{URI: uri, Text: text, Attributes: tributary.Attributes{ContentType: "text/markdown"}})
	fatal(s.t, err)
	return r
}

// settled waits for receipts and returns what became of them, by URI.
func (s *system) settled(receipts ...tributary.Receipt) map[string]tributary.Settled {
	s.t.Helper()
	ats := make([]tributary.At, len(receipts))
	for i, r := range receipts {
		ats[i] = tributary.At{Document: r.Document, Version: r.Version}
	}
	out := map[string]tributary.Settled{}
	fatal(s.t, s.Wait(s.t.Context(), ats, func(st tributary.Settled) error {
		out[st.URI] = st
		return nil
	}))
	return out
}

// idle waits until no message is in any stage's stream: not even one whose
// work is done and not yet acknowledged.
func (s *system) idle() {
	s.t.Helper()
	testenv.Eventually(s.t, s.t.Context(), func() error {
		st, err := s.Status(s.t.Context())
		if err != nil {
			return err
		}
		for _, stage := range st.Stages {
			if stage.Waiting > 0 || stage.InFlight > 0 {
				return errors.New(stage.Stage + " is still at work")
			}
		}
		return nil
	})
}

// contents returns the texts of the stored objects, by URI, and fails if any
// is not named by the current manifest, or the other way round.
func (s *system) contents() map[string][]string {
	s.t.Helper()
	ctx := s.t.Context()
	fatal(s.t, s.Verify(ctx, tributary.VerifyRequest{}, func(f tributary.Finding) error {
		if f.Kind != tributary.FindingSummary {
			s.t.Errorf("the audit finds %+v", f)
		}
		return nil
	}))
	texts := map[string][]string{}
	fatal(s.t, s.List(ctx, tributary.ListRequest{}, func(item tributary.Item) error {
		if item.State != tributary.StateLive {
			s.t.Errorf("%s is %s: %s", item.URI, item.State, item.Reason)
			return nil
		}
		rep, err := s.Show(ctx, tributary.ShowRequest{Document: item.Document})
		for _, p := range rep.Passages {
			texts[item.URI] = append(texts[item.URI], p.Text)
		}
		return err
	}))
	return texts
}
