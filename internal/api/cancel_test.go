package api_test

import (
	"context"
	"errors"
	"strings"
	"testing"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/micro"

	"github.com/tributary-kb/tributary"
	"github.com/tributary-kb/tributary/internal/api"
)

// writing answers with one word and then waits until it is told to stop; gone
// gets what its context says then.
func writing(gone chan<- error) api.Answers {
	return api.Answers{Ask: func(ctx context.Context, _ string, _ tributary.AskRequest, emit func(tributary.AskEvent) error) error {
		if err := emit(tributary.AskEvent{Delta: "word "}); err != nil {
			return err
		}
		<-ctx.Done()
		gone <- ctx.Err()
		return ctx.Err()
	}}
}

func TestAClientThatIsInterruptedStopsTheService(t *testing.T) {
	gone := make(chan error, 1)
	nc := answers(t, writing(gone))
	ctx, cancel := context.WithCancel(t.Context())
	err := api.NewClient(nc, "kb").Ask(ctx, tributary.AskRequest{}, func(tributary.AskEvent) error { cancel(); return nil })
	if !errors.Is(err, context.Canceled) {
		t.Errorf("got %v, want context.Canceled", err)
	}
	if err := <-gone; !errors.Is(err, context.Canceled) {
		t.Errorf("the service saw %v", err)
	}
}

func TestAClientThatReadsNoFurtherStopsTheService(t *testing.T) {
	gone := make(chan error, 1)
	nc := answers(t, writing(gone))
	enough := errors.New("enough")
	err := api.NewClient(nc, "kb").Ask(t.Context(), tributary.AskRequest{}, func(tributary.AskEvent) error { return enough })
	if !errors.Is(err, enough) {
		t.Errorf("got %v, want %v", err, enough)
	}
	if err := <-gone; !errors.Is(err, context.Canceled) {
		t.Errorf("the service saw %v", err)
	}
}

func TestARequestThatIsCancelledEndsWithACodeOfItsOwn(t *testing.T) {
	gone := make(chan error, 1)
	nc := answers(t, writing(gone))
	msg := nats.NewMsg(api.Subject("kb", api.VerbAsk))
	msg.Reply = nc.NewInbox()
	inbox := nc.NewInbox()
	msg.Header.Set(api.HeaderCancel, inbox)
	sub, err := nc.SubscribeSync(msg.Reply)
	check(t, err)
	check(t, nc.PublishMsg(msg))
	_, err = sub.NextMsgWithContext(t.Context()) // the first word: it is at work
	check(t, err)
	_, err = nc.RequestWithContext(t.Context(), inbox, nil)
	check(t, err)
	if err := <-gone; !errors.Is(err, context.Canceled) {
		t.Errorf("the service saw %v", err)
	}
	m, err := sub.NextMsgWithContext(t.Context())
	check(t, err)
	if code := m.Header.Get(micro.ErrorCodeHeader); code != string(tributary.CodeCancelled) {
		t.Errorf("code %q, want %s", code, tributary.CodeCancelled)
	}
}

func TestACancelSubjectIsAnInbox(t *testing.T) {
	nc := answers(t, api.Answers{})
	for _, subject := range []string{"_INBOX.*", "_INBOX.>", "$SYS.x", "tributary.kb.ask", "tributary-ingest.x", "a b", ".a", "a..b", "a."} {
		msg := nats.NewMsg(api.Subject("kb", api.VerbSearch))
		msg.Header.Set(api.HeaderCancel, subject)
		reply, err := nc.RequestMsgWithContext(t.Context(), msg)
		check(t, err)
		if text := reply.Header.Get(micro.ErrorHeader); !strings.Contains(text, "is not an inbox") {
			t.Errorf("%q: %q", subject, text)
		}
	}
}

func TestForgetNamesOneConversation(t *testing.T) {
	var forgotten string
	nc := answers(t, api.Answers{Forget: func(_ context.Context, kb, id string) error { forgotten = kb + "/" + id; return nil }})
	c := api.NewClient(nc, "kb")
	rep, err := c.Forget(t.Context(), tributary.ForgetRequest{Conversation: "c-12345678"})
	check(t, err)
	if forgotten != "kb/c-12345678" || rep.Conversation != "c-12345678" {
		t.Errorf("forgot %s, reply %+v", forgotten, rep)
	}
	if _, err := c.Forget(t.Context(), tributary.ForgetRequest{Conversation: ">"}); tributary.CodeOf(err) != tributary.CodeInvalid {
		t.Errorf("got %v, want it refused", err)
	}
}
