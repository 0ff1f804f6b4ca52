//go:build unix

package main

import (
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/nats-io/nats.go"

	"github.com/tributary-kb/tributary"
	"github.com/tributary-kb/tributary/ingest"
	"github.com/tributary-kb/tributary/internal/testenv"
)

// BenchmarkTakeover kills the worker that follows a folder, and times how long
// it takes until a change that was made right after that is committed: another
// worker has to take the source over first. The lease is the default one.
func BenchmarkTakeover(b *testing.B) {
	s := newSystem(b)
	s.stop()
	in := newInstallation(b, "KB="+s.kb, "NATS_URL="+s.server.ClientURL())
	worker := func() *process {
		p := in.start(b, "worker", "source")
		p.await(p.err, 1) // it works
		return p
	}
	workers := []*process{worker(), worker()}
	s.start("ingest", "chunk", "embed", "index", "query")
	path := filepath.Join(b.TempDir(), "note.md")
	fatal(b, os.WriteFile(path, []byte("The first version."), 0o600))
	commits := make(chan *nats.Msg, 100)
	_, err := s.nc.ChanSubscribe("tributary."+s.kb+".events.*", commits)
	fatal(b, err)
	_, err = s.AddSource(b.Context(), tributary.SourceAddRequest{Source: tributary.Source{Name: "notes", Kind: tributary.SourceFolder, Location: filepath.Dir(path)}})
	fatal(b, err)
	awaitCommit(b, commits, ingest.FileURI(path))
	for n := 0; b.Loop(); n++ {
		b.StopTimer()
		var owner string
		testenv.Eventually(b, b.Context(), func() error {
			st, err := s.ShowSource(b.Context(), tributary.SourceRequest{Name: "notes"})
			if owner = st.Owner; err == nil && (owner == "" || st.LastSuccess.IsZero()) {
				err = fmt.Errorf("the source has the owner %q", owner)
			}
			return err
		})
		for i, p := range workers {
			if strings.Contains(owner, fmt.Sprintf(".%d.", p.pid())) {
				b.StartTimer()
				p.kill()
				fatal(b, os.WriteFile(path, fmt.Appendf(nil, "Version %d.", n), 0o600))
				awaitCommit(b, commits, ingest.FileURI(path))
				b.StopTimer()
				workers[i] = worker()
				break
			}
		}
		b.StartTimer()
	}
	b.ReportMetric(b.Elapsed().Seconds()/float64(b.N), "s/takeover")
}

// awaitCommit waits until a version of the document at uri is committed.
func awaitCommit(b *testing.B, commits <-chan *nats.Msg, uri string) {
	b.Helper()
	for {
		select {
		case <-b.Context().Done():
			b.Fatal(b.Context().Err())
		case m := <-commits:
			var c tributary.Commit
			fatal(b, json.Unmarshal(m.Data, &c))
			if c.URI == uri {
				return
			}
		}
	}
}
