package config

import (
	"errors"
	"fmt"
	"net"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/tributary-kb/tributary"
)

// An InvalidError is a setting whose value is outside of what is allowed.
type InvalidError struct {
	Key   string
	Value string // as it may be shown
	Want  string // what is allowed, in words
	From  string // where the value came from, "" if unknown
}

// Error implements error.
func (e *InvalidError) Error() string {
	if e.From == "" {
		return fmt.Sprintf("%s is %q, want %s", e.Key, e.Value, e.Want)
	}
	return fmt.Sprintf("%s is %q (from %s), want %s", e.Key, e.Value, e.From, e.Want)
}

// Validate reports every setting that is outside of what is allowed, joined
// into one error, or nil.
func (c Config) Validate() error {
	var v validator
	v.check("kb", c.KB, tributary.CheckKB(c.KB) == nil, "1 to 63 of a-z, 0-9 and '-', beginning with a letter")
	v.nats(c.NATS)
	v.weaviate(c.Weaviate)
	v.errs = append(v.errs, c.Ingest.Validate(), c.Chunker.Validate(), c.Embedder.Validate(), c.Query.Validate())
	v.stages(c.Stages)
	v.sources(c.Sources)
	v.listen("gateway.listen", c.Gateway.Listen, true)
	v.oneOf("log.level", c.Log.Level, "debug", "info", "warn", "error")
	v.oneOf("log.format", c.Log.Format, "auto", "text", "json")
	v.listen("metrics.listen", c.Metrics.Listen, true)
	return errors.Join(v.errs...)
}

// validate is Validate with the origin of each wrong value.
func (l *Loaded) validate() error {
	var errs []error
	for _, err := range flatten(l.Config.Validate()) {
		if invalid, ok := errors.AsType[*InvalidError](err); ok {
			invalid.From = l.Origin(invalid.Key)
			errs = append(errs, invalid)
			continue
		}
		// The stages' errors begin with the key of the setting.
		key, _, _ := strings.Cut(err.Error(), " ")
		if origin := l.origins[strings.TrimSuffix(key, ":")]; origin != "" {
			err = fmt.Errorf("%w (from %s)", err, origin)
		}
		errs = append(errs, err)
	}
	return errors.Join(errs...)
}

// flatten returns the errors that were joined into err.
func flatten(err error) []error {
	joined, ok := err.(interface{ Unwrap() []error })
	switch {
	case err == nil:
		return nil
	case !ok:
		return []error{err}
	}
	var all []error
	for _, e := range joined.Unwrap() {
		all = append(all, flatten(e)...)
	}
	return all
}

type validator struct{ errs []error }

func (v *validator) check(key, value string, ok bool, want string) {
	if !ok {
		v.errs = append(v.errs, &InvalidError{Key: key, Value: Redact(value), Want: want})
	}
}

func (v *validator) nats(n NATS) {
	for raw := range strings.SplitSeq(n.URL, ",") {
		u, err := url.Parse(strings.TrimSpace(raw))
		ok := n.URL == "" || err == nil && u.Host != "" && slices.Contains([]string{"nats", "tls", "ws", "wss"}, u.Scheme)
		v.check("nats.url", n.URL, ok, "URLs such as nats://host:4222 (or tls, ws, wss), comma separated")
	}
	v.listen("nats.listen", n.Listen, false)
	v.count("nats.replicas", n.Replicas, 5)
	v.check("nats.max_store_bytes", strconv.FormatInt(n.MaxStoreBytes, 10),
		n.MaxStoreBytes == 0 || n.MaxStoreBytes >= minStoreBytes, "0 (80 % of the free space) or at least 64MiB")
	v.check("nats.max_stage_bytes", strconv.FormatInt(n.MaxStageBytes, 10),
		n.MaxStageBytes >= minStageBytes, "at least 16MiB")
	v.check("nats.user", n.User, n.User == "" || n.PasswordFile != "" || n.Password != "",
		"none without nats.password_file")
	v.check("nats.password_file", n.PasswordFile, n.PasswordFile == "" || n.User != "", "none without nats.user")
	v.check("nats.creds_file", n.CredsFile, n.CredsFile == "" || n.User == "", "none beside nats.user")
}

// The least that lets every stream hold a few documents.
const (
	minStoreBytes = 64 << 20
	minStageBytes = 16 << 20
)

func (v *validator) weaviate(w Weaviate) {
	u, err := url.Parse(w.URL)
	ok := w.URL == "" || err == nil && u.Host != "" && (u.Scheme == "http" || u.Scheme == "https")
	v.check("weaviate.url", w.URL, ok, "a URL such as http://localhost:8080")
	v.listen("weaviate.grpc", w.GRPC, true)
	v.check("weaviate.grpc", w.GRPC, w.GRPC == "" || w.URL != "", "none without weaviate.url")
	v.check("weaviate.memory_bytes", strconv.FormatInt(w.MemoryBytes, 10),
		w.MemoryBytes == 0 || w.MemoryBytes >= minMemoryBytes, "0 (no target) or at least 128MiB")
	v.check("weaviate.timeout", duration(w.Timeout), w.Timeout >= time.Second && w.Timeout <= time.Hour, "1s to 1h")
}

// minMemoryBytes is a little more than an idle Weaviate takes.
const minMemoryBytes = 128 << 20

func (v *validator) sources(s Following) {
	v.errs = append(v.errs, s.Config.Validate())
	v.check("sources.host_interval", duration(s.HostInterval), s.HostInterval >= time.Millisecond && s.HostInterval <= time.Hour, "1ms to 1h")
	v.listen("sources.webhook_listen", s.WebhookListen, true)
	v.check("sources.webhook_max_bytes", strconv.FormatInt(s.WebhookMaxBytes, 10), s.WebhookMaxBytes >= 1<<10 && s.WebhookMaxBytes <= 1<<30, "1KiB to 1GiB")
	v.check("sources.host_concurrency", strconv.Itoa(s.HostConcurrency), s.HostConcurrency >= 1 && s.HostConcurrency <= 64, "1 to 64")
}

func (v *validator) stages(s Stages) {
	v.count("stages.concurrency.ingest", s.Concurrency.Ingest, 1024)
	v.count("stages.concurrency.chunk", s.Concurrency.Chunk, 1024)
	v.count("stages.concurrency.embed", s.Concurrency.Embed, 1024)
	v.count("stages.concurrency.index", s.Concurrency.Index, 1024)
	v.count("stages.concurrency.query", s.Concurrency.Query, 1024)
	v.count("stages.attempts", s.Attempts, 1000)
	v.check("stages.ack_wait", duration(s.AckWait), s.AckWait >= time.Second && s.AckWait <= 10*time.Minute, "1s to 10m")
}

func (v *validator) count(key string, n, most int) {
	v.check(key, strconv.Itoa(n), n >= 1 && n <= most, fmt.Sprintf("1 to %d", most))
}

func (v *validator) oneOf(key, value string, allowed ...string) {
	v.check(key, value, slices.Contains(allowed, value), "one of "+strings.Join(allowed, ", "))
}

// listen checks host:port, with a port from 0 to 65535.
func (v *validator) listen(key, value string, optional bool) {
	if optional && value == "" {
		return
	}
	_, port, err := net.SplitHostPort(value)
	if err == nil {
		_, err = strconv.ParseUint(port, 10, 16)
	}
	want := "host:port, with a port from 0 to 65535"
	if optional {
		want += ", or nothing"
	}
	v.check(key, value, err == nil, want)
}
