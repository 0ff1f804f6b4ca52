package source

import (
	"compress/gzip"
	"fmt"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/tributary-kb/tributary"
)

func TestPageIsLoadedOnceWhileItStaysTheSame(t *testing.T) {
	s := serve(t, map[string]http.HandlerFunc{"/a": text("text/plain", "one", "Cache-Control", "max-age=60", "Last-Modified", "Tue, 03 Mar 2026 10:00:00 GMT")})
	f := open(t, environ(s), tributary.SourcePage, s.URL+"/a", tributary.SourceOptions{})
	items, _ := glance(t, f, nil)
	if len(items) != 1 || items[0].URI != s.URL+"/a" {
		t.Fatalf("items %v, want the page", items)
	}
	first, err := f.Load(t.Context(), items[0], Known{})
	if err != nil || first.Verdict != Changed || string(first.Content) != "one" || first.ContentType != "text/plain" {
		t.Fatalf("loaded %+v, %v", first, err)
	}
	if first.Fresh != time.Minute || first.Modified.Year() != 2026 || first.Known.ETag == "" || first.Known.LastModified == "" {
		t.Errorf("loaded %+v, want freshness, time and validators", first)
	}
	again, err := f.Load(t.Context(), items[0], first.Known)
	if err != nil || again.Verdict != Unchanged || again.Known != first.Known {
		t.Errorf("on condition %+v, %v, want unchanged", again, err)
	}
	s.set("/a", func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Type", "text/plain")
		fmt.Fprint(w, "one")
	})
	same, err := f.Load(t.Context(), items[0], first.Known)
	if err != nil || same.Verdict != Unchanged || same.Known.ETag != "" || same.Known.Hash != first.Known.Hash {
		t.Errorf("the same content from a server without validators: %+v, %v, want unchanged", same, err)
	}
	s.set("/a", text("text/plain; charset=utf-16le", "one"))
	if other, err := f.Load(t.Context(), items[0], same.Known); err != nil || other.Verdict != Changed {
		t.Errorf("the same bytes in another charset: %+v, %v, want changed", other, err)
	}
	s.set("/a", text("text/plain", "two"))
	if next, err := f.Load(t.Context(), items[0], same.Known); err != nil || string(next.Content) != "two" {
		t.Errorf("after an edit %+v, %v", next, err)
	}
}

// As where "latest" goes back to a version that is older by its date.
func TestValidatorsAreOfThePageThatWasFoundNotOfTheNextOne(t *testing.T) {
	dated := func(body, date string) http.HandlerFunc {
		return func(w http.ResponseWriter, r *http.Request) {
			at, _ := http.ParseTime(date)
			http.ServeContent(w, r, "page.txt", at, strings.NewReader(body))
		}
	}
	s := serve(t, map[string]http.HandlerFunc{
		"/latest": answers(302, "Location", "/v2"),
		"/v2":     dated("two", "Tue, 03 Mar 2026 10:00:00 GMT"),
		"/v1":     dated("one", "Mon, 02 Mar 2026 10:00:00 GMT"),
	})
	f := open(t, environ(s), tributary.SourcePage, s.URL+"/latest", tributary.SourceOptions{})
	items, _ := glance(t, f, nil)
	first, err := f.Load(t.Context(), items[0], Known{})
	if err != nil || string(first.Content) != "two" {
		t.Fatalf("loaded %+v, %v", first, err)
	}
	s.set("/v2", func(w http.ResponseWriter, r *http.Request) {
		if r.Header.Get("If-Modified-Since") == "" {
			t.Error("where it was found it is not asked for on condition")
		}
		w.WriteHeader(http.StatusNotModified)
	})
	same, err := f.Load(t.Context(), items[0], first.Known)
	if err != nil || same.Verdict != Unchanged || same.Known != first.Known {
		t.Errorf("on condition %+v, %v, want unchanged", same, err)
	}
	s.set("/latest", answers(302, "Location", "/v1"))
	if back, err := f.Load(t.Context(), items[0], same.Known); err != nil || string(back.Content) != "one" {
		t.Errorf("after it went back %+v, %v, want the older page", back, err)
	}
}

func TestAPageThatUnpacksWithoutEndIsRefusedByTheLimitOfBytes(t *testing.T) {
	s := serve(t, map[string]http.HandlerFunc{"/bomb": func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Content-Encoding", "gzip")
		w.Header().Set("Content-Type", "text/plain")
		z := gzip.NewWriter(w)
		for zeros := make([]byte, 1<<20); r.Context().Err() == nil; {
			if _, err := z.Write(zeros); err != nil {
				return
			}
		}
	}})
	env := environ(s)
	env.Ingest.MaxBytes = 100_000
	f := open(t, env, tributary.SourcePage, s.URL+"/bomb", tributary.SourceOptions{})
	_, err := f.Load(t.Context(), Item{URI: s.URL + "/bomb"}, Known{})
	if outcome(err) != tributary.Rejected || !strings.Contains(err.Error(), "more bytes than the limit of 100000 (ingest.max_bytes)") {
		t.Errorf("error %v, want a refusal that names the limit and its setting", err)
	}
}

func TestPageOutcomes(t *testing.T) {
	s := serve(t, map[string]http.HandlerFunc{
		"/gone": answers(410), "/busy": answers(429, "Retry-After", "7"), "/down": answers(503, "Retry-After", "9"),
		"/forbidden": answers(403), "/moved": answers(301, "Location", "/target"), "/target": text("text/plain", "there"),
		"/circle":  answers(302, "Location", "/circle"),
		"/coded":   answers(200, "Content-Encoding", "br"),
		"/304":     answers(304),
		"/headers": func(w http.ResponseWriter, _ *http.Request) { w.Header().Set("X", strings.Repeat("x", 2<<20)) },
		"/short": func(w http.ResponseWriter, _ *http.Request) {
			w.Header().Set("Content-Length", "1000")
			fmt.Fprint(w, "beginning")
		},
		"/brokengzip": func(w http.ResponseWriter, _ *http.Request) {
			w.Header().Set("Content-Encoding", "gzip")
			z := gzip.NewWriter(w)
			fmt.Fprint(z, strings.Repeat("beginning", 1000))
			_ = z.Flush() // and no end
		},
		"/cut": func(w http.ResponseWriter, _ *http.Request) {
			fmt.Fprint(w, "beginning")
			_ = http.NewResponseController(w).Flush()
			panic(http.ErrAbortHandler) // in the middle of a chunked body
		},
	})
	tests := []struct {
		path    string
		verdict Verdict
		outcome tributary.Outcome
		after   time.Duration
	}{
		{"/missing", Gone, tributary.Done, 0},
		{"/gone", Gone, tributary.Done, 0},
		{"/moved", Changed, tributary.Done, 0},
		{"/busy", 0, tributary.Retry, 7 * time.Second},
		{"/down", 0, tributary.Retry, 9 * time.Second},
		{"/forbidden", 0, tributary.Rejected, 0},
		{"/circle", 0, tributary.Rejected, 0},
		{"/coded", 0, tributary.Rejected, 0},
		{"/304", 0, tributary.Rejected, 0}, // nobody asked on condition
		{"/headers", 0, tributary.Retry, 0},
		{"/short", 0, tributary.Retry, 0},
		{"/brokengzip", 0, tributary.Retry, 0},
		{"/cut", 0, tributary.Retry, 0},
	}
	for _, tt := range tests {
		t.Run(tt.path, func(t *testing.T) {
			f := open(t, environ(s), tributary.SourcePage, s.URL+tt.path, tributary.SourceOptions{})
			loaded, err := f.Load(t.Context(), Item{URI: s.URL + tt.path}, Known{})
			outcome, after := tributary.OutcomeOf(err)
			if outcome != tt.outcome || after != tt.after || loaded.Verdict != tt.verdict || loaded.URI != "" {
				t.Errorf("%+v, outcome %v after %v of %v, want %+v", loaded, outcome, after, err, tt)
			}
		})
	}
}
