package follow

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"
	"github.com/nats-io/nuid"

	"github.com/tributary-kb/tributary"
	"github.com/tributary-kb/tributary/internal/stage"
)

// errFenced is returned for a write after another owner has set its fence.
var errFenced = errors.New("another worker has taken the source over")

// fullPause is how long a request waits before it tries a full stream again.
const fullPause = 250 * time.Millisecond

// A fence lets messages into one stream while it is the last on its subject.
type fence struct {
	subject string
	seq     uint64
}

func (f fence) holds() jetstream.PublishOpt {
	return jetstream.WithExpectLastSequenceForSubject(f.seq, f.subject)
}

// A pen writes for one owner, until another one has set its fences.
type pen struct {
	js       jetstream.JetStream
	blobs    jetstream.ObjectStore
	stage    string // whose input the requests are
	prefix   string // of the subjects of what is remembered
	requests fence
	memory   fence
}

// takeOver sets the fences of a new owner. What it returns may write, and who
// wrote before may not any more.
func (s *Store) takeOver(ctx context.Context, blobs jetstream.ObjectStore, stageName, kb, name, owner string) (*pen, error) {
	p := &pen{js: s.js, blobs: blobs, stage: stageName, prefix: "$KV." + ItemsBucket + "." + sourceKey(kb, name) + "."}
	p.requests.subject = stage.FenceSubject(stageName, kb, name)
	p.memory.subject = p.prefix + fenceToken
	for _, f := range []*fence{&p.requests, &p.memory} {
		ack, err := s.js.Publish(ctx, f.subject, []byte(owner))
		if err != nil {
			return nil, fmt.Errorf("fence of source %q: %w", name, err)
		}
		f.seq = ack.Sequence
	}
	return p, nil
}

// request stores a request and returns its version. It waits while the stream
// is full, and returns errFenced if the source has another owner.
func (p *pen) request(ctx context.Context, req tributary.Request) (uint64, error) {
	return p.requestAs(ctx, "request:"+nuid.Next(), req)
}

// requestAs is request under an id: what was stored under it before, lately, is
// not stored again.
func (p *pen) requestAs(ctx context.Context, id string, req tributary.Request) (uint64, error) {
	msg, err := stage.Encode(ctx, p.blobs, stage.Subject(p.stage, req.Head), id, req)
	if err != nil {
		return 0, err
	}
	stage.InjectTrace(ctx, msg.Header)
	for {
		ack, err := p.js.PublishMsg(ctx, msg, p.requests.holds())
		switch {
		case err == nil:
			return ack.Sequence, nil
		case isFenced(err):
			return 0, errFenced
		case !stage.IsFull(err):
			return 0, fmt.Errorf("publish %q: %w", req.URI, err)
		}
		select {
		case <-ctx.Done():
			return 0, ctx.Err()
		case <-time.After(fullPause):
		}
	}
}

// remember stores what is known under the last token of a key.
func (p *pen) remember(ctx context.Context, token string, v any) error {
	data, err := json.Marshal(v)
	if err != nil {
		return fmt.Errorf("encode %s: %w", token, err)
	}
	return p.write(ctx, &nats.Msg{Subject: p.prefix + token, Data: data})
}

// forget deletes what is known.
func (p *pen) forget(ctx context.Context, token string) error {
	msg := nats.NewMsg(p.prefix + token)
	msg.Header.Set("KV-Operation", "PURGE")
	msg.Header.Set(jetstream.MsgRollup, jetstream.MsgRollupSubject)
	return p.write(ctx, msg, jetstream.WithMsgTTL(markerTTL))
}

func (p *pen) write(ctx context.Context, msg *nats.Msg, opts ...jetstream.PublishOpt) error {
	_, err := p.js.PublishMsg(ctx, msg, append(opts, p.memory.holds())...)
	if isFenced(err) {
		return errFenced
	}
	if err != nil {
		return fmt.Errorf("remember %s: %w", msg.Subject, err)
	}
	return nil
}

// isFenced reports whether the server refused a message because the last
// sequence number is another one than it demands.
func isFenced(err error) bool {
	var api *jetstream.APIError
	return errors.As(err, &api) && api.ErrorCode == jetstream.JSErrCodeStreamWrongLastSequence
}
