package api

import (
	"context"
	"errors"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"
	"github.com/nats-io/nuid"

	"github.com/tributary-kb/tributary"
	"github.com/tributary-kb/tributary/internal/stage"
)

// Intake accepts changes: it turns requests of the protocol into messages of
// the request stream and answers with receipts.
type Intake struct {
	JS       jetstream.JetStream
	Blobs    jetstream.ObjectStore
	MaxBytes int64  // of a document's content
	Stage    string // whose input the requests are
}

// ServeIntake answers add and rm.
func ServeIntake(nc *nats.Conn, cfg Config, in *Intake) (*Service, error) {
	s, err := newService(nc, cfg)
	if err != nil {
		return nil, err
	}
	err = errors.Join(
		plain(s, VerbAdd, in.Add),
		plain(s, VerbRemove, in.Remove),
	)
	if err != nil {
		return nil, errors.Join(err, s.micro.Stop())
	}
	return s, nil
}

// Add accepts a document. When it returns, the request is stored.
func (in *Intake) Add(ctx context.Context, kb string, add tributary.AddRequest) (tributary.Receipt, error) {
	req, err := in.request(ctx, kb, add)
	if err != nil {
		return tributary.Receipt{}, err
	}
	return in.accept(ctx, req)
}

// Remove accepts a deletion, of a document that exists or not.
func (in *Intake) Remove(ctx context.Context, kb string, rm tributary.RemoveRequest) (tributary.Receipt, error) {
	head, err := headOf(kb, rm.URI, rm.Lane)
	if err != nil {
		return tributary.Receipt{}, err
	}
	return in.accept(ctx, tributary.Request{Head: head, Op: tributary.OpDelete})
}

// Replay accepts a request to index the kept version of a document again.
func (in *Intake) Replay(ctx context.Context, kb, uri string) (tributary.Receipt, error) {
	head, err := headOf(kb, uri, tributary.LaneBulk)
	if err != nil {
		return tributary.Receipt{}, err
	}
	return in.accept(ctx, tributary.Request{Head: head, Op: tributary.OpReplay})
}

func headOf(kb, uri string, l tributary.Lane) (tributary.Head, error) {
	if err := tributary.CheckKB(kb); err != nil {
		return tributary.Head{}, tributary.Errorf(tributary.CodeInvalid, "%w", err)
	}
	if err := tributary.CheckURI(uri); err != nil {
		return tributary.Head{}, tributary.Errorf(tributary.CodeInvalid, "%w", err)
	}
	l, err := lane(l)
	if err != nil {
		return tributary.Head{}, err
	}
	return tributary.Head{KB: kb, URI: uri, Document: tributary.DocumentID(kb, uri), Lane: l}, nil
}

// request checks an AddRequest and makes the message of it.
func (in *Intake) request(ctx context.Context, kb string, add tributary.AddRequest) (tributary.Request, error) {
	head, err := headOf(kb, add.URI, add.Lane)
	if err != nil {
		return tributary.Request{}, err
	}
	req := tributary.Request{Head: head, Attributes: add.Attributes, Op: tributary.OpPut}
	given := 0
	if add.Text != "" {
		given++
		req.Content = []byte(add.Text)
		if req.ContentType == "" {
			req.ContentType = "text/plain"
		}
	}
	if add.Content != nil {
		given++
		req.Content = add.Content
	}
	if add.ContentRef != "" {
		given++
		if err := in.checkRef(ctx, add.ContentRef); err != nil {
			return req, err
		}
		req.ContentRef = add.ContentRef
	}
	if add.Fetch {
		given++
		if err := tributary.CheckFetch(add.URI); err != nil {
			return req, tributary.Errorf(tributary.CodeInvalid, "%w", err)
		}
		req.Op = tributary.OpFetch
	}
	if given == 0 {
		return req, tributary.Errorf(tributary.CodeInvalid, "%q: the document has no content: give text, content, content_ref or fetch", add.URI)
	}
	if given > 1 {
		return req, tributary.Errorf(tributary.CodeInvalid, "%q: give only one of text, content, content_ref and fetch", add.URI)
	}
	if n := int64(len(req.Content)); n > in.MaxBytes {
		return req, tributary.Errorf(tributary.CodeTooLarge, "%q: %d bytes, the limit is %d (ingest.max_bytes)", add.URI, n, in.MaxBytes)
	}
	return req, nil
}

func (in *Intake) checkRef(ctx context.Context, ref string) error {
	info, err := in.Blobs.GetInfo(ctx, ref)
	if errors.Is(err, jetstream.ErrObjectNotFound) {
		return tributary.Errorf(tributary.CodeNotFound, "content_ref %q: no such object in the blob store", ref)
	}
	if err != nil {
		return err
	}
	if int64(info.Size) > in.MaxBytes {
		return tributary.Errorf(tributary.CodeTooLarge, "content_ref %q: %d bytes, the limit is %d (ingest.max_bytes)", ref, info.Size, in.MaxBytes)
	}
	return nil
}

// accept stores a request; its place in the stream is the version.
func (in *Intake) accept(ctx context.Context, req tributary.Request) (tributary.Receipt, error) {
	req.Accepted = time.Time{} // the stream's time counts
	msg, err := stage.Encode(ctx, in.Blobs, stage.Subject(in.Stage, req.Head), "request:"+nuid.Next(), req)
	if err != nil {
		return tributary.Receipt{}, err
	}
	stage.InjectTrace(ctx, msg.Header)
	ack, err := in.JS.PublishMsg(ctx, msg)
	if stage.IsFull(err) {
		return tributary.Receipt{}, tributary.Errorf(tributary.CodeBusy,
			"%q: the request stream is full (nats.max_stage_bytes); workers have to catch up, try again", req.URI)
	}
	if err != nil {
		return tributary.Receipt{}, tributary.Errorf(tributary.CodeUnavailable, "%q was not accepted: %w", req.URI, err)
	}
	return tributary.Receipt{URI: req.URI, Document: req.Document, Version: ack.Sequence}, nil
}
