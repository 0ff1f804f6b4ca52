package api_test

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"
	"github.com/nats-io/nats.go/micro"
	"github.com/prometheus/client_golang/prometheus"

	"github.com/tributary-kb/tributary"
	"github.com/tributary-kb/tributary/internal/api"
	"github.com/tributary-kb/tributary/internal/stage"
	"github.com/tributary-kb/tributary/internal/testenv"
)

func check(t testing.TB, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

func config(name string) api.Config {
	return api.Config{Name: name, Version: "1.0.0", Log: slog.New(slog.DiscardHandler), Metrics: prometheus.NewRegistry(), Concurrency: 16}
}

// intake starts the service that accepts documents, with a request stream
// behind it that holds at most maxMsgs.
func intake(t *testing.T, maxMsgs int64) (*nats.Conn, jetstream.Stream) {
	t.Helper()
	nc := testenv.NATS(t)
	js, err := jetstream.New(nc)
	check(t, err)
	s, err := js.CreateStream(t.Context(), jetstream.StreamConfig{
		Name: "requests", Subjects: []string{stage.Filter("ingest")}, Retention: jetstream.WorkQueuePolicy,
		Discard: jetstream.DiscardNew, MaxMsgsPerSubject: 1, MaxMsgs: maxMsgs,
	})
	check(t, err)
	blobs, err := js.CreateObjectStore(t.Context(), jetstream.ObjectStoreConfig{Bucket: "tributary-blobs"})
	check(t, err)
	service, err := api.ServeIntake(nc, config("tributary-ingest"), &api.Intake{JS: js, Blobs: blobs, MaxBytes: 1 << 20, Stage: "ingest"})
	check(t, err)
	t.Cleanup(func() { check(t, service.Close(t.Context())) })
	return nc, s
}

func TestAddStoresTheRequestAndReturnsItsVersion(t *testing.T) {
	nc, s := intake(t, -1)
	c := api.NewClient(nc, "kb")
	for want := uint64(1); want <= 2; want++ {
		got, err := c.Add(t.Context(), tributary.AddRequest{URI: "file:///a", Text: fmt.Sprint("text ", want)})
		check(t, err)
		if got.Version != want || got.Document != tributary.DocumentID("kb", "file:///a") {
			t.Errorf("receipt %+v, want version %d", got, want)
		}
	}
	if info, err := s.Info(t.Context()); err != nil || info.State.Msgs != 1 {
		t.Errorf("%d requests wait, want the newest alone (%v)", info.State.Msgs, err)
	}
}

func TestAddKeepsLargeContentOutOfTheStream(t *testing.T) {
	nc, s := intake(t, -1)
	content := []byte(strings.Repeat("x", 600<<10))
	r, err := api.NewClient(nc, "kb").Add(t.Context(), tributary.AddRequest{URI: "big", Content: content})
	check(t, err)
	msg, err := s.GetMsg(t.Context(), r.Version)
	check(t, err)
	if len(msg.Data) > 4096 {
		t.Errorf("the request has %d bytes", len(msg.Data))
	}
	var req tributary.Request
	check(t, stage.Decode(t.Context(), nil, msg.Header, msg.Data, &req))
	if req.ContentRef == "" || req.Content != nil {
		t.Errorf("request %+v", req)
	}
}

func TestAddRefuses(t *testing.T) {
	nc, _ := intake(t, -1)
	for name, tt := range map[string]struct {
		kb   string
		add  tributary.AddRequest
		code tributary.Code
		text string
	}{
		"no uri":           {"kb", tributary.AddRequest{Text: "x"}, tributary.CodeInvalid, "no uri"},
		"no content":       {"kb", tributary.AddRequest{URI: "a"}, tributary.CodeInvalid, "no content"},
		"two contents":     {"kb", tributary.AddRequest{URI: "a", Text: "x", Content: []byte("y")}, tributary.CodeInvalid, "only one of"},
		"a file to fetch":  {"kb", tributary.AddRequest{URI: "file:///etc/passwd", Fetch: true}, tributary.CodeInvalid, "only http and https"},
		"an unknown lane":  {"kb", tributary.AddRequest{URI: "a", Text: "x", Lane: "fast"}, tributary.CodeInvalid, `lane "fast"`},
		"a bad kb":         {"KB!", tributary.AddRequest{URI: "a", Text: "x"}, tributary.CodeInvalid, `"KB!"`},
		"too much content": {"kb", tributary.AddRequest{URI: "a", Content: make([]byte, 2<<20)}, tributary.CodeTooLarge, "ingest.max_bytes"},
		"a lost blob":      {"kb", tributary.AddRequest{URI: "a", ContentRef: "nowhere"}, tributary.CodeNotFound, `"nowhere"`},
	} {
		t.Run(name, func(t *testing.T) {
			_, err := api.NewClient(nc, tt.kb).Add(t.Context(), tt.add)
			if tributary.CodeOf(err) != tt.code || !strings.Contains(fmt.Sprint(err), tt.text) {
				t.Errorf("got code %s, %v; want %s with %q", tributary.CodeOf(err), err, tt.code, tt.text)
			}
		})
	}
}

func TestAddWaitsWhileTheStreamIsFull(t *testing.T) {
	nc, s := intake(t, 1)
	c := api.NewClient(nc, "kb")
	_, err := c.Add(t.Context(), tributary.AddRequest{URI: "a", Text: "x"})
	check(t, err)
	full, err := nc.SubscribeSync("_INBOX.>") // the refusal passes here
	check(t, err)
	added := make(chan error, 1)
	go func() {
		_, err := c.Add(t.Context(), tributary.AddRequest{URI: "b", Text: "x"})
		added <- err
	}()
	for {
		msg, err := full.NextMsgWithContext(t.Context())
		check(t, err)
		if msg.Header.Get(micro.ErrorCodeHeader) == string(tributary.CodeBusy) {
			break
		}
	}
	check(t, s.Purge(t.Context()))
	check(t, <-added)
}

func TestNobodyAnswers(t *testing.T) {
	nc := testenv.NATS(t)
	_, err := api.NewClient(nc, "kb").Search(t.Context(), tributary.SearchRequest{Query: "x"})
	if tributary.CodeOf(err) != tributary.CodeUnavailable || !strings.Contains(err.Error(), "tributary worker query") {
		t.Errorf("got %v, want an error that says what to start", err)
	}
}

// answers starts a query service over a, whose other functions do nothing.
func answers(t *testing.T, a api.Answers) *nats.Conn {
	t.Helper()
	if a.List == nil {
		a.List = func(context.Context, string, func(tributary.Record) error) error { return nil }
	}
	if a.Pending == nil {
		a.Pending = func(context.Context, string) ([]tributary.Head, error) { return nil, nil }
	}
	nc := testenv.NATS(t)
	service, err := api.ServeAnswers(nc, config("tributary-query"), a)
	check(t, err)
	t.Cleanup(func() { check(t, service.Close(t.Context())) })
	return nc
}

func TestAskStreamsInOrder(t *testing.T) {
	const parts = 500
	nc := answers(t, api.Answers{Ask: func(_ context.Context, _ string, req tributary.AskRequest, emit func(tributary.AskEvent) error) error {
		for i := range parts {
			if err := emit(tributary.AskEvent{Delta: fmt.Sprint(i, " ")}); err != nil {
				return err
			}
		}
		return emit(tributary.AskEvent{Answer: &tributary.Answer{Answer: req.Question}})
	}})
	var got, want strings.Builder
	var whole *tributary.Answer
	check(t, api.NewClient(nc, "kb").Ask(t.Context(), tributary.AskRequest{Question: "q"}, func(e tributary.AskEvent) error {
		got.WriteString(e.Delta)
		whole = e.Answer
		return nil
	}))
	for i := range parts {
		fmt.Fprint(&want, i, " ")
	}
	if got.String() != want.String() || whole == nil || whole.Answer != "q" {
		t.Errorf("got %.60q..., whole %+v", got.String(), whole)
	}
}

func TestAStreamThatFailsEndsInItsError(t *testing.T) {
	nc := answers(t, api.Answers{Ask: func(_ context.Context, _ string, _ tributary.AskRequest, emit func(tributary.AskEvent) error) error {
		return errors.Join(emit(tributary.AskEvent{Delta: "half"}), tributary.Unavailable(errors.New("the model is away"), 0))
	}})
	deltas := 0
	err := api.NewClient(nc, "kb").Ask(t.Context(), tributary.AskRequest{}, func(tributary.AskEvent) error { deltas++; return nil })
	if deltas != 1 || tributary.CodeOf(err) != tributary.CodeUnavailable || !strings.Contains(err.Error(), "the model is away") {
		t.Errorf("%d deltas, then %v", deltas, err)
	}
}

func TestRequestsAreHandledConcurrently(t *testing.T) {
	const together = 8
	var arrived sync.WaitGroup
	arrived.Add(together)
	nc := answers(t, api.Answers{Search: func(context.Context, string, tributary.SearchRequest) (tributary.SearchReply, error) {
		arrived.Done()
		arrived.Wait() // returns only if all are here at once
		return tributary.SearchReply{}, nil
	}})
	var wg sync.WaitGroup
	for range together {
		wg.Go(func() {
			if _, err := api.NewClient(nc, "kb").Search(t.Context(), tributary.SearchRequest{}); err != nil {
				t.Error(err)
			}
		})
	}
	wg.Wait()
}

func TestTheServiceGivesUpWhenTheClientDoes(t *testing.T) {
	given := make(chan time.Duration, 1)
	nc := answers(t, api.Answers{Search: func(ctx context.Context, _ string, _ tributary.SearchRequest) (tributary.SearchReply, error) {
		deadline, _ := ctx.Deadline()
		given <- time.Until(deadline)
		<-ctx.Done()
		return tributary.SearchReply{}, ctx.Err()
	}})
	msg := nats.NewMsg(api.Subject("kb", api.VerbSearch))
	msg.Header.Set(api.HeaderTimeout, "40")
	reply, err := nc.RequestMsgWithContext(t.Context(), msg)
	check(t, err)
	if got := <-given; got > 40*time.Millisecond {
		t.Errorf("the handler was given %v, want at most 40ms", got)
	}
	if code := reply.Header.Get(micro.ErrorCodeHeader); code != string(tributary.CodeDeadline) {
		t.Errorf("code %q, want %s", code, tributary.CodeDeadline)
	}
}

func TestABrokenRequestIsAnError(t *testing.T) {
	nc := answers(t, api.Answers{})
	for name, tt := range map[string]struct {
		subject, header, body string
	}{
		"not JSON":         {api.Subject("kb", api.VerbSearch), "", "{"},
		"a wrong type":     {api.Subject("kb", api.VerbSearch), "", `{"k": "many"}`},
		"a strange header": {api.Subject("kb", api.VerbSearch), "soon", "{}"},
		"a bad kb":         {api.Subject("K*B", api.VerbSearch), "", "{}"},
	} {
		t.Run(name, func(t *testing.T) {
			msg := nats.NewMsg(strings.ReplaceAll(tt.subject, "*", "x"))
			msg.Data = []byte(tt.body)
			msg.Header.Set(api.HeaderTimeout, tt.header)
			reply, err := nc.RequestMsgWithContext(t.Context(), msg)
			check(t, err)
			if code := reply.Header.Get(micro.ErrorCodeHeader); code != string(tributary.CodeInvalid) {
				t.Errorf("code %q, want %s: %s", code, tributary.CodeInvalid, reply.Header.Get(micro.ErrorHeader))
			}
		})
	}
}

func TestAPanicIsAnErrorAndNotTheEnd(t *testing.T) {
	nc := answers(t, api.Answers{Search: func(context.Context, string, tributary.SearchRequest) (tributary.SearchReply, error) {
		panic("boom")
	}})
	for range 2 {
		if _, err := api.NewClient(nc, "kb").Search(t.Context(), tributary.SearchRequest{}); tributary.CodeOf(err) != tributary.CodeInternal {
			t.Errorf("got %v, want an internal error", err)
		}
	}
}

func TestListSortsAndMergesWhatIsOnItsWay(t *testing.T) {
	manifest := func(v uint64, state tributary.State) *tributary.Manifest {
		return &tributary.Manifest{Version: v, State: state, Chunks: make([]tributary.ChunkRef, 2)}
	}
	nc := answers(t, api.Answers{
		List: func(_ context.Context, _ string, fn func(tributary.Record) error) error {
			return errors.Join(
				fn(tributary.Record{URI: "c", Document: "3", Manifest: manifest(3, tributary.StateLive)}),
				fn(tributary.Record{URI: "a", Document: "1", Manifest: manifest(1, tributary.StateLive)}),
				fn(tributary.Record{URI: "gone", Document: "4", Manifest: manifest(4, tributary.StateDeleted)}),
			)
		},
		Pending: func(context.Context, string) ([]tributary.Head, error) {
			return []tributary.Head{{URI: "b", Document: "2", Version: 9}, {URI: "c", Document: "3", Version: 8}, {URI: "a", Document: "1", Version: 1}}, nil
		},
	})
	var got []string
	check(t, api.NewClient(nc, "kb").List(t.Context(), tributary.ListRequest{}, func(i tributary.Item) error {
		got = append(got, fmt.Sprint(i.URI, " ", i.Version, " ", i.State, " ", i.Chunks))
		return nil
	}))
	want := "[a 1 live 2 b 9 pending 0 c 8 pending 2]"
	if fmt.Sprint(got) != want {
		t.Errorf("got %v, want %v", got, want)
	}
}

func TestWaitReportsEachVersionOnceAndSurvivesAServiceThatEnds(t *testing.T) {
	var mu sync.Mutex
	calls := map[string]int{}
	nc := answers(t, api.Answers{Await: func(_ context.Context, _ string, at tributary.At) (tributary.Record, error) {
		mu.Lock()
		defer mu.Unlock()
		if calls[at.Document]++; at.Document == "flaky" && calls[at.Document] == 1 {
			return tributary.Record{}, tributary.Unavailable(errors.New("stopping"), 0)
		}
		return tributary.Record{Document: at.Document, Manifest: &tributary.Manifest{Version: at.Version + 1, State: tributary.StateLive}}, nil
	}})
	var ats []tributary.At
	for i := range 2500 { // more than one request may name
		ats = append(ats, tributary.At{Document: fmt.Sprint("d", i), Version: 1})
	}
	ats = append(ats, tributary.At{Document: "flaky", Version: 1})
	seen := map[string]int{}
	check(t, api.NewClient(nc, "kb").Wait(t.Context(), ats, func(s tributary.Settled) error {
		seen[s.Document]++
		return nil
	}))
	for _, at := range ats {
		if seen[at.Document] != 1 {
			t.Fatalf("%s was reported %d times", at.Document, seen[at.Document])
		}
	}
}

func TestWaitSaysWhyAVersionWasRefused(t *testing.T) {
	nc := answers(t, api.Answers{Await: func(context.Context, string, tributary.At) (tributary.Record, error) {
		return tributary.Record{Document: "d", Manifest: &tributary.Manifest{Version: 3, State: tributary.StateLive, Chunks: make([]tributary.ChunkRef, 4)},
			Failure: &tributary.Failure{Version: 5, Stage: "ingest", Reason: "empty"}}, nil
	}})
	check(t, api.NewClient(nc, "kb").Wait(t.Context(), []tributary.At{{Document: "d", Version: 5}}, func(s tributary.Settled) error {
		if s.State != tributary.StateRejected || s.Reason != "empty" || s.Stage != "ingest" || s.Version != 5 || s.Chunks != 4 {
			t.Errorf("got %+v", s)
		}
		return nil
	}))
}

func TestTheServicesCanBeDiscovered(t *testing.T) {
	nc := answers(t, api.Answers{})
	msg, err := nc.RequestWithContext(t.Context(), "$SRV.INFO.tributary-query", nil)
	check(t, err)
	for _, verb := range []string{"search", "ask", "forget", "wait", "ls", "show", "verify", "reindex", "status"} {
		if !strings.Contains(string(msg.Data), `"subject":"tributary.*.`+verb+`"`) {
			t.Errorf("%s is not listed in %s", verb, msg.Data)
		}
	}
}

func TestARequestThatMeetsAServiceThatStopsGetsAnAnswer(t *testing.T) {
	nc := testenv.NATS(t)
	service, err := api.ServeAnswers(nc, config("tributary-query"), api.Answers{
		Search: func(context.Context, string, tributary.SearchRequest) (tributary.SearchReply, error) {
			return tributary.SearchReply{}, nil
		},
	})
	check(t, err)
	c := api.NewClient(nc, "kb")
	var askers sync.WaitGroup
	started := make(chan struct{}, 8)
	for range cap(started) {
		askers.Go(func() {
			for n := 0; ; n++ {
				_, err := c.Search(t.Context(), tributary.SearchRequest{Query: "x"})
				if n == 0 {
					started <- struct{}{}
				}
				switch code := tributary.CodeOf(err); {
				case err == nil || code == tributary.CodeBusy:
				case code == tributary.CodeUnavailable:
					return // nobody is there any more
				default:
					t.Errorf("got %v", err)
					return
				}
			}
		})
	}
	for range cap(started) {
		<-started
	}
	check(t, service.Close(t.Context()))
	askers.Wait()
}

func TestSourcesAreManagedByRequests(t *testing.T) {
	nc := testenv.NATS(t)
	named := func(verb string) func(context.Context, string, tributary.SourceRequest) (tributary.SourceStatus, error) {
		return func(_ context.Context, kb string, req tributary.SourceRequest) (tributary.SourceStatus, error) {
			return tributary.SourceStatus{KB: kb, Source: tributary.Source{Name: req.Name}, Reason: verb}, nil
		}
	}
	service, err := api.ServeSources(nc, config("tributary-source"), api.Sources{
		Add: func(_ context.Context, kb string, req tributary.SourceAddRequest) (tributary.SourceStatus, error) {
			return tributary.SourceStatus{KB: kb, Source: req.Source, Reason: "add"}, nil
		},
		Show: named("show"), Pause: named("pause"), Resume: named("resume"), Confirm: named("confirm"),
		Remove: func(ctx context.Context, kb string, req tributary.SourceRemoveRequest) (tributary.SourceStatus, error) {
			return named(fmt.Sprint("rm ", req.Purge))(ctx, kb, tributary.SourceRequest{Name: req.Name})
		},
		Sync: func(ctx context.Context, kb string, req tributary.SourceSyncRequest) (tributary.SourceStatus, error) {
			return named(fmt.Sprint("sync ", req.Full))(ctx, kb, tributary.SourceRequest{Name: req.Name})
		},
		List: func(_ context.Context, kb string, _ tributary.SourceListRequest, send func(tributary.SourceStatus) error) error {
			return errors.Join(send(tributary.SourceStatus{KB: kb, Source: tributary.Source{Name: "a"}}), send(tributary.SourceStatus{KB: kb, Source: tributary.Source{Name: "b"}}))
		},
	})
	check(t, err)
	t.Cleanup(func() { check(t, service.Close(t.Context())) })
	c, ctx, a := api.NewClient(nc, "kb"), t.Context(), tributary.SourceRequest{Name: "a"}
	folder := tributary.Source{Name: "a", Kind: tributary.SourceFolder, Location: "/srv"}
	for want, do := range map[string]func() (tributary.SourceStatus, error){
		"add": func() (tributary.SourceStatus, error) {
			return c.AddSource(ctx, tributary.SourceAddRequest{Source: folder})
		},
		"show":    func() (tributary.SourceStatus, error) { return c.ShowSource(ctx, a) },
		"pause":   func() (tributary.SourceStatus, error) { return c.PauseSource(ctx, a) },
		"resume":  func() (tributary.SourceStatus, error) { return c.ResumeSource(ctx, a) },
		"confirm": func() (tributary.SourceStatus, error) { return c.ConfirmSource(ctx, a) },
		"rm true": func() (tributary.SourceStatus, error) {
			return c.RemoveSource(ctx, tributary.SourceRemoveRequest{Name: "a", Purge: true})
		},
		"sync true": func() (tributary.SourceStatus, error) {
			return c.SyncSource(ctx, tributary.SourceSyncRequest{Name: "a", Full: true})
		},
	} {
		if got, err := do(); err != nil || got.Reason != want || got.KB != "kb" || got.Name != "a" {
			t.Errorf("%s: got %+v, %v", want, got, err)
		}
	}
	var names []string
	check(t, c.ListSources(ctx, func(s tributary.SourceStatus) error {
		names = append(names, s.Name)
		return nil
	}))
	if fmt.Sprint(names) != "[a b]" {
		t.Errorf("listed %v", names)
	}
	folder.Location = ""
	if _, err := c.AddSource(ctx, tributary.SourceAddRequest{Source: folder}); tributary.CodeOf(err) != tributary.CodeInvalid {
		t.Errorf("a folder without location: %v, want code 400", err)
	}
}

func TestNobodyFollowsSources(t *testing.T) {
	_, err := api.NewClient(testenv.NATS(t), "kb").ShowSource(t.Context(), tributary.SourceRequest{Name: "a"})
	if tributary.CodeOf(err) != tributary.CodeUnavailable || !strings.Contains(err.Error(), "tributary worker source") {
		t.Errorf("got %v, want an error that says what to start", err)
	}
}
