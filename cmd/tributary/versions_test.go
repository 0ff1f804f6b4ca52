package main

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/tributary-kb/tributary"
	"github.com/tributary-kb/tributary/internal/pipeline"
	"github.com/tributary-kb/tributary/internal/testenv"
)

// twice makes every message be handled twice: the first time completely, and
// then as if the worker had died before it could say so.
type twice struct {
	mu   sync.Mutex
	seen map[string]bool
}

// first says whether this is the first time that a stage handles a version.
func (w *twice) first(stage string, h tributary.Head) bool {
	w.mu.Lock()
	defer w.mu.Unlock()
	k := fmt.Sprint(stage, h.Document, h.Version)
	first := !w.seen[k]
	w.seen[k] = true
	return first
}

var errLostAck = tributary.RetryAfter(errors.New("test: as if the worker had died"), time.Millisecond)

func (w *twice) parts(p pipeline.Parts) pipeline.Parts {
	return pipeline.Parts{
		Ingest: func(ctx context.Context, in tributary.Request, emit func(tributary.Document) error) error {
			if err := p.Ingest(ctx, in, emit); err != nil || !w.first(pipeline.Ingest, in.Head) {
				return err
			}
			return errLostAck
		},
		Chunk: func(ctx context.Context, in tributary.Document, emit func(tributary.Chunked) error) error {
			if err := p.Chunk(ctx, in, emit); err != nil || !w.first(pipeline.Chunk, in.Head) {
				return err
			}
			return errLostAck
		},
		Embed: func(ctx context.Context, in []tributary.Chunked) ([]tributary.Embedded, error) {
			out, err := p.Embed(ctx, in)
			return out, lostAcks(w, pipeline.Embed, in, err)
		},
		Index: func(ctx context.Context, in []tributary.Embedded) ([]tributary.Commit, error) {
			out, err := p.Index(ctx, in)
			return out, lostAcks(w, pipeline.Index, in, err)
		},
	}
}

// lostAcks fails the items that were handled for the first time.
func lostAcks[In interface{ MessageHead() tributary.Head }](w *twice, stage string, in []In, err error) error {
	failed, partial := errors.AsType[tributary.BatchError](err)
	if err != nil && !partial {
		return err
	}
	all := tributary.BatchError{}
	for i := range in {
		if failed[i] != nil {
			all[i] = failed[i]
		} else if w.first(stage, in[i].MessageHead()) {
			all[i] = errLostAck
		}
	}
	if len(all) == 0 {
		return nil
	}
	return all
}

// Versions of the same documents race through all stages, every message is
// handled twice, and in the end each document is its last version: complete,
// and alone.
func TestRacingVersionsEndInTheLastWithEveryMessageHandledTwice(t *testing.T) {
	w := &twice{seen: map[string]bool{}}
	s := newSystem(t, func(s *system) { s.wrap = w.parts })

	const documents, versions = 12, 8
	lanes := []tributary.Lane{tributary.LaneLive, tributary.LaneBulk} // a version never replaces a waiting one of the other lane
	random := rand.New(rand.NewPCG(1, 2))
	want := map[string]string{}
	var last []tributary.Receipt
	for v := range versions {
		for d := range documents {
			uri := fmt.Sprintf("test:%d", d)
			var r tributary.Receipt
			if random.IntN(4) == 0 {
				var err error
				r, err = s.Remove(t.Context(), tributary.RemoveRequest{URI: uri, Lane: lanes[v%2]})
				fatal(t, err)
				delete(want, uri)
			} else {
				text := raceText(random, d, v)
				var err error
				r, err = s.Add(t.Context(), tributary.AddRequest{
					URI: uri, Text: text, Lane: lanes[v%2], Attributes: tributary.Attributes{ContentType: "text/markdown"},
				})
				fatal(t, err)
				want[uri] = text
			}
			last = append(last, r)
		}
		s.ingested() // or the next round replaces most of this one before it races
	}
	for uri, st := range s.settled(last...) {
		if st.State == tributary.StateRejected {
			t.Errorf("%s was refused in %s: %s", uri, st.Stage, st.Reason)
		}
	}
	s.idle()
	events, err := s.plant.store.JS.Stream(t.Context(), pipeline.EventsStream)
	fatal(t, err)
	if committed := events.CachedInfo().State.Msgs; committed <= documents {
		t.Errorf("%d versions were committed, too few for a race", committed)
	} else {
		t.Logf("%d of %d versions were committed", committed, documents*versions)
	}
	got := s.contents()
	words := map[string]string{}
	for uri, passages := range got {
		words[uri] = strings.Join(strings.Fields(strings.Join(passages, " ")), " ")
	}
	for uri, text := range want {
		want[uri] = strings.Join(strings.Fields(text), " ")
	}
	if diff := cmp.Diff(want, words); diff != "" {
		t.Errorf("(-want +got)\n%s", diff)
	}
}

// ingested waits until no request waits for the first stage.
func (s *system) ingested() {
	s.t.Helper()
	testenv.Eventually(s.t, s.t.Context(), func() error {
		stream, err := s.plant.store.JS.Stream(s.t.Context(), pipeline.StreamName(pipeline.Ingest))
		if err == nil && stream.CachedInfo().State.Msgs > 0 {
			err = errors.New("requests wait")
		}
		return err
	})
}

// raceText is a document of some sections, most of which stay the same from
// version to version.
func raceText(random *rand.Rand, d, v int) string {
	var b strings.Builder
	for section := range 6 {
		edition := 0
		if random.IntN(3) == 0 {
			edition = v
		}
		fmt.Fprintf(&b, "# Section %d\n\nDocument %d, section %d, edition %d. %s\n\n", section, d, section, edition,
			strings.Repeat(fmt.Sprintf("Sentence about topic %d of edition %d. ", section*7+d, edition), 20))
	}
	return b.String()
}
