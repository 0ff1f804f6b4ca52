//go:build unix

package main

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"os"
	"regexp"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/nats-io/nats.go"

	"github.com/tributary-kb/tributary"
	"github.com/tributary-kb/tributary/internal/api"
	"github.com/tributary-kb/tributary/internal/testenv"
)

func TestEveryDocumentIsThereOnceHoweverOftenUpIsKilled(t *testing.T) {
	in := newInstallation(t, killSettings...)
	in.sharedWeaviate(t)
	ordeal{in: in, rounds: 20, documents: 500}.run(t)
}

func TestEveryDocumentIsThereOnceHoweverOftenUpAndItsWeaviateAreKilled(t *testing.T) {
	in := newInstallation(t, killSettings...)
	in.managedWeaviate(t)
	ordeal{in: in, rounds: 6, documents: 500}.run(t)
}

// killSettings make several chunks of a small document, hand out again soon
// what a killed process had begun, and log enough to end a process at any step
// of its start.
var killSettings = []string{
	"CHUNKER_TARGET_TOKENS=32", "CHUNKER_OVERLAP_TOKENS=0", "STAGES_ACK_WAIT=2s", "LOG_LEVEL=debug",
}

// editEvery is how often an author edits a document, once all are written.
const editEvery = 200 * time.Millisecond

// An ordeal is a number of runs of `up` on one data folder, each ended at a
// random moment, while authors write and edit documents.
type ordeal struct {
	in        *installation
	rounds    int
	documents int
}

func (o ordeal) run(t *testing.T) {
	seed := uint64(time.Now().UnixNano())
	t.Logf("seed %d", seed)
	random := rand.New(rand.NewPCG(seed, 0))
	a := newAuthors(t, o.in, o.documents, random)
	killed := 0
	for round := range o.rounds {
		if o.endAtRandom(t, a, random, round) == os.Kill {
			killed++
		}
	}
	began := time.Now()
	p := o.in.start(t, "up")
	p.ready()
	ready := time.Since(began)
	written := a.finish()
	a.awaitSettled(written)
	a.awaitAudit()
	t.Logf("%d documents in %d versions; %d ends, %d of them by kill; ready again after %s, everything settled after %s",
		len(written), a.receipts.total(), o.rounds, killed, ready.Round(time.Millisecond), time.Since(began).Round(time.Millisecond))
	a.check(written)
	weaviatePID := o.in.weaviatePID(t)
	a.hangUp()
	if code := p.interrupt(); code != exitOK {
		t.Errorf("the last up ended with %d after an interrupt, want %d:\n%s", code, exitOK, p.err.tail(10))
	}
	awaitGone(t, weaviatePID)
}

// endAtRandom starts up, ends it at a random moment by a random signal, and
// checks that nothing of it is left.
func (o ordeal) endAtRandom(t *testing.T, a *authors, random *rand.Rand, round int) os.Signal {
	t.Helper()
	signal := []os.Signal{os.Interrupt, os.Kill}[random.IntN(2)]
	began := time.Now()
	p := o.in.start(t, "up")
	moment := a.randomMoment(random, p)
	if !moment.count.await(t.Context(), moment.n, p.done) {
		t.Fatalf("round %d: up ended by itself, with %d:\n%s", round, p.cmd.ProcessState.ExitCode(), p.err.tail(20))
	}
	announced := len(p.out.lines()[0]) > 0
	weaviatePID := o.in.weaviatePID(t)
	lived := time.Since(began)
	code := p.end(signal)
	t.Logf("round %2d: %-9v at %s, after %s", round, signal, moment, lived.Round(time.Millisecond))
	switch {
	case signal == os.Kill:
	case code != exitOK && (announced || code != exitInterrupted):
		t.Errorf("round %d: up ended with %d after an interrupt, want %d, or %d before it is ready:\n%s",
			round, code, exitOK, exitInterrupted, p.err.tail(20))
	}
	if signal != os.Kill || childrenDieWithTheirParent {
		awaitGone(t, weaviatePID)
	}
	return signal
}

// A moment is the n-th event of a kind.
type moment struct {
	kind  string
	count *counter
	n     int
}

func (m moment) String() string { return fmt.Sprintf("%s %d", m.kind, m.n) }

// randomMoment is a step of the start of p, or some receipts or commits from
// now.
func (a *authors) randomMoment(random *rand.Rand, p *process) moment {
	switch random.IntN(5) {
	case 0:
		return moment{"log line", p.err.count, 1 + random.IntN(24)}
	case 1, 2:
		return moment{"receipt", a.receipts, a.receipts.total() + 1 + random.IntN(30)}
	default:
		return moment{"commit", a.commits, a.commits.total() + 1 + random.IntN(30)}
	}
}

// awaitGone waits until no process has this id.
func awaitGone(t *testing.T, pid int) {
	t.Helper()
	testenv.Eventually(t, t.Context(), func() error {
		if processRuns(pid) {
			return fmt.Errorf("Weaviate, process %d, still runs", pid)
		}
		return nil
	})
}

// Authors write documents and edit them, whatever becomes of the system, until
// each change has its receipt.
type authors struct {
	t         *testing.T
	in        *installation
	documents int
	receipts  *counter
	commits   *counter
	enough    chan struct{} // closed when edits may end
	writing   sync.WaitGroup

	mu      sync.Mutex
	nc      *nats.Conn
	written map[string]change // by URI, the last
}

// A change is a revision of a document, with the receipt for it.
type change struct {
	revision int
	receipt  tributary.Receipt
}

// newAuthors lets authors begin.
func newAuthors(t *testing.T, in *installation, documents int, random *rand.Rand) *authors {
	const team = 4
	a := &authors{
		t: t, in: in, documents: documents, receipts: newCounter(), commits: newCounter(),
		enough: make(chan struct{}), written: map[string]change{},
	}
	for first := range team {
		own := rand.New(rand.NewPCG(random.Uint64(), 0))
		a.writing.Go(func() { a.write(first, team, own) })
	}
	t.Cleanup(a.hangUp)
	return a
}

// write writes every team-th document, and then edits them until it is enough.
func (a *authors) write(first, team int, random *rand.Rand) {
	for n := first; n < a.documents; n += team {
		a.publish(n, 0)
	}
	tick := time.NewTicker(editEvery)
	defer tick.Stop()
	for {
		select {
		case <-a.t.Context().Done():
			return
		case <-a.enough:
			return
		case <-tick.C:
		}
		n := first + team*random.IntN((a.documents-first+team-1)/team)
		a.mu.Lock()
		last := a.written[recordURI(n)]
		a.mu.Unlock()
		a.publish(n, last.revision+1)
	}
}

// publish asks again until there is a receipt.
func (a *authors) publish(n, revision int) {
	ctx := a.t.Context()
	tick := time.NewTicker(20 * time.Millisecond)
	defer tick.Stop()
	for ctx.Err() == nil {
		receipt, err := a.add(ctx, tributary.AddRequest{
			URI: recordURI(n), Text: recordText(n, revision), Attributes: tributary.Attributes{ContentType: "text/markdown"},
		})
		if err == nil {
			a.mu.Lock()
			a.written[recordURI(n)] = change{revision, receipt}
			a.mu.Unlock()
			a.receipts.add(1)
			return
		}
		if ctx.Err() == nil && !isUnreachable(err) {
			a.t.Errorf("publish %s: %v", recordURI(n), err)
			return
		}
		select {
		case <-ctx.Done():
		case <-tick.C:
		}
	}
}

func (a *authors) add(ctx context.Context, r tributary.AddRequest) (tributary.Receipt, error) {
	c, err := a.client()
	if err != nil {
		return tributary.Receipt{}, err
	}
	return c.Add(ctx, r)
}

// client reaches the system that runs now, as a program of somebody else does.
func (a *authors) client() (*api.Client, error) {
	a.mu.Lock()
	defer a.mu.Unlock()
	if a.nc == nil || a.nc.IsClosed() {
		running, err := ReadRunFile(a.in.data)
		if err != nil {
			return nil, fmt.Errorf("%w: %w", nats.ErrNoServers, err)
		}
		nc, err := nats.Connect(running.NATS, nats.NoReconnect())
		if err != nil {
			return nil, fmt.Errorf("%w: %w", nats.ErrNoServers, err)
		}
		if _, err := nc.Subscribe("tributary."+a.in.kb+".events.>", func(*nats.Msg) { a.commits.add(1) }); err != nil {
			nc.Close()
			return nil, err
		}
		a.nc = nc
	}
	return api.NewClient(a.nc, a.in.kb), nil
}

func (a *authors) hangUp() {
	a.mu.Lock()
	defer a.mu.Unlock()
	if a.nc != nil {
		a.nc.Close()
	}
}

// finish waits until every document is written, and returns the last change of
// each.
func (a *authors) finish() map[string]change {
	close(a.enough)
	a.writing.Wait()
	a.mu.Lock()
	defer a.mu.Unlock()
	return a.written
}

// awaitSettled waits for what was written, and until no stage has work left.
func (a *authors) awaitSettled(written map[string]change) {
	a.t.Helper()
	c, err := a.client()
	fatal(a.t, err)
	ats := make([]tributary.At, 0, len(written))
	for _, w := range written {
		ats = append(ats, tributary.At{Document: w.receipt.Document, Version: w.receipt.Version})
	}
	fatal(a.t, c.Wait(a.t.Context(), ats, func(s tributary.Settled) error {
		if s.State != tributary.StateLive {
			a.t.Errorf("%s is %s: %s", s.URI, s.State, s.Reason)
		}
		return nil
	}))
	awaitIdle(a.t, c)
}

// awaitAudit waits until a crash of Weaviate is mended.
func (a *authors) awaitAudit() {
	a.t.Helper()
	c, err := a.client()
	fatal(a.t, err)
	testenv.Eventually(a.t, a.t.Context(), func() error {
		status, err := c.Status(a.t.Context())
		for _, p := range status.Problems {
			err = errors.Join(err, errors.New(p.What))
		}
		return err
	})
}

// check compares what is found with what was written.
func (a *authors) check(written map[string]change) {
	a.t.Helper()
	ctx := a.t.Context()
	c, err := a.client()
	fatal(a.t, err)
	chunks := 0
	listed := map[string]bool{}
	fatal(a.t, c.List(ctx, tributary.ListRequest{Deleted: true}, func(item tributary.Item) error {
		want, known := written[item.URI]
		if !known || listed[item.URI] {
			a.t.Errorf("%s is listed, and was not written, or twice", item.URI)
		}
		listed[item.URI] = true
		chunks += item.Chunks
		// An audit after a crash may have published it again, as it was.
		if item.State != tributary.StateLive || item.Version < want.receipt.Version {
			a.t.Errorf("%s is %s at version %d, want live at %d", item.URI, item.State, item.Version, want.receipt.Version)
		}
		return nil
	}))
	if len(listed) != a.documents {
		a.t.Errorf("%d documents are listed, want %d", len(listed), a.documents)
	}
	for n := range a.documents {
		a.checkText(c, n, written[recordURI(n)].revision)
	}
	const shown = 3 // of each kind
	found := map[tributary.FindingKind]int{}
	fatal(a.t, c.Verify(ctx, tributary.VerifyRequest{}, func(f tributary.Finding) error {
		if f.Kind != tributary.FindingSummary {
			if found[f.Kind]++; found[f.Kind] <= shown {
				a.t.Errorf("the audit finds %+v", f)
			}
			return nil
		}
		if f.Documents != a.documents || f.Chunks != chunks || f.Objects != chunks {
			a.t.Errorf("the audit counts %d documents, %d chunks and %d objects, want %d, %d and as many objects",
				f.Documents, f.Chunks, f.Objects, a.documents, chunks)
		}
		return nil
	}))
	if len(found) > 0 {
		a.t.Errorf("the audit of %d chunks finds %v, want nothing", chunks, found)
	}
}

// checkText looks for each part of a record in the newest revision, once.
func (a *authors) checkText(c *api.Client, n, revision int) {
	a.t.Helper()
	doc, err := c.Show(a.t.Context(), tributary.ShowRequest{URI: recordURI(n)})
	fatal(a.t, err)
	var text strings.Builder
	for _, p := range doc.Passages {
		text.WriteString(p.Text + "\n")
	}
	got := recordMark.FindAllString(text.String(), -1)
	if want := recordMarks(n, revision); !slices.Equal(got, want) || len(doc.Missing) > 0 || len(doc.Passages) < 2 {
		a.t.Errorf("record %d has %d passages with the parts %q and %d chunks missing, want parts %q", n, len(doc.Passages), got, len(doc.Missing), want)
	}
}

// awaitIdle waits until no stage has work left.
func awaitIdle(t *testing.T, c *api.Client) {
	t.Helper()
	testenv.Eventually(t, t.Context(), func() error {
		st, err := c.Status(t.Context())
		if err != nil {
			return err
		}
		for _, s := range st.Stages {
			if s.Waiting > 0 || s.InFlight > 0 {
				return fmt.Errorf("%d messages wait for stage %s and %d are in flight", s.Waiting, s.Stage, s.InFlight)
			}
		}
		return nil
	})
}

// recordParts is how many parts a record has; a revision changes one of them.
const recordParts = 4

var recordMark = regexp.MustCompile(`record \d+ part \d+ revision \d+`)

func recordURI(n int) string { return fmt.Sprintf("test:record/%03d", n) }

// recordMarks are the marks of the parts of a record in a revision.
func recordMarks(n, revision int) []string {
	marks := make([]string, recordParts)
	for part := range marks {
		last := revision - (revision-part%recordParts+recordParts)%recordParts
		marks[part] = fmt.Sprintf("record %d part %d revision %d", n, part, max(last, 0))
	}
	return marks
}

// recordText is a document of some chunks. Its words are its own: the index
// does not reach every one of very many passages that are nearly the same.
func recordText(n, revision int) string {
	var b strings.Builder
	fmt.Fprintf(&b, "# Record %d\n", n)
	for part, mark := range recordMarks(n, revision) {
		fmt.Fprintf(&b, "\n## Part %d\n\nThis is %s.", part, mark)
		words := rand.New(rand.NewPCG(uint64(n), uint64(part)))
		for range 3 {
			b.WriteString(" The")
			for range 6 {
				b.WriteString(" " + word(words))
			}
			b.WriteString(".")
		}
		b.WriteString("\n")
	}
	return b.String()
}

// word is a word that no language has.
func word(random *rand.Rand) string {
	const consonants, vowels = "bdfgklmnprstvz", "aeiou"
	var b strings.Builder
	for range 3 {
		b.WriteByte(consonants[random.IntN(len(consonants))])
		b.WriteByte(vowels[random.IntN(len(vowels))])
	}
	return b.String()
}
