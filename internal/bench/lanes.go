package main

import (
	"context"
	"crypto/rand"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"time"

	"github.com/nats-io/nats.go"

	"github.com/tributary-kb/tributary"
	"github.com/tributary-kb/tributary/ingest"
)

const (
	lanesFiles    = 20              // of the folder that is edited
	lanesPause    = time.Second     // between two edits, from the end of the one to the next
	lanesPatience = 2 * time.Minute // with one edit
)

// A lanesResult is how long edits took to be found, while nothing else happened
// and while a folder of many documents was loaded.
type lanesResult struct {
	idle, loading editTimes
	documents     int           // that were loaded
	took          time.Duration // until the last of them was committed
}

// editTimes are those of edits, each from before the write.
type editTimes struct {
	accepted  []time.Duration // until the request was stored
	committed []time.Duration
	hit       []time.Duration // until the reply with the hit
}

// measureLanes follows two folders: one is edited, the other one is loaded for
// the first time, which goes on the bulk lane.
func (b *bench) measureLanes(ctx context.Context) (err error) {
	s, err := b.start(ctx)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, s.stop()) }()
	if err := b.results.environment.ask(ctx, s); err != nil {
		return err
	}
	dir := filepath.Join(b.dir, "lanes")
	e := &editor{system: s, dir: filepath.Join(dir, "edited"), commits: make(chan tributary.Commit, 1000)}
	backfill := filepath.Join(dir, "backfill")
	if err := errors.Join(writeFiles(e.dir, lanesFiles), writeFiles(backfill, b.opts.backfill)); err != nil {
		return err
	}
	loaded, err := e.listen(backfill, b.opts.backfill)
	if err != nil {
		return err
	}
	if err := e.addSource(ctx, "edited", e.dir, lanesFiles); err != nil {
		return err
	}
	if err := s.settle(ctx); err != nil {
		return err
	}
	r := &b.results.lanes
	b.say("measuring lanes: %d edits, idle", b.opts.edits)
	for range b.opts.edits {
		if err := e.timed(ctx, &r.idle); err != nil {
			return err
		}
	}
	b.say("measuring lanes: edits while %d documents are loaded", b.opts.backfill)
	r.documents = b.opts.backfill
	began := time.Now()
	if err := e.addSource(ctx, "backfill", backfill, 0); err != nil {
		return err
	}
	for {
		select {
		case <-loaded:
			r.took = time.Since(began) // to the end of an edit
			return nil
		default:
		}
		if err := e.timed(ctx, &r.loading); err != nil {
			return err
		}
	}
}

// writeFiles makes a folder with small Markdown files that have words of their
// own.
func writeFiles(dir string, n int) error {
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return err
	}
	for i := range n {
		if err := os.WriteFile(filepath.Join(dir, fmt.Sprintf("%05d.md", i)), []byte(smallText(i, "none")), 0o600); err != nil {
			return err
		}
	}
	return nil
}

func smallText(n int, word string) string {
	return fmt.Sprintf("# Document %d\n\nThe word of this document is %s.\n\n## More\n\n%s.\n", n, word,
		strings.Repeat("Another word of it is "+strings.ToLower(rand.Text()[:16])+". ", 20))
}

// An editor changes files of a folder that is followed.
type editor struct {
	*system
	dir     string
	edits   int
	commits chan tributary.Commit // of the documents of dir
}

// addSource follows a folder, and waits until so many of its documents were
// published.
func (e *editor) addSource(ctx context.Context, name, dir string, documents int) error {
	_, err := e.client.AddSource(ctx, tributary.SourceAddRequest{Source: tributary.Source{Name: name, Kind: tributary.SourceFolder, Location: dir}})
	if err != nil {
		return err
	}
	poll := time.NewTicker(50 * time.Millisecond)
	defer poll.Stop()
	for {
		st, err := e.client.ShowSource(ctx, tributary.SourceRequest{Name: name})
		if err != nil || st.Documents >= documents {
			return err
		}
		select {
		case <-ctx.Done():
			return fmt.Errorf("source %s has %d documents: %w", name, st.Documents, ctx.Err())
		case <-poll.C:
		}
	}
}

// listen counts commits: it closes what it returns when n documents below dir
// were committed.
func (e *editor) listen(dir string, n int) (<-chan struct{}, error) {
	done := make(chan struct{})
	seen := map[string]bool{}
	edited, loaded := ingest.FileURI(e.dir), ingest.FileURI(dir)
	_, err := e.nc.Subscribe("tributary."+kb+".events.*", func(m *nats.Msg) {
		var c tributary.Commit
		switch err := json.Unmarshal(m.Data, &c); {
		case err != nil:
		case strings.HasPrefix(c.URI, edited):
			select {
			case e.commits <- c:
			default: // nobody waits for it
			}
		case strings.HasPrefix(c.URI, loaded) && !seen[c.URI]:
			if seen[c.URI] = true; len(seen) == n {
				close(done)
			}
		}
	})
	return done, err
}

// timed writes a new word into a file, times how long it takes until a search
// finds it, and pauses.
func (e *editor) timed(ctx context.Context, times *editTimes) error {
	n := e.edits % lanesFiles
	e.edits++
	path, word := filepath.Join(e.dir, fmt.Sprintf("%05d.md", n)), strings.ToLower(rand.Text()[:16])
	began := time.Now()
	if err := os.WriteFile(path, []byte(smallText(n, word)), 0o600); err != nil {
		return err
	}
	commit, err := e.awaitHit(ctx, word, ingest.FileURI(path))
	if err != nil {
		return err
	}
	times.hit = append(times.hit, time.Since(began))
	times.accepted = append(times.accepted, commit.Accepted.Sub(began))
	times.committed = append(times.committed, commit.Committed.Sub(began))
	return sleep(ctx, lanesPause)
}

// awaitHit waits until the first hit for a word is in the document at uri, and
// returns the commit that made it so. It asks after commits of the document
// only, so that asking is no load.
func (e *editor) awaitHit(ctx context.Context, word, uri string) (commit tributary.Commit, err error) {
	ctx, cancel := context.WithTimeout(ctx, lanesPatience)
	defer cancel()
	for {
		select {
		case <-ctx.Done():
			return commit, fmt.Errorf("the edit of %s is not found after %v: %w", uri, lanesPatience, ctx.Err())
		case commit = <-e.commits:
			if commit.URI != uri {
				continue
			}
		}
		rep, err := e.client.Search(ctx, tributary.SearchRequest{Query: word})
		if err != nil {
			return commit, fmt.Errorf("search for the edit of %s: %w", uri, err)
		}
		if len(rep.Hits) > 0 && rep.Hits[0].URI == uri && strings.Contains(rep.Hits[0].Text, word) {
			return commit, nil
		}
	}
}

func sleep(ctx context.Context, d time.Duration) error {
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-ctx.Done():
		return ctx.Err()
	case <-t.C:
		return nil
	}
}
