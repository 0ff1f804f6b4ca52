package indexer

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"

	"github.com/tributary-kb/tributary"
)

var errModelConflict = errors.New("conflict")

// A world is a model of the index and the registry. Every call on it is one
// atomic step.
type world struct {
	objects map[string]tributary.Object
	records map[string]tributary.Record
	written map[string]int // how often each id was inserted, ever
}

func newWorld() *world {
	return &world{objects: map[string]tributary.Object{}, records: map[string]tributary.Record{}, written: map[string]int{}}
}

func (w *world) insert(objects []tributary.Object) {
	for _, o := range objects {
		w.objects[o.ID] = o
		w.written[o.ID]++
	}
}

func (w *world) sweep(document string, birth uint64, keep []string) int {
	n := 0
	maps.DeleteFunc(w.objects, func(id string, o tributary.Object) bool {
		gone := o.Document == document && o.Birth <= birth && !slices.Contains(keep, id)
		if gone {
			n++
		}
		return gone
	})
	return n
}

func (w *world) put(rec tributary.Record) (tributary.Record, error) {
	if w.records[rec.Document].Revision != rec.Revision {
		return rec, errModelConflict
	}
	rec.Revision++
	w.records[rec.Document] = rec
	return rec, nil
}

// complete reports the chunks that committed manifests name and the index
// does not hold: there must be none, at any time.
func (w *world) complete() error {
	for _, rec := range w.records {
		for _, ref := range rec.Chunks() {
			if o, ok := w.objects[ref.ID]; !ok || o.Hash != ref.Hash {
				return fmt.Errorf("manifest of version %d names chunk %s (%s), which is not there", rec.Manifest.Version, ref.ID, ref.Hash)
			}
		}
	}
	for id, n := range w.written {
		if n > 1 {
			return fmt.Errorf("object %s was written %d times", id, n)
		}
	}
	return nil
}

// alone reports objects that no manifest names.
func (w *world) alone() error {
	for id, o := range w.objects {
		if w.records[o.Document].Find(id) < 0 {
			return fmt.Errorf("object %s of birth %d is named by no manifest", id, o.Birth)
		}
	}
	return nil
}

// key describes the world's state, without the order of maps.
func (w *world) key() string {
	var parts []string
	for id, o := range w.objects {
		parts = append(parts, fmt.Sprintf("o:%s@%d*%d", id, o.Birth, w.written[id]))
	}
	for d, r := range w.records {
		parts = append(parts, fmt.Sprintf("r:%s=%d/%v", d, r.Revision, r.Manifest))
	}
	slices.Sort(parts)
	return strings.Join(parts, "|")
}

// A fault is what happens at one step of an actor besides the step itself.
type fault int

const (
	none        fault = iota
	crashBefore       // the worker dies; the step does not happen
	crashAfter        // the step happens; the worker dies before it hears of it
	halfWritten       // an insert stores only some of its objects, and the worker dies
)

// errCrashed is what a dead worker's calls return.
var errCrashed = errors.New("crashed")

// gate lets a scheduler decide when an actor's next call on the world happens
// and what goes wrong with it.
type gate struct {
	world *world
	ask   chan struct{}
	grant chan fault
	dead  bool
	steps int
	log   []string // what the actor has seen, which determines what it does next
}

func (g *gate) step(do func(half bool) string) error {
	if g.dead {
		return errCrashed
	}
	g.ask <- struct{}{}
	f := <-g.grant
	g.steps++
	if f == crashBefore {
		g.dead = true
		return errCrashed
	}
	seen := do(f == halfWritten)
	if f != none {
		g.dead = true
		return errCrashed
	}
	g.log = append(g.log, seen)
	return nil
}

func (g *gate) Insert(_ context.Context, _ string, objects []tributary.Object) error {
	return g.step(func(half bool) string {
		if half {
			objects = objects[:(len(objects)+1)/2]
		}
		g.world.insert(objects)
		return "insert"
	})
}

func (g *gate) Sweep(_ context.Context, _, document string, birth uint64, keep []string) (n int, err error) {
	err = g.step(func(bool) string {
		n = g.world.sweep(document, birth, keep)
		return "sweep"
	})
	return n, err
}

func (g *gate) Get(_ context.Context, _, document string) (rec tributary.Record, err error) {
	err = g.step(func(bool) string {
		rec = g.world.records[document]
		return fmt.Sprintf("get %d", rec.Revision)
	})
	return rec, err
}

func (g *gate) Put(_ context.Context, rec tributary.Record) (out tributary.Record, err error) {
	stepErr := g.step(func(bool) string {
		out, err = g.world.put(rec)
		return fmt.Sprintf("put %v", err)
	})
	if stepErr != nil {
		return rec, stepErr
	}
	return out, err
}

func modelVectors(_ context.Context, _ tributary.Attributes, chunks []tributary.Chunk) ([]tributary.Vector, error) {
	out := make([]tributary.Vector, len(chunks))
	for i := range out {
		out[i] = tributary.Vector{1}
	}
	return out, nil
}

// version makes the message of one version; each text is a chunk. Those in
// reused come without a vector, as if the embed stage had found them in its
// base.
func version(v uint64, texts, reused []string) tributary.Embedded {
	e := tributary.Embedded{Embedder: "model"}
	e.Head = tributary.Head{KB: "default", URI: "u", Document: "doc", Version: v, Lane: tributary.LaneLive, Accepted: time.Unix(int64(v), 0)}
	e.Deleted = texts == nil
	seen := map[string]int{}
	for _, text := range texts {
		c := tributary.Chunk{Hash: text, Text: text, Ordinal: seen[text]}
		seen[text]++
		if !slices.Contains(reused, text) {
			c.Vector = tributary.Vector{1}
		}
		e.Chunks = append(e.Chunks, c)
	}
	return e
}
