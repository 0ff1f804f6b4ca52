package stage

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"math/rand/v2"
	"runtime/debug"
	"sync"
	"time"

	"github.com/nats-io/nats.go/jetstream"

	"github.com/tributary-kb/tributary"
)

const (
	pullWait    = time.Second // life of a pull request that nothing answers; a stopping worker waits for its end
	pullBackoff = time.Second // after a pull that failed
	bulkTurn    = 8           // of so many batches, one prefers the bulk lane
	holdFirst   = 100 * time.Millisecond
	holdLimit   = 30 * time.Second
)

type runner[In Message, Out any] struct {
	host   Host
	spec   Spec
	out    Output[Out]
	hooks  Hooks[In]
	handle Handler[In, Out]
	log    *slog.Logger

	mu       sync.Mutex
	failures map[uint64]int // by stream sequence, of messages that failed here
}

// An item is a message that this process holds.
type item[In any] struct {
	msg        jetstream.Msg
	meta       *jetstream.MsgMetadata
	lane       tributary.Lane
	in         In
	head       tributary.Head // what the subject tells, until decoded
	decoded    bool
	redelivery bool
	release    func() // stops renewing and frees the place it was pulled for
}

func (r *runner[In, Out]) run(ctx context.Context) error {
	lanes := map[tributary.Lane]chan *item[In]{}
	var pulling, working sync.WaitGroup
	for _, lane := range tributary.Lanes {
		cons, err := r.host.JS.Consumer(ctx, r.spec.Stream, ConsumerName(r.spec.Name, lane))
		if err != nil {
			return fmt.Errorf("stage %s: consumer of lane %s: %w", r.spec.Name, lane, err)
		}
		doubt, err := newDoubt(ctx, r.host.JS, r.spec.Stream, cons.CachedInfo().Config.MaxAckPending)
		if err != nil {
			return fmt.Errorf("stage %s: %w", r.spec.Name, err)
		}
		wait := cons.CachedInfo().Config.AckWait
		places := 2 * r.spec.Workers * r.spec.Batch
		queue := make(chan *item[In], places)
		lanes[lane] = queue
		pulling.Go(func() { r.pull(ctx, cons, doubt, lane, places, wait, queue) })
	}
	live, bulk := lanes[tributary.LaneLive], lanes[tributary.LaneBulk]
	for range r.spec.Workers {
		working.Go(func() { r.work(ctx, live, bulk) })
	}
	// Kept for the live lane: a live edit never waits until a bulk batch is done.
	working.Go(func() { r.work(ctx, live, nil) })
	pulling.Wait()
	working.Wait()
	r.giveBack(live)
	r.giveBack(bulk)
	return nil
}

// pull keeps at most places messages of one lane in this process, all of them
// renewed from the moment they arrive.
func (r *runner[In, Out]) pull(ctx context.Context, cons jetstream.Consumer, doubt *doubt, lane tributary.Lane, places int, wait time.Duration, queue chan<- *item[In]) {
	free := make(chan struct{}, places)
	for range places {
		free <- struct{}{}
	}
	for {
		n := takePlaces(ctx, free)
		if n == 0 {
			return
		}
		got, err := r.pullOnce(ctx, cons, doubt, lane, n, wait, free, queue)
		for range n - got {
			free <- struct{}{}
		}
		if err != nil && ctx.Err() == nil {
			r.log.WarnContext(ctx, "pull", "lane", lane, "error", err)
			sleep(ctx, pullBackoff)
		}
	}
}

// takePlaces waits for one free place and takes all there are, 0 when ctx ends.
func takePlaces(ctx context.Context, free <-chan struct{}) int {
	select {
	case <-ctx.Done():
		return 0
	case <-free:
	}
	n := 1
	for {
		select {
		case <-free:
			n++
		default:
			if ctx.Err() != nil {
				return 0
			}
			return n
		}
	}
}

func (r *runner[In, Out]) pullOnce(ctx context.Context, cons jetstream.Consumer, doubt *doubt, lane tributary.Lane, n int, wait time.Duration, free chan<- struct{}, queue chan<- *item[In]) (got int, err error) {
	batch, err := cons.Fetch(n, jetstream.FetchMaxWait(pullWait))
	if err != nil {
		return 0, err
	}
	// It is read to its end even when ctx ends. What a server is about to send to
	// a pull that is given up may reach nobody; it remembers that for as long as
	// it runs, and else the message is handed out again after its deadline only.
	for msg := range batch.Messages() {
		meta, err := msg.Metadata()
		if err != nil {
			r.log.ErrorContext(ctx, "message without metadata", "subject", msg.Subject(), "error", err)
			continue
		}
		got++
		head, _ := ParseSubject(msg.Subject())
		it := &item[In]{msg: msg, meta: meta, lane: lane, head: head, redelivery: doubt.covers(ctx, meta)}
		stop := renew(msg, wait/3)
		it.release = sync.OnceFunc(func() {
			stop()
			free <- struct{}{}
		})
		queue <- it // never blocks: it has as many places as may be out
	}
	return got, batch.Error()
}

// renew extends the ack deadline of msg every interval until it is stopped.
func renew(msg jetstream.Msg, interval time.Duration) (stop func()) {
	var mu sync.Mutex
	stopped := false
	var timer *time.Timer
	mu.Lock()
	defer mu.Unlock()
	timer = time.AfterFunc(interval, func() {
		mu.Lock()
		defer mu.Unlock()
		if stopped {
			return
		}
		_ = msg.InProgress() // a lost renewal costs a redelivery, which is harmless
		timer.Reset(interval)
	})
	return func() {
		mu.Lock()
		defer mu.Unlock()
		stopped = true
		timer.Stop()
	}
}

// work handles batches until ctx ends. A nil bulk lane is never ready.
func (r *runner[In, Out]) work(ctx context.Context, live, bulk <-chan *item[In]) {
	bulkwork := turn{precedence: r.host.Precedence}
	for n := 1; ; n++ {
		first, second := live, bulk
		if n%bulkTurn == 0 && bulk != nil {
			first, second = bulk, live
		}
		batch := next(ctx, first, second, r.spec.Batch)
		if batch == nil {
			return
		}
		if batch[0].lane == tributary.LaneLive {
			r.process(ctx, batch)
			continue
		}
		bulkwork.run(ctx, func() { r.process(ctx, batch) })
	}
}

// next waits for a message, of the first queue if both have one, and takes up
// to most messages of the same queue that are there already.
func next[T any](ctx context.Context, first, second <-chan *T, most int) []*T {
	if ctx.Err() != nil {
		return nil
	}
	var queue <-chan *T
	var batch []*T
	select {
	case it := <-first:
		queue, batch = first, []*T{it}
	default:
		select {
		case <-ctx.Done():
			return nil
		case it := <-first:
			queue, batch = first, []*T{it}
		case it := <-second:
			queue, batch = second, []*T{it}
		}
	}
	for len(batch) < most {
		select {
		case it := <-queue:
			batch = append(batch, it)
		default:
			return batch
		}
	}
	return batch
}

// giveBack returns messages that nobody began, so that another worker gets
// them at once.
func (r *runner[In, Out]) giveBack(queue <-chan *item[In]) {
	for {
		select {
		case it := <-queue:
			it.release()
			r.handBack(it)
		default:
			return
		}
	}
}

// process decodes and handles a batch, and settles every message in it.
func (r *runner[In, Out]) process(ctx context.Context, batch []*item[In]) {
	ready := batch[:0:0]
	for _, it := range batch {
		err := r.decode(ctx, it)
		if err == nil && it.meta.NumDelivered > uint64(r.spec.Deliveries) {
			err = tributary.Rejectf("delivered %d times and never handled to an end: it may be what kills its workers", it.meta.NumDelivered)
		}
		if err != nil {
			r.settle(ctx, it, err)
			continue
		}
		ready = append(ready, it)
	}
	for hold := holdFirst; len(ready) > 0; hold = min(2*hold, holdLimit) {
		var wait time.Duration
		ready, wait = r.attempt(ctx, ready)
		if len(ready) == 0 {
			return
		}
		if wait == 0 {
			wait = jitter(hold)
		}
		sleep(ctx, wait)
		if ctx.Err() != nil {
			for _, it := range ready {
				it.release()
				r.handBack(it)
			}
			return
		}
		for _, it := range ready {
			it.redelivery = true
		}
	}
}

// attempt calls the handler once and settles what it can; it returns the
// messages whose outcome is to wait, and for how long at least.
func (r *runner[In, Out]) attempt(ctx context.Context, batch []*item[In]) (waiting []*item[In], after time.Duration) {
	// What has begun is finished even when ctx ends: a stopping worker hands
	// on as little unfinished work as it can.
	callCtx, cancel := context.WithTimeout(context.WithoutCancel(ctx), r.spec.Timeout)
	defer cancel()
	stop := context.AfterFunc(ctx, func() { time.AfterFunc(shutdownGrace, cancel) })
	defer stop()

	if batch[0].lane == tributary.LaneLive {
		defer r.host.Precedence.Take()()
	}
	spans, callCtx := startSpans(callCtx, r.spec.Name, batch)
	began := time.Now()
	results := r.call(callCtx, batch)
	r.host.Metrics.observe(r.spec.Name, batch[0].lane, len(batch), time.Since(began))
	for i, it := range batch {
		err := results[i].Err
		if err == nil {
			err = r.publish(callCtx, it, results[i].Out, spans[i])
		}
		spans[i].end(err)
		outcome, d := tributary.OutcomeOf(err)
		if outcome == tributary.Waiting && ctx.Err() == nil {
			r.log.WarnContext(ctx, "waiting", "uri", it.head.URI, "document", it.head.Document, "version", it.head.Version, "error", err)
			r.host.Metrics.count(r.spec.Name, it.lane, tributary.Waiting)
			waiting, after = append(waiting, it), max(after, d)
			continue
		}
		r.settle(ctx, it, err)
	}
	return waiting, after
}

// call runs the handler. A batch that panics or fails as a whole is run again
// one by one: one bad document never harms another.
func (r *runner[In, Out]) call(ctx context.Context, batch []*item[In]) []Result[Out] {
	results, err := r.callOnce(ctx, batch)
	if err == nil {
		return results
	}
	if len(batch) == 1 {
		return []Result[Out]{{Err: err}}
	}
	results = make([]Result[Out], 0, len(batch))
	for _, it := range batch {
		it.redelivery = true
		results = append(results, r.call(ctx, []*item[In]{it})...)
	}
	return results
}

func (r *runner[In, Out]) callOnce(ctx context.Context, batch []*item[In]) (results []Result[Out], err error) {
	defer func() {
		if p := recover(); p != nil {
			r.log.ErrorContext(ctx, "panic", "uri", batch[0].head.URI, "batch", len(batch), "panic", fmt.Sprint(p), "stack", string(debug.Stack()))
			err = fmt.Errorf("panic in stage %s: %v", r.spec.Name, p)
		}
	}()
	ins := make([]In, len(batch))
	for i, it := range batch {
		ins[i] = it.in
		if m, ok := any(&ins[i]).(interface{ MarkRedelivered() }); ok && it.redelivery {
			m.MarkRedelivered()
		}
	}
	results = r.handle(ctx, ins)
	if len(results) != len(batch) {
		return nil, fmt.Errorf("stage %s: %d results for %d messages", r.spec.Name, len(results), len(batch))
	}
	return results, nil
}

func (r *runner[In, Out]) decode(ctx context.Context, it *item[In]) error {
	if err := Decode(ctx, r.host.Blobs, it.msg.Headers(), it.msg.Data(), &it.in); err != nil {
		if errors.Is(err, errCorrupt) {
			return tributary.Reject(err)
		}
		return err
	}
	if a, ok := any(&it.in).(interface{ Accept(uint64, time.Time) }); ok {
		a.Accept(it.meta.Sequence.Stream, it.meta.Timestamp)
	}
	it.head, it.decoded = it.in.MessageHead(), true
	return nil
}

func jitter(d time.Duration) time.Duration {
	return d/2 + rand.N(d/2+1)
}

func sleep(ctx context.Context, d time.Duration) {
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-ctx.Done():
	case <-t.C:
	}
}
