package source

import (
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"strings"
	"time"

	"github.com/minio/minio-go/v7"
	"github.com/minio/minio-go/v7/pkg/credentials"

	"github.com/tributary-kb/tributary"
	"github.com/tributary-kb/tributary/ingest"
)

// bucket follows the objects of an S3-compatible store below a prefix, which
// is taken as a folder: "s3://bucket/docs" is what begins with "docs/".
type bucket struct {
	place
	client   *minio.Client
	scope    scope
	max      int // documents, 0 means no bound
	maxBytes int64
}

// place is a bucket and a prefix, "" or ending in a slash.
type place struct{ bucket, prefix string }

func parsePlace(location string) (place, error) {
	u, err := url.Parse(location)
	if err != nil || u.Scheme != "s3" || u.Host == "" || u.User != nil || u.RawQuery != "" {
		return place{}, tributary.Rejectf("location %q is not of the form s3://BUCKET/PREFIX", location)
	}
	prefix := strings.Trim(u.Path, "/")
	if prefix != "" {
		prefix += "/"
	}
	return place{bucket: u.Host, prefix: prefix}, nil
}

// uri is that of an object: s3://bucket/key, percent-encoded.
func (p place) uri(key string) string {
	return (&url.URL{Scheme: "s3", Host: p.bucket, Path: "/" + key}).String()
}

// key is the key of the object that uri names in the place.
func (p place) key(uri string) (string, error) {
	u, err := url.Parse(uri)
	if err != nil || u.Scheme != "s3" || u.Host != p.bucket || !strings.HasPrefix(u.Path, "/"+p.prefix) {
		return "", tributary.Rejectf("%q is not below %s", uri, p.uri(p.prefix))
	}
	return u.Path[1:], nil
}

// requestTries is how often one request, such as for a page of a listing, is
// sent before the listing fails.
const requestTries = 3

// bucketOptions are those that mean something for a bucket.
var bucketOptions = []string{
	"include", "exclude", "every_seconds", "min_seconds", "max_seconds", "hold_below", "max_documents", "host", "endpoint",
	"region", "notifications", "user", "secret_file", "secret_env", "language", "metadata",
}

func newBucket(s tributary.Source, env Env) (Follower, error) {
	if err := checkOptions(s, bucketOptions); err != nil {
		return nil, tributary.Reject(err)
	}
	where, err := parsePlace(s.Location)
	if err != nil {
		return nil, err
	}
	within, err := newScope(s.Options)
	if err != nil {
		return nil, tributary.Reject(err)
	}
	env.Ingest.SetDefaults()
	client, err := newS3(s.Options, env)
	if err != nil {
		return nil, err
	}
	return &bucket{place: where, client: client, scope: within, max: s.Options.MaxDocuments, maxBytes: env.Ingest.MaxBytes}, nil
}

// newS3 returns a client of the store that o names. Without a secret it is an
// anonymous one.
func newS3(o tributary.SourceOptions, env Env) (*minio.Client, error) {
	fetcher, err := ingest.NewFetcher(env.Ingest)
	if err != nil {
		return nil, err
	}
	key, err := secret(o)
	if err != nil {
		return nil, err
	}
	opts := &minio.Options{Secure: true, Transport: fetcher.Transport(), Region: o.Region, MaxRetries: requestTries}
	if key != "" {
		opts.Creds = credentials.NewStaticV4(o.User, key, "")
	}
	endpoint := cmp.Or(o.Endpoint, "s3.amazonaws.com")
	if o.Endpoint != "" {
		opts.BucketLookup = minio.BucketLookupPath
		opts.Region = cmp.Or(o.Region, "us-east-1") // or the store is asked, which needs a right of its own
	}
	if plain, ok := strings.CutPrefix(endpoint, "http://"); ok {
		endpoint, opts.Secure = plain, false
	}
	client, err := minio.New(strings.TrimSuffix(strings.TrimPrefix(endpoint, "https://"), "/"), opts)
	if err != nil {
		return nil, tributary.Rejectf("endpoint %q: %w", o.Endpoint, err)
	}
	return client, nil
}

// pageObjects is how many objects a page has, as many as stores give at once.
const pageObjects = 1000

// List reads the bucket page by page.
func (b *bucket) List(ctx context.Context, _ json.RawMessage, yield func(Item) error) (Listing, error) {
	var said notes
	count := 0
	for after := ""; ; {
		page, err := b.Page(ctx, after, func(item Item) error {
			if b.max > 0 && count == b.max {
				return errEnough
			}
			count++
			return yield(item)
		})
		for _, note := range page.Notes {
			said.add("%s", note)
		}
		switch {
		case errors.Is(err, errEnough):
			said.tooMany(b.max)
		case err != nil:
			return Listing{}, err
		case page.Through != "":
			after = page.Through
			continue
		}
		return Listing{Authoritative: true, Notes: said.all()}, nil
	}
}

// Page implements Pager, by the order of keys. A request that fails is sent
// again.
func (b *bucket) Page(ctx context.Context, after string, yield func(Item) error) (Listing, error) {
	var said notes
	through, count := after, 0
	opts := minio.ListObjectsOptions{Prefix: b.prefix, Recursive: true, StartAfter: after}
	for object := range b.client.ListObjectsIter(ctx, b.bucket, opts) {
		if object.Err != nil {
			return Listing{}, b.explain("list", b.prefix, object.Err)
		}
		if object.Key <= through {
			return Listing{}, tributary.Rejectf("list %s: the store lists %q after %q: a listing out of order cannot be gone on with", b.uri(b.prefix), object.Key, through)
		}
		through = object.Key
		item, ok, note := b.item(object)
		if note != "" {
			said.add("%s", note)
		}
		if ok {
			if err := yield(item); err != nil {
				return Listing{Notes: said.all()}, err
			}
		}
		if count++; count == pageObjects {
			return Listing{Authoritative: true, Notes: said.all(), Through: through}, nil
		}
	}
	if err := ctx.Err(); err != nil {
		return Listing{}, b.explain("list", b.prefix, err)
	}
	return Listing{Authoritative: true, Notes: said.all()}, nil
}

// Place implements Pager.
func (b *bucket) Place(uri string) string {
	key, err := b.key(uri)
	if err != nil {
		return ""
	}
	return key
}

// item describes an object, and returns false if it is not to be followed.
func (b *bucket) item(object minio.ObjectInfo) (_ Item, ok bool, note string) {
	if !b.follows(object.Key) {
		return Item{}, false, ""
	}
	uri := b.uri(object.Key)
	if err := tributary.CheckURI(uri); err != nil {
		return Item{}, false, "left out: " + err.Error()
	}
	return Item{URI: uri, Tag: objectTag(object), Modified: object.LastModified.Truncate(time.Second)}, true, ""
}

// follows reports whether the object of a key is one of the source's.
func (b *bucket) follows(key string) bool {
	path, below := strings.CutPrefix(key, b.prefix)
	return below && path != "" && !strings.HasSuffix(path, "/") && !hidden(path) && b.scope.holds(path)
}

func objectTag(o minio.ObjectInfo) string { return fmt.Sprintf("%s-%x", o.ETag, o.Size) }

// Look implements Looker. A bucket that is not there is an error: its objects
// are not deleted one by one.
func (b *bucket) Look(ctx context.Context, uri string) (Item, bool, error) {
	key, err := b.key(uri)
	if err != nil {
		return Item{}, false, err
	}
	object, err := b.client.StatObject(ctx, b.bucket, key, minio.StatObjectOptions{})
	if status(err) == http.StatusNotFound {
		return Item{}, false, b.exists(ctx)
	}
	if err != nil {
		return Item{}, false, b.explain("look at", key, err)
	}
	item, ok, _ := b.item(object)
	return item, ok, nil
}

// exists returns an error unless the bucket does.
func (b *bucket) exists(ctx context.Context) error {
	found, err := b.client.BucketExists(ctx, b.bucket)
	if err == nil && !found {
		err = minio.ErrorResponse{StatusCode: http.StatusNotFound, Code: "NoSuchBucket", Message: "The specified bucket does not exist"}
	}
	if err != nil {
		return b.explain("look at", "", err)
	}
	return nil
}

// Load gets an object unless it still has the ETag that is known.
func (b *bucket) Load(ctx context.Context, item Item, known Known) (Loaded, error) {
	key, err := b.key(item.URI)
	if err != nil {
		return Loaded{}, err
	}
	var opts minio.GetObjectOptions
	if known.ETag != "" && known.Hash != "" {
		if err := opts.SetMatchETagExcept(known.ETag); err != nil {
			return Loaded{}, b.explain("get", key, err)
		}
	}
	body, object, _, err := minio.Core{Client: b.client}.GetObject(ctx, b.bucket, key, opts)
	switch {
	case status(err) == http.StatusNotModified:
		known.Tag = item.Tag
		return Loaded{Verdict: Unchanged, Known: known}, nil
	case code(err) == minio.NoSuchKey:
		return Loaded{Verdict: Gone}, nil
	case err != nil:
		return Loaded{}, b.explain("get", key, err)
	}
	defer body.Close()
	content, err := readAtMost(body, b.maxBytes)
	if err != nil {
		return Loaded{}, b.explain("get", key, err)
	}
	result := loaded(content, objectTag(object), known, object.LastModified)
	result.Known.ETag = object.ETag
	result.ContentType = saidType(object.ContentType)
	return result, nil
}

// saidType is a content type that says something; stores give objects that
// were put without one a type that means "bytes".
func saidType(contentType string) string {
	switch contentType {
	case "binary/octet-stream", "application/octet-stream":
		return ""
	}
	return contentType
}

// status is the HTTP status that err stands for, 0 for an error that is not
// the store's.
func status(err error) int {
	e, _ := errors.AsType[minio.ErrorResponse](err)
	return e.StatusCode
}

// code is the error code of S3 that err stands for.
func code(err error) string {
	e, _ := errors.AsType[minio.ErrorResponse](err)
	return e.Code
}

// busy is how long a store is left alone that says that it is overloaded. The
// client does not tell what the store asks for.
const busy = 30 * time.Second

// explain says what failed and marks the error with what comes of it.
func (b *bucket) explain(act, key string, err error) error {
	wrapped := fmt.Errorf("%s %s: %w", act, b.uri(key), err)
	if name := code(err); name != "" {
		wrapped = fmt.Errorf("%s %s: the store answers %s: %w", act, b.uri(key), name, err)
	}
	switch s := status(err); {
	case s == http.StatusTooManyRequests || s >= 500:
		return tributary.RetryAfter(wrapped, busy)
	case s == http.StatusRequestTimeout || code(err) == "RequestTimeTooSkewed":
		return wrapped
	case s >= 400:
		return tributary.Reject(wrapped)
	}
	return wrapped
}
