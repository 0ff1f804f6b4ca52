package ingest

import (
	"context"
	"errors"
	"fmt"
	"reflect"
	"strings"
	"testing"
	"time"

	"github.com/tributary-kb/tributary"
)

// request is a request for one document.
func request(op tributary.Op, content string) tributary.Request {
	const uri = "https://x.example/notes.md"
	return tributary.Request{
		Head: tributary.Head{KB: "default", URI: uri, Document: tributary.DocumentID("default", uri), Version: 7,
			Lane: tributary.LaneLive, Accepted: time.Unix(1, 0).UTC()},
		Op: op, Content: []byte(content),
	}
}

// ingest runs one request and returns the one document it emits.
func ingest(t *testing.T, g *Ingester, req tributary.Request) (tributary.Document, error) {
	t.Helper()
	var docs []tributary.Document
	err := g.Ingest(t.Context(), req, func(d tributary.Document) error {
		docs = append(docs, d)
		return nil
	})
	switch {
	case err != nil && len(docs) == 0:
		return tributary.Document{}, err
	case err != nil || len(docs) != 1:
		t.Fatalf("%d documents and error %v, want one or the other", len(docs), err)
	}
	return docs[0], nil
}

func TestIngestPut(t *testing.T) {
	req := request(tributary.OpPut, "---\nauthor: A\n---\n# Notes\n")
	got, err := ingest(t, &Ingester{}, req)
	if err != nil {
		t.Fatal(err)
	}
	want := tributary.Document{
		Head:        req.Head,
		Attributes:  tributary.Attributes{Title: "Notes", ContentType: "text/markdown", Metadata: map[string]string{"author": "A"}},
		ContentHash: tributary.Hash(req.Content),
		Text:        "# Notes\n",
		Blocks:      []tributary.Block{{Kind: tributary.BlockHeading, Level: 1, End: 7, Title: "Notes"}},
		Parser:      "ingest/2",
	}
	if !reflect.DeepEqual(got, want) {
		t.Errorf("got  %+v\nwant %+v", got, want)
	}
}

func TestPublishersAttributesWin(t *testing.T) {
	req := request(tributary.OpPut, "---\nauthor: A\ntags: x\n---\n# Notes\n")
	req.Attributes = tributary.Attributes{Title: "T", Source: "S", Language: "de", ContentType: "text/html",
		Metadata: map[string]string{"author": "B", "team": "C"}}
	got, err := ingest(t, &Ingester{}, req)
	if err != nil {
		t.Fatal(err)
	}
	want := tributary.Attributes{Title: "T", Source: "S", Language: "de", ContentType: "text/html",
		Metadata: map[string]string{"author": "B", "team": "C"}}
	if !reflect.DeepEqual(got.Attributes, want) {
		t.Errorf("got %+v, want %+v", got.Attributes, want)
	}
}

func TestIngestPutByReference(t *testing.T) {
	g := &Ingester{Blobs: func(_ context.Context, ref string) ([]byte, error) {
		if ref != "here" {
			return nil, errors.New("no such blob")
		}
		return []byte("text"), nil
	}}
	req := request(tributary.OpPut, "")
	req.Content, req.ContentRef = nil, "here"
	if doc, err := ingest(t, g, req); err != nil || doc.Text != "text" {
		t.Errorf("text %q, error %v", doc.Text, err)
	}
	req.ContentRef = "elsewhere"
	_, err := ingest(t, g, req)
	if outcome, _ := tributary.OutcomeOf(err); outcome != tributary.Retry || !strings.Contains(err.Error(), "elsewhere") {
		t.Errorf("outcome %v of %v, want a retry that names the blob", outcome, err)
	}
	if _, err := ingest(t, &Ingester{}, req); err == nil {
		t.Error("a reference without a blob store is no error")
	}
}

func TestIngestFetch(t *testing.T) {
	tests := []struct {
		name    string
		fetched Fetched
		err     error
		text    string
		deleted bool
		outcome tributary.Outcome
	}{
		{"a page", Fetched{URL: "https://x.example/y", ContentType: "text/html", Content: []byte("<p>text")}, nil, "text\n", false, tributary.Done},
		{"a page that is gone", Fetched{}, fmt.Errorf("fetch: %w", ErrGone), "", true, tributary.Done},
		{"an empty page", Fetched{URL: "https://x.example/y"}, nil, "", false, tributary.Rejected},
		{"a busy server", Fetched{}, tributary.RetryAfter(errors.New("busy"), time.Second), "", false, tributary.Retry},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			g := &Ingester{Fetch: func(context.Context, string) (Fetched, error) { return tt.fetched, tt.err }}
			req := request(tributary.OpFetch, "")
			doc, err := ingest(t, g, req)
			if outcome, _ := tributary.OutcomeOf(err); outcome != tt.outcome || doc.Text != tt.text || doc.Deleted != tt.deleted {
				t.Errorf("outcome %v of %v, text %q, deleted %v", outcome, err, doc.Text, doc.Deleted)
			}
			if err == nil && doc.Version != req.Version {
				t.Errorf("version %d, want %d", doc.Version, req.Version)
			}
		})
	}
}

func TestIngestDelete(t *testing.T) {
	req := request(tributary.OpDelete, "")
	got, err := ingest(t, &Ingester{}, req)
	want := tributary.Document{Head: req.Head}
	want.Deleted = true
	if err != nil || !reflect.DeepEqual(got, want) {
		t.Errorf("got %+v, error %v, want %+v", got, err, want)
	}
}

func TestIngestReplay(t *testing.T) {
	kept := tributary.Document{Head: tributary.Head{Version: 3}, Text: "kept", Parser: "ingest/0", Attributes: tributary.Attributes{Title: "T"}}
	req := request(tributary.OpReplay, "")
	known := req.Document
	g := &Ingester{Kept: func(_ context.Context, kb, document string) (tributary.Document, error) {
		if kb != req.KB || document != known {
			return tributary.Document{}, errors.New("no such document")
		}
		return kept, nil
	}}
	want := kept
	want.Head = req.Head
	if got, err := ingest(t, g, req); err != nil || !reflect.DeepEqual(got, want) {
		t.Errorf("got %+v, error %v, want %+v", got, err, want)
	}
	kept = tributary.Document{Head: tributary.Head{Deleted: true}}
	if got, err := ingest(t, g, req); err != nil || !got.Deleted || got.Version != req.Version {
		t.Errorf("a kept deletion becomes %+v, error %v", got, err)
	}
	req.Document = "other"
	if _, err := ingest(t, g, req); err == nil {
		t.Error("a document that is not kept is no error")
	}
}

func TestIngestRefusesWhatItDoesNotKnow(t *testing.T) {
	for name, req := range map[string]tributary.Request{
		"an operation": request("shred", "x"),
		"no uri":       {Op: tributary.OpPut, Content: []byte("x")},
	} {
		_, err := ingest(t, &Ingester{}, req)
		if outcome, _ := tributary.OutcomeOf(err); outcome != tributary.Rejected {
			t.Errorf("%s: outcome %v of %v, want rejected", name, outcome, err)
		}
	}
}

func TestIngestReportsItsOwnFaults(t *testing.T) {
	req := request(tributary.OpPut, "x")
	_, err := ingest(t, &Ingester{Config: Config{MaxPages: -1}}, req)
	if outcome, _ := tributary.OutcomeOf(err); outcome != tributary.Retry || !strings.Contains(fmt.Sprint(err), "ingest.max_pages") {
		t.Errorf("outcome %v of %v, want a retry that names the setting", outcome, err)
	}
	full := errors.New("stream full")
	if err := (&Ingester{}).Ingest(t.Context(), req, func(tributary.Document) error { return full }); !errors.Is(err, full) {
		t.Errorf("error %v, want that of emit", err)
	}
}
