package main

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"net/http"
	"strconv"
	"strings"

	"github.com/tributary-kb/tributary"
)

// embeddedMetric counts the texts that were given to the embedding model.
const embeddedMetric = "tributary_embedded_texts_total"

// A readdResult is what publishing an unchanged corpus took and did.
type readdResult struct {
	load     loadResult
	objects  int // before
	written  int // objects afterwards that were not there before
	removed  int // objects before that are not there afterwards
	embedded int // texts given to the model
}

// measureReadd publishes the same again. An object is never written twice
// under one id, so the ids tell whether anything was written.
func (b *bench) measureReadd(ctx context.Context, s *system) (err error) {
	r := &b.results.again
	before, err := s.ids(ctx)
	if err != nil {
		return err
	}
	embedded, err := s.counter(ctx, embeddedMetric)
	if err != nil {
		return err
	}
	if r.load, err = b.publish(ctx, s); err != nil {
		return err
	}
	after, err := s.ids(ctx)
	if err != nil {
		return err
	}
	now, err := s.counter(ctx, embeddedMetric)
	if err != nil {
		return err
	}
	r.objects, r.embedded = len(before), int(now-embedded)
	r.written, r.removed = missing(after, before), missing(before, after)
	return nil
}

// ids returns the ids of all objects.
func (s *system) ids(ctx context.Context) (map[string]bool, error) {
	ids := map[string]bool{}
	err := s.index.Scan(ctx, kb, func(o tributary.Object) error {
		ids[o.ID] = true
		return nil
	})
	return ids, err
}

// missing counts the ids that are not in other.
func missing(ids, other map[string]bool) int {
	n := 0
	for id := range ids {
		if !other[id] {
			n++
		}
	}
	return n
}

// counter returns the sum of a metric of the program over its labels.
func (s *system) counter(ctx context.Context, name string) (sum float64, err error) {
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, s.file.Metrics, nil)
	if err != nil {
		return 0, err
	}
	response, err := http.DefaultClient.Do(request)
	if err != nil {
		return 0, fmt.Errorf("read the metrics: %w", err)
	}
	defer func() { err = errors.Join(err, response.Body.Close()) }()
	found := false
	lines := bufio.NewScanner(response.Body)
	for lines.Scan() {
		metric, value, _ := strings.Cut(lines.Text(), " ")
		if metric, _, _ = strings.Cut(metric, "{"); metric != name {
			continue
		}
		n, err := strconv.ParseFloat(value, 64)
		if err != nil {
			return 0, fmt.Errorf("metric %s: %w", name, err)
		}
		found, sum = true, sum+n
	}
	if err := lines.Err(); err != nil {
		return 0, err
	}
	if !found {
		return 0, fmt.Errorf("the program has no metric %s", name)
	}
	return sum, nil
}
