package indexer

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/tributary-kb/tributary"
)

// A delivery is a message handed to a worker. A message whose worker crashes
// is handed out again until a worker has handled it to the end.
type delivery struct {
	msg    tributary.Embedded
	gate   *gate
	result chan error
	fault  int  // faults so far, of all deliveries of this message
	handed int  // how often
	done   bool // acknowledged
}

// A run executes one schedule of a scenario from the start.
type run struct {
	t          *testing.T
	world      *world
	deliveries []*delivery
	token      string
}

func newRun(t *testing.T, sc scenario) *run {
	r := &run{t: t, world: newWorld(), token: sc.token}
	if sc.before != nil {
		r.settle(*sc.before)
	}
	for _, m := range sc.messages {
		d := &delivery{msg: m}
		r.deliveries = append(r.deliveries, d)
		r.hand(len(r.deliveries)-1, d)
	}
	return r
}

// settle handles a message alone, without faults.
func (r *run) settle(m tributary.Embedded) {
	d := &delivery{msg: m}
	r.hand(99, d)
	for !d.done {
		r.advance(99, d, none)
	}
}

// hand gives the message to a fresh worker and waits until it stands before
// its first step.
func (r *run) hand(i int, d *delivery) {
	d.gate = &gate{world: r.world, ask: make(chan struct{}), grant: make(chan fault)}
	d.result = make(chan error, 1)
	d.handed++
	msg := d.msg
	msg.Redelivered = d.handed > 1
	attempt, handed, token := 0, d.handed, r.token
	x := &Indexer{
		Store: d.gate, Records: d.gate, Vectors: modelVectors,
		Conflict: func(err error) bool { return errors.Is(err, errModelConflict) },
		Attempt: func() string {
			if token != "" {
				return token
			}
			attempt++
			return fmt.Sprintf("%d.%d.%d", i, handed, attempt)
		},
		Now: func() time.Time { return time.Unix(0, 0) },
	}
	g, result := d.gate, d.result
	go func() {
		_, err := x.Index(context.Background(), []tributary.Embedded{msg})
		result <- err
		close(g.ask)
	}()
	<-g.ask
}

// advance lets a delivery take one step with a fault, and waits until it
// stands before the next one, has ended, or has crashed and been handed out
// again.
func (r *run) advance(i int, d *delivery, f fault) {
	d.gate.grant <- f
	if _, waiting := <-d.gate.ask; waiting {
		return
	}
	err := <-d.result
	switch {
	case err == nil:
		d.done = true
	case d.gate.dead:
		d.fault++
		r.hand(i, d)
	default:
		r.t.Fatalf("message %d: %v", i, err)
	}
}

// abandon ends the goroutines of a run that is not carried on.
func (r *run) abandon() {
	for _, d := range r.deliveries {
		for !d.done {
			d.gate.grant <- crashBefore
			for range d.gate.ask {
			}
			if err := <-d.result; err == nil {
				r.t.Error("a worker that crashed came to its end")
			}
			d.done = true
		}
	}
}

// key identifies the state of a run: two runs with equal keys have the same
// future.
func (r *run) key() string {
	var b strings.Builder
	b.WriteString(r.world.key())
	for _, d := range r.deliveries {
		fmt.Fprintf(&b, "#%d/%d/%v/%s", d.fault, d.handed, d.done, strings.Join(d.gate.log, ","))
	}
	return b.String()
}

// A choice is one step of a schedule: which delivery moves, with what fault.
type choice struct {
	delivery int
	fault    fault
}

// choices lists what may happen next; most bounds the faults of a run.
func (r *run) choices(most int) []choice {
	var out []choice
	faults := 0
	for _, d := range r.deliveries {
		faults += d.fault
	}
	for i, d := range r.deliveries {
		if d.done {
			continue
		}
		out = append(out, choice{i, none})
		if faults < most {
			out = append(out, choice{i, crashBefore}, choice{i, crashAfter}, choice{i, halfWritten})
		}
	}
	return out
}

type scenario struct {
	name     string
	before   *tributary.Embedded
	messages []tributary.Embedded
	faults   int    // at most, of all messages together
	token    string // every attempt's, instead of one of its own
}

// explore runs every schedule of sc, cutting off states seen before, and
// returns how many states and complete schedules there were. It stops at the
// first error of check, which is asked in every state.
func explore(t *testing.T, sc scenario, check func(r *run, ended bool) error) (states, ends int, err error) {
	seen := map[string]bool{}
	pending := [][]choice{nil}
	for len(pending) > 0 {
		schedule := pending[len(pending)-1]
		pending = pending[:len(pending)-1]
		r := newRun(t, sc)
		for _, c := range schedule {
			r.advance(c.delivery, r.deliveries[c.delivery], c.fault)
		}
		k := r.key()
		if seen[k] {
			r.abandon()
			continue
		}
		seen[k] = true
		next := r.choices(sc.faults)
		if err := check(r, len(next) == 0); err != nil {
			r.abandon()
			return len(seen), ends, fmt.Errorf("after %v: %w", schedule, err)
		}
		if len(next) == 0 {
			ends++
		}
		r.abandon()
		for _, c := range next {
			pending = append(pending, append(slices.Clone(schedule), c))
		}
	}
	return len(seen), ends, nil
}

// scenarios: two writers and a deleter of one document in every order of
// versions, with and without a version committed before, each worker
// crashing at any step.
func scenarios() []scenario {
	base := version(1, []string{"a", "b", "c"}, nil)
	edit := func(v uint64) tributary.Embedded {
		return version(v, []string{"a", fmt.Sprintf("b%d", v), "c"}, []string{"a", "c"})
	}
	remove := func(v uint64) tributary.Embedded { return version(v, nil, nil) }
	revert := func(v uint64) tributary.Embedded {
		return version(v, []string{"a", "b", "c", "a"}, []string{"a", "b", "c"})
	}
	return []scenario{
		{name: "first version", messages: []tributary.Embedded{base}, faults: 3},
		{name: "same message twice at once", before: &base, messages: []tributary.Embedded{edit(2), edit(2)}, faults: 3},
		{name: "two writers", before: &base, messages: []tributary.Embedded{edit(2), edit(3)}, faults: 2},
		{name: "two writers, nothing before", messages: []tributary.Embedded{edit(2), edit(3)}, faults: 2},
		{name: "writer and deleter", before: &base, messages: []tributary.Embedded{edit(2), remove(3)}, faults: 3},
		{name: "deleter and re-adder", before: &base, messages: []tributary.Embedded{remove(2), revert(3)}, faults: 3},
		{name: "two writers and a deleter at the end", before: &base, messages: []tributary.Embedded{edit(2), edit(3), remove(4)}, faults: 1},
		{name: "two writers and a deleter between", before: &base, messages: []tributary.Embedded{edit(2), remove(3), edit(4)}, faults: 1},
		{name: "two writers and a deleter at the start", before: &base, messages: []tributary.Embedded{remove(2), revert(3), edit(4)}, faults: 1},
	}
}

// The final state is always the highest version, complete, alone; and at no
// moment does a manifest name what is not there.
func TestEveryInterleavingEndsInTheHighestVersion(t *testing.T) {
	for _, sc := range scenarios() {
		t.Run(sc.name, func(t *testing.T) {
			t.Parallel()
			states, ends, err := explore(t, sc, func(r *run, ended bool) error {
				if err := r.world.complete(); err != nil || !ended {
					return err
				}
				return final(sc, r.world)
			})
			if err != nil {
				t.Fatal(err)
			}
			if ends == 0 {
				t.Fatal("no schedule came to its end")
			}
			t.Logf("%d states, %d ends", states, ends)
		})
	}
}

// The exploration can fail: with ids that two attempts share it finds a
// schedule in which an object is written twice.
func TestTheExplorationFindsSharedIDs(t *testing.T) {
	base := version(1, []string{"a", "b", "c"}, nil)
	sc := scenario{messages: []tributary.Embedded{base}, faults: 1, token: "shared"}
	_, _, err := explore(t, sc, func(r *run, _ bool) error { return r.world.complete() })
	if err == nil {
		t.Fatal("attempts that share their ids passed")
	}
}

func final(sc scenario, w *world) error {
	want := slices.MaxFunc(sc.messages, func(a, b tributary.Embedded) int { return int(a.Version) - int(b.Version) })
	rec := w.records["doc"]
	if rec.Manifest == nil || rec.Manifest.Version != want.Version {
		return fmt.Errorf("the record ends as %+v, want version %d", rec.Manifest, want.Version)
	}
	var got, texts []string
	for _, ref := range rec.Chunks() {
		got = append(got, w.objects[ref.ID].Text)
	}
	for _, c := range want.Chunks {
		texts = append(texts, c.Text)
	}
	if !slices.Equal(got, texts) {
		return fmt.Errorf("version %d holds %q, want %q", want.Version, got, texts)
	}
	return w.alone()
}
