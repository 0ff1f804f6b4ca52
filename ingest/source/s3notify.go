package source

import (
	"encoding/json"
	"fmt"
	"net/url"
	"slices"
	"strings"
)

// notification is what S3-compatible stores send about changes of a bucket
// (Amazon S3 User Guide, "Event message structure"). MinIO adds EventName and
// Key, which is the bucket and the key unescaped. Keys of records are escaped
// like form values.
type notification struct {
	Key     string `json:"Key"`
	Event   string `json:"Event"` // "s3:TestEvent" when notifications are set up
	Records []struct {
		S3 struct {
			Bucket struct {
				Name string `json:"name"`
			} `json:"bucket"`
			Object struct {
				Key string `json:"key"`
			} `json:"object"`
		} `json:"s3"`
	} `json:"Records"`
}

// Notified returns the URIs below the location of an S3 source that a bucket
// notification says have changed, appeared or gone; none if it is about others.
// What is not a notification is an error.
func Notified(location string, data []byte) ([]string, error) {
	where, err := parsePlace(location)
	if err != nil {
		return nil, err
	}
	var n notification
	if err := json.Unmarshal(data, &n); err != nil {
		return nil, fmt.Errorf("read a bucket notification: %w", err)
	}
	if len(n.Records) == 0 && n.Key == "" && n.Event == "" {
		return nil, fmt.Errorf("read a bucket notification: it has neither Records nor a Key")
	}
	var uris []string
	add := func(bucket, key string) {
		if uri := where.uri(key); bucket == where.bucket && strings.HasPrefix(key, where.prefix) && key != where.prefix && !slices.Contains(uris, uri) {
			uris = append(uris, uri)
		}
	}
	for _, r := range n.Records {
		key, err := url.QueryUnescape(r.S3.Object.Key)
		if err != nil {
			return nil, fmt.Errorf("read a bucket notification: key %q: %w", r.S3.Object.Key, err)
		}
		add(r.S3.Bucket.Name, key)
	}
	if bucket, key, ok := strings.Cut(n.Key, "/"); ok && len(n.Records) == 0 {
		add(bucket, key)
	}
	return uris, nil
}
