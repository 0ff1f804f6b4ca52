package push

import (
	"context"
	"crypto/hmac"
	"crypto/sha256"
	"encoding/base64"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/tributary-kb/tributary"
)

const (
	firstSecret  = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw"
	secondSecret = "a token of the second kind"
)

// fakeHooks remembers what it is asked for.
type fakeHooks struct {
	mu        sync.Mutex
	published []Change
	ids       []string
	refused   []string
	find      error
	block     chan struct{} // if not nil, Publish waits for it
	entered   chan struct{}
}

func (f *fakeHooks) Find(_ context.Context, _, name string) (tributary.Source, error) {
	if name != "wiki" {
		return tributary.Source{}, tributary.Errorf(tributary.CodeNotFound, "source %q: no such source", name)
	}
	return tributary.Source{Name: name, Kind: tributary.SourceWebhook}, f.find
}

func (f *fakeHooks) Publish(ctx context.Context, kb, _, id string, changes []Change) ([]tributary.Receipt, error) {
	if f.block != nil {
		f.entered <- struct{}{}
		select {
		case <-f.block:
		case <-ctx.Done():
			return nil, ctx.Err()
		}
	}
	f.mu.Lock()
	defer f.mu.Unlock()
	receipts := []tributary.Receipt{}
	for _, c := range changes {
		f.published = append(f.published, c)
		receipts = append(receipts, tributary.Receipt{URI: c.URI, Document: tributary.DocumentID(kb, c.URI), Version: uint64(len(f.published))})
	}
	f.ids = append(f.ids, id)
	return receipts, nil
}

func (f *fakeHooks) Refused(_ context.Context, _, _, reason string) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.refused = append(f.refused, reason)
}

// serve starts a listener that ends with the test.
func serve(t *testing.T, f *fakeHooks) string {
	t.Helper()
	l, err := Listen(t.Context(), Config{Listen: ":0", MaxBytes: 4096, Hooks: f, Log: slog.New(slog.DiscardHandler),
		Secrets: func(tributary.SourceOptions) ([]string, error) { return []string{firstSecret, secondSecret}, nil }})
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan error, 1)
	go func() { done <- l.Serve(ctx, time.Second) }()
	t.Cleanup(func() {
		cancel()
		if err := <-done; err != nil {
			t.Error(err)
		}
	})
	return l.URL()
}

// standard returns the headers of Standard Webhooks, made by its words alone.
func standard(key []byte, id string, at time.Time, body string) []string {
	stamp := strconv.FormatInt(at.Unix(), 10)
	mac := hmac.New(sha256.New, key)
	mac.Write([]byte(id + "." + stamp + "." + body))
	return []string{"webhook-id", id, "webhook-timestamp", stamp, "webhook-signature", "v1," + base64.StdEncoding.EncodeToString(mac.Sum(nil))}
}

func firstKey(t *testing.T) []byte {
	t.Helper()
	key, err := base64.StdEncoding.DecodeString(strings.TrimPrefix(firstSecret, "whsec_"))
	if err != nil {
		t.Fatal(err)
	}
	return key
}

func github(key, body string) []string {
	mac := hmac.New(sha256.New, []byte(key))
	mac.Write([]byte(body))
	return []string{"X-Hub-Signature-256", "sha256=" + hex.EncodeToString(mac.Sum(nil)), "X-GitHub-Delivery", "d-1"}
}

func bearer(token string) []string { return []string{"Authorization", "Bearer " + token} }

func send(t *testing.T, method, url, body string, header ...string) (int, http.Header, string) {
	t.Helper()
	req, err := http.NewRequestWithContext(t.Context(), method, url, strings.NewReader(body))
	if err != nil {
		t.Fatal(err)
	}
	for i := 0; i+1 < len(header); i += 2 {
		req.Header.Set(header[i], header[i+1])
	}
	res, err := http.DefaultClient.Do(req)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = res.Body.Close() }()
	reply, err := io.ReadAll(res.Body)
	if err != nil {
		t.Fatal(err)
	}
	return res.StatusCode, res.Header, string(reply)
}

// The example of GitHub's documentation.
func TestTheExampleOfGitHubIsVerified(t *testing.T) {
	h := http.Header{"X-Hub-Signature-256": {"sha256=757107ea0eb2509fc211221cce984b8a37570b6d7586c22c46f4379c8b043e17"}}
	if err := proofGitHub.verify(h, []byte("Hello, World!"), []string{"It's a Secret to Everybody"}); err != nil {
		t.Error(err)
	}
	if err := proofGitHub.verify(h, []byte("Hello, World?"), []string{"It's a Secret to Everybody"}); err == nil {
		t.Error("another body has the same signature")
	}
}

func TestOnlyWhatIsProvenIsTaken(t *testing.T) {
	const body = `{"uri": "note:sky", "text": "Blue."}`
	key, now := firstKey(t), time.Now()
	with := func(header []string, more ...string) []string { return append(more, header...) }
	tests := []struct {
		name, method, query, body string
		header                    []string
		want                      int
	}{
		{"a signature", "POST", "", body, standard(key, "msg_1", now, body), 202},
		{"a signature with the second secret", "POST", "", body, standard([]byte(secondSecret), "msg_1", now, body), 202},
		{"several signatures, one of them ours", "POST", "", body, func() []string {
			h := standard(key, "msg_1", now, body)
			h[5] = "v1,AAAA v2,x " + h[5]
			return h
		}(), 202},
		{"a signature that is a bit old", "POST", "", body, standard(key, "msg_1", now.Add(-4*time.Minute), body), 202},
		{"a signature of GitHub's", "POST", "", body, github(secondSecret, body), 202},
		{"a bearer token", "POST", "", body, bearer(secondSecret), 202},
		{"a document by its address", "PUT", "?uri=note:sky&title=Sky&meta.team=a", "Blue.", with(bearer(secondSecret), "Content-Type", "text/plain"), 202},
		{"a deletion by its address", "DELETE", "?uri=note:sky", "", bearer(secondSecret), 202},
		{"an event in headers", "POST", "", "Blue.", with(bearer(secondSecret), "Content-Type", "text/plain",
			"ce-specversion", "1.0", "ce-id", "1", "ce-type", "t", "ce-source", "s:/", "ce-subject", "sky"), 202},

		{"nothing", "POST", "", body, nil, 401},
		{"nothing, for a deletion", "DELETE", "?uri=note:sky", "", nil, 401},
		{"another token", "POST", "", body, bearer("guess"), 401},
		{"an empty token", "POST", "", body, bearer(""), 401},
		{"the token of another scheme", "POST", "", body, []string{"Authorization", "Basic " + secondSecret}, 401},
		{"a signature of another body", "POST", "", body, standard(key, "msg_1", now, body+" "), 401},
		{"a signature with another secret", "POST", "", body, standard([]byte("another secret, of somebody"), "msg_1", now, body), 401},
		{"a signature of another id", "POST", "", body, func() []string { h := standard(key, "msg_1", now, body); h[1] = "msg_2"; return h }(), 401},
		{"a signature that is too old", "POST", "", body, standard(key, "msg_1", now.Add(-6*time.Minute), body), 401},
		{"a signature of the future", "POST", "", body, standard(key, "msg_1", now.Add(6*time.Minute), body), 401},
		{"an old signature with a new time", "POST", "", body, func() []string {
			h := standard(key, "msg_1", now.Add(-time.Hour), body)
			h[3] = strconv.FormatInt(now.Unix(), 10)
			return h
		}(), 401},
		{"a signature without a time", "POST", "", body, standard(key, "msg_1", now, body)[4:], 401},
		{"a wrong signature beside a good token", "POST", "", body, with(bearer(secondSecret), "webhook-signature", "v1,AAAA"), 401},
		{"a wrong signature of GitHub's", "POST", "", body, github("another secret, of somebody", body), 401},
		{"a signature of GitHub's that is none", "POST", "", body, []string{"X-Hub-Signature-256", "sha1=00"}, 401},
		// What a signature does not cover must not matter.
		{"a signed PUT", "PUT", "?uri=note:sky", body, standard(key, "msg_1", now, body), 403},
		{"a signed DELETE", "DELETE", "?uri=note:sky", "", github(secondSecret, ""), 403},
		{"a signed event in headers", "POST", "", body, with(standard(key, "msg_1", now, body), "ce-specversion", "1.0"), 403},
		{"a signed body under another name", "POST", "", body, with(github(secondSecret, body), "Tributary-Uri", "note:else"), 403},

		{"no JSON", "POST", "", "{", bearer(secondSecret), 400},
		{"a PUT without a name", "PUT", "", "Blue.", bearer(secondSecret), 400},
		{"too much", "POST", "", `{"uri": "a", "text": "` + strings.Repeat("x", 5000) + `"}`, bearer(secondSecret), 413},
		{"another method", "PATCH", "", body, bearer(secondSecret), 405},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			f := &fakeHooks{}
			status, _, reply := send(t, tt.method, serve(t, f)+"/hooks/kb/wiki"+tt.query, tt.body, tt.header...)
			if status != tt.want {
				t.Errorf("status %d, want %d: %s", status, tt.want, reply)
			}
			if taken := len(f.published) == 1; taken != (tt.want == 202) {
				t.Errorf("taken: %+v", f.published)
			}
			if strings.Contains(reply, firstSecret) || strings.Contains(reply, secondSecret) {
				t.Errorf("the reply tells a secret: %s", reply)
			}
			if shown := len(f.refused) == 1; shown != (tt.want >= 400 && tt.want != 405) {
				t.Errorf("shown to a person: %q", f.refused)
			}
		})
	}
}

func TestTheReplyIsTheReceipt(t *testing.T) {
	f := &fakeHooks{}
	url := serve(t, f) + "/hooks/kb/wiki"
	_, _, reply := send(t, "PUT", url+"?uri=note:sky&title=Sky&language=en&meta.team=a", "# Blue", append(bearer(secondSecret), "Content-Type", "text/markdown", "Webhook-Id", "w-1")...)
	var got tributary.Receipt
	if err := json.Unmarshal([]byte(reply), &got); err != nil || got != (tributary.Receipt{URI: "note:sky", Document: tributary.DocumentID("kb", "note:sky"), Version: 1}) {
		t.Errorf("%s, %v", reply, err)
	}
	c := f.published[0]
	if c.Title != "Sky" || c.Language != "en" || c.Metadata["team"] != "a" || c.ContentType != "text/markdown" || string(c.Content) != "# Blue" || f.ids[0] != "request w-1" {
		t.Errorf("%+v, id %q", c, f.ids[0])
	}
	event := `{"specversion": "1.0", "type": "t", "source": "s:/", "id": "%d", "datacontenttype": "text/plain", "data": "x"}`
	batch := "[" + fmt.Sprintf(event, 1) + "," + fmt.Sprintf(event, 2) + "]"
	_, _, reply = send(t, "POST", url, batch, append(bearer(secondSecret), "Content-Type", "application/cloudevents-batch+json")...)
	var all []tributary.Receipt
	if err := json.Unmarshal([]byte(reply), &all); err != nil || len(all) != 2 || all[1].URI != "s:/2" || f.ids[1] != "" {
		t.Errorf("%s, %v, id %q", reply, err, f.ids[1])
	}
	send(t, "POST", url, fmt.Sprintf(event, 3), bearer(secondSecret)...)
	if f.ids[2] != "event s:/ 3" {
		t.Errorf("id %q", f.ids[2])
	}
}

func TestSourcesThatTakeNothing(t *testing.T) {
	f := &fakeHooks{}
	url := serve(t, f)
	if status, _, reply := send(t, "POST", url+"/hooks/kb/none", "{}", bearer(secondSecret)...); status != 404 {
		t.Errorf("an unknown source: %d %s", status, reply)
	}
	f.find = tributary.Errorf(tributary.CodeUnavailable, "source: %w", ErrPaused)
	if status, h, reply := send(t, "POST", url+"/hooks/kb/wiki", "{}", bearer(secondSecret)...); status != 503 || h.Get("Retry-After") == "" {
		t.Errorf("a paused source: %d, Retry-After %q, %s", status, h.Get("Retry-After"), reply)
	}
	if len(f.published)+len(f.refused) != 0 {
		t.Errorf("%v, %v", f.published, f.refused)
	}
}

// Somebody who sends a body that does not end keeps nobody else from sending.
func TestABadRequestHarmsNobody(t *testing.T) {
	f := &fakeHooks{}
	url := serve(t, f)
	slow, err := (&net.Dialer{}).DialContext(t.Context(), "tcp", strings.TrimPrefix(url, "http://"))
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = slow.Close() }()
	fmt.Fprintf(slow, "POST /hooks/kb/wiki HTTP/1.1\r\nHost: x\r\nX-Hub-Signature-256: sha256=00\r\nContent-Length: 100\r\n\r\n{")
	if status, _, reply := send(t, "POST", url+"/hooks/kb/wiki", `{"uri": "a", "text": "b"}`, bearer(secondSecret)...); status != 202 {
		t.Errorf("%d %s", status, reply)
	}
}

func TestMoreRequestsThanAreTakenAtOnceAreToldToComeBack(t *testing.T) {
	f := &fakeHooks{block: make(chan struct{}), entered: make(chan struct{})}
	url := serve(t, f) + "/hooks/kb/wiki"
	var wg sync.WaitGroup
	for range maxAtOnce {
		wg.Go(func() {
			if status, _, reply := send(t, "POST", url, `{"uri": "a", "text": "b"}`, bearer(secondSecret)...); status != 202 {
				t.Errorf("%d %s", status, reply)
			}
		})
	}
	for range maxAtOnce {
		<-f.entered
	}
	if status, h, _ := send(t, "POST", url, "{}", bearer(secondSecret)...); status != 429 || h.Get("Retry-After") == "" {
		t.Errorf("status %d, Retry-After %q", status, h.Get("Retry-After"))
	}
	close(f.block)
	wg.Wait()
}

func TestASecretThatCannotBeUsedOpensNothing(t *testing.T) {
	for _, secret := range []string{"whsec_!", "whsec_c2hvcnQ=", ""} {
		h := http.Header{}
		lines := standard([]byte(strings.TrimPrefix(secret, "whsec_")), "1", time.Now(), "")
		for i := 0; i < len(lines); i += 2 {
			h.Set(lines[i], lines[i+1])
		}
		if err := proofStandard.verify(h, nil, []string{secret}); err == nil {
			t.Errorf("secret %q is good enough", secret)
		}
	}
	if err := proofBearer.verify(http.Header{"Authorization": {"Bearer "}}, nil, nil); err == nil {
		t.Error("without secrets everybody is trusted")
	}
}
