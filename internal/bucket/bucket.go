// Package bucket reads key-value buckets whole.
package bucket

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/nats-io/nats.go/jetstream"
)

const (
	fetched = 1000             // values asked for at once
	idle    = 30 * time.Second // after which the server forgets a reader that died
)

// An Entry is a key with its value, a part of what jetstream.KeyValueEntry is.
type Entry struct {
	key      string
	value    []byte
	revision uint64
}

// Key is the key, without the name of the bucket.
func (e Entry) Key() string { return e.key }

// Value is the value that the key has at Revision.
func (e Entry) Value() []byte { return e.value }

// Revision is 1 or more, and of a later value higher.
func (e Entry) Revision() uint64 { return e.revision }

// Each calls fn once for every key below filter ("a.*", ">") that existed when
// Each was called and has not been deleted since, with a value that it has had
// since then. Of a key that is new meanwhile it may call fn or not. It stops at
// the first error of fn.
//
// A watch does not do that: it counts how many keys there are when it begins,
// and takes values that are written meanwhile for some of them. A key that is
// written again before it was sent, and so is sent later, may be missing.
func Each(ctx context.Context, js jetstream.JetStream, kv jetstream.KeyValue, filter string, fn func(Entry) error) (err error) {
	prefix := "$KV." + kv.Bucket() + "."
	stream, err := js.Stream(ctx, "KV_"+kv.Bucket())
	if err != nil {
		return fmt.Errorf("read bucket %s: %w", kv.Bucket(), err)
	}
	began := stream.CachedInfo().State.LastSeq
	consumer, err := stream.CreateConsumer(ctx, jetstream.ConsumerConfig{
		FilterSubject: prefix + filter, DeliverPolicy: jetstream.DeliverAllPolicy, AckPolicy: jetstream.AckNonePolicy,
		MemoryStorage: true, Replicas: 1, InactiveThreshold: idle,
	})
	if err != nil {
		return fmt.Errorf("read bucket %s: %w", kv.Bucket(), err)
	}
	defer func() {
		_ = stream.DeleteConsumer(context.WithoutCancel(ctx), consumer.CachedInfo().Name) // or the server forgets it
	}()
	r := reader{consumer: consumer, prefix: prefix, began: began, seen: map[string]bool{}, fn: fn}
	for {
		n, err := r.next(ctx)
		if err != nil {
			return fmt.Errorf("read bucket %s: %w", kv.Bucket(), err)
		}
		if n == 0 { // nothing is left
			return nil
		}
	}
}

type reader struct {
	consumer jetstream.Consumer
	prefix   string
	began    uint64          // the last revision when the reading began
	seen     map[string]bool // keys that fn was called for
	count    uint64          // of messages, to notice that one was lost
	fn       func(Entry) error
}

var errLost = errors.New("a value was lost on the way")

// next reads what there is, up to a bound, and returns how much that was.
func (r *reader) next(ctx context.Context) (n int, err error) {
	batch, err := r.consumer.FetchNoWait(fetched)
	if err != nil {
		return 0, err
	}
	for {
		select {
		case <-ctx.Done():
			return n, ctx.Err()
		case msg, open := <-batch.Messages():
			if !open {
				return n, batch.Error()
			}
			n++
			if err := r.take(msg); err != nil {
				return n, err
			}
		}
	}
}

func (r *reader) take(msg jetstream.Msg) error {
	meta, err := msg.Metadata()
	if err != nil {
		return err
	}
	if r.count++; meta.Sequence.Consumer != r.count {
		return errLost
	}
	header := msg.Headers()
	if header.Get("KV-Operation") != "" || header.Get(jetstream.MarkerReasonHeader) != "" {
		return nil // it is deleted
	}
	key := strings.TrimPrefix(msg.Subject(), r.prefix)
	if meta.Sequence.Stream > r.began && r.seen[key] {
		return nil
	}
	r.seen[key] = true
	return r.fn(Entry{key, msg.Data(), meta.Sequence.Stream})
}
