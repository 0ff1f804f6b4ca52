package source

import (
	"encoding/json"
	"errors"
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

// Heard implements Listener for the notifications of the store.
func (b *bucket) Heard(message []byte) ([]string, error) {
	var n notification
	if err := json.Unmarshal(message, &n); err != nil {
		return nil, fmt.Errorf("read a bucket notification: %w", err)
	}
	if len(n.Records) == 0 && n.Key == "" && n.Event == "" {
		return nil, errors.New("read a bucket notification: it has neither Records nor a Key")
	}
	var uris []string
	add := func(bucket, key string) {
		if uri := b.uri(key); bucket == b.bucket && b.follows(key) && !slices.Contains(uris, uri) {
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
