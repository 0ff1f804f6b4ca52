package queryworker

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/tributary-kb/tributary"
)

// maxAtLeast bounds how many versions one request may wait for.
const maxAtLeast = 1000

// await returns when every version that the request demands is committed, and
// keeps the records it saw: hits are then checked against nothing older.
func (s *search) await(ctx context.Context, wanted []tributary.At) error {
	if len(wanted) > maxAtLeast {
		return invalid("at_least names %d versions, the limit is %d", len(wanted), maxAtLeast)
	}
	if len(wanted) == 0 {
		return nil
	}
	waiting, cancel := context.WithTimeout(ctx, s.patience(ctx))
	defer cancel()
	for _, at := range wanted {
		at, err := s.resolve(at)
		if err != nil {
			return err
		}
		rec, err := s.awaitOne(ctx, waiting, at)
		if err != nil {
			return err
		}
		if old := s.records[at.Document]; rec.Settled() >= old.Settled() {
			s.records[at.Document] = rec
		}
	}
	return nil
}

// patience is how long the request may wait: a tenth of its time, at most a
// second, is left for the search and the reply.
func (s *search) patience(ctx context.Context) time.Duration {
	patience := s.limits().MaxWait
	if deadline, ok := ctx.Deadline(); ok {
		left := time.Until(deadline)
		patience = min(patience, left-min(left/10, time.Second))
	}
	return patience
}

// resolve checks an At and fills in its Document.
func (s *search) resolve(at tributary.At) (tributary.At, error) {
	id := at.Document
	if at.URI != "" {
		id = tributary.DocumentID(s.kb, at.URI)
	}
	switch {
	case id == "":
		return at, invalid("at_least names neither document nor uri")
	case at.Document != "" && at.Document != id:
		return at, invalid("at_least: uri %q is document %s, not %s", at.URI, id, at.Document)
	case at.Version == 0:
		return at, invalid("at_least: document %q has no version", name(at))
	}
	at.Document = id
	return at, nil
}

// awaitOne waits as long as waiting lasts; ctx is the request itself.
func (s *search) awaitOne(ctx, waiting context.Context, at tributary.At) (tributary.Record, error) {
	rec, err := s.Records.Await(waiting, s.kb, at)
	act := fmt.Sprintf("wait for version %d of document %q", at.Version, name(at))
	switch {
	case err == nil && rec.Settled() >= at.Version:
		return rec, refused(rec, at)
	case errors.Is(ctx.Err(), context.Canceled):
		return rec, fmt.Errorf("%s: %w", act, ctx.Err())
	case err != nil && waiting.Err() == nil:
		return rec, fault(ctx, act, err)
	}
	return rec, s.notYet(ctx, at)
}

// refused reports why no version at or above at.Version was committed, nil if
// one was.
func refused(rec tributary.Record, at tributary.At) error {
	if rec.Manifest != nil && rec.Manifest.Version >= at.Version {
		return nil
	}
	f := rec.Failure
	return tributary.Errorf(tributary.CodeNotYet,
		"document %q: version %d was wanted, but version %d was refused by %s: %s (waiting does not help: publish it again)",
		name(at), at.Version, f.Version, f.Stage, f.Reason)
}

// notYet reports a version that did not come in time, beside the present one.
func (s *search) notYet(ctx context.Context, at tributary.At) error {
	// The request's own time may be over; the report is worth a moment more.
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), time.Second)
	defer cancel()
	present := "is not known"
	if rec, err := s.Records.Record(ctx, s.kb, at.Document); err == nil {
		present = "none"
		if rec.Settled() > 0 {
			present = fmt.Sprint(rec.Settled())
		}
	}
	return tributary.Errorf(tributary.CodeNotYet,
		"document %q: version %d was wanted and did not come in time, present version: %s (a longer deadline waits longer, up to search.max_wait)",
		name(at), at.Version, present)
}

// name is what a person calls the document.
func name(at tributary.At) string { return cmp.Or(at.URI, at.Document) }
