package pipeline

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"

	"github.com/tributary-kb/tributary"
	"github.com/tributary-kb/tributary/internal/stage"
)

const (
	maxRefused = 20   // refusals that a status names
	maxPending = 1000 // documents on their way that are named one by one
)

// An Observer looks at the whole system for status.
type Observer struct {
	Store   *Store
	NC      *nats.Conn
	Version string // of the program
	// IndexVersion returns the server version of the index.
	IndexVersion func(ctx context.Context) (string, error)
	// Objects counts the stored objects of a knowledge base.
	Objects func(ctx context.Context, kb string) (int, error)
	// Check says why a knowledge base cannot be searched as configured.
	Check func(ctx context.Context, kb string) error
	// LateKeywords says that a knowledge base finds new words only later.
	LateKeywords func(ctx context.Context, kb string) (bool, error)
	// Sources lists the sources of all knowledge bases; may be nil.
	Sources func(ctx context.Context, send func(tributary.SourceStatus) error) error
	// Problems returns what is wrong beside, in all processes; may be nil.
	Problems func() []tributary.Problem
	// Health returns what else is wrong in this process, nil if nothing.
	Health func() error
}

// Status returns the state of the system. What cannot be seen is a problem in
// the reply, not an error.
func (o *Observer) Status(ctx context.Context) (tributary.StatusReply, error) {
	rep := tributary.StatusReply{Version: o.Version, NATS: o.NC.ConnectedServerVersion(), Problems: []tributary.Problem{}}
	version, err := o.IndexVersion(ctx)
	if err != nil {
		rep.Problems = append(rep.Problems, tributary.Problem{
			What: fmt.Sprintf("Weaviate does not answer: %v", err),
			Do:   "start it, or name the right address with --weaviate; changes wait in the index stream meanwhile",
		})
	}
	rep.Weaviate = version
	if err := o.streams(ctx, &rep); err != nil {
		return rep, err
	}
	if err := o.kbs(ctx, &rep); err != nil {
		return rep, err
	}
	if err := o.sources(ctx, &rep); err != nil {
		return rep, err
	}
	if o.Problems != nil {
		rep.Problems = append(rep.Problems, o.Problems()...)
	}
	if o.Health != nil {
		if err := o.Health(); err != nil {
			rep.Problems = append(rep.Problems, tributary.Problem{What: err.Error(), Do: "see the log of `tributary up`"})
		}
	}
	return rep, nil
}

// sources lists the sources, and what somebody should look at.
func (o *Observer) sources(ctx context.Context, rep *tributary.StatusReply) error {
	if o.Sources == nil {
		return nil
	}
	err := o.Sources(ctx, func(s tributary.SourceStatus) error {
		rep.Sources = append(rep.Sources, s)
		problem := tributary.Problem{}
		switch {
		case s.State == tributary.SourceHeld:
			problem.What = fmt.Sprintf("source %s is held: %s", s.Name, s.Reason)
			problem.Do = fmt.Sprintf("look at %s; if its documents are really gone, run `tributary source confirm --kb %s %s`", s.Location, s.KB, s.Name)
		case s.State == tributary.SourceFailing:
			problem.What = fmt.Sprintf("source %s cannot be looked at: %s", s.Name, s.Reason)
			problem.Do = fmt.Sprintf("it is tried again by itself; `tributary source show --kb %s %s` says when", s.KB, s.Name)
		case s.Owner == "" && s.State == tributary.SourceActive:
			problem.What = fmt.Sprintf("nobody follows source %s", s.Name)
			problem.Do = "start `tributary worker source`, for a folder on the machine where it is"
		default:
			return nil
		}
		rep.Problems = append(rep.Problems, problem)
		return nil
	})
	if err != nil {
		return fmt.Errorf("sources: %w", err)
	}
	return nil
}

func (o *Observer) streams(ctx context.Context, rep *tributary.StatusReply) error {
	for _, s := range Streams {
		stream, err := o.Store.JS.Stream(ctx, s.Name)
		if err != nil {
			return fmt.Errorf("stream %s: %w", s.Name, err)
		}
		state, config := stream.CachedInfo().State, stream.CachedInfo().Config
		rep.Streams = append(rep.Streams, tributary.StreamStatus{Stream: s.Name, Messages: state.Msgs, Bytes: state.Bytes, MaxBytes: config.MaxBytes})
		if config.MaxBytes > 0 && state.Bytes > uint64(config.MaxBytes)/10*9 {
			rep.Problems = append(rep.Problems, tributary.Problem{
				What: fmt.Sprintf("stream %s is over 90%% full (%d of %d bytes)", s.Name, state.Bytes, config.MaxBytes),
				Do:   "add workers to the stage it feeds, or raise nats.max_stage_bytes",
			})
		}
		if s.Name == DeadStream {
			rep.Dead = state.Msgs
		}
	}
	for _, s := range Stages {
		if s.In == "" {
			continue
		}
		for _, lane := range tributary.Lanes {
			if err := o.stage(ctx, s.Name, lane, rep); err != nil {
				return err
			}
		}
	}
	return nil
}

func (o *Observer) stage(ctx context.Context, name string, lane tributary.Lane, rep *tributary.StatusReply) error {
	cons, err := o.Store.JS.Consumer(ctx, StreamName(name), stage.ConsumerName(name, lane))
	if err != nil {
		return fmt.Errorf("consumer %s: %w", stage.ConsumerName(name, lane), err)
	}
	info := cons.CachedInfo()
	st := tributary.StageStatus{
		Stage: name, Lane: lane, Stream: StreamName(name), Waiting: info.NumPending,
		InFlight: info.NumAckPending, Retried: info.NumRedelivered, Workers: info.NumWaiting,
	}
	rep.Stages = append(rep.Stages, st)
	if st.Waiting > 0 && st.Workers == 0 && st.InFlight == 0 {
		rep.Problems = append(rep.Problems, tributary.Problem{
			What: fmt.Sprintf("%d messages wait for stage %s (%s lane) and nobody works on it", st.Waiting, name, lane),
			Do:   fmt.Sprintf("start `tributary worker %s`", name),
		})
	}
	return nil
}

func (o *Observer) kbs(ctx context.Context, rep *tributary.StatusReply) error {
	byName := map[string]*tributary.KBStatus{}
	kb := func(name string) *tributary.KBStatus {
		if byName[name] == nil {
			byName[name] = &tributary.KBStatus{KB: name}
		}
		return byName[name]
	}
	err := o.Store.Registry.List(ctx, "", func(rec tributary.Record) error {
		count(kb(rec.KB), rec)
		return nil
	})
	if err != nil {
		return err
	}
	pending, err := o.Store.Pending(ctx, "")
	if err != nil {
		return err
	}
	for _, h := range pending {
		kb(h.KB).Pending++
	}
	for name, st := range byName {
		if n, err := o.Objects(ctx, name); err == nil {
			st.Objects = n
		}
		if err := o.Check(ctx, name); err != nil && rep.Weaviate != "" {
			rep.Problems = append(rep.Problems, tributary.Problem{What: err.Error(), Do: fmt.Sprintf("run `tributary reindex --kb %s`, or configure the former embedder", name)})
		}
		if late, err := o.LateKeywords(ctx, name); late && err == nil {
			rep.Problems = append(rep.Problems, tributary.Problem{
				What: fmt.Sprintf("knowledge base %s: this Weaviate ranks keywords wrongly for up to a minute after a change", name),
				Do:   fmt.Sprintf("set USE_INVERTED_SEARCHABLE=false on the server, restart it, and run `tributary reindex --kb %s`", name),
			})
		}
		if st.Objects < st.Chunks && rep.Weaviate != "" {
			rep.Problems = append(rep.Problems, tributary.Problem{
				What: fmt.Sprintf("knowledge base %s: %d chunks are committed, the index holds %d objects", name, st.Chunks, st.Objects),
				Do:   fmt.Sprintf("run `tributary verify --repair --kb %s`", name),
			})
		}
		if st.Rejected > 0 {
			rep.Problems = append(rep.Problems, tributary.Problem{
				What: fmt.Sprintf("knowledge base %s: %d documents were refused", name, st.Rejected),
				Do:   fmt.Sprintf("`tributary ls --kb %s` says why; publish them again, or remove them with `tributary rm`", name),
			})
		}
		slices.SortFunc(st.Refused, func(a, b tributary.Item) int { return b.Changed.Compare(a.Changed) })
		st.Refused = st.Refused[:min(len(st.Refused), maxRefused)]
		rep.KBs = append(rep.KBs, *st)
	}
	slices.SortFunc(rep.KBs, func(a, b tributary.KBStatus) int { return cmp.Compare(a.KB, b.KB) })
	return nil
}

func count(st *tributary.KBStatus, rec tributary.Record) {
	st.Chunks += len(rec.Chunks())
	switch rec.State() {
	case tributary.StateLive:
		st.Live++
	case tributary.StateDeleted:
		st.Deleted++
	case tributary.StateRejected:
		st.Rejected++
		f := rec.Failure
		st.Refused = append(st.Refused, tributary.Item{
			URI: rec.URI, Document: rec.Document, Version: f.Version, State: tributary.StateRejected,
			Chunks: len(rec.Chunks()), Changed: f.At, Reason: f.Reason, Stage: f.Stage,
		})
	}
	if m := rec.Manifest; m != nil {
		st.Embedder = m.Fingerprint.Embedder
		if m.Committed.After(st.Freshest) {
			st.Freshest = m.Committed
		}
	}
}

// Pending returns the newest version on its way of each document of kb, of
// all knowledge bases if kb is empty; at most 1,000 of each stream.
func (s *Store) Pending(ctx context.Context, kb string) ([]tributary.Head, error) {
	newest := map[string]tributary.Head{}
	for _, st := range Stages {
		if st.In == "" {
			continue
		}
		if err := s.pendingIn(ctx, st.Name, kb, newest); err != nil {
			return nil, fmt.Errorf("what waits for stage %s: %w", st.Name, err)
		}
	}
	heads := make([]tributary.Head, 0, len(newest))
	for _, h := range newest {
		heads = append(heads, h)
	}
	return heads, nil
}

func (s *Store) pendingIn(ctx context.Context, name, kb string, newest map[string]tributary.Head) error {
	filter := stage.Filter(name)
	if kb != "" {
		filter = strings.TrimSuffix(filter, ">") + "*." + kb + ".>"
	}
	stream, err := s.JS.Stream(ctx, StreamName(name))
	if err != nil {
		return err
	}
	if stream.CachedInfo().State.Msgs == 0 {
		return nil
	}
	info, err := stream.Info(ctx, jetstream.WithSubjectFilter(filter))
	if err != nil {
		return err
	}
	n := 0
	for subject := range info.State.Subjects {
		if stage.IsFence(subject) {
			continue // nobody's work
		}
		if n++; n > maxPending {
			break
		}
		raw, err := stream.GetLastMsgForSubject(ctx, subject)
		if errors.Is(err, jetstream.ErrMsgNotFound) {
			continue // handled meanwhile
		}
		if err != nil {
			return err
		}
		var in tributary.Request // every message begins with a head; the rest is left alone
		if err := stage.Decode(ctx, s.Blobs, raw.Header, raw.Data, &in); err != nil {
			continue // it will become a dead letter
		}
		if name == Ingest {
			in.Accept(raw.Sequence, raw.Time.Round(time.Millisecond))
		}
		if h := in.MessageHead(); h.Version >= newest[h.Document].Version {
			newest[h.Document] = h
		}
	}
	return nil
}
