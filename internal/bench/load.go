package main

import (
	"context"
	"fmt"
	"time"

	"golang.org/x/sync/errgroup"

	"github.com/tributary-kb/tributary"
)

// A loadResult is what publishing the corpus took.
type loadResult struct {
	documents, chunks int
	accepted          time.Duration // until the last receipt
	committed         time.Duration // until the last commit
	spent             spent         // until then
	end               spent         // since the processes started
	later             spent         // from then until nothing was left to do
}

// rate is in chunks a second.
func (r loadResult) rate() float64 { return perSecond(r.chunks, r.committed) }

// publish adds the corpus in the bulk lane and waits until all of it can be
// searched.
func (b *bench) publish(ctx context.Context, s *system) (r loadResult, err error) {
	before, err := s.spent()
	if err != nil {
		return r, err
	}
	began := time.Now()
	receipts, err := b.addAll(ctx, s)
	if err != nil {
		return r, err
	}
	r.accepted = time.Since(began)
	err = s.client.Wait(ctx, receipts, func(settled tributary.Settled) error {
		if settled.State != tributary.StateLive {
			return fmt.Errorf("%s is %s: %s", settled.URI, settled.State, settled.Reason)
		}
		r.documents++
		r.chunks += settled.Chunks
		return nil
	})
	r.committed = time.Since(began)
	if err != nil {
		return r, err
	}
	r.end, err = s.spent()
	r.spent = r.end.sub(before)
	return r, err
}

// addAll adds the corpus, several documents at once.
func (b *bench) addAll(ctx context.Context, s *system) ([]tributary.At, error) {
	receipts := make([]tributary.At, len(b.corpus.documents))
	group, ctx := errgroup.WithContext(ctx)
	group.SetLimit(b.opts.adders)
	for i, d := range b.corpus.documents {
		group.Go(func() error {
			r, err := s.client.Add(ctx, d.request(tributary.LaneBulk))
			receipts[i] = tributary.At{Document: r.Document, Version: r.Version}
			return err
		})
	}
	return receipts, group.Wait()
}

func perSecond(n int, d time.Duration) float64 { return float64(n) / d.Seconds() }
