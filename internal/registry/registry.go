// Package registry keeps one record per document in a JetStream key-value
// bucket: the committed manifest and the newest refusal. Records change only
// by compare-and-set on their revision, which is what orders the versions of a
// document whatever its workers do.
package registry

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"strings"

	"github.com/nats-io/nats.go/jetstream"

	"github.com/tributary-kb/tributary"
	"github.com/tributary-kb/tributary/internal/bucket"
)

// Bucket is the name of the key-value bucket that holds the records.
const Bucket = "tributary-records"

// ErrConflict is returned by Put when the record was changed in between.
var ErrConflict = errors.New("the record was changed by another writer")

// A Registry reads and writes records.
type Registry struct {
	js jetstream.JetStream
	kv jetstream.KeyValue
}

// Open opens the bucket, creating it with this many replicas (at least 1)
// where it does not exist.
func Open(ctx context.Context, js jetstream.JetStream, replicas int) (*Registry, error) {
	kv, err := js.KeyValue(ctx, Bucket)
	if errors.Is(err, jetstream.ErrBucketNotFound) {
		kv, err = js.CreateKeyValue(ctx, jetstream.KeyValueConfig{
			Bucket:      Bucket,
			Description: "one record per document: its manifest, and why a version was refused",
			History:     1,
			Replicas:    max(replicas, 1),
			Compression: true,
		})
		if errors.Is(err, jetstream.ErrBucketExists) {
			kv, err = js.KeyValue(ctx, Bucket)
		}
	}
	if err != nil {
		return nil, fmt.Errorf("open bucket %s: %w", Bucket, err)
	}
	return &Registry{js: js, kv: kv}, nil
}

// Get returns the record of a document. One that does not exist is a zero
// Record with its KB and Document set and Revision 0.
func (r *Registry) Get(ctx context.Context, kb, document string) (tributary.Record, error) {
	entry, err := r.kv.Get(ctx, key(kb, document))
	if errors.Is(err, jetstream.ErrKeyNotFound) {
		return tributary.Record{KB: kb, Document: document}, nil
	}
	if err != nil {
		return tributary.Record{}, fmt.Errorf("record of document %s: %w", document, err)
	}
	return decode(entry)
}

// Put writes rec if the stored record still has rec.Revision (0: does not
// exist), and returns it with its new revision. Otherwise it returns
// ErrConflict and changes nothing.
func (r *Registry) Put(ctx context.Context, rec tributary.Record) (tributary.Record, error) {
	data, err := json.Marshal(rec)
	if err != nil {
		return rec, fmt.Errorf("encode record of %q: %w", rec.URI, err)
	}
	var rev uint64
	if rec.Revision == 0 {
		rev, err = r.kv.Create(ctx, key(rec.KB, rec.Document), data)
	} else {
		rev, err = r.kv.Update(ctx, key(rec.KB, rec.Document), data, rec.Revision)
	}
	if isConflict(err) {
		return rec, ErrConflict
	}
	if err != nil {
		return rec, fmt.Errorf("write record of %q: %w", rec.URI, err)
	}
	rec.Revision = rev
	return rec, nil
}

// Refuse records that a version was refused, unless something final is known
// of it or a higher one already.
func (r *Registry) Refuse(ctx context.Context, head tributary.Head, f tributary.Failure) error {
	for {
		rec, err := r.Get(ctx, head.KB, head.Document)
		if err != nil {
			return err
		}
		if rec.Settled() >= f.Version {
			return nil
		}
		rec.URI, rec.Failure = head.URI, &f
		if _, err = r.Put(ctx, rec); !errors.Is(err, ErrConflict) {
			return err
		}
	}
}

// List calls fn once with every record of kb, of all knowledge bases if kb is
// empty, in no particular order. Records may change meanwhile: each that there
// was at the beginning is listed as it was then or later. It stops at the first
// error of fn.
func (r *Registry) List(ctx context.Context, kb string, fn func(tributary.Record) error) error {
	filter := ">"
	if kb != "" {
		filter = kb + ".>"
	}
	err := bucket.Each(ctx, r.js, r.kv, filter, func(entry bucket.Entry) error {
		rec, err := decode(entry)
		if err != nil {
			return err
		}
		return fn(rec)
	})
	if err != nil {
		return fmt.Errorf("list records of %q: %w", kb, err)
	}
	return nil
}

// MaxVersion returns the highest version that any record knows, 0 without
// records. The request stream must never give out a version at or below it.
func (r *Registry) MaxVersion(ctx context.Context) (uint64, error) {
	var highest uint64
	err := r.List(ctx, "", func(rec tributary.Record) error {
		highest = max(highest, rec.Settled())
		return nil
	})
	return highest, err
}

func key(kb, document string) string { return kb + "." + document }

// entry is a jetstream.KeyValueEntry or a bucket.Entry.
type entry interface {
	Key() string
	Value() []byte
	Revision() uint64
}

func decode(e entry) (tributary.Record, error) {
	var rec tributary.Record
	if err := json.Unmarshal(e.Value(), &rec); err != nil {
		return rec, fmt.Errorf("decode record %s: %w", e.Key(), err)
	}
	rec.KB, rec.Document, _ = strings.Cut(e.Key(), ".")
	rec.Revision = e.Revision()
	return rec, nil
}

func isConflict(err error) bool {
	if errors.Is(err, jetstream.ErrKeyExists) {
		return true
	}
	var api *jetstream.APIError
	return errors.As(err, &api) && api.ErrorCode == jetstream.JSErrCodeStreamWrongLastSequence
}
