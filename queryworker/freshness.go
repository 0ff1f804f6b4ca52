package queryworker

import (
	"cmp"
	"context"
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"

	"github.com/tributary-kb/tributary"
)

// maxTooOld bounds how many passages that are too old are named.
const maxTooOld = 20

// Freshness tells how current documents are.
type Freshness interface {
	// Sightings returns what is known of each record's document at its source,
	// in order. It is asked in every search, so it answers from memory as a rule.
	Sightings(ctx context.Context, records []tributary.Record) ([]tributary.Sighting, error)
	// Refresh has the sources of kb looked at that are not known to be current
	// since then, all or those with these names, and waits until that is done or
	// ctx ends. It returns those that are still older, and versions of theirs
	// that may be on their way.
	Refresh(ctx context.Context, kb string, names []string, since time.Time) ([]tributary.SourceAge, []tributary.At, error)
}

// A demand is the age that a request allows; its searches share it, so that
// sources are looked at once.
type demand struct {
	since   time.Time // zero: any age
	looked  bool
	waited  bool
	stale   []tributary.SourceAge
	tooOld  map[string]tributary.TooOld // by chunk
	seconds float64
}

func newDemand(maxAge float64) *demand {
	d := &demand{tooOld: map[string]tributary.TooOld{}, seconds: maxAge}
	if maxAge > 0 {
		d.since = time.Now().Add(-time.Duration(maxAge * float64(time.Second)))
	}
	return d
}

// refresh has the sources looked at that are older than the request allows, and
// waits until what they brought can be searched.
func (s *search) refresh(ctx context.Context) error {
	if s.Freshness == nil || s.demand.since.IsZero() || s.demand.looked {
		return nil
	}
	s.demand.looked = true
	defer s.step("look at sources")()
	waiting, cancel := context.WithTimeout(ctx, s.patience(ctx))
	defer cancel()
	for _, kb := range s.kbs {
		stale, sent, err := s.Freshness.Refresh(waiting, kb, s.req.Filter.Sources, s.demand.since)
		if err != nil {
			return fault(ctx, fmt.Sprintf("look at the sources of %q", kb), err)
		}
		s.demand.stale = append(s.demand.stale, stale...)
		if err := s.arrive(ctx, waiting, kb, sent); err != nil {
			return err
		}
	}
	return nil
}

// arrive waits until versions are settled, or waiting ends: what did not arrive
// is too old then, which is told.
func (s *search) arrive(ctx, waiting context.Context, kb string, sent []tributary.At) error {
	for _, at := range sent {
		rec, err := s.Records.Record(waiting, kb, at.Document)
		if err != nil || rec.Settled() < at.Version {
			rec, err = s.Records.Await(waiting, kb, at)
		}
		switch {
		case err == nil:
			s.records[at.Document] = rec
		case ctx.Err() != nil || waiting.Err() == nil:
			return fault(ctx, "wait for what the sources brought", err)
		default:
			return nil
		}
	}
	return nil
}

// sight finds out when the candidates were verified.
func (s *search) sight(ctx context.Context, all []*candidate) error {
	if s.Freshness == nil || len(all) == 0 {
		return nil
	}
	at := map[string]int{} // by document
	var records []tributary.Record
	for _, c := range all {
		if _, ok := at[c.Document]; !ok {
			at[c.Document] = len(records)
			records = append(records, c.record)
		}
	}
	found, err := s.Freshness.Sightings(ctx, records)
	if err != nil {
		return err
	}
	for _, c := range all {
		c.sighting = found[at[c.Document]]
	}
	return nil
}

// fresh takes the candidates out that are older than the request allows.
func (s *search) fresh(ctx context.Context, all []*candidate) ([]*candidate, error) {
	if s.demand.since.IsZero() {
		return all, nil
	}
	if err := s.sight(ctx, all); err != nil {
		return nil, fault(ctx, "look up when documents were verified", err)
	}
	return slices.DeleteFunc(all, func(c *candidate) bool {
		if !c.asOf().Before(s.demand.since) {
			return false
		}
		s.tooOld[c.ID] = c
		return true
	}), nil
}

// asOf is when the candidate was known to be current: a document that no source
// is followed for is as old as its version.
func (c *candidate) asOf() time.Time {
	if c.sighting.Verified.IsZero() {
		return c.record.Manifest.Accepted
	}
	return c.sighting.Verified
}

// runFresh is run. Where passages are too old because the next version of
// their document is on its way, it waits for that and runs again.
func (s *search) runFresh(ctx context.Context) (round, error) {
	found, err := s.run(ctx)
	if err != nil || s.demand.waited {
		return found, err
	}
	late := map[string][]tributary.At{}
	for _, c := range s.tooOld {
		if c.sighting.Newest > c.record.Settled() {
			late[c.kb] = append(late[c.kb], tributary.At{Document: c.Document, Version: c.sighting.Newest})
		}
	}
	if len(late) == 0 {
		return found, nil
	}
	s.demand.waited = true
	end := s.step("wait for changes on their way")
	waiting, cancel := context.WithTimeout(ctx, s.patience(ctx))
	defer cancel()
	for kb, versions := range late {
		if err := s.arrive(ctx, waiting, kb, versions); err != nil {
			return round{}, err
		}
	}
	end()
	return s.run(ctx)
}

// leftOut lists what is too old, in order of URI.
func (s *search) leftOut() []tributary.TooOld {
	var all []tributary.TooOld
	for id, c := range s.tooOld {
		all = append(all, tributary.TooOld{
			URI: c.record.URI, Source: c.record.Manifest.Source, ID: id, AgeS: time.Since(c.asOf()).Seconds(),
		})
	}
	slices.SortFunc(all, func(a, b tributary.TooOld) int {
		return cmp.Or(strings.Compare(a.URI, b.URI), strings.Compare(a.ID, b.ID))
	})
	return all
}

// account notes in the reply, and for the request as a whole, what its demand
// left out.
func (s *search) account(reply *tributary.SearchReply) {
	all := s.leftOut()
	for _, old := range all {
		s.demand.tooOld[old.ID] = old
	}
	reply.TooOld, reply.StaleSources = len(all), s.demand.stale
	if reply.Explain != nil {
		reply.Explain.TooOld = all[:min(len(all), maxTooOld)]
	}
}

// notes tell what the demand left out.
func (d *demand) notes() []string {
	var notes []string
	if n := len(d.tooOld); n > 0 {
		notes = append(notes, fmt.Sprintf("passages left out because they were verified longer ago than %s (max_age_seconds): %d", d.allowed(), n))
	}
	for _, s := range d.stale {
		notes = append(notes, "what changed since is not known: "+told(s))
	}
	return notes
}

func (d *demand) allowed() time.Duration {
	return time.Duration(d.seconds * float64(time.Second))
}

func told(s tributary.SourceAge) string {
	since := "was never completely looked at"
	if s.AgeS >= 0 {
		since = fmt.Sprintf("was last verified %s ago", roughly(s.AgeS))
	}
	return fmt.Sprintf("source %q %s: %s", s.Source, since, s.Reason)
}

func roughly(seconds float64) time.Duration {
	return time.Duration(seconds * float64(time.Second)).Round(time.Second)
}

// unmet is the error of a request of which its demand left nothing, nil if it
// left out nothing.
func (d *demand) unmet() error {
	if len(d.tooOld)+len(d.stale) == 0 {
		return nil
	}
	var why []string
	for _, s := range d.stale {
		why = append(why, told(s))
	}
	olds := slices.SortedFunc(maps.Values(d.tooOld), func(a, b tributary.TooOld) int {
		return cmp.Or(cmp.Compare(a.AgeS, b.AgeS), strings.Compare(a.URI, b.URI))
	})
	if len(olds) > 0 {
		freshest := olds[0]
		what := "added"
		if freshest.Source != "" {
			what = fmt.Sprintf("of source %q, verified", freshest.Source)
		}
		why = append(why, fmt.Sprintf("%d passages are too old, the freshest is of %q, %s %s ago", len(olds), freshest.URI, what, roughly(freshest.AgeS)))
	}
	return tributary.Errorf(tributary.CodeNotYet, "nothing was found that is as fresh as demanded, %s (max_age_seconds): %s", d.allowed(), strings.Join(why, "; "))
}
