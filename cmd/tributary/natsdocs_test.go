package main

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/tributary-kb/tributary"
	"github.com/tributary-kb/tributary/ingest"
	"github.com/tributary-kb/tributary/internal/api"
	"github.com/tributary-kb/tributary/internal/pipeline"
	"github.com/tributary-kb/tributary/internal/testenv"
)

// Three years of a documentation site, quarter by quarter: after each the
// knowledge base that followed along equals one that was built afresh from the
// same tree, and what was embedded is what had changed.
//
// Each time the complete tree is published by the command line, so most of it
// is published again unchanged, and files that are gone are removed. A fresh
// knowledge base costs a few seconds, so there is one for every quarter. The
// audit looks for each object by vector and keywords, which costs ten times as
// much: it runs at the first, the middle and the last quarter. In between,
// that no object is missing, orphaned or doubled follows from the counts and
// from reading all that the manifests name.
func TestDocumentationSiteFollowedThroughItsHistory(t *testing.T) {
	history := cloneHistory(t)
	work := &ledger{vectors: map[string]int{}, commits: map[string]tributary.Commit{}}
	s := newSystem(t, func(s *system) { s.wrap = work.parts })

	var before *treeState
	for i, point := range history.points {
		files := history.checkout(t, point)
		got := followVersions(t, s, work, before, files, history.dir)
		fresh := rebuild(t, s, fmt.Sprintf("%s-%d", s.kb[:40], i), history.dir)
		if diff := cmp.Diff(fresh.documents, got.documents); diff != "" {
			t.Fatalf("%s: followed and built afresh differ (-afresh +followed)\n%s", point.label, diff)
		}
		changed := changedChunks(before, fresh)
		t.Logf("%s: %d documents, %d refused, %d chunks, %d changed, %d embedded, %d embed batches, %d written",
			point.label, len(got.documents), len(got.refused), got.chunks(), changed, got.work.embedded, got.work.batches, got.work.written)
		// No exception: equal texts within one document have a place each in
		// the manifest, and chunks that only moved keep their hash.
		if got.work.embedded != changed || got.work.written != changed {
			t.Errorf("%s: %d chunks changed, %d were embedded and %d written", point.label, changed, got.work.embedded, got.work.written)
		}
		keptTheirChunks(t, before, got)
		if i == 0 || i == len(history.points)/2 || i == len(history.points)-1 {
			audit(t, s, got)
		}
		before = got
	}

	again := followVersions(t, s, work, before, before.files, history.dir)
	if again.work.embedded+again.work.batches+again.work.written+again.work.removed > 0 {
		t.Errorf("to publish the same again cost %+v, want nothing", again.work)
	}
	if again.work.versions != len(before.documents) {
		t.Errorf("%d versions were committed, want %d", again.work.versions, len(before.documents))
	}
	keptTheirChunks(t, before, again)
}

// history is a repository with commits to step through.
type history struct {
	dir    string // working tree
	points []checkpoint
}

type checkpoint struct{ label, commit string }

func cloneHistory(t *testing.T) history {
	t.Helper()
	data := testenv.SharedData(t, "kb-nats-docs")
	h := history{dir: filepath.Join(t.TempDir(), "docs")}
	bundles, err := filepath.Glob(filepath.Join(data, "*.bundle"))
	fatal(t, err)
	if len(bundles) != 1 {
		t.Fatalf("%d bundles in %s, want 1", len(bundles), data)
	}
	git(t, "clone", "--quiet", "--no-checkout", "-b", "upto2022", bundles[0], h.dir)
	for _, line := range lines(t, filepath.Join(data, "checkpoints.tsv")) {
		f := strings.Split(line, "\t")
		h.points = append(h.points, checkpoint{label: f[0], commit: f[1]})
	}
	return h
}

func git(t *testing.T, args ...string) {
	t.Helper()
	if out, err := exec.CommandContext(t.Context(), "git", args...).CombinedOutput(); err != nil {
		t.Fatalf("git %s: %v\n%s", strings.Join(args, " "), err, out)
	}
}

// checkout puts a commit into the working tree and returns the hash of each
// file, by URI.
func (h history) checkout(t *testing.T, p checkpoint) map[string]string {
	t.Helper()
	git(t, "-C", h.dir, "checkout", "--quiet", p.commit)
	files := map[string]string{}
	fatal(t, ingest.Walk(t.Context(), h.dir, ingest.WalkOptions{}, func(f ingest.File) error {
		content, err := os.ReadFile(f.Path)
		files[f.URI] = tributary.Hash(content)
		return errors.Join(f.Err, err)
	}))
	return files
}

// A treeState is a knowledge base after a tree was published into it.
type treeState struct {
	files     map[string]string   // hash of each published file, by URI
	documents map[string]document // that can be searched, by URI
	ids       map[string][]string // of their chunks
	refused   map[string]string   // why, by URI
	work      account             // what it took to get there
}

// A document is all of it that does not depend on how it came to be: no
// version, time or chunk id.
type document struct {
	Title, ContentType, Language, ContentHash string
	Fingerprint                               tributary.Fingerprint
	Passages                                  []passage
}

type passage struct {
	Hash, Text string
	Location   tributary.Location
}

func (s *treeState) chunks() int {
	n := 0
	for _, d := range s.documents {
		n += len(d.Passages)
	}
	return n
}

// followVersions publishes the tree in dir, removes what it no longer has, and returns
// the state that this leads to.
func followVersions(t *testing.T, s *system, work *ledger, before *treeState, files map[string]string, dir string) *treeState {
	t.Helper()
	work.reset()
	publishTree(t, s, s.kb, dir)
	if before != nil {
		var gone []string
		for uri := range before.files {
			if _, ok := files[uri]; !ok {
				gone = append(gone, uri)
			}
		}
		if len(gone) > 0 {
			fatal(t, s.command(s.kb).rm(t.Context(), gone, rmFlags{wait: true}))
		}
	}
	s.idle()
	done := work.account()
	state := readTree(t, s, s.kb)
	state.files, state.work = files, done
	for uri := range files {
		if _, ok := state.documents[uri]; !ok && state.refused[uri] == "" {
			t.Errorf("%s was published and is not there", uri)
		}
	}
	return state
}

// rebuild publishes the tree in dir into a new knowledge base, which is
// dropped when it has been looked at.
func rebuild(t *testing.T, s *system, kb, dir string) *treeState {
	t.Helper()
	drop := func(ctx context.Context) { fatal(t, s.plant.index.DropCollection(ctx, kb)) }
	t.Cleanup(func() {
		ctx, cancel := context.WithTimeout(context.WithoutCancel(t.Context()), time.Minute)
		defer cancel()
		drop(ctx)
	})
	publishTree(t, s, kb, dir)
	s.idle()
	state := readTree(t, s, kb)
	drop(t.Context())
	return state
}

// publishTree adds a folder as the command line does. Empty files are refused,
// and that is all that may be.
func publishTree(t *testing.T, s *system, kb, dir string) {
	t.Helper()
	err := s.command(kb).add(t.Context(), []string{dir}, addFlags{wait: true})
	if e, ok := errors.AsType[*exitError](err); err != nil && (!ok || e.code != exitRefused) {
		t.Fatal(err)
	}
}

// readTree reads a knowledge base through its protocol and fails the test where
// registry, index and status do not agree.
func readTree(t *testing.T, s *system, kb string) *treeState {
	t.Helper()
	ctx, c := t.Context(), api.NewClient(s.nc, kb)
	state := &treeState{documents: map[string]document{}, ids: map[string][]string{}, refused: map[string]string{}}
	fatal(t, c.List(ctx, tributary.ListRequest{}, func(item tributary.Item) error {
		if item.State != tributary.StateLive {
			state.refused[item.URI] = item.Reason
			if item.State != tributary.StateRejected || item.Chunks > 0 || !strings.Contains(item.Reason, "is empty") {
				t.Errorf("%s is %s with %d chunks: %s", item.URI, item.State, item.Chunks, item.Reason)
			}
			return nil
		}
		show, err := c.Show(ctx, tributary.ShowRequest{Document: item.Document})
		if err != nil {
			return err
		}
		if len(show.Missing) > 0 || len(show.Passages) != item.Chunks {
			t.Errorf("%s has %d of %d passages, and lacks %v", item.URI, len(show.Passages), item.Chunks, show.Missing)
		}
		state.add(show)
		return nil
	}))
	checkCounts(t, s, kb, state)
	return state
}

func (s *treeState) add(show tributary.ShowReply) {
	m := show.Manifest
	d := document{Title: m.Title, ContentType: m.ContentType, Language: m.Language, ContentHash: m.ContentHash, Fingerprint: m.Fingerprint}
	for i, p := range show.Passages {
		d.Passages = append(d.Passages, passage{Hash: m.Chunks[i].Hash, Text: p.Text, Location: p.Location})
		s.ids[show.URI] = append(s.ids[show.URI], p.ID)
	}
	s.documents[show.URI] = d
}

// audit compares registry and index of the system's own knowledge base.
func audit(t *testing.T, s *system, state *treeState) {
	t.Helper()
	want := state.chunks()
	fatal(t, s.Verify(t.Context(), tributary.VerifyRequest{}, func(f tributary.Finding) error {
		if f.Kind != tributary.FindingSummary {
			t.Errorf("the audit finds %+v", f)
		} else if f.Objects != want || f.Chunks != want {
			t.Errorf("the audit counts %d objects and %d chunks, want %d", f.Objects, f.Chunks, want)
		}
		return nil
	}))
}

// checkCounts compares what was read with the status.
func checkCounts(t *testing.T, s *system, kb string, state *treeState) {
	t.Helper()
	want := state.chunks()
	status, err := s.Status(t.Context())
	fatal(t, err)
	i := slices.IndexFunc(status.KBs, func(k tributary.KBStatus) bool { return k.KB == kb })
	if i < 0 {
		t.Fatalf("the status does not name %s", kb)
	}
	got := status.KBs[i]
	if got.Objects != want || got.Chunks != want || got.Live != len(state.documents) || got.Rejected != len(state.refused) || got.Pending > 0 {
		t.Errorf("the status says %+v, want %d chunks and objects, %d live, %d rejected", got, want, len(state.documents), len(state.refused))
	}
}

// changedChunks counts the chunks of now that before did not have in the same
// document.
func changedChunks(before, now *treeState) int {
	changed := 0
	for uri, d := range now.documents {
		old := map[string]int{}
		if before != nil {
			for _, p := range before.documents[uri].Passages {
				old[p.Hash]++
			}
		}
		for _, p := range d.Passages {
			if old[p.Hash]--; old[p.Hash] < 0 {
				changed++
			}
		}
	}
	return changed
}

// keptTheirChunks checks that documents whose file did not change have the
// same objects as before. An object that is written, even with the same
// content, has another id (tributary.ChunkID): equal ids mean that nothing was
// written.
func keptTheirChunks(t *testing.T, before, now *treeState) {
	t.Helper()
	if before == nil {
		return
	}
	for uri, ids := range now.ids {
		if before.files[uri] == now.files[uri] && !slices.Equal(before.ids[uri], ids) {
			t.Errorf("%s did not change, its chunks did:\n%v\n%v", uri, before.ids[uri], ids)
		}
	}
}

// A ledger counts what the stages do, once per version however often a message
// is handled.
type ledger struct {
	mu      sync.Mutex
	vectors map[string]int              // chunks that were given a vector, by version
	commits map[string]tributary.Commit // by version
	batches int                         // calls of the embed stage that made vectors
}

// An account is the sum of a ledger.
type account struct{ versions, embedded, batches, written, removed int }

func (l *ledger) parts(p pipeline.Parts) pipeline.Parts {
	embed, index := p.Embed, p.Index
	p.Embed = func(ctx context.Context, in []tributary.Chunked) ([]tributary.Embedded, error) {
		out, err := embed(ctx, in)
		l.embedded(out)
		return out, err
	}
	p.Index = func(ctx context.Context, in []tributary.Embedded) ([]tributary.Commit, error) {
		out, err := index(ctx, in)
		l.indexed(out)
		return out, err
	}
	return p
}

func (l *ledger) embedded(out []tributary.Embedded) {
	l.mu.Lock()
	defer l.mu.Unlock()
	sum := 0
	for _, e := range out {
		n := 0
		for _, c := range e.Chunks {
			if c.Vector != nil {
				n++
			}
		}
		l.vectors[fmt.Sprint(e.Document, "@", e.Version)] = n
		sum += n
	}
	if sum > 0 {
		l.batches++
	}
}

func (l *ledger) indexed(out []tributary.Commit) {
	l.mu.Lock()
	defer l.mu.Unlock()
	for _, c := range out {
		if c.Version > 0 {
			l.commits[fmt.Sprint(c.Document, "@", c.Version)] = c
		}
	}
}

func (l *ledger) reset() {
	l.mu.Lock()
	defer l.mu.Unlock()
	clear(l.vectors)
	clear(l.commits)
	l.batches = 0
}

func (l *ledger) account() account {
	l.mu.Lock()
	defer l.mu.Unlock()
	a := account{batches: l.batches, versions: len(l.commits)}
	for n := range maps.Values(l.vectors) {
		a.embedded += n
	}
	for c := range maps.Values(l.commits) {
		a.written += c.Added
		a.removed += c.Removed
	}
	return a
}
