package source

import (
	"context"
	"fmt"
	"log/slog"
	"time"

	"github.com/tributary-kb/tributary"
	"github.com/tributary-kb/tributary/ingest"
)

// Env is what followers use of their surroundings.
type Env struct {
	Ingest ingest.Config // limits, and how http and https are fetched
	Gate   Gate          // nil lets every request pass
	Log    *slog.Logger  // nil logs nothing
	// Web is what the followers of a process share to look at the web, made of
	// the same Ingest and Gate. nil makes one for this follower alone.
	Web *Web
	// Dir is where a follower keeps copies that it can make again, such as the
	// clone of a repository. It belongs to this source alone. "" allows none.
	Dir string
	// RepositoryMaxBytes bounds the clone in Dir, and each file in it; 0 means
	// 512 MiB. RepositoryTimeout is how long fetching may take; 0 means 10 minutes.
	RepositoryMaxBytes int64
	RepositoryTimeout  time.Duration
}

// A Gate spaces out the requests that all workers of the system send to one
// host.
type Gate interface {
	// Enter waits until a request may be sent to host ("example.com:443"), at
	// least pause after the one before it; 0 means the gate's own pause. The
	// caller calls leave once it has read the reply, with how long the host
	// wants to be left alone by everybody (429 and 503), or 0.
	Enter(ctx context.Context, host string, pause time.Duration) (leave func(backoff time.Duration), err error)
}

// New returns the follower of s. It looks at nothing yet. A source that cannot
// be followed as it is described is an error that names the option. Subjects
// and webhooks are not looked at, documents come from them by themselves: New
// refuses them.
func New(s tributary.Source, env Env) (Follower, error) {
	if err := s.Check(); err != nil {
		return nil, err
	}
	if env.Log == nil {
		env.Log = slog.New(slog.DiscardHandler)
	}
	build, ok := kinds[s.Kind]
	if !ok {
		return nil, fmt.Errorf("source %q: nothing is looked at for kind %s", s.Name, s.Kind)
	}
	f, err := build(s, env)
	if err != nil {
		return nil, fmt.Errorf("source %q: %w", s.Name, err)
	}
	return f, nil
}

// kinds has a line for each kind that is looked at.
var kinds = map[tributary.SourceKind]func(tributary.Source, Env) (Follower, error){
	tributary.SourceFolder:  newFolder,
	tributary.SourceFeed:    newFeed,
	tributary.SourceSitemap: newSitemap,
	tributary.SourceSite:    newSite,
	tributary.SourcePage:    newPage,
	tributary.SourceS3:      newBucket,
	tributary.SourceGit:     newRepository,
}
