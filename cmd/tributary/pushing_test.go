package main

import (
	"crypto/hmac"
	"crypto/sha256"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/tributary-kb/tributary"
	"github.com/tributary-kb/tributary/internal/testenv"
)

func TestDocumentsPublishedOnASubjectAreFoundUntilTheyAreDeleted(t *testing.T) {
	s := newSystem(t)
	_, err := s.AddSource(t.Context(), tributary.SourceAddRequest{Source: tributary.Source{Name: "wiki", Kind: tributary.SourceSubject, Location: "wiki.>"}})
	fatal(t, err)
	// A plain publication, as any program makes one.
	fatal(t, s.nc.Publish("wiki.sky", []byte(`{"uri": "wiki:sky.md", "text": "The sky over the harbour is vermilion."}`)))
	awaitText(t, s, "vermilion", "wiki:sky.md")
	fatal(t, s.nc.Publish("wiki.sky", []byte(`{"specversion": "1.0", "id": "1", "type": "page.deleted", "source": "wiki:", "subject": "wiki:sky.md"}`)))
	awaitText(t, s, "vermilion")
	fatal(t, s.nc.Publish("wiki.crane", []byte(`{"uri": "wiki:crane.md", "text": "The crane lifts forty tonnes."}`)))
	status, err := s.SyncSource(t.Context(), tributary.SourceSyncRequest{Name: "wiki"})
	fatal(t, err)
	if status.Documents != 1 || status.State != tributary.SourceActive || status.Owner == "" {
		t.Errorf("status %+v", status)
	}
	awaitText(t, s, "tonnes", "wiki:crane.md")
	_, err = s.RemoveSource(t.Context(), tributary.SourceRemoveRequest{Name: "wiki", Purge: true})
	fatal(t, err)
	awaitText(t, s, "tonnes")
}

// sendSigned sends a body as Standard Webhooks say, and returns the status and
// the receipt.
func sendSigned(t *testing.T, url, secret, id, body string) (int, tributary.Receipt) {
	t.Helper()
	key, err := base64.StdEncoding.DecodeString(strings.TrimPrefix(secret, "whsec_"))
	fatal(t, err)
	stamp := strconv.FormatInt(time.Now().Unix(), 10)
	mac := hmac.New(sha256.New, key)
	mac.Write([]byte(id + "." + stamp + "." + body))
	req, err := http.NewRequestWithContext(t.Context(), http.MethodPost, url, strings.NewReader(body))
	fatal(t, err)
	req.Header = http.Header{"Content-Type": {"application/json"}, "Webhook-Id": {id}, "Webhook-Timestamp": {stamp},
		"Webhook-Signature": {"v1," + base64.StdEncoding.EncodeToString(mac.Sum(nil))}}
	resp, err := http.DefaultClient.Do(req)
	fatal(t, err)
	defer func() { _ = resp.Body.Close() }()
	data, err := io.ReadAll(resp.Body)
	fatal(t, err)
	var receipt tributary.Receipt
	fatal(t, json.Unmarshal(data, &receipt))
	return resp.StatusCode, receipt
}

func TestDocumentsSentToAWebhookAreFoundUntilTheyAreDeleted(t *testing.T) {
	s := newSystem(t, set("sources.webhook_listen", ":0"))
	const old, current = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw", "whsec_C2FVsBQIhrscChlQIMV+b5sSYspob7oD"
	file := filepath.Join(t.TempDir(), "secret")
	fatal(t, os.WriteFile(file, []byte(old+"\n"+current+"\n"), 0o600))
	_, err := s.AddSource(t.Context(), tributary.SourceAddRequest{Source: tributary.Source{
		Name: "wiki", Kind: tributary.SourceWebhook, Options: tributary.SourceOptions{SecretFile: file}}})
	fatal(t, err)
	url := s.plant.webhooks.URL() + "/hooks/" + s.kb + "/wiki"
	send := func(secret, id, body string) (int, tributary.Receipt) { return sendSigned(t, url, secret, id, body) }

	const sky = `{"uri": "wiki:sky.md", "text": "The sky over the harbour is vermilion."}`
	status, first := send(old, "msg_1", sky)
	if status != http.StatusAccepted || first.Document != tributary.DocumentID(s.kb, "wiki:sky.md") {
		t.Fatalf("status %d, receipt %+v", status, first)
	}
	if st := s.settled(first)["wiki:sky.md"]; st.State != tributary.StateLive {
		t.Errorf("the version of the receipt is %+v", st)
	}
	awaitText(t, s, "vermilion", "wiki:sky.md")
	if status, again := send(current, "msg_1", sky); status != http.StatusAccepted || again != first {
		t.Errorf("the same again: status %d, receipt %+v, want %+v", status, again, first)
	}
	fatal(t, os.WriteFile(file, []byte(current), 0o600))
	if status, _ := send(old, "msg_2", `{"uri": "wiki:sky.md", "deleted": true}`); status != http.StatusUnauthorized {
		t.Errorf("a secret that was taken away: status %d", status)
	}
	if status, _ := send(current, "msg_3", `{"uri": "wiki:sky.md", "deleted": true}`); status != http.StatusAccepted {
		t.Errorf("a deletion: status %d", status)
	}
	awaitText(t, s, "vermilion")
	_, crane := send(current, "msg_4", `{"uri": "wiki:crane.md", "text": "The crane lifts forty tonnes."}`)
	s.settled(crane)
	_, err = s.PauseSource(t.Context(), tributary.SourceRequest{Name: "wiki"})
	fatal(t, err)
	if status, _ := send(current, "msg_5", sky); status != http.StatusServiceUnavailable {
		t.Errorf("a paused source: status %d", status)
	}
	_, err = s.ResumeSource(t.Context(), tributary.SourceRequest{Name: "wiki"})
	fatal(t, err)
	awaitSource(t, s, "wiki", func(st tributary.SourceStatus) bool {
		return st.Documents == 1 && st.State == tributary.SourceActive && !st.LastSuccess.IsZero() &&
			len(st.Notes) == 1 && strings.Contains(st.Notes[0], "signature")
	})
	_, err = s.RemoveSource(t.Context(), tributary.SourceRemoveRequest{Name: "wiki", Purge: true})
	fatal(t, err)
	awaitText(t, s, "tonnes")
}

// awaitSource waits until a source is doing as wanted.
func awaitSource(t *testing.T, s *system, name string, want func(tributary.SourceStatus) bool) {
	t.Helper()
	testenv.Eventually(t, t.Context(), func() error {
		st, err := s.ShowSource(t.Context(), tributary.SourceRequest{Name: name})
		if err == nil && !want(st) {
			err = fmt.Errorf("the source is %+v", st)
		}
		return err
	})
}

func TestAWebhookIsRefusedWhereNobodyListens(t *testing.T) {
	s := newSystem(t)
	_, err := s.AddSource(t.Context(), tributary.SourceAddRequest{Source: tributary.Source{
		Name: "wiki", Kind: tributary.SourceWebhook, Options: tributary.SourceOptions{SecretEnv: "WIKI_SECRET"}}})
	if tributary.CodeOf(err) != tributary.CodeInvalid || !strings.Contains(err.Error(), "sources.webhook_listen") {
		t.Errorf("error %v", err)
	}
}

// Every request of docs/webhooks.md is sent as it stands, and answered as it
// says.
func TestDocsWebhookExamples(t *testing.T) {
	t.Setenv("WIKI_SECRET", "whsec_C2FVsBQIhrscChlQIMV+b5sSYspob7oD")
	s := newSystem(t, set("kb", "default"), func(s *system) { s.cfg.Sources.WebhookListen = ":0" })
	_, err := s.AddSource(t.Context(), tributary.SourceAddRequest{Source: tributary.Source{
		Name: "wiki", Kind: tributary.SourceWebhook, Options: tributary.SourceOptions{SecretEnv: "WIKI_SECRET"}}})
	fatal(t, err)
	_, err = s.SyncSource(t.Context(), tributary.SourceSyncRequest{Name: "wiki"}) // its fence has version 1
	fatal(t, err)
	sendExamples(t, s.plant.webhooks.URL(), "webhooks.md", 7)
	awaitText(t, s, "coin", "wiki:lockers")
}
