package api

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"strconv"
	"sync"
	"sync/atomic"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/micro"
	"github.com/prometheus/client_golang/prometheus"

	"github.com/tributary-kb/tributary"
	"github.com/tributary-kb/tributary/internal/stage"
)

// maxQueued bounds the requests that wait behind those that are handled; more
// are told to come back.
const maxQueued = 1024

// A Service answers requests until it is closed.
type Service struct {
	nc      *nats.Conn
	log     *slog.Logger
	micro   micro.Service
	metrics *prometheus.HistogramVec

	ctx    context.Context //nolint:containedctx // the life of the service, parent of all requests
	cancel context.CancelFunc
	slots  chan struct{}
	queued atomic.Int64
	door   sync.Mutex // held to let a request in, and to shut
	shut   bool
	active sync.WaitGroup
	stats  sync.Map // verb → *verbStats
}

// verbStats counts what a verb's handler really took: the framework sees only
// how long it takes to start a goroutine.
type verbStats struct {
	Requests atomic.Int64
	Errors   atomic.Int64
	Nanos    atomic.Int64
}

// statsReport is what a verb adds to the framework's statistics.
type statsReport struct {
	Requests       int64   `json:"requests"`
	Errors         int64   `json:"errors"`
	AverageSeconds float64 `json:"average_seconds"`
}

// Config of a Service.
type Config struct {
	Name        string // "tributary-ingest", "tributary-query"
	Description string
	Version     string // semantic version of the program
	Log         *slog.Logger
	Metrics     prometheus.Registerer // may be shared by several services of a process
	Concurrency int                   // requests handled at once, at least 1
}

func newService(nc *nats.Conn, cfg Config) (*Service, error) {
	ctx, cancel := context.WithCancel(context.Background())
	s := &Service{nc: nc, log: cfg.Log, ctx: ctx, cancel: cancel, slots: make(chan struct{}, max(cfg.Concurrency, 1))}
	s.metrics = prometheus.NewHistogramVec(prometheus.HistogramOpts{
		Name: "tributary_request_seconds", Help: "Seconds to answer a request of the protocol, by code (200 is success).",
		Buckets: prometheus.ExponentialBuckets(0.001, 2, 16),
	}, []string{"verb", "code"})
	if err := cfg.Metrics.Register(s.metrics); err != nil {
		already, ok := errors.AsType[prometheus.AlreadyRegisteredError](err)
		if !ok {
			cancel()
			return nil, err
		}
		s.metrics = already.ExistingCollector.(*prometheus.HistogramVec) //nolint:forcetypeassert // registered above, by this very line
	}
	var err error
	s.micro, err = micro.AddService(nc, micro.Config{
		Name: cfg.Name, Description: cfg.Description, Version: cfg.Version, QueueGroup: cfg.Name,
		StatsHandler: func(e *micro.Endpoint) any { return s.report(e.Name) },
	})
	if err != nil {
		cancel()
		return nil, fmt.Errorf("service %s: %w", cfg.Name, err)
	}
	return s, nil
}

func (s *Service) report(verb string) statsReport {
	v, ok := s.stats.Load(verb)
	if !ok {
		return statsReport{}
	}
	st := v.(*verbStats) //nolint:forcetypeassert // only these are stored
	r := statsReport{Requests: st.Requests.Load(), Errors: st.Errors.Load()}
	if r.Requests > 0 {
		r.AverageSeconds = time.Duration(st.Nanos.Load() / r.Requests).Seconds()
	}
	return r
}

// Close stops taking requests, waits for those under way until ctx ends, and
// then cancels them.
func (s *Service) Close(ctx context.Context) error {
	err := s.micro.Stop() // what was delivered before still reaches the handlers
	s.door.Lock()
	s.shut = true
	s.door.Unlock()
	done := make(chan struct{})
	go func() { s.active.Wait(); close(done) }()
	select {
	case <-done:
	case <-ctx.Done():
	}
	s.cancel()
	<-done
	return err
}

// plain registers a verb that is answered by one message.
func plain[Req, Rep any](s *Service, verb string, handle func(ctx context.Context, kb string, req Req) (Rep, error)) error {
	return s.endpoint(verb, func(ctx context.Context, kb string, m micro.Request) error {
		req, err := decode[Req](m)
		if err != nil {
			return err
		}
		rep, err := handle(ctx, kb, req)
		if err != nil {
			return err
		}
		data, err := json.Marshal(rep)
		if err != nil {
			return fmt.Errorf("encode reply: %w", err)
		}
		if most := s.nc.MaxPayload(); int64(len(data)) > most {
			return tributary.Errorf(tributary.CodeTooLarge, "the reply has %d bytes, a message of this NATS server at most %d (max_payload): ask for less", len(data), most)
		}
		return s.respond(m, data, nil)
	})
}

// streamed registers a verb that is answered by any number of messages.
func streamed[Req, Rep any](s *Service, verb string, handle func(ctx context.Context, kb string, req Req, send func(Rep) error) error) error {
	return s.endpoint(verb, func(ctx context.Context, kb string, m micro.Request) error {
		req, err := decode[Req](m)
		if err != nil {
			return err
		}
		ctx, cancel := context.WithCancel(ctx)
		defer cancel()
		out := &replyStream{s: s, m: m}
		go out.keepAlive(ctx)
		err = handle(ctx, kb, req, func(rep Rep) error {
			if err := ctx.Err(); err != nil {
				return err
			}
			data, err := json.Marshal(rep)
			if err != nil {
				return fmt.Errorf("encode reply: %w", err)
			}
			return out.send(frameData, data)
		})
		if err != nil {
			return err
		}
		return out.send(frameEnd, nil)
	})
}

// A replyStream numbers the messages of a streamed reply.
type replyStream struct {
	s    *Service
	m    micro.Request
	mu   sync.Mutex
	seq  uint64
	last time.Time
}

func (o *replyStream) send(frame string, data []byte) error {
	o.mu.Lock()
	defer o.mu.Unlock()
	o.seq++
	o.last = time.Now()
	return o.s.respond(o.m, data, nats.Header{
		HeaderFrame: {frame}, HeaderSeq: {strconv.FormatUint(o.seq, 10)},
	})
}

// keepAlive sends an idle frame whenever nothing was sent for a while.
func (o *replyStream) keepAlive(ctx context.Context) {
	tick := time.NewTicker(idleEvery)
	defer tick.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
			o.mu.Lock()
			silent := time.Since(o.last) >= idleEvery
			o.mu.Unlock()
			if silent && ctx.Err() == nil {
				_ = o.send(frameIdle, nil)
			}
		}
	}
}

// endpoint registers a verb of all knowledge bases. Its handlers run
// concurrently, up to a bound.
func (s *Service) endpoint(verb string, handle func(ctx context.Context, kb string, m micro.Request) error) error {
	stats := &verbStats{}
	s.stats.Store(verb, stats)
	h := func(m micro.Request) {
		if s.queued.Add(1) > maxQueued {
			s.queued.Add(-1)
			s.fail(m, tributary.Errorf(tributary.CodeBusy, "%d requests wait already, try again", maxQueued))
			return
		}
		arrived := time.Now()
		ctx, end, err := s.followed(s.ctx, m) // from now on: it may wait for its turn
		if err != nil {
			s.queued.Add(-1)
			s.fail(m, err)
			return
		}
		entered := s.enter(func() {
			defer end()
			s.slots <- struct{}{}
			s.queued.Add(-1)
			defer func() { <-s.slots }()
			err := s.serve(ctx, m, arrived, handle)
			code := "200"
			stats.Requests.Add(1)
			if err != nil {
				stats.Errors.Add(1)
				code = string(tributary.CodeOf(err))
				s.fail(m, err)
			}
			stats.Nanos.Add(int64(time.Since(arrived)))
			s.metrics.WithLabelValues(verb, code).Observe(time.Since(arrived).Seconds())
		})
		if !entered {
			end()
			s.queued.Add(-1)
			s.fail(m, tributary.Errorf(tributary.CodeBusy, "the service is stopping, try again"))
		}
	}
	return s.micro.AddEndpoint(verb, micro.HandlerFunc(h), micro.WithEndpointSubject(Subject("*", verb)),
		micro.WithEndpointPendingLimits(2*maxQueued, -1))
}

// enter runs a request beside the others, unless the service is closing.
func (s *Service) enter(request func()) bool {
	s.door.Lock()
	defer s.door.Unlock()
	if s.shut {
		return false
	}
	s.active.Go(request)
	return true
}

func (s *Service) serve(ctx context.Context, m micro.Request, arrived time.Time, handle func(context.Context, string, micro.Request) error) (err error) {
	defer func() {
		if p := recover(); p != nil {
			s.log.ErrorContext(ctx, "panic in a request", "subject", m.Subject(), "panic", fmt.Sprint(p))
			err = tributary.Errorf(tributary.CodeInternal, "internal error; the service's log has more")
		}
	}()
	kb, err := kbOf(m.Subject())
	if err != nil {
		return err
	}
	timeout, err := timeoutOf(m)
	if err != nil {
		return err
	}
	ctx, cancel := context.WithDeadline(stage.ExtractTrace(ctx, nats.Header(m.Headers())), arrived.Add(timeout))
	defer cancel()
	if ctx.Err() == nil {
		err = handle(ctx, kb, m)
	}
	if errors.Is(context.Cause(ctx), errLeft) {
		return tributary.Errorf(tributary.CodeCancelled, "%w (header %s)", errLeft, HeaderCancel)
	}
	if err != nil && tributary.CodeOf(err) == tributary.CodeInternal && errors.Is(err, context.DeadlineExceeded) {
		return tributary.Errorf(tributary.CodeDeadline, "no answer within %v (header %s): %w", timeout, HeaderTimeout, err)
	}
	return err
}

func (s *Service) fail(m micro.Request, err error) {
	code := tributary.CodeOf(err)
	if outcome, _ := tributary.OutcomeOf(err); code == tributary.CodeInternal && outcome == tributary.Waiting {
		code = tributary.CodeUnavailable
	}
	if code == tributary.CodeInternal {
		s.log.Error("request", "subject", m.Subject(), "error", err)
	}
	head := nats.Header{micro.ErrorCodeHeader: {string(code)}, micro.ErrorHeader: {err.Error()}, HeaderFrame: {frameEnd}}
	if err := s.respond(m, nil, head); err != nil {
		s.log.Warn("reply", "subject", m.Subject(), "error", err)
	}
}

// respond sends one message of a reply. The framework's own Respond and Error
// keep their error in the request, where the framework reads it as soon as the
// handler has returned; a request's work goes on after that.
func (s *Service) respond(m micro.Request, data []byte, head nats.Header) error {
	return s.nc.PublishMsg(&nats.Msg{Subject: m.Reply(), Header: head, Data: data})
}

func timeoutOf(m micro.Request) (time.Duration, error) {
	text := m.Headers().Get(HeaderTimeout)
	if text == "" || text == "0" {
		return DefaultTimeout, nil
	}
	ms, err := strconv.ParseInt(text, 10, 64)
	if err != nil || ms < 0 {
		return 0, tributary.Errorf(tributary.CodeInvalid, "header %s: %q is not a number of milliseconds", HeaderTimeout, text)
	}
	return min(time.Duration(ms)*time.Millisecond, MaxTimeout), nil
}

// decode reads a request's body; an empty one is the zero request.
func decode[Req any](m micro.Request) (Req, error) {
	var req Req
	if len(m.Data()) == 0 {
		return req, nil
	}
	if err := json.Unmarshal(m.Data(), &req); err != nil {
		return req, tributary.Errorf(tributary.CodeInvalid, "the body is not a valid %T: %w", req, err)
	}
	return req, nil
}
