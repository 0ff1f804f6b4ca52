package pipeline

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/nats-io/nats.go/jetstream"

	"github.com/tributary-kb/tributary"
	"github.com/tributary-kb/tributary/internal/stage"
)

const (
	// cleanEvery is how often a process that runs the ingest stage looks for
	// blobs that nothing refers to.
	cleanEvery = time.Hour
	// cleanAge is how old such a blob must be: younger ones may belong to a
	// message that is about to be published.
	cleanAge = 24 * time.Hour
)

// clean removes forgotten blobs from time to time until ctx ends. They are
// left by workers that died between an acknowledgement and their tidying up,
// and by requests that a newer one replaced before they were handled.
func (p *Pipeline) clean(ctx context.Context) error {
	tick := time.NewTicker(cleanEvery)
	defer tick.Stop()
	for {
		switch n, err := p.Store.CleanBlobs(ctx, time.Now().Add(-cleanAge)); {
		case ctx.Err() != nil:
			return nil
		case err != nil:
			p.Log.WarnContext(ctx, "clean the blob store", "error", err)
		case n > 0:
			p.Log.InfoContext(ctx, "cleaned the blob store", "removed", n)
		}
		select {
		case <-ctx.Done():
			return nil
		case <-tick.C:
		}
	}
}

// CleanBlobs deletes the blobs stored before a time that no message refers to,
// and returns how many.
func (s *Store) CleanBlobs(ctx context.Context, before time.Time) (int, error) {
	list, err := s.Blobs.List(ctx)
	if errors.Is(err, jetstream.ErrNoObjectsFound) {
		return 0, nil
	}
	if err != nil {
		return 0, fmt.Errorf("list blobs: %w", err)
	}
	var old []string
	for _, info := range list {
		if info.ModTime.Before(before) {
			old = append(old, info.Name)
		}
	}
	if len(old) == 0 {
		return 0, nil
	}
	wanted, err := s.referredBlobs(ctx)
	if err != nil {
		return 0, err
	}
	removed := 0
	for _, name := range old {
		if wanted[name] {
			continue
		}
		if err := s.Blobs.Delete(ctx, name); err != nil && !errors.Is(err, jetstream.ErrObjectNotFound) {
			return removed, fmt.Errorf("delete blob %s: %w", name, err)
		}
		removed++
	}
	return removed, nil
}

// referredBlobs returns the blobs that messages of any stream need.
func (s *Store) referredBlobs(ctx context.Context) (map[string]bool, error) {
	wanted := map[string]bool{}
	for _, st := range Streams {
		if st.Name == EventsStream {
			continue
		}
		if err := s.referredIn(ctx, st.Name, wanted); err != nil {
			return nil, fmt.Errorf("blobs of stream %s: %w", st.Name, err)
		}
	}
	return wanted, nil
}

func (s *Store) referredIn(ctx context.Context, name string, wanted map[string]bool) error {
	stream, err := s.JS.Stream(ctx, name)
	if err != nil {
		return err
	}
	for seq := uint64(1); ; {
		msg, err := stream.GetMsg(ctx, seq, jetstream.WithGetMsgSubject(">")) // the next one from seq on
		if errors.Is(err, jetstream.ErrMsgNotFound) {
			return nil
		}
		if err != nil {
			return err
		}
		seq = msg.Sequence + 1
		if blob := msg.Header.Get(stage.HeaderBlob); blob != "" {
			wanted[blob] = true
		}
		// A request, waiting or refused, may name the content it needs.
		if name != StreamName(Ingest) && msg.Header.Get(stage.HeaderStage) != Ingest {
			continue
		}
		var req tributary.Request
		if err := stage.Decode(ctx, s.Blobs, msg.Header, msg.Data, &req); err == nil && req.ContentRef != "" {
			wanted[req.ContentRef] = true
		}
	}
}
