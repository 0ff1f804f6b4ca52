package main

import (
	"context"
	"crypto/rand"
	"fmt"
	"strings"
	"time"

	"github.com/tributary-kb/tributary"
)

// A freshnessResult is how long changes took to be found.
type freshnessResult struct {
	times   []time.Duration // from before the add to the reply with the hit
	found   int             // replies whose first hit had the change
	receipt []time.Duration // of those, until the receipt
}

// measureFreshness times edits and new documents, one by one, by turns.
func (b *bench) measureFreshness(ctx context.Context, s *system) error {
	r := &b.results
	for i := range b.opts.rounds {
		d := b.corpus.documents[i%len(b.corpus.documents)]
		if err := s.follow(ctx, d, &r.edits); err != nil {
			return err
		}
		d.uri = fmt.Sprintf("new-%d/%s", i, d.uri)
		if err := s.follow(ctx, d, &r.added); err != nil {
			return err
		}
	}
	return nil
}

// follow adds d with a word that nothing else has, and searches for the word
// at the version of the receipt.
func (s *system) follow(ctx context.Context, d document, r *freshnessResult) error {
	word := strings.ToLower(rand.Text()[:16])
	d.text += "\nThe word of this revision is " + word + ".\n"
	began := time.Now()
	receipt, err := s.client.Add(ctx, d.request(tributary.LaneLive))
	if err != nil {
		return err
	}
	accepted := time.Since(began)
	rep, err := s.client.Search(ctx, tributary.SearchRequest{
		Query: word, AtLeast: []tributary.At{{Document: receipt.Document, Version: receipt.Version}},
	})
	if err != nil {
		return err
	}
	r.times, r.receipt = append(r.times, time.Since(began)), append(r.receipt, accepted)
	if len(rep.Hits) > 0 && rep.Hits[0].URI == d.uri && strings.Contains(rep.Hits[0].Text, word) {
		r.found++
	}
	return nil
}
