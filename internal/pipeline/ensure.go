package pipeline

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"slices"
	"time"

	"github.com/nats-io/nats.go/jetstream"

	"github.com/tributary-kb/tributary"
	"github.com/tributary-kb/tributary/internal/registry"
	"github.com/tributary-kb/tributary/internal/stage"
)

// BlobBucket is the object store for content too large for a message.
const BlobBucket = "tributary-blobs"

// StoreConfig sizes what is kept in JetStream.
type StoreConfig struct {
	Replicas      int           // of streams and buckets, 1 or 3 or 5; 0 means 1
	MaxStageBytes int64         // of each stage's input; 0 means 1 GiB
	AckWait       time.Duration // after which a silent worker's messages go to another; 0 means 15 s
}

func (c *StoreConfig) setDefaults() {
	if c.Replicas == 0 {
		c.Replicas = 1
	}
	if c.MaxStageBytes == 0 {
		c.MaxStageBytes = 1 << 30
	}
	if c.AckWait == 0 {
		c.AckWait = 15 * time.Second
	}
}

// A Store is the JetStream side of the pipeline: its streams, buckets and
// consumers exist.
type Store struct {
	JS       jetstream.JetStream
	Registry *registry.Registry
	Blobs    jetstream.ObjectStore

	documents jetstream.Stream
}

// Ensure creates every stream, bucket and consumer of the topology that does
// not exist. Every process does so, whatever it runs: a stage whose successor
// has never been started must not publish into nothing.
func Ensure(ctx context.Context, js jetstream.JetStream, cfg StoreConfig) (*Store, error) {
	cfg.setDefaults()
	reg, err := registry.Open(ctx, js, cfg.Replicas)
	if err != nil {
		return nil, err
	}
	blobs, err := js.CreateOrUpdateObjectStore(ctx, jetstream.ObjectStoreConfig{
		Bucket: BlobBucket, Description: "content too large for a message", Replicas: cfg.Replicas,
	})
	if err != nil {
		return nil, fmt.Errorf("open bucket %s: %w", BlobBucket, err)
	}
	for _, s := range Streams {
		if err := ensureStream(ctx, js, reg, s.streamConfig(cfg)); err != nil {
			return nil, fmt.Errorf("stream %s: %w", s.Name, err)
		}
	}
	for _, s := range Stages {
		if s.In == "" {
			continue
		}
		for _, lane := range tributary.Lanes {
			if err := ensureConsumer(ctx, js, s.Name, lane, cfg); err != nil {
				return nil, fmt.Errorf("consumer %s: %w", stage.ConsumerName(s.Name, lane), err)
			}
		}
	}
	documents, err := js.Stream(ctx, DocumentsStream)
	if err != nil {
		return nil, fmt.Errorf("stream %s: %w", DocumentsStream, err)
	}
	return &Store{JS: js, Registry: reg, Blobs: blobs, documents: documents}, nil
}

func (s Stream) streamConfig(cfg StoreConfig) jetstream.StreamConfig {
	c := jetstream.StreamConfig{
		Name: s.Name, Description: s.Keeps, Subjects: s.Subjects,
		Replicas: cfg.Replicas, Storage: jetstream.FileStorage, Duplicates: dedupWindow,
		MaxBytes: -1, MaxMsgsPerSubject: -1, // unlimited, as the server reports it
	}
	s.config(&c)
	if c.Retention == jetstream.WorkQueuePolicy {
		c.MaxBytes = cfg.MaxStageBytes
	}
	return c
}

// LimitedStreams returns how many streams reserve StoreConfig.MaxStageBytes
// each.
func LimitedStreams() int {
	n := 0
	for _, s := range Streams {
		if s.streamConfig(StoreConfig{MaxStageBytes: 1}).MaxBytes > 0 {
			n++
		}
	}
	return n
}

// ensureStream creates a stream where there is none, and changes one only
// where it differs: an update that changes nothing is not harmless while
// messages wait for their redelivery.
func ensureStream(ctx context.Context, js jetstream.JetStream, reg *registry.Registry, want jetstream.StreamConfig) error {
	s, err := js.Stream(ctx, want.Name)
	if errors.Is(err, jetstream.ErrStreamNotFound) {
		if want.Name == StreamName(Ingest) {
			if want.FirstSeq, err = firstVersion(ctx, reg); err != nil {
				return err
			}
		}
		_, err = js.CreateStream(ctx, want)
		if errors.Is(err, jetstream.ErrStreamNameAlreadyInUse) {
			return nil // another process was faster
		}
		return err
	}
	if err != nil {
		return err
	}
	have := s.CachedInfo().Config
	if slices.Equal(have.Subjects, want.Subjects) && have.MaxBytes == want.MaxBytes && have.Replicas == want.Replicas &&
		have.MaxMsgsPerSubject == want.MaxMsgsPerSubject && have.MaxAge == want.MaxAge {
		return nil
	}
	slog.InfoContext(ctx, "change stream", "stream", want.Name, "max_bytes", want.MaxBytes, "replicas", want.Replicas)
	have.Subjects, have.MaxBytes, have.Replicas = want.Subjects, want.MaxBytes, want.Replicas
	have.MaxMsgsPerSubject, have.MaxAge = want.MaxMsgsPerSubject, want.MaxAge
	_, err = js.UpdateStream(ctx, have)
	return err
}

// firstVersion is where a request stream must begin: above every version that
// the registry knows, or a document would refuse its own future.
func firstVersion(ctx context.Context, reg *registry.Registry) (uint64, error) {
	highest, err := reg.MaxVersion(ctx)
	if err != nil || highest == 0 {
		return 0, err
	}
	return highest + 1, nil
}

func ensureConsumer(ctx context.Context, js jetstream.JetStream, name string, lane tributary.Lane, cfg StoreConfig) error {
	want := jetstream.ConsumerConfig{
		Durable:       stage.ConsumerName(name, lane),
		AckPolicy:     jetstream.AckExplicitPolicy,
		DeliverPolicy: jetstream.DeliverAllPolicy,
		AckWait:       cfg.AckWait,
		MaxDeliver:    -1,
		MaxAckPending: 5000,
		FilterSubject: stage.LaneFilter(name, lane),
	}
	c, err := js.Consumer(ctx, StreamName(name), want.Durable)
	if errors.Is(err, jetstream.ErrConsumerNotFound) {
		_, err = js.CreateConsumer(ctx, StreamName(name), want)
		if errors.Is(err, jetstream.ErrConsumerExists) {
			return nil
		}
		return err
	}
	if err != nil || c.CachedInfo().Config.AckWait == want.AckWait {
		return err
	}
	have := c.CachedInfo().Config
	have.AckWait = want.AckWait
	_, err = js.UpdateConsumer(ctx, StreamName(name), have)
	return err
}
