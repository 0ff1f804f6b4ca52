package main

import (
	"context"
	"errors"
	"fmt"

	"github.com/tributary-kb/tributary"
)

// measureLoaded measures everything that a system with the corpus in it is
// needed for. It returns the objects that the index holds after the load,
// where the import wants them.
func (b *bench) measureLoaded(ctx context.Context) (objects []tributary.Object, err error) {
	s, err := b.start(ctx)
	if err != nil {
		return nil, err
	}
	defer func() { err = errors.Join(err, s.stop()) }()
	if err := b.results.environment.ask(ctx, s); err != nil {
		return nil, err
	}
	if err := b.load(ctx, s); err != nil {
		return nil, err
	}
	if b.wants(sectionThroughput, sectionCPU) {
		if objects, err = s.objects(ctx); err != nil {
			return nil, err
		}
	}
	steps := []struct {
		section string
		measure func(context.Context, *system) error
	}{
		{sectionReadd, b.measureReadd},
		{sectionQuery, b.measureQuery},
		{sectionFreshness, b.measureFreshness},
	}
	for _, step := range steps {
		if !b.wants(step.section) {
			continue
		}
		if err := s.settle(ctx); err != nil {
			return nil, err
		}
		b.say("measuring %s", step.section)
		if err := step.measure(ctx, s); err != nil {
			return nil, fmt.Errorf("%s: %w", step.section, err)
		}
	}
	return objects, nil
}

// load publishes the corpus and notes what that took.
func (b *bench) load(ctx context.Context, s *system) (err error) {
	r := &b.results
	if err := s.settle(ctx); err != nil {
		return err
	}
	if r.idle, err = s.memory(); err != nil {
		return err
	}
	b.say("loading %d documents", len(b.corpus.documents))
	if r.load, err = b.publish(ctx, s); err != nil {
		return fmt.Errorf("load: %w", err)
	}
	if err := s.settle(ctx); err != nil {
		return err
	}
	// The work that the servers put off belongs to the load as well.
	after, err := s.spent()
	if err != nil {
		return err
	}
	r.load.later = after.sub(r.load.end)
	r.loaded, err = s.memory()
	return err
}
