// Package conversation keeps what was asked and answered under the id of a
// conversation, in a JetStream key-value bucket whose entries expire. Turns go
// in, the last few of them come out.
//
// What is kept is text that people wrote, readable by everyone who may read
// the bucket. It is kept only where a request names a conversation, until the
// time to live has passed since the last turn, or until it is forgotten.
package conversation

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"time"

	"github.com/nats-io/nats.go/jetstream"

	"github.com/tributary-kb/tributary"
)

// Bucket is the name of the key-value bucket.
const Bucket = "tributary-conversations"

// maxBytes bounds the stored form of one conversation; the oldest turns go
// first.
const maxBytes = 64 << 10

// appendTries bounds how often Append begins anew because another turn of the
// same conversation was added in between.
const appendTries = 8

// Config of a Store.
type Config struct {
	TTL      time.Duration // since the last turn, more than 0
	MaxTurns int           // kept of one conversation, at least 1
	Replicas int           // of the bucket, at least 1
}

// A Store reads and writes conversations.
type Store struct {
	kv       jetstream.KeyValue
	maxTurns int
}

// Open opens the bucket, creates it where it does not exist, and sets its time
// to live.
func Open(ctx context.Context, js jetstream.JetStream, c Config) (*Store, error) {
	kv, err := js.CreateOrUpdateKeyValue(ctx, jetstream.KeyValueConfig{
		Bucket:      Bucket,
		Description: "what was asked and answered in a conversation; expires",
		History:     1,
		TTL:         c.TTL,
		Replicas:    max(c.Replicas, 1),
		Compression: true,
	})
	if err != nil {
		return nil, fmt.Errorf("open bucket %s: %w", Bucket, err)
	}
	return &Store{kv: kv, maxTurns: max(c.MaxTurns, 1)}, nil
}

// Turns returns what was said, oldest first; nothing if there is no such
// conversation, or no longer.
func (s *Store) Turns(ctx context.Context, kb, id string) ([]tributary.Turn, error) {
	turns, _, err := s.read(ctx, kb, id)
	return turns, err
}

// Append adds a turn and drops the oldest ones that are too many.
func (s *Store) Append(ctx context.Context, kb, id string, turn tributary.Turn) error {
	var err error
	for range appendTries {
		var turns []tributary.Turn
		var revision uint64
		if turns, revision, err = s.read(ctx, kb, id); err != nil {
			return err
		}
		data, encodeErr := s.encode(append(turns, turn))
		if encodeErr != nil {
			return encodeErr
		}
		if revision == 0 {
			_, err = s.kv.Create(ctx, key(kb, id), data)
		} else {
			_, err = s.kv.Update(ctx, key(kb, id), data, revision)
		}
		if !conflict(err) {
			break
		}
	}
	if err != nil {
		return fmt.Errorf("write conversation %s: %w", id, err)
	}
	return nil
}

// Forget deletes a conversation; one that does not exist is no error.
func (s *Store) Forget(ctx context.Context, kb, id string) error {
	if err := s.kv.Purge(ctx, key(kb, id)); err != nil {
		return fmt.Errorf("forget conversation %s: %w", id, err)
	}
	return nil
}

// encode writes the newest turns that fit.
func (s *Store) encode(turns []tributary.Turn) ([]byte, error) {
	turns = turns[max(len(turns)-s.maxTurns, 0):]
	for {
		data, err := json.Marshal(turns)
		if err != nil || len(data) <= maxBytes || len(turns) <= 1 {
			return data, err
		}
		turns = turns[1:]
	}
}

// read returns the turns and their revision, 0 if there is none.
func (s *Store) read(ctx context.Context, kb, id string) ([]tributary.Turn, uint64, error) {
	entry, err := s.kv.Get(ctx, key(kb, id))
	if errors.Is(err, jetstream.ErrKeyNotFound) {
		return nil, 0, nil
	}
	if err != nil {
		return nil, 0, fmt.Errorf("read conversation %s: %w", id, err)
	}
	var turns []tributary.Turn
	if err := json.Unmarshal(entry.Value(), &turns); err != nil {
		return nil, 0, fmt.Errorf("decode conversation %s: %w", id, err)
	}
	return turns, entry.Revision(), nil
}

func key(kb, id string) string { return kb + "." + id }

func conflict(err error) bool {
	if errors.Is(err, jetstream.ErrKeyExists) {
		return true
	}
	api, ok := errors.AsType[*jetstream.APIError](err)
	return ok && api.ErrorCode == jetstream.JSErrCodeStreamWrongLastSequence
}
