package tributary

import (
	"cmp"
	"errors"
	"fmt"
	"slices"
	"time"
)

// A SourceKind says what a Source follows.
type SourceKind string

// Pushed reports whether documents of this kind come by themselves: there is
// nothing to look at.
func (k SourceKind) Pushed() bool { return k == SourceSubject || k == SourceWebhook }

// The kinds of source.
const (
	SourceFolder  SourceKind = "folder"  // a local tree of files
	SourceFeed    SourceKind = "feed"    // RSS, Atom or JSON Feed
	SourceSitemap SourceKind = "sitemap" // a sitemap or an index of them
	SourceSite    SourceKind = "site"    // the pages that a start page leads to
	SourcePage    SourceKind = "page"    // one URL
	SourceGit     SourceKind = "git"     // a branch of a repository
	SourceS3      SourceKind = "s3"      // a bucket of an S3-compatible store
	SourceSubject SourceKind = "subject" // documents that programs publish on a NATS subject
	SourceWebhook SourceKind = "webhook" // documents that programs send by HTTP
)

// SourceKinds lists the kinds in the order in which they are documented.
var SourceKinds = []SourceKind{
	SourceFolder, SourceFeed, SourceSitemap, SourceSite, SourcePage, SourceGit, SourceS3, SourceSubject, SourceWebhook,
}

// A Source is something whose documents are followed until told otherwise:
// every change of one, deletion included, becomes a request on the stream.
type Source struct {
	// Name is unique in the knowledge base, formed like the name of one (see
	// CheckKB). The source's documents carry it as Attributes.Source.
	Name string     `json:"name"`
	Kind SourceKind `json:"kind"`
	// Location is what is followed: an absolute path, a URL, a bucket
	// ("s3://bucket/prefix"), a NATS subject; for a webhook it is empty.
	Location string        `json:"location,omitempty"`
	Options  SourceOptions `json:"options,omitzero"`
}

// SourceOptions are what may be set of a Source. Zero means the default, and
// an option that its kind does not have is refused.
type SourceOptions struct {
	// Include and Exclude are patterns in the manner of .gitignore, over the
	// path below the location, or the path of the URL. Of a source with
	// Include only what one of them matches is followed.
	Include []string `json:"include,omitempty"`
	Exclude []string `json:"exclude,omitempty"`
	// EveryS fixes how often the source is looked at, in seconds. 0 learns it
	// from how often something changes, between MinS and MaxS.
	EveryS float64 `json:"every_seconds,omitempty"`
	MinS   float64 `json:"min_seconds,omitempty"` // 0 means the setting sources.min_interval
	MaxS   float64 `json:"max_seconds,omitempty"` // 0 means the setting sources.max_interval
	// HoldBelow is the share of its documents that a source must still list,
	// 0 to 1, or its deletions are held until somebody confirms them. nil
	// means 0.5; 0 never holds.
	HoldBelow *float64 `json:"hold_below,omitempty"`
	// MaxDocuments bounds how many documents the source may have; 0 means the
	// setting sources.max_documents. What is beyond is left out, and said.
	MaxDocuments int `json:"max_documents,omitempty"`

	Linked bool     `json:"linked,omitempty"` // feed: follow the linked pages, not the entries' own text
	Depth  int      `json:"depth,omitempty"`  // site: links from the start page; 0 means 8
	Hosts  []string `json:"hosts,omitempty"`  // site, sitemap, feed: further hosts in scope; without, only the location's
	Branch string   `json:"branch,omitempty"` // git; "" means the one that HEAD names
	// KnownHosts is the file on the worker's machine that has the keys of hosts,
	// as ssh's known_hosts; git over ssh needs one.
	KnownHosts string `json:"known_hosts,omitempty"`
	// Host names the machine whose workers may follow the source, as that
	// machine calls itself; "" means any. A folder is there on one machine only.
	Host string `json:"host,omitempty"`
	// Endpoint and Region of an S3-compatible store; "" means AWS.
	Endpoint string `json:"endpoint,omitempty"`
	Region   string `json:"region,omitempty"`
	// Notifications is the NATS subject on which the store of an s3 source
	// publishes what changes.
	Notifications string `json:"notifications,omitempty"`

	// User, and where the worker finds the secret that goes with it: a file on
	// its machine or an environment variable of its process. The secret is sent
	// to the location's own host only. With a secret and no user, the secret is a
	// bearer token. Of a webhook it is what requests are signed with, or carry
	// as a bearer token; several may stand there, in lines of their own.
	User       string `json:"user,omitempty"`
	SecretFile string `json:"secret_file,omitempty"`
	SecretEnv  string `json:"secret_env,omitempty"`

	Language string            `json:"language,omitempty"` // of its documents, ISO 639-1
	Metadata map[string]string `json:"metadata,omitempty"` // that its documents get
}

// Check reports why s cannot be followed, as far as can be told without
// looking at its location.
func (s Source) Check() error {
	if err := CheckKB(s.Name); err != nil {
		return fmt.Errorf("source %q: a name is 1 to 63 of a-z, 0-9 and '-', and starts with a letter", s.Name)
	}
	if !slices.Contains(SourceKinds, s.Kind) {
		return fmt.Errorf("source %q: kind %q is not known, the kinds are %v", s.Name, s.Kind, SourceKinds)
	}
	if (s.Location == "") != (s.Kind == SourceWebhook) {
		return fmt.Errorf("source %q: a %s source has %s", s.Name, s.Kind,
			map[bool]string{true: "no location, documents are sent to it", false: "a location"}[s.Kind == SourceWebhook])
	}
	if s.Kind == SourceSubject {
		if err := CheckSubject(s.Location); err != nil {
			return fmt.Errorf("source %q: %w", s.Name, err)
		}
	}
	if err := s.Options.check(); err != nil {
		return fmt.Errorf("source %q: %w", s.Name, err)
	}
	return nil
}

func (o SourceOptions) check() error {
	var errs []error
	if o.EveryS < 0 || o.MinS < 0 || o.MaxS < 0 {
		errs = append(errs, errors.New("every_seconds, min_seconds and max_seconds must not be negative"))
	}
	if o.MinS > 0 && o.MaxS > 0 && o.MinS > o.MaxS {
		errs = append(errs, fmt.Errorf("min_seconds is %v and max_seconds only %v", o.MinS, o.MaxS))
	}
	if h := o.HoldBelow; h != nil && !(*h >= 0 && *h <= 1) {
		errs = append(errs, fmt.Errorf("hold_below is %v, want 0 (never) to 1", *h))
	}
	if o.MaxDocuments < 0 || o.Depth < 0 {
		errs = append(errs, errors.New("max_documents and depth must not be negative"))
	}
	if o.Notifications != "" {
		if err := CheckSubject(o.Notifications); err != nil {
			errs = append(errs, fmt.Errorf("notifications: %w", err))
		}
	}
	if o.SecretFile != "" && o.SecretEnv != "" {
		errs = append(errs, errors.New("secret_file and secret_env are both set: set one"))
	}
	return errors.Join(errs...)
}

// Every is the fixed interval, 0 if it is learned.
func (o SourceOptions) Every() time.Duration { return seconds(o.EveryS) }

// Interval returns the bounds of a learned interval, with these defaults.
func (o SourceOptions) Interval(floor, ceiling time.Duration) (time.Duration, time.Duration) {
	floor = cmp.Or(seconds(o.MinS), floor)
	return floor, max(floor, cmp.Or(seconds(o.MaxS), ceiling))
}

func seconds(s float64) time.Duration { return time.Duration(s * float64(time.Second)) }
