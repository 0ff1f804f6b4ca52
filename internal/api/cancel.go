package api

import (
	"context"
	"errors"
	"strings"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/micro"

	"github.com/tributary-kb/tributary"
)

// How a client that goes away says so: it asks a few times, because its
// request may not have reached a service yet, and not for long.
const (
	leaveTries  = 3
	leavePause  = 20 * time.Millisecond
	leaveWithin = time.Second
)

// errLeft is the cause of a context that its client has cancelled.
var errLeft = errors.New("the client went away")

// followed returns a context that also ends when the client of m says on the
// subject of the header Tributary-Cancel that it went away. NATS itself tells
// a service nothing of the kind. end gives the subscription back.
func (s *Service) followed(ctx context.Context, m micro.Request) (followed context.Context, end func(), err error) {
	subject := m.Headers().Get(HeaderCancel)
	if subject == "" {
		return ctx, func() {}, nil
	}
	if err := checkCancel(subject); err != nil {
		return nil, nil, err
	}
	ctx, cancel := context.WithCancelCause(ctx)
	sub, err := s.nc.Subscribe(subject, func(msg *nats.Msg) {
		cancel(errLeft)
		if msg.Reply != "" { // so that the client need not say it again
			_ = msg.Respond(nil)
		}
	})
	if err != nil {
		cancel(nil)
		return nil, nil, err
	}
	return ctx, func() { _ = sub.Unsubscribe(); cancel(nil) }, nil
}

// checkCancel refuses subjects that are not the client's own to listen on.
func checkCancel(subject string) error {
	strange := strings.ContainsAny(subject, "*> \t\r\n") || strings.HasPrefix(subject, ".") || strings.HasSuffix(subject, ".") || strings.Contains(subject, "..")
	if strange || strings.HasPrefix(subject, "$") || strings.HasPrefix(subject, "tributary") {
		return tributary.Errorf(tributary.CodeInvalid, "header %s: %q is not an inbox", HeaderCancel, subject)
	}
	return nil
}

// leave tells the service that nobody waits for the reply any more.
func (c *Client) leave(ctx context.Context, subject string) {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), leaveWithin)
	defer cancel()
	for range leaveTries {
		if _, err := c.nc.RequestWithContext(ctx, subject, nil); !errors.Is(err, nats.ErrNoResponders) {
			return
		}
		if rest(ctx, leavePause) != nil {
			return
		}
	}
}
