package source

import (
	"bytes"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"reflect"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/johannesboyne/gofakes3"
	"github.com/johannesboyne/gofakes3/backend/s3mem"

	"github.com/tributary-kb/tributary"
	"github.com/tributary-kb/tributary/ingest"
)

// store is an S3 server in this process.
type store struct {
	*httptest.Server
	backend  gofakes3.Backend
	requests []*http.Request
	answer   func(w http.ResponseWriter, r *http.Request) bool // instead of the store, if it returns true
}

func newStore(t *testing.T, bucket string) *store {
	t.Helper()
	s := &store{backend: s3mem.New()}
	fatal(t, s.backend.CreateBucket(bucket))
	fake := gofakes3.New(s.backend).Server()
	s.Server = httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		s.requests = append(s.requests, r)
		if s.answer == nil || !s.answer(w, r) {
			fake.ServeHTTP(w, r)
		}
	}))
	t.Cleanup(s.Close)
	return s
}

func (s *store) put(t *testing.T, bucket, key, content string) {
	t.Helper()
	meta := map[string]string{"Content-Type": "text/markdown", "Last-Modified": time.Now().UTC().Format(http.TimeFormat)}
	_, err := s.backend.PutObject(bucket, key, meta, bytes.NewReader([]byte(content)), int64(len(content)), nil)
	fatal(t, err)
}

func (s *store) source(t *testing.T, location string, o tributary.SourceOptions) Follower {
	t.Helper()
	o.Endpoint = s.URL
	env := Env{Ingest: ingest.Config{MaxBytes: 100, Fetch: ingest.FetchConfig{AllowNetworks: []string{"127.0.0.0/8"}}}}
	return follow(t, tributary.SourceS3, location, o, env)
}

func TestS3ListsAPrefixPageByPage(t *testing.T) {
	s := newStore(t, "docs")
	for i := range 1500 {
		s.put(t, "docs", fmt.Sprintf("kb/%04d.md", i), "x")
	}
	s.put(t, "docs", "kb2/a.md", "beside")
	s.put(t, "docs", "kb/folder/", "")
	s.put(t, "docs", "kb/.hidden/a.md", "")
	s.put(t, "docs", "kb/a b?#ü.md", "")
	items, listing := list(t, s.source(t, "s3://docs/kb", tributary.SourceOptions{}), nil)
	if len(items) != 1501 || !listing.Authoritative || listing.Partial {
		t.Fatalf("%d items, listing %+v", len(items), listing)
	}
	if i := items[1500]; i.URI != "s3://docs/kb/a%20b%3F%23%C3%BC.md" || i.Tag == "" || i.Modified.IsZero() {
		t.Errorf("item %+v", i)
	}
	pages := 0
	for _, r := range s.requests {
		if r.URL.Query().Get("list-type") == "2" {
			pages++
		}
	}
	if pages < 2 {
		t.Errorf("%d pages", pages)
	}
	items, listing = list(t, s.source(t, "s3://docs/kb", tributary.SourceOptions{MaxDocuments: 3, Exclude: []string{"0000.md"}}), nil)
	if got := names(items, "s3://docs/kb/"); !reflect.DeepEqual(got, []string{"0001.md", "0002.md", "0003.md"}) || len(listing.Notes) != 1 {
		t.Errorf("got %q, notes %q", got, listing.Notes)
	}
}

func TestS3GoesOnWithAListing(t *testing.T) {
	s := newStore(t, "docs")
	for i := range 2100 {
		s.put(t, "docs", fmt.Sprintf("kb/%04d.md", i), "x")
	}
	s.put(t, "docs", "kb/0500 ü.md", "x")
	page := func(after string) (items []Item, through string) {
		t.Helper()
		pager := s.source(t, "s3://docs/kb", tributary.SourceOptions{}).(Pager) // each time another worker
		listing, err := pager.Page(t.Context(), after, func(i Item) error {
			items = append(items, i)
			return nil
		})
		fatal(t, err)
		for _, i := range items {
			if place := pager.Place(i.URI); place <= after || listing.Through != "" && place > listing.Through {
				t.Errorf("%q is not between %q and %q", place, after, listing.Through)
			}
		}
		return items, listing.Through
	}
	first, through := page("")
	if len(first) != 1000 || through != "kb/0998.md" {
		t.Fatalf("%d items through %q", len(first), through)
	}
	s.requests = nil
	second, through := page(through)
	third, end := page(through)
	if len(second) != 1000 || len(third) != 101 || end != "" {
		t.Errorf("%d and %d items, through %q", len(second), len(third), end)
	}
	if len(s.requests) != 2 || s.requests[0].URL.Query().Get("start-after") != "kb/0998.md" {
		t.Errorf("%d requests, the first %s", len(s.requests), s.requests[0].URL)
	}
	if place := s.source(t, "s3://docs/kb", tributary.SourceOptions{}).(Pager).Place("s3://docs/other.md"); place != "" {
		t.Errorf("what is not in the source has the place %q", place)
	}
}

func TestS3RefusesAListingOutOfOrder(t *testing.T) {
	s := newStore(t, "docs")
	s.answer = func(w http.ResponseWriter, _ *http.Request) bool {
		_, _ = io.WriteString(w, `<?xml version="1.0"?><ListBucketResult><Name>docs</Name><IsTruncated>false</IsTruncated>
			<Contents><Key>b.md</Key><ETag>x</ETag></Contents><Contents><Key>a.md</Key><ETag>x</ETag></Contents></ListBucketResult>`)
		return true
	}
	if err := listFails(t, s.source(t, "s3://docs", tributary.SourceOptions{})); outcome(err) != tributary.Rejected || !strings.Contains(err.Error(), `"a.md" after "b.md"`) {
		t.Errorf("error %v", err)
	}
}

func TestS3AsksForAPageAgain(t *testing.T) {
	s := newStore(t, "docs")
	s.put(t, "docs", "a.md", "x")
	failures := 1
	s.answer = func(w http.ResponseWriter, _ *http.Request) bool {
		if failures--; failures < 0 {
			return false
		}
		w.WriteHeader(http.StatusServiceUnavailable)
		return true
	}
	if items, _ := list(t, s.source(t, "s3://docs", tributary.SourceOptions{}), nil); len(items) != 1 {
		t.Errorf("%d items", len(items))
	}
}

func TestS3ThatCannotBeListedIsNotEmpty(t *testing.T) {
	s := newStore(t, "docs")
	none := s.source(t, "s3://none", tributary.SourceOptions{})
	if err := listFails(t, none); outcome(err) != tributary.Rejected || !strings.Contains(err.Error(), "NoSuchBucket") {
		t.Errorf("error %v", err)
	}
	if _, _, err := none.(Looker).Look(t.Context(), "s3://none/a.md"); err == nil {
		t.Error("a look into a bucket that is not there is no error")
	}
	if loaded, err := none.Load(t.Context(), Item{URI: "s3://none/a.md"}, Known{}); err == nil {
		t.Errorf("loaded %+v from a bucket that is not there", loaded)
	}
	s.answer = func(w http.ResponseWriter, _ *http.Request) bool {
		w.WriteHeader(http.StatusForbidden)
		_, _ = io.WriteString(w, `<?xml version="1.0"?><Error><Code>AccessDenied</Code><Message>Access Denied.</Message></Error>`)
		return true
	}
	if err := listFails(t, s.source(t, "s3://docs", tributary.SourceOptions{})); outcome(err) != tributary.Rejected || !strings.Contains(err.Error(), "AccessDenied") {
		t.Errorf("error %v", err)
	}
	guarded := follow(t, tributary.SourceS3, "s3://docs", tributary.SourceOptions{Endpoint: s.URL}, Env{})
	if err := listFails(t, guarded); outcome(err) != tributary.Rejected || !strings.Contains(err.Error(), "ingest.fetch.allow_hosts") {
		t.Errorf("a store at a private address: %v", err)
	}
	s.Close()
	if err := listFails(t, s.source(t, "s3://docs", tributary.SourceOptions{})); outcome(err) != tributary.Retry {
		t.Errorf("a store that is away: %v", err)
	}
}

func TestS3LoadsWhatChanged(t *testing.T) {
	s := newStore(t, "docs")
	s.put(t, "docs", "a.md", "one")
	f := s.source(t, "s3://docs", tributary.SourceOptions{})
	items, _ := list(t, f, nil)
	first, err := f.Load(t.Context(), items[0], Known{})
	fatal(t, err)
	if first.Verdict != Changed || string(first.Content) != "one" || first.ContentType != "text/markdown" || first.Known.Tag != items[0].Tag || first.Known.ETag == "" {
		t.Errorf("loaded %+v", first)
	}
	same, err := f.Load(t.Context(), items[0], first.Known)
	if err != nil || same.Verdict != Unchanged || same.Known != first.Known {
		t.Errorf("again: %+v, %v", same, err)
	}
	if last := s.requests[len(s.requests)-1]; last.Header.Get("If-None-Match") == "" {
		t.Errorf("the request has no validator: %v", last.Header)
	}
	looked, found, err := f.(Looker).Look(t.Context(), items[0].URI)
	if err != nil || !found || looked.Tag != items[0].Tag || !looked.Modified.Equal(items[0].Modified) {
		t.Errorf("looked: %+v, %v, %v, want %+v", looked, found, err, items[0])
	}
	_, err = s.backend.DeleteObject("docs", "a.md")
	fatal(t, err)
	if gone, err := f.Load(t.Context(), items[0], first.Known); err != nil || gone.Verdict != Gone {
		t.Errorf("deleted: %+v, %v", gone, err)
	}
	if _, found, err := f.(Looker).Look(t.Context(), items[0].URI); err != nil || found {
		t.Errorf("looked at what is deleted: %v, %v", found, err)
	}
	s.put(t, "docs", "big.md", strings.Repeat("x", 101))
	if _, err := f.Load(t.Context(), Item{URI: "s3://docs/big.md"}, Known{}); outcome(err) != tributary.Rejected || !strings.Contains(err.Error(), "limit of 100 (ingest.max_bytes)") {
		t.Errorf("too large: %v", err)
	}
	if _, err := f.Load(t.Context(), Item{URI: "s3://other/a.md"}, Known{}); outcome(err) != tributary.Rejected {
		t.Errorf("another bucket: %v", err)
	}
}

func TestS3SignsWithItsSecretAndSaysNothingOfIt(t *testing.T) {
	s := newStore(t, "docs")
	t.Setenv("TEST_S3_SECRET", "hush-hush")
	list(t, s.source(t, "s3://docs", tributary.SourceOptions{User: "key-id", SecretEnv: "TEST_S3_SECRET"}), nil)
	for _, r := range s.requests {
		if auth := r.Header.Get("Authorization"); !strings.Contains(auth, "Credential=key-id/") || strings.Contains(fmt.Sprint(r.Header), "hush") {
			t.Errorf("headers %v", r.Header)
		}
	}
	s.requests = nil
	list(t, s.source(t, "s3://docs", tributary.SourceOptions{}), nil)
	if auth := s.requests[0].Header.Get("Authorization"); auth != "" {
		t.Errorf("an anonymous request is signed: %q", auth)
	}
	_, err := New(tributary.Source{Name: "x", Kind: tributary.SourceS3, Location: "s3://docs", Options: tributary.SourceOptions{SecretEnv: "TEST_S3_NONE"}}, Env{})
	if err == nil || !strings.Contains(err.Error(), "TEST_S3_NONE") {
		t.Errorf("a secret that is not there: %v", err)
	}
}

// What MinIO publishes on NATS when an object is put.
const putEvent = `{"EventName":"s3:ObjectCreated:Put","Key":"docs/kb/a b.md","Records":[{"eventVersion":"2.0","eventSource":"minio:s3",
"eventName":"s3:ObjectCreated:Put","s3":{"s3SchemaVersion":"1.0","configurationId":"Config","bucket":{"name":"docs","arn":"arn:aws:s3:::docs"},
"object":{"key":"kb%2Fa+b.md","size":3,"eTag":"f97c5d29941bfb1b2fdab0874906ab82","contentType":"text/markdown","sequencer":"1"}}}]}`

func TestS3HearsWhatStoresPublish(t *testing.T) {
	one := []string{"s3://docs/kb/a%20b.md"}
	for _, tt := range []struct {
		name, location, data string
		options              tributary.SourceOptions
		want                 []string
		fails                bool
	}{
		{name: "MinIO", location: "s3://docs/kb", data: putEvent, want: one},
		{name: "the whole bucket", location: "s3://docs", data: putEvent, want: one},
		{name: "another prefix", location: "s3://docs/k", data: putEvent},
		{name: "another bucket", location: "s3://doc", data: putEvent},
		{name: "a pattern", location: "s3://docs", data: putEvent, options: tributary.SourceOptions{Include: []string{"*.md"}}, want: one},
		{name: "another pattern", location: "s3://docs", data: putEvent, options: tributary.SourceOptions{Exclude: []string{"*.md"}}},
		{name: "a hidden key", location: "s3://docs", data: strings.Replace(putEvent, "kb%2Fa+b.md", ".kb%2Fa", 1)},
		{name: "a folder", location: "s3://docs/kb", data: strings.Replace(putEvent, "kb%2Fa+b.md", "kb%2F", 1)},
		{name: "no records", location: "s3://docs", data: `{"EventName":"s3:ObjectRemoved:Delete","Key":"docs/a+b.md"}`, want: []string{"s3://docs/a+b.md"}},
		{name: "AWS's test", location: "s3://docs", data: `{"Service":"Amazon S3","Event":"s3:TestEvent","Bucket":"docs"}`},
		{name: "something else", location: "s3://docs", data: `{"a":1}`, fails: true},
		{name: "no JSON", location: "s3://docs", data: `x`, fails: true},
		{name: "a broken key", location: "s3://docs", data: strings.Replace(putEvent, "kb%2Fa+b.md", "%zz", 1), fails: true},
	} {
		f := follow(t, tributary.SourceS3, tt.location, tt.options, Env{})
		got, err := f.(Listener).Heard([]byte(tt.data))
		if !slices.Equal(got, tt.want) || (err != nil) != tt.fails {
			t.Errorf("%s: got %q, error %v", tt.name, got, err)
		}
	}
}

func TestS3RefusesWhatMeansNothingForABucket(t *testing.T) {
	_, err := New(tributary.Source{Name: "x", Kind: tributary.SourceS3, Location: "s3://docs", Options: tributary.SourceOptions{Branch: "main"}}, Env{})
	if err == nil || !strings.Contains(err.Error(), "branch") {
		t.Errorf("error %v", err)
	}
	if _, err := New(tributary.Source{Name: "x", Kind: tributary.SourceS3, Location: "docs"}, Env{}); err == nil {
		t.Error("a location without a scheme is taken")
	}
}

func FuzzHeard(f *testing.F) {
	f.Add([]byte(putEvent))
	b := &bucket{place: place{bucket: "docs", prefix: "kb/"}}
	f.Fuzz(func(t *testing.T, data []byte) {
		uris, err := b.Heard(data)
		if err != nil && uris != nil {
			t.Errorf("%q along with %v", uris, err)
		}
		for _, uri := range uris {
			if key, err := b.key(uri); err != nil || b.uri(key) != uri {
				t.Errorf("%q does not name an object: %v", uri, err)
			}
		}
	})
}
