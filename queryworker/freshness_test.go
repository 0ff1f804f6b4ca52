package queryworker

import (
	"context"
	"errors"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/tributary-kb/tributary"
)

// sources is a Freshness that the test writes.
type sources struct {
	seen   map[string]tributary.Sighting // by URI
	look   func(since time.Time) ([]tributary.SourceAge, []tributary.At, error)
	asked  [][]string // names of each Refresh
	failed error
}

func (s *sources) Sightings(_ context.Context, records []tributary.Record) ([]tributary.Sighting, error) {
	all := make([]tributary.Sighting, len(records))
	for i, rec := range records {
		all[i] = s.seen[rec.URI]
		if rec.Manifest.Version < all[i].Newest {
			all[i].Verified = rec.Manifest.Accepted
		}
	}
	return all, s.failed
}

func (s *sources) Refresh(_ context.Context, _ string, names []string, since time.Time) ([]tributary.SourceAge, []tributary.At, error) {
	s.asked = append(s.asked, names)
	if s.look == nil {
		return nil, nil, nil
	}
	return s.look(since)
}

// accept sets when the document's version was accepted.
func (m *model) accept(uri string, at time.Time) {
	m.change(uri, func(rec *tributary.Record) { rec.Manifest.Accepted = at })
}

func ago(d time.Duration) time.Time { return time.Now().Add(-d).UTC().Truncate(time.Second) }

// dated is an index of documents about apples: one verified a minute ago, one
// two hours ago, and one that was added by hand a day ago.
func dated() (*model, *sources, *Worker) {
	m := newModel()
	m.put("new.md", 1, "apple new")
	m.put("old.md", 2, "apple old")
	m.put("note:hand", 3, "apple by hand")
	m.accept("note:hand", ago(24*time.Hour))
	s := &sources{seen: map[string]tributary.Sighting{
		"new.md": {Verified: ago(time.Minute), Newest: 1},
		"old.md": {Verified: ago(2 * time.Hour), Newest: 2},
	}}
	w := m.worker()
	w.Freshness = s
	return m, s, w
}

func maxAgeOf(d time.Duration) tributary.SearchOptions {
	return tributary.SearchOptions{MaxAgeS: d.Seconds(), Explain: true}
}

func TestHitsAndCitationsSayWhenTheyWereVerified(t *testing.T) {
	_, s, w := dated()
	for _, h := range searchFor(t, w, tributary.SearchRequest{Query: "apple"}).Hits {
		if want := s.seen[h.URI].Verified; !h.Verified.Equal(want) {
			t.Errorf("%s was verified at %v, want %v", h.URI, h.Verified, want)
		}
	}
	var answer tributary.Answer
	err := w.Ask(t.Context(), kb, tributary.AskRequest{Question: "apple new"}, func(e tributary.AskEvent) error {
		if e.Answer != nil {
			answer = *e.Answer
		}
		return nil
	})
	if err != nil || len(answer.Citations) == 0 {
		t.Fatalf("answer %+v, %v", answer, err)
	}
	for _, c := range answer.Citations {
		if want := s.seen[c.URI].Verified; !c.Verified.Equal(want) {
			t.Errorf("citation of %s was verified at %v, want %v", c.URI, c.Verified, want)
		}
	}
	if len(s.asked) > 0 {
		t.Error("sources were looked at though no age was demanded")
	}
}

func TestASearchGoesOnWhereItIsNotKnownWhenDocumentsWereVerified(t *testing.T) {
	_, s, w := dated()
	s.failed = errors.New("bucket away")
	reply := searchFor(t, w, tributary.SearchRequest{Query: "apple"})
	if len(reply.Hits) != 3 || len(reply.Notes) != 1 || !strings.Contains(reply.Notes[0], "bucket away") {
		t.Errorf("%d hits, notes %v", len(reply.Hits), reply.Notes)
	}
	_, err := w.Search(t.Context(), kb, tributary.SearchRequest{Query: "apple", SearchOptions: maxAgeOf(time.Hour)})
	if tributary.CodeOf(err) != tributary.CodeUnavailable {
		t.Errorf("with max_age_seconds: %v, want code %s", err, tributary.CodeUnavailable)
	}
}

func TestWhatIsOlderThanDemandedIsLeftOut(t *testing.T) {
	tests := []struct {
		age    time.Duration
		want   []string
		tooOld []string
	}{
		{time.Hour, []string{"apple new"}, []string{"note:hand", "old.md"}},
		{3 * time.Hour, []string{"apple new", "apple old"}, []string{"note:hand"}},
		{48 * time.Hour, []string{"apple new", "apple by hand", "apple old"}, nil},
	}
	for _, tt := range tests {
		_, s, w := dated()
		reply := searchFor(t, w, tributary.SearchRequest{Query: "apple", SearchOptions: maxAgeOf(tt.age), Filter: tributary.Filter{}})
		got := texts(reply.Hits)
		slices.Sort(got)
		slices.Sort(tt.want)
		var named []string
		for _, old := range reply.Explain.TooOld {
			named = append(named, old.URI)
		}
		if !slices.Equal(got, tt.want) || reply.TooOld != len(tt.tooOld) || !slices.Equal(named, tt.tooOld) {
			t.Errorf("within %v: %q, %d too old: %q; want %q and %q", tt.age, got, reply.TooOld, named, tt.want, tt.tooOld)
		}
		if (len(tt.tooOld) > 0) != (len(reply.Notes) > 0) {
			t.Errorf("within %v: notes %q", tt.age, reply.Notes)
		}
		if len(s.asked) != 1 {
			t.Errorf("within %v: the sources were asked for %d times", tt.age, len(s.asked))
		}
	}
}

func TestASearchThatDemandsAnAgeWaitsForALook(t *testing.T) {
	m, s, w := dated()
	s.look = func(time.Time) ([]tributary.SourceAge, []tributary.At, error) {
		s.seen["old.md"] = tributary.Sighting{Verified: ago(0), Newest: 2}
		go m.put("found.md", 9, "apple found") // is on its way when the look is done
		s.seen["found.md"] = tributary.Sighting{Verified: ago(0), Newest: 9}
		return nil, []tributary.At{{Document: docID("found.md"), Version: 9}}, nil
	}
	reply := searchFor(t, w, tributary.SearchRequest{Query: "apple", SearchOptions: maxAgeOf(time.Hour), Filter: tributary.Filter{Sources: []string{"docs"}}})
	got := texts(reply.Hits)
	slices.Sort(got)
	if want := []string{"apple found", "apple new", "apple old"}; !slices.Equal(got, want) {
		t.Errorf("found %q, want %q", got, want)
	}
	if len(s.asked) != 1 || !slices.Equal(s.asked[0], []string{"docs"}) {
		t.Errorf("looked at %v, want once the sources that the filter names", s.asked)
	}
}

func TestASearchThatDemandsAnAgeWaitsForTheNextVersion(t *testing.T) {
	m, s, w := dated()
	m.accept("old.md", ago(2*time.Hour))
	s.seen["old.md"] = tributary.Sighting{Verified: ago(0), Newest: 7}
	var once sync.Once
	m.searched = func() { once.Do(func() { go m.put("old.md", 7, "apple next") }) }
	reply := searchFor(t, w, tributary.SearchRequest{Query: "apple", SearchOptions: maxAgeOf(time.Hour)})
	got := texts(reply.Hits)
	slices.Sort(got)
	if want := []string{"apple new", "apple next"}; !slices.Equal(got, want) {
		t.Errorf("found %q, want %q", got, want)
	}
}

func TestADemandThatLeavesNothingNamesTheSourceAndItsAge(t *testing.T) {
	_, s, w := dated()
	delete(s.seen, "new.md")
	s.look = func(time.Time) ([]tributary.SourceAge, []tributary.At, error) {
		return []tributary.SourceAge{{KB: kb, Source: "docs", AgeS: 7200, Reason: "it is paused"}}, nil, nil
	}
	ask := func(events *int) error {
		return w.Ask(t.Context(), kb, tributary.AskRequest{Question: "apple", SearchOptions: maxAgeOf(time.Minute)}, func(tributary.AskEvent) error {
			*events++
			return nil
		})
	}
	_, err := w.Search(t.Context(), kb, tributary.SearchRequest{Query: "apple", SearchOptions: maxAgeOf(time.Minute)})
	events := 0
	for what, err := range map[string]error{"search": err, "ask": ask(&events)} {
		if tributary.CodeOf(err) != tributary.CodeNotYet {
			t.Fatalf("%s: %v, want code %s", what, err, tributary.CodeNotYet)
		}
		for _, want := range []string{`source "docs" was last verified 2h0m0s ago: it is paused`, "max_age_seconds", "3 passages are too old", "old.md"} {
			if !strings.Contains(err.Error(), want) {
				t.Errorf("%s: %q does not say %q", what, err, want)
			}
		}
	}
	if events > 0 {
		t.Errorf("%d events before the error", events)
	}
	// Nothing fits, and that may be because of what the source did not tell.
	if _, err := w.Search(t.Context(), kb, tributary.SearchRequest{Query: "pear", SearchOptions: maxAgeOf(time.Minute)}); tributary.CodeOf(err) != tributary.CodeNotYet {
		t.Errorf("a search that finds nothing while a source is too old: %v", err)
	}
	s.look = nil
	if reply := searchFor(t, w, tributary.SearchRequest{Query: "pear", SearchOptions: maxAgeOf(time.Minute)}); len(reply.Hits) > 0 {
		t.Errorf("found %v", reply.Hits)
	}
}

func TestAnAgeThatCannotBeIsRefused(t *testing.T) {
	_, _, w := dated()
	for _, age := range []float64{-1, 1e12} {
		_, err := w.Search(t.Context(), kb, tributary.SearchRequest{Query: "apple", SearchOptions: tributary.SearchOptions{MaxAgeS: age}})
		if tributary.CodeOf(err) != tributary.CodeInvalid || !strings.Contains(err.Error(), "max_age_seconds") {
			t.Errorf("%v seconds: %v", age, err)
		}
	}
}
