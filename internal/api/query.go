package api

import (
	"cmp"
	"context"
	"errors"
	"slices"
	"strings"
	"sync"

	"github.com/nats-io/nats.go"

	"github.com/tributary-kb/tributary"
)

// maxWaited bounds the versions that one wait request may name.
const maxWaited = 1000

// Answers is what the query service needs: the query worker, the registry and
// what status looks at. All fields are needed.
type Answers struct {
	Search func(ctx context.Context, kb string, req tributary.SearchRequest) (tributary.SearchReply, error)
	Ask    func(ctx context.Context, kb string, req tributary.AskRequest, emit func(tributary.AskEvent) error) error
	// Forget deletes a conversation.
	Forget func(ctx context.Context, kb, conversation string) error
	Show   func(ctx context.Context, kb string, req tributary.ShowRequest) (tributary.ShowReply, error)
	Await  func(ctx context.Context, kb string, at tributary.At) (tributary.Record, error)
	List   func(ctx context.Context, kb string, fn func(tributary.Record) error) error
	// Pending returns the heads of versions that are on their way.
	Pending func(ctx context.Context, kb string) ([]tributary.Head, error)
	Status  func(ctx context.Context) (tributary.StatusReply, error)
	Verify  func(ctx context.Context, kb string, req tributary.VerifyRequest, send func(tributary.Finding) error) error
	Reindex func(ctx context.Context, kb string, req tributary.ReindexRequest, send func(tributary.Receipt) error) error
}

// ServeAnswers answers search, ask, forget, wait, ls, show, verify, reindex and
// status.
func ServeAnswers(nc *nats.Conn, cfg Config, a Answers) (*Service, error) {
	s, err := newService(nc, cfg)
	if err != nil {
		return nil, err
	}
	err = errors.Join(
		plain(s, VerbSearch, a.Search),
		plain(s, VerbForget, a.forget),
		plain(s, VerbShow, a.show),
		plain(s, VerbStatus, func(ctx context.Context, _ string, _ struct{}) (tributary.StatusReply, error) {
			return a.Status(ctx)
		}),
		streamed(s, VerbAsk, a.Ask),
		streamed(s, VerbWait, a.wait),
		streamed(s, VerbList, a.list),
		streamed(s, VerbVerify, a.Verify),
		streamed(s, VerbReindex, a.Reindex),
	)
	if err != nil {
		return nil, errors.Join(err, s.micro.Stop())
	}
	return s, nil
}

func (a Answers) forget(ctx context.Context, kb string, req tributary.ForgetRequest) (tributary.ForgetReply, error) {
	if err := tributary.CheckConversation(req.Conversation); err != nil {
		return tributary.ForgetReply{}, tributary.Errorf(tributary.CodeInvalid, "%w", err)
	}
	return tributary.ForgetReply(req), a.Forget(ctx, kb, req.Conversation)
}

// wait reports versions as they settle.
func (a Answers) wait(ctx context.Context, kb string, req tributary.WaitRequest, send func(tributary.Settled) error) error {
	if len(req.Documents) > maxWaited {
		return tributary.Errorf(tributary.CodeTooLarge, "wait: %d documents, the limit is %d a request", len(req.Documents), maxWaited)
	}
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	settled := make(chan tributary.Settled)
	failed := make(chan error, len(req.Documents))
	var waiting sync.WaitGroup
	for _, at := range req.Documents {
		waiting.Go(func() {
			rec, err := a.Await(ctx, kb, at)
			if err != nil {
				failed <- notYet(err, at, rec)
				return
			}
			select {
			case settled <- settledOf(rec, at.Version):
			case <-ctx.Done():
			}
		})
	}
	defer waiting.Wait()
	defer cancel()
	for range req.Documents {
		select {
		case s := <-settled:
			if err := send(s); err != nil {
				return err
			}
		case err := <-failed:
			return err
		}
	}
	return nil
}

func notYet(err error, at tributary.At, rec tributary.Record) error {
	if errors.Is(err, context.DeadlineExceeded) {
		name := cmp.Or(at.URI, rec.URI, at.Document)
		return tributary.Errorf(tributary.CodeNotYet, "%q has not reached version %d yet, it is at %d", name, at.Version, rec.Settled())
	}
	return err
}

// settledOf says what became of the version that was waited for. A refusal
// of that version counts even if an older one is still searched; a refusal
// of a later one does not.
func settledOf(rec tributary.Record, version uint64) tributary.Settled {
	s := tributary.Settled{URI: rec.URI, Document: rec.Document, Chunks: len(rec.Chunks())}
	if m := rec.Manifest; m != nil && m.Version >= version {
		s.Version, s.State = m.Version, m.State
		s.Seconds = m.Committed.Sub(m.Accepted).Seconds()
		return s
	}
	s.Version, s.State = rec.Failure.Version, tributary.StateRejected
	s.Reason, s.Stage = rec.Failure.Reason, rec.Failure.Stage
	return s
}

// list sends the documents in order of URI, those on their way included.
func (a Answers) list(ctx context.Context, kb string, req tributary.ListRequest, send func(tributary.Item) error) error {
	items := map[string]tributary.Item{}
	err := a.List(ctx, kb, func(rec tributary.Record) error {
		items[rec.Document] = rec.Item()
		return nil
	})
	if err != nil {
		return err
	}
	pending, err := a.Pending(ctx, kb)
	if err != nil {
		return err
	}
	for _, h := range pending {
		item := items[h.Document]
		if item.Document != "" && item.Version >= h.Version {
			continue
		}
		item.Document, item.URI, item.Version, item.State = h.Document, h.URI, h.Version, tributary.StatePending
		item.Reason, item.Stage = "", ""
		items[h.Document] = item
	}
	sorted := make([]tributary.Item, 0, len(items))
	for _, item := range items {
		if strings.HasPrefix(item.URI, req.URIPrefix) && (req.Deleted || item.State != tributary.StateDeleted) {
			sorted = append(sorted, item)
		}
	}
	slices.SortFunc(sorted, func(a, b tributary.Item) int { return cmp.Compare(a.URI, b.URI) })
	for _, item := range sorted {
		if err := send(item); err != nil {
			return err
		}
	}
	return nil
}

// show adds to the query worker's answer what is on its way.
func (a Answers) show(ctx context.Context, kb string, req tributary.ShowRequest) (tributary.ShowReply, error) {
	rep, err := a.Show(ctx, kb, req)
	if tributary.CodeOf(err) != tributary.CodeNotFound {
		return rep, err
	}
	pending, perr := a.Pending(ctx, kb)
	if perr != nil {
		return rep, perr
	}
	for _, h := range pending {
		if h.URI == req.URI || h.Document == req.Document {
			rep.Item = tributary.Item{URI: h.URI, Document: h.Document, Version: h.Version, State: tributary.StatePending}
			return rep, nil
		}
	}
	return rep, err
}
