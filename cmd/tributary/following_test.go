package main

import (
	"errors"
	"fmt"
	"net/http"
	"net/http/httptest"
	"net/url"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/johannesboyne/gofakes3"
	"github.com/johannesboyne/gofakes3/backend/s3mem"
	"github.com/nats-io/nats.go/jetstream"

	"github.com/tributary-kb/tributary"
	"github.com/tributary-kb/tributary/internal/testenv"
)

// awaitText waits until a search for a word finds what is wanted: the names of
// the files, best first.
func awaitText(t *testing.T, s *system, word string, want ...string) {
	t.Helper()
	testenv.Eventually(t, t.Context(), func() error {
		reply, err := s.Search(t.Context(), tributary.SearchRequest{Query: word})
		var got []string
		for _, h := range reply.Hits {
			if strings.Contains(h.Text, word) {
				got = append(got, filepath.Base(h.URI))
			}
		}
		if fmt.Sprint(got) != fmt.Sprint(want) {
			err = errors.Join(err, fmt.Errorf("%q finds %v, want %v", word, got, want))
		}
		return err
	})
}

func TestAFolderIsFollowed(t *testing.T) {
	s := newSystem(t)
	dir := t.TempDir()
	write := func(name, text string) { fatal(t, os.WriteFile(filepath.Join(dir, name), []byte(text), 0o600)) }
	write("sky.md", "# Sky\n\nThe sky over the harbour is vermilion.\n")
	write("crane.md", "# Crane\n\nThe crane lifts forty tonnes.\n")
	notes := tributary.Source{Name: "notes", Kind: tributary.SourceFolder, Location: dir}
	_, err := s.AddSource(t.Context(), tributary.SourceAddRequest{Source: notes})
	fatal(t, err)
	status, err := s.SyncSource(t.Context(), tributary.SourceSyncRequest{Name: "notes"})
	fatal(t, err)
	if status.Documents != 2 || !status.Loaded || status.State != tributary.SourceActive || status.Verified.IsZero() {
		t.Errorf("after the first look: %+v", status)
	}
	awaitText(t, s, "vermilion", "sky.md")

	// From here on nobody asks for a look.
	write("sky.md", "# Sky\n\nThe sky over the harbour is turquoise.\n")
	awaitText(t, s, "turquoise", "sky.md")
	awaitText(t, s, "vermilion")
	write("ferry.md", "# Ferry\n\nThe ferry is overdue.\n")
	awaitText(t, s, "overdue", "ferry.md")
	fatal(t, os.Remove(filepath.Join(dir, "crane.md")))
	awaitText(t, s, "tonnes")

	var listed []string
	fatal(t, s.ListSources(t.Context(), func(st tributary.SourceStatus) error {
		listed = append(listed, st.Name)
		return nil
	}))
	if fmt.Sprint(listed) != "[notes]" {
		t.Errorf("listed %v", listed)
	}
	_, err = s.RemoveSource(t.Context(), tributary.SourceRemoveRequest{Name: "notes", Purge: true})
	fatal(t, err)
	awaitText(t, s, "turquoise")
	testenv.Eventually(t, t.Context(), func() error {
		_, err := s.ShowSource(t.Context(), tributary.SourceRequest{Name: "notes"})
		if tributary.CodeOf(err) == tributary.CodeNotFound {
			return nil
		}
		return fmt.Errorf("the source is still there (%w)", err)
	})
	s.idle()
	if left := s.contents(); len(left) > 0 {
		t.Errorf("after --purge there is %v", left)
	}
}

func TestASourceThatShrinksIsHeldUntilSomebodyConfirms(t *testing.T) {
	s := newSystem(t)
	dir := t.TempDir()
	for n := range 8 {
		fatal(t, os.WriteFile(filepath.Join(dir, fmt.Sprintf("%d.md", n)), fmt.Appendf(nil, "Note %d is marmalade.", n), 0o600))
	}
	_, err := s.AddSource(t.Context(), tributary.SourceAddRequest{Source: tributary.Source{Name: "notes", Kind: tributary.SourceFolder, Location: dir}})
	fatal(t, err)
	_, err = s.SyncSource(t.Context(), tributary.SourceSyncRequest{Name: "notes"})
	fatal(t, err)
	s.idle()
	for n := range 6 {
		fatal(t, os.Remove(filepath.Join(dir, fmt.Sprintf("%d.md", n))))
	}
	status, err := s.SyncSource(t.Context(), tributary.SourceSyncRequest{Name: "notes"})
	fatal(t, err)
	if status.State != tributary.SourceHeld || status.Held == 0 || status.Reason == "" {
		t.Errorf("a source of which six of eight documents are gone is %+v", status)
	}
	s.idle()
	// Events may have told of the first removals one by one; at half it ends.
	if n := len(s.contents()); n != 2+status.Held || n < 4 {
		t.Errorf("while %d deletions are held %d documents are there, want the 2 that are left beside them and at least half", status.Held, n)
	}
	_, err = s.ConfirmSource(t.Context(), tributary.SourceRequest{Name: "notes"})
	fatal(t, err)
	_, err = s.SyncSource(t.Context(), tributary.SourceSyncRequest{Name: "notes"})
	fatal(t, err)
	s.idle()
	if n := len(s.contents()); n != 2 {
		t.Errorf("after the confirmation %d documents are there, want 2", n)
	}
}

// Nobody waits for the source here: the search that demands an age does.
func TestAnAnswerCanDemandAnAge(t *testing.T) {
	s := newSystem(t)
	dir := t.TempDir()
	sky := filepath.Join(dir, "sky.md")
	write := func(path, text string) { fatal(t, os.WriteFile(path, []byte(text), 0o600)) }
	write(sky, "The sky over the harbour is vermilion.")
	_, err := s.AddSource(t.Context(), tributary.SourceAddRequest{Source: tributary.Source{Name: "notes", Kind: tributary.SourceFolder, Location: dir}})
	fatal(t, err)
	_, err = s.SyncSource(t.Context(), tributary.SourceSyncRequest{Name: "notes"})
	fatal(t, err)
	now := tributary.SearchOptions{MaxAgeS: 0.001}
	found := func(query string) []string {
		t.Helper()
		began := time.Now()
		reply, err := s.Search(t.Context(), tributary.SearchRequest{Query: query, SearchOptions: now})
		fatal(t, err)
		var all []string
		for _, h := range reply.Hits {
			if strings.Contains(h.Text, query) {
				all = append(all, filepath.Base(h.URI))
			}
			if h.Verified.Before(began.Add(-time.Millisecond)) {
				t.Errorf("%s was verified at %v, before the search began at %v", h.URI, h.Verified, began)
			}
		}
		slices.Sort(all)
		return all
	}
	for i, colour := range []string{"turquoise", "crimson", "amber"} {
		write(sky, "The sky over the harbour is "+colour+".")
		write(filepath.Join(dir, fmt.Sprintf("boat%d.md", i)), "A boat that is "+colour+".")
		if got, want := found(colour), []string{fmt.Sprintf("boat%d.md", i), "sky.md"}; !slices.Equal(got, want) {
			t.Errorf("%s is found in %v, want %v", colour, got, want)
		}
	}
	fatal(t, os.Remove(sky))
	if got := found("harbour"); slices.Contains(got, "sky.md") {
		t.Errorf("a file that is gone is found: %v", got)
	}
	var answer tributary.Answer
	fatal(t, s.Ask(t.Context(), tributary.AskRequest{Question: "Which boat is amber?", SearchOptions: now}, func(e tributary.AskEvent) error {
		if e.Answer != nil {
			answer = *e.Answer
		}
		return nil
	}))
	if len(answer.Citations) == 0 || answer.Citations[0].Verified.IsZero() {
		t.Errorf("answer %+v", answer)
	}

	_, err = s.PauseSource(t.Context(), tributary.SourceRequest{Name: "notes"})
	fatal(t, err)
	receipt, err := s.Add(t.Context(), tributary.AddRequest{URI: "note:boat", Text: "A boat that was added by hand."})
	fatal(t, err)
	request := tributary.SearchRequest{Query: "boat", AtLeast: []tributary.At{{URI: "note:boat", Version: receipt.Version}}}
	request.MaxAgeS, request.Filter.Sources = 0.001, []string{"notes"}
	_, err = s.Search(t.Context(), request)
	if tributary.CodeOf(err) != tributary.CodeNotYet || !strings.Contains(err.Error(), `source "notes" was last verified`) || !strings.Contains(err.Error(), "it is paused") {
		t.Errorf("a search while the source is paused: %v", err)
	}
	request.MaxAgeS, request.Filter.Sources = 3600, nil
	reply, err := s.Search(t.Context(), request)
	fatal(t, err)
	if len(reply.Hits) != 4 || reply.TooOld > 0 || len(reply.StaleSources) > 0 {
		t.Errorf("within an hour: %+v", reply)
	}
}

// A bucket is followed by what its store publishes, as MinIO does; between its
// listings lie hours.
func TestABucketIsFollowedByItsNotifications(t *testing.T) {
	s := newSystem(t, func(s *system) { s.cfg.Ingest.Fetch.AllowNetworks = []string{"127.0.0.0/8"} })
	backend := s3mem.New()
	fatal(t, backend.CreateBucket("docs"))
	put := func(key, text string) {
		meta := map[string]string{"Content-Type": "text/markdown", "Last-Modified": time.Now().UTC().Format(http.TimeFormat)}
		_, err := backend.PutObject("docs", key, meta, strings.NewReader(text), int64(len(text)), nil)
		fatal(t, err)
	}
	store := httptest.NewServer(gofakes3.New(backend).Server())
	t.Cleanup(store.Close)
	js, err := jetstream.New(s.nc)
	fatal(t, err)
	_, err = js.CreateStream(t.Context(), jetstream.StreamConfig{Name: "BUCKETS", Subjects: []string{"bucket.>"}})
	fatal(t, err)
	put("kb/sky.md", "The sky over the harbour is vermilion.")
	_, err = s.AddSource(t.Context(), tributary.SourceAddRequest{Source: tributary.Source{Name: "handbook", Kind: tributary.SourceS3, Location: "s3://docs/kb",
		Options: tributary.SourceOptions{Endpoint: store.URL, Notifications: "bucket.events", EveryS: 36000}}})
	fatal(t, err)
	awaitText(t, s, "vermilion", "sky.md")
	testenv.Eventually(t, t.Context(), func() error {
		_, err := js.Consumer(t.Context(), "BUCKETS", "tributary_"+s.kb+"_handbook")
		return err
	})
	tell := func(event, key string) {
		_, err := js.Publish(t.Context(), "bucket.events", []byte(fmt.Sprintf(`{"EventName": %q, "Key": "docs/kb/x", "Records": [
			{"eventName": %q, "s3": {"bucket": {"name": "docs"}, "object": {"key": %q, "sequencer": "1"}}}]}`, event, event, url.QueryEscape(key))))
		fatal(t, err)
	}
	put("kb/the crane.md", "The crane lifts forty tonnes.")
	tell("s3:ObjectCreated:Put", "kb/the crane.md")
	awaitText(t, s, "tonnes", "the%20crane.md")
	_, err = backend.DeleteObject("docs", "kb/sky.md")
	fatal(t, err)
	tell("s3:ObjectRemoved:Delete", "kb/sky.md")
	awaitText(t, s, "vermilion")
}
