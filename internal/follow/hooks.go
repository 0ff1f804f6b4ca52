package follow

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"sync"
	"time"

	"github.com/nats-io/nats.go/jetstream"
	"github.com/nats-io/nuid"

	"github.com/tributary-kb/tributary"
	"github.com/tributary-kb/tributary/ingest/source"
	"github.com/tributary-kb/tributary/internal/push"
	"github.com/tributary-kb/tributary/internal/stage"
)

const (
	// rememberedFor is for how long the receipts of a request are remembered, so
	// that the same request again is no second version: as long as senders try
	// again.
	rememberedFor = 24 * time.Hour
	// refusedPause is how often a worker writes down that a request to a source
	// was refused.
	refusedPause = time.Second
)

// Hooks publishes what is sent to webhooks. Any number of workers may do so at
// once: nobody owns the source, and the stream decides which of two changes of
// a document is the later one.
//
// What makes the removal of a source complete is the fence of the worker that
// removes it. A request reads the fence and then whether the source is still
// there; it is stored only if that fence is still the last. And before a
// document is published it is remembered, for the worker that removes all.
type Hooks struct {
	Config
	Store   *Store
	Blobs   jetstream.ObjectStore
	Stage   string // whose input the requests are
	Metrics *Metrics

	mu      sync.Mutex
	refused map[string]time.Time // when that was last written down, by source
}

// Find implements push.Hooks.
func (h *Hooks) Find(ctx context.Context, kb, name string) (tributary.Source, error) {
	o, err := h.find(ctx, kb, name)
	return o.Source, err
}

func (h *Hooks) find(ctx context.Context, kb, name string) (order, error) {
	o, err := h.Store.order(ctx, kb, name)
	switch {
	case err != nil:
		return o, err
	case o.Kind != tributary.SourceWebhook:
		return o, tributary.Errorf(tributary.CodeNotFound, "source %q: nothing is sent to a %s", name, o.Kind)
	case o.Removing:
		return o, tributary.Errorf(tributary.CodeNotFound, "source %q is being removed", name)
	case o.Paused:
		return o, tributary.Errorf(tributary.CodeUnavailable, "source %q: %w", name, push.ErrPaused)
	}
	return o, nil
}

// Publish implements push.Hooks.
func (h *Hooks) Publish(ctx context.Context, kb, name, id string, changes []push.Change) ([]tributary.Receipt, error) {
	o, err := h.find(ctx, kb, name)
	if err != nil {
		return nil, err
	}
	key := sourceKey(kb, name) + "." + tributary.Hash([]byte(o.request(id)))
	if id != "" {
		if receipts, err := h.recall(ctx, key); receipts != nil || err != nil {
			return receipts, err
		}
	} else {
		id = nuid.Next()
	}
	receipts := make([]tributary.Receipt, len(changes))
	for i, c := range changes {
		version, err := h.publish(ctx, kb, name, fmt.Sprintf("%s:%d", id, i), c)
		if err != nil {
			return nil, err
		}
		receipts[i] = tributary.Receipt{URI: c.URI, Document: tributary.DocumentID(kb, c.URI), Version: version}
	}
	data, err := json.Marshal(receipts)
	if err != nil {
		return nil, fmt.Errorf("encode receipts: %w", err)
	}
	if _, err := h.Store.hooks.Create(ctx, key, data, jetstream.KeyTTL(rememberedFor)); err != nil && !errors.Is(err, jetstream.ErrKeyExists) {
		return nil, away(err)
	}
	return receipts, nil
}

// recall returns the receipts of a request that came before, nil if none did.
func (h *Hooks) recall(ctx context.Context, key string) ([]tributary.Receipt, error) {
	entry, err := h.Store.hooks.Get(ctx, key)
	if errors.Is(err, jetstream.ErrKeyNotFound) {
		return nil, nil
	}
	if err != nil {
		return nil, away(err)
	}
	receipts := []tributary.Receipt{}
	return receipts, decode(entry, &receipts)
}

// away marks an error of NATS as one that passes.
func away(err error) error { return tributary.Errorf(tributary.CodeUnavailable, "%w", err) }

// publish stores one change and returns its version.
func (h *Hooks) publish(ctx context.Context, kb, name, id string, c push.Change) (uint64, error) {
	for intended := false; ; {
		p, err := h.pen(ctx, kb, name)
		if err != nil {
			return 0, away(err)
		}
		o, err := h.find(ctx, kb, name) // after the fence
		if tributary.CodeOf(err) == tributary.CodeNotFound && intended {
			_ = h.Store.items.Delete(ctx, itemKey(kb, name, c.URI)) // the worker that removed all did not see it
		}
		if err != nil {
			return 0, err
		}
		if c.Op != tributary.OpDelete {
			if err := h.intend(ctx, kb, o.Source, c.URI); err != nil {
				return 0, err
			}
			intended = true
		}
		version, err := p.requestAs(ctx, o.request(id), pushedRequest(kb, o.Source, c))
		if errors.Is(err, errFenced) {
			continue // another worker looks after the source, or removes it
		}
		if err != nil {
			return 0, away(err)
		}
		h.Metrics.request(kb, name, c.Op, len(c.Content))
		return version, h.settle(ctx, kb, name, c, version)
	}
}

// pen returns one that writes until a worker sets a fence.
func (h *Hooks) pen(ctx context.Context, kb, name string) (*pen, error) {
	f := fence{subject: stage.FenceSubject(h.Stage, kb, name)}
	stream, err := h.Store.js.StreamNameBySubject(ctx, f.subject)
	if err != nil {
		return nil, fmt.Errorf("stream of the requests: %w", err)
	}
	s, err := h.Store.js.Stream(ctx, stream)
	if err != nil {
		return nil, fmt.Errorf("stream %s: %w", stream, err)
	}
	msg, err := s.GetLastMsgForSubject(ctx, f.subject)
	if err != nil && !errors.Is(err, jetstream.ErrMsgNotFound) {
		return nil, fmt.Errorf("fence of source %q: %w", name, err)
	}
	if err == nil {
		f.seq = msg.Sequence
	}
	return &pen{js: h.Store.js, blobs: h.Blobs, stage: h.Stage, requests: f}, nil
}

func itemKey(kb, name, uri string) string {
	return sourceKey(kb, name) + "." + tributary.DocumentID(kb, uri)
}

// edit changes what is remembered of a document, by compare-and-set. The
// function gets what there is, and returns false if that may stay.
func (h *Hooks) edit(ctx context.Context, kb, name, uri string, change func(it *item, known bool) (bool, error)) error {
	key := itemKey(kb, name, uri)
	for {
		it, rev := item{Listed: source.Item{URI: uri}}, uint64(0)
		entry, err := h.Store.items.Get(ctx, key)
		switch {
		case err == nil:
			rev, err = entry.Revision(), decode(entry, &it)
		case errors.Is(err, jetstream.ErrKeyNotFound):
			err = nil
		}
		if err != nil {
			return away(err)
		}
		if ok, err := change(&it, rev > 0); !ok || err != nil {
			return err
		}
		data, err := json.Marshal(it)
		if err != nil {
			return fmt.Errorf("encode %s: %w", key, err)
		}
		switch {
		case rev == 0:
			_, err = h.Store.items.Create(ctx, key, data)
		case it.URI == "": // a deletion is remembered until no older request can be under way
			_, err = h.Store.js.Publish(ctx, "$KV."+ItemsBucket+"."+key, data, jetstream.WithMsgTTL(markerTTL), jetstream.WithExpectLastSequencePerSubject(rev))
		default:
			_, err = h.Store.items.Update(ctx, key, data, rev)
		}
		if isFenced(err) || errors.Is(err, jetstream.ErrKeyExists) {
			continue // somebody else was faster
		}
		if err != nil {
			return away(err)
		}
		return nil
	}
}

// intend remembers a document before it is published for the first time.
func (h *Hooks) intend(ctx context.Context, kb string, src tributary.Source, uri string) error {
	return h.edit(ctx, kb, src.Name, uri, func(it *item, _ bool) (bool, error) {
		if it.URI != "" {
			return false, nil
		}
		st, err := h.Store.state(ctx, kb, src.Name)
		if err != nil {
			return false, away(err)
		}
		if limit := limitOf(src, h.Config); st.Documents >= limit {
			return false, tributary.Errorf(tributary.CodeTooLarge, "%q was left out, the limit is %d (max_documents of the source, or sources.max_documents)", uri, limit)
		}
		it.URI = uri
		return true, nil
	})
}

// settle remembers the newest version of a document. What is not remembered at
// all was never there, or is removed with the source.
func (h *Hooks) settle(ctx context.Context, kb, name string, c push.Change, version uint64) error {
	return h.edit(ctx, kb, name, c.URI, func(it *item, known bool) (bool, error) {
		if !known || it.Version >= version {
			return false, nil
		}
		it.Version, it.URI, it.Verified = version, c.URI, time.Now().UTC()
		if c.Op == tributary.OpDelete {
			it.URI = ""
		}
		return true, nil
	})
}

// A refusal is written down for the worker that looks after the source.
type refusal struct {
	At     time.Time `json:"at"`
	Reason string    `json:"reason"`
}

// Refused implements push.Hooks. Of many only one a second is written down:
// anybody can send nonsense.
func (h *Hooks) Refused(ctx context.Context, kb, name, reason string) {
	key, now := sourceKey(kb, name), time.Now().UTC()
	h.mu.Lock()
	if h.refused == nil {
		h.refused = map[string]time.Time{}
	}
	again := now.Sub(h.refused[key]) < refusedPause
	if !again {
		h.refused[key] = now
	}
	h.mu.Unlock()
	if again {
		return
	}
	data, err := json.Marshal(refusal{now, reason})
	if err == nil {
		_, _ = h.Store.items.Put(ctx, key+"."+refusedToken, data) // the sender is told in any case
	}
}
