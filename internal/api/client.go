package api

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"strconv"
	"strings"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"
	"github.com/nats-io/nats.go/micro"
	"github.com/nats-io/nuid"

	"github.com/tributary-kb/tributary"
	"github.com/tributary-kb/tributary/internal/stage"
)

// inlineContent is the largest content, in bytes, that travels in a request;
// larger ones go to the blob store first.
const inlineContent = 256 << 10

// blobBucket is the object store that content_ref refers to.
const blobBucket = "tributary-blobs"

// busyMax bounds the pause before a busy service is asked again.
const busyMax = 5 * time.Second

// A Client asks a running system. Its methods return *tributary.Error for
// errors that the system sent, with their code; CodeUnavailable if nobody
// answers. Each waits until its context ends.
type Client struct {
	nc *nats.Conn
	kb string
}

// NewClient returns a client for one knowledge base.
func NewClient(nc *nats.Conn, kb string) *Client { return &Client{nc: nc, kb: kb} }

// Add publishes a document and returns its receipt. While the system is too
// busy to accept it, Add waits.
func (c *Client) Add(ctx context.Context, req tributary.AddRequest) (tributary.Receipt, error) {
	if len(req.Content) > inlineContent {
		ref, err := c.PutBlob(ctx, req.Content)
		if err != nil {
			return tributary.Receipt{}, fmt.Errorf("add %q: %w", req.URI, err)
		}
		req.Content, req.ContentRef = nil, ref
	}
	return patiently(ctx, func() (tributary.Receipt, error) {
		return call[tributary.Receipt](ctx, c, c.kb, VerbAdd, req)
	})
}

// Remove takes a document out of answers and returns the receipt.
func (c *Client) Remove(ctx context.Context, req tributary.RemoveRequest) (tributary.Receipt, error) {
	return patiently(ctx, func() (tributary.Receipt, error) {
		return call[tributary.Receipt](ctx, c, c.kb, VerbRemove, req)
	})
}

// PutBlob stores content for one AddRequest and returns its content_ref.
func (c *Client) PutBlob(ctx context.Context, content []byte) (string, error) {
	js, err := jetstream.New(c.nc)
	if err != nil {
		return "", err
	}
	blobs, err := js.ObjectStore(ctx, blobBucket)
	if err != nil {
		return "", fmt.Errorf("blob store: %w", err)
	}
	ref := "content." + c.kb + "." + nuid.Next()
	if _, err := blobs.Put(ctx, jetstream.ObjectMeta{Name: ref}, bytes.NewReader(content)); err != nil {
		return "", fmt.Errorf("store content: %w", err)
	}
	return ref, nil
}

// Search returns the passages that fit a query best.
func (c *Client) Search(ctx context.Context, req tributary.SearchRequest) (tributary.SearchReply, error) {
	return call[tributary.SearchReply](ctx, c, c.kb, VerbSearch, req)
}

// Show returns everything about one document.
func (c *Client) Show(ctx context.Context, req tributary.ShowRequest) (tributary.ShowReply, error) {
	return call[tributary.ShowReply](ctx, c, c.kb, VerbShow, req)
}

// Status returns the state of the system.
func (c *Client) Status(ctx context.Context) (tributary.StatusReply, error) {
	return call[tributary.StatusReply](ctx, c, SystemKB, VerbStatus, struct{}{})
}

// Ask streams an answer to fn.
func (c *Client) Ask(ctx context.Context, req tributary.AskRequest, fn func(tributary.AskEvent) error) error {
	return stream(ctx, c, VerbAsk, req, fn)
}

// Forget deletes a conversation.
func (c *Client) Forget(ctx context.Context, req tributary.ForgetRequest) (tributary.ForgetReply, error) {
	return call[tributary.ForgetReply](ctx, c, c.kb, VerbForget, req)
}

// List calls fn with the documents, in order of URI.
func (c *Client) List(ctx context.Context, req tributary.ListRequest, fn func(tributary.Item) error) error {
	return stream(ctx, c, VerbList, req, fn)
}

// Verify calls fn with what the comparison of registry and index finds.
func (c *Client) Verify(ctx context.Context, req tributary.VerifyRequest, fn func(tributary.Finding) error) error {
	return stream(ctx, c, VerbVerify, req, fn)
}

// Reindex builds the index of the knowledge base anew, and calls fn with the
// receipt of every document that is published again.
func (c *Client) Reindex(ctx context.Context, fn func(tributary.Receipt) error) error {
	return stream(ctx, c, VerbReindex, tributary.ReindexRequest{}, fn)
}

// Wait calls fn with each version as it settles, and returns when all have.
// When a service ends in the middle, another is asked for the rest.
func (c *Client) Wait(ctx context.Context, ats []tributary.At, fn func(tributary.Settled) error) error {
	open := map[string]tributary.At{}
	for _, at := range ats {
		if at.Document == "" {
			at.Document = tributary.DocumentID(c.kb, at.URI)
		}
		if at.Version >= open[at.Document].Version {
			open[at.Document] = at
		}
	}
	return c.waitFor(ctx, open, fn)
}

func (c *Client) waitFor(ctx context.Context, open map[string]tributary.At, fn func(tributary.Settled) error) error {
	pause := 50 * time.Millisecond
	for len(open) > 0 {
		req := tributary.WaitRequest{}
		for _, at := range open {
			if req.Documents = append(req.Documents, at); len(req.Documents) == maxWaited {
				break
			}
		}
		before := len(open)
		var stop error
		err := stream(ctx, c, VerbWait, req, func(s tributary.Settled) error {
			delete(open, s.Document)
			stop = fn(s)
			return stop
		})
		if stop != nil || ctx.Err() != nil {
			return errors.Join(stop, ctx.Err())
		}
		if len(open) < before {
			pause = 50 * time.Millisecond
		}
		switch tributary.CodeOf(err) {
		case tributary.CodeUnavailable, tributary.CodeBusy, tributary.CodeNotYet, tributary.CodeDeadline:
			if err := rest(ctx, pause); err != nil {
				return err
			}
			pause = min(2*pause, busyMax)
		default:
			if err != nil {
				return err
			}
		}
	}
	return nil
}

// patiently repeats do for as long as the system says that it is busy.
func patiently[Rep any](ctx context.Context, do func() (Rep, error)) (Rep, error) {
	for pause := 50 * time.Millisecond; ; pause = min(2*pause, busyMax) {
		rep, err := do()
		if err == nil || tributary.CodeOf(err) != tributary.CodeBusy {
			return rep, err
		}
		if rest(ctx, pause) != nil {
			return rep, err
		}
	}
}

func rest(ctx context.Context, d time.Duration) error {
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-ctx.Done():
		return ctx.Err()
	case <-t.C:
		return nil
	}
}

func (c *Client) message(ctx context.Context, kb, verb string, req any) (*nats.Msg, error) {
	data, err := json.Marshal(req)
	if err != nil {
		return nil, fmt.Errorf("encode request: %w", err)
	}
	if most := c.nc.MaxPayload(); int64(len(data)) > most {
		return nil, tributary.Errorf(tributary.CodeTooLarge, "the request has %d bytes, a message of this NATS server at most %d (max_payload)", len(data), most)
	}
	msg := nats.NewMsg(Subject(kb, verb))
	msg.Data = data
	if deadline, ok := ctx.Deadline(); ok {
		msg.Header.Set(HeaderTimeout, strconv.FormatInt(max(time.Until(deadline).Milliseconds(), 1), 10))
	}
	stage.InjectTrace(ctx, msg.Header)
	return msg, nil
}

func call[Rep any](ctx context.Context, c *Client, kb, verb string, req any) (Rep, error) {
	var rep Rep
	msg, err := c.message(ctx, kb, verb, req)
	if err != nil {
		return rep, err
	}
	if _, ok := ctx.Deadline(); !ok {
		var cancel context.CancelFunc
		ctx, cancel = context.WithTimeout(ctx, DefaultTimeout+time.Second) // the service answers first
		defer cancel()
	}
	reply, err := c.nc.RequestMsgWithContext(ctx, msg)
	if err != nil {
		return rep, nobody(verb, err)
	}
	if err := serviceError(reply); err != nil {
		return rep, err
	}
	if err := json.Unmarshal(reply.Data, &rep); err != nil {
		return rep, fmt.Errorf("reply to %s: %w", verb, err)
	}
	return rep, nil
}

// stream sends a request and calls fn with each message of the reply. Where
// the client stops before the reply ends, it tells the service.
func stream[Rep any](ctx context.Context, c *Client, verb string, req any, fn func(Rep) error) error {
	msg, err := c.message(ctx, c.kb, verb, req)
	if err != nil {
		return err
	}
	if _, ok := ctx.Deadline(); !ok {
		msg.Header.Set(HeaderTimeout, strconv.FormatInt(MaxTimeout.Milliseconds(), 10))
	}
	msg.Reply = c.nc.NewRespInbox()
	cancel := c.nc.NewInbox()
	msg.Header.Set(HeaderCancel, cancel)
	sub, err := c.nc.SubscribeSync(msg.Reply)
	if err != nil {
		return fmt.Errorf("subscribe to the reply: %w", err)
	}
	defer func() { _ = sub.Unsubscribe() }()
	if err := c.nc.PublishMsg(msg); err != nil {
		return fmt.Errorf("ask for %s: %w", verb, err)
	}
	for want := uint64(1); ; want++ {
		m, err := nextFrame(ctx, sub)
		if err != nil {
			if errors.Is(ctx.Err(), context.Canceled) { // a deadline the service knows
				c.leave(ctx, cancel)
			}
			return nobody(verb, err)
		}
		if err := serviceError(m); err != nil {
			return err
		}
		if seq := m.Header.Get(HeaderSeq); seq != strconv.FormatUint(want, 10) {
			return tributary.Errorf(tributary.CodeUnavailable, "the reply to %s has a gap: message %s where %d was due", verb, seq, want)
		}
		switch m.Header.Get(HeaderFrame) {
		case frameEnd:
			return nil
		case frameIdle:
			continue
		}
		var rep Rep
		if err := json.Unmarshal(m.Data, &rep); err != nil {
			return fmt.Errorf("reply to %s: %w", verb, err)
		}
		if err := fn(rep); err != nil {
			c.leave(ctx, cancel)
			return err
		}
	}
}

// nextFrame waits for the next message of a reply; a service that sends none,
// not even an idle one, is dead.
func nextFrame(ctx context.Context, sub *nats.Subscription) (*nats.Msg, error) {
	ctx, cancel := context.WithTimeoutCause(ctx, stallAfter, errStalled)
	defer cancel()
	m, err := sub.NextMsgWithContext(ctx)
	if err != nil && errors.Is(context.Cause(ctx), errStalled) {
		return nil, errStalled
	}
	return m, err
}

var errStalled = errors.New("the service fell silent")

func serviceError(m *nats.Msg) error {
	code := m.Header.Get(micro.ErrorCodeHeader)
	if code == "" {
		return nil
	}
	return remoteError(code, m.Header.Get(micro.ErrorHeader))
}

// nobody explains an error of the connection.
func nobody(verb string, err error) error {
	if errors.Is(err, nats.ErrNoResponders) {
		service := "query"
		switch {
		case verb == VerbAdd || verb == VerbRemove:
			service = "ingest"
		case strings.HasPrefix(verb, "source-"):
			service = "source"
		}
		return tributary.Errorf(tributary.CodeUnavailable, "nobody answers %s requests: start `tributary up`, or `tributary worker %s` on this NATS", verb, service)
	}
	if errors.Is(err, errStalled) || errors.Is(err, nats.ErrConnectionClosed) || errors.Is(err, nats.ErrDisconnected) {
		return tributary.Errorf(tributary.CodeUnavailable, "%s: %w", verb, err)
	}
	if errors.Is(err, context.DeadlineExceeded) {
		return tributary.Errorf(tributary.CodeDeadline, "%s: no answer in time: %w", verb, err)
	}
	return err
}
