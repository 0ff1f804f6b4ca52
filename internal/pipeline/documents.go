package pipeline

import (
	"context"
	"errors"
	"fmt"
	"strconv"

	"github.com/nats-io/nats.go/jetstream"

	"github.com/tributary-kb/tributary"
	"github.com/tributary-kb/tributary/internal/stage"
)

// ErrNotKept is returned by Kept for a document of which no parsed version is
// kept.
var ErrNotKept = errors.New("no parsed version is kept")

// Keep stores the parsed document in place of an older version. An older
// version never replaces a newer one.
func (s *Store) Keep(ctx context.Context, d tributary.Document) error {
	subject := documentSubject(d.KB, d.Document)
	for {
		last, err := s.lastKept(ctx, subject)
		if err != nil {
			return fmt.Errorf("keep version %d of %q: %w", d.Version, d.URI, err)
		}
		if last.version >= d.Version {
			return nil
		}
		msg, err := stage.Encode(ctx, s.Blobs, subject, fmt.Sprintf("documents:%s:%d:%d", d.Document, d.Version, last.seq), d)
		if err != nil {
			return err
		}
		msg.Header.Set(stage.HeaderVersion, strconv.FormatUint(d.Version, 10))
		_, err = s.JS.PublishMsg(ctx, msg, jetstream.WithExpectLastSequencePerSubject(last.seq))
		if err == nil {
			s.dropBlob(ctx, last.blob)
			return nil
		}
		s.dropBlob(ctx, msg.Header.Get(stage.HeaderBlob))
		var api *jetstream.APIError
		if !errors.As(err, &api) || api.ErrorCode != jetstream.JSErrCodeStreamWrongLastSequence {
			return tributary.Unavailable(fmt.Errorf("keep version %d of %q: %w", d.Version, d.URI, err), 0)
		}
	}
}

// Kept returns the last parsed version of a document, or ErrNotKept.
func (s *Store) Kept(ctx context.Context, kb, document string) (tributary.Document, error) {
	var d tributary.Document
	raw, err := s.documents.GetLastMsgForSubject(ctx, documentSubject(kb, document))
	if errors.Is(err, jetstream.ErrMsgNotFound) {
		return d, ErrNotKept
	}
	if err != nil {
		return d, err
	}
	return d, stage.Decode(ctx, s.Blobs, raw.Header, raw.Data, &d)
}

type kept struct {
	seq, version uint64
	blob         string
}

func (s *Store) lastKept(ctx context.Context, subject string) (kept, error) {
	raw, err := s.documents.GetLastMsgForSubject(ctx, subject)
	if errors.Is(err, jetstream.ErrMsgNotFound) {
		return kept{}, nil
	}
	if err != nil {
		return kept{}, err
	}
	version, err := strconv.ParseUint(raw.Header.Get(stage.HeaderVersion), 10, 64)
	if err != nil {
		return kept{}, fmt.Errorf("header %s of a kept document: %w", stage.HeaderVersion, err)
	}
	return kept{seq: raw.Sequence, version: version, blob: raw.Header.Get(stage.HeaderBlob)}, nil
}

// dropBlob removes a blob that nothing refers to any more. One that stays
// behind costs space, nothing else.
func (s *Store) dropBlob(ctx context.Context, name string) {
	if name != "" {
		_ = s.Blobs.Delete(context.WithoutCancel(ctx), name)
	}
}
