//go:build unix

package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"hash/fnv"
	"maps"
	"math/rand/v2"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/tributary-kb/tributary"
	"github.com/tributary-kb/tributary/chunker"
	"github.com/tributary-kb/tributary/embedder"
	"github.com/tributary-kb/tributary/ingest"
	"github.com/tributary-kb/tributary/internal/api"
	"github.com/tributary-kb/tributary/internal/testenv"
	"github.com/tributary-kb/tributary/internal/testenv/website"
)

// The commits of the site's history that are followed: a year with the one
// that moves most of its pages.
const (
	siteFrom    = 640
	siteCommits = 200
)

// faulty is the share of the versions of pages and listings that are served
// wrongly at first.
const faulty = 0.1

// A documentation site through 200 commits, as a web server that fails now and
// then shows it, followed by its sitemap and its feed by two workers of which
// one or the other is killed all the time. At the end the knowledge base
// equals one that was built afresh from a server without faults.
func TestASiteIsFollowedThroughItsHistoryWhileWorkersAreKilled(t *testing.T) {
	f := newFollowing(t)
	began := time.Now()
	f.begin()
	for n := range f.commits {
		f.show(n)
	}
	f.settle()
	f.killing.Wait()
	f.s.idle()
	took := time.Since(began)
	got := readTree(t, f.s, f.s.kb)
	entries := readTree(t, f.s, f.changes())
	cost := f.cost(entries.chunks()) // before the rebuild adds to it

	fresh := f.rebuild()
	if diff := cmp.Diff(fresh.documents, got.documents); diff != "" {
		t.Errorf("followed and built afresh differ (-afresh +followed)\n%s", diff)
	}
	if diff := cmp.Diff(f.pages(), slices.Sorted(maps.Keys(got.documents))); diff != "" {
		t.Errorf("the knowledge base does not hold the pages of the last commit (-pages +documents)\n%s", diff)
	}
	audit(t, f.s, got)
	f.hasEveryEntry(entries)
	t.Logf("%d commits in %s with %d kills; %d of %d versions of pages were seen\n%s",
		siteCommits, took.Round(time.Second), f.kills.total(), cost.seen, cost.versions, cost)
	if cost.failed == 0 || f.kills.total() == 0 {
		t.Errorf("%d requests failed and %d workers were killed, want some of both", cost.failed, f.kills.total())
	}
	for what, c := range map[string]struct{ is, least int }{"pages": {cost.pages, cost.versions}, "texts": {cost.texts, cost.leastTexts}} {
		if c.is > 4*c.least { // on a busy machine replies come too late, and are asked for again
			t.Errorf("%d %s were asked for, where %d would have done", c.is, what, c.least)
		}
	}
}

// A following is a site and what follows it.
type following struct {
	t       *testing.T
	commits []*website.Commit
	site    *website.Site
	url     string
	vectors *vectorServer
	s       *system       // answers; the work is done by the workers
	in      *installation // whose processes the workers are

	random   *rand.Rand // of killing alone
	requests *counter   // to the site
	kills    *counter
	enough   chan struct{} // closed when nobody is to be killed any more
	killing  sync.WaitGroup
}

func newFollowing(t *testing.T) *following {
	t.Helper()
	seed := uint64(time.Now().UnixNano())
	t.Logf("seed %d", seed)
	f := &following{
		t: t, random: rand.New(rand.NewPCG(seed, 0)), requests: newCounter(), kills: newCounter(), enough: make(chan struct{}),
	}
	var err error
	f.commits, err = website.Read(t.Context(), cloneHistory(t).dir, "upto2022", siteFrom, siteCommits)
	fatal(t, err)
	f.site = website.New(f.commits, seed, faulty)
	f.vectors = newVectorServer(t)
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		f.requests.add(1)
		f.site.ServeHTTP(w, r)
	}))
	t.Cleanup(server.Close)
	f.url = server.URL
	f.s = newSystem(t, func(s *system) {
		s.cfg.Embedder = embedder.Config{Provider: embedder.ProviderOpenAI, BaseURL: f.vectors.URL + "/v1", Model: "counted"}
		s.cfg.Embedder.SetDefaults()
	})
	f.s.stop()
	t.Cleanup(func() {
		for _, kb := range []string{f.changes(), f.afresh()} {
			if err := f.s.plant.index.DropCollection(context.WithoutCancel(t.Context()), kb); err != nil {
				t.Error(err)
			}
		}
	})
	f.in = newInstallation(t,
		"KB="+f.s.kb, "NATS_URL="+f.s.server.ClientURL(), "WEAVIATE_URL=http://"+f.s.index.Address, "WEAVIATE_GRPC="+f.s.index.GRPCAddress,
		"EMBEDDER_PROVIDER="+embedder.ProviderOpenAI, "EMBEDDER_BASE_URL="+f.vectors.URL+"/v1", "EMBEDDER_MODEL=counted",
		"INGEST_FETCH_TIMEOUT=1s", "INGEST_FETCH_ALLOW_NETWORKS=127.0.0.0/8", "STAGES_ACK_WAIT=2s",
		"SOURCES_LEASE=1s", "SOURCES_HOST_INTERVAL=1ms", "SOURCES_HOST_CONCURRENCY=4")
	return f
}

// begin starts the workers, and those who kill them.
func (f *following) begin() {
	f.t.Helper()
	workers := [2]*process{f.worker(), f.worker()}
	f.s.start("query")
	f.killing.Go(func() { f.kill(workers) })
	f.t.Cleanup(func() {
		f.stopKilling()
		f.killing.Wait()
	})
	for _, source := range []tributary.Source{
		{Name: "pages", Kind: tributary.SourceSitemap, Location: f.url},
		{Name: "changes", Kind: tributary.SourceFeed, Location: f.url + "/feed.atom"},
	} {
		source.Options = tributary.SourceOptions{MinS: 5, MaxS: 20}
		f.persist(func(ctx context.Context) error {
			_, err := f.client(source.Name).AddSource(ctx, tributary.SourceAddRequest{Source: source})
			return err
		})
	}
}

func (f *following) worker() *process {
	f.t.Helper()
	p := f.in.start(f.t, "worker", "ingest", "chunk", "embed", "index", "query", "source")
	p.await(p.err, 1) // it works
	return p
}

// kill kills one of the workers after some requests, and starts another in its
// place, again and again.
func (f *following) kill(workers [2]*process) {
	for {
		if !f.requests.await(f.t.Context(), f.requests.total()+1+f.random.IntN(200), f.enough) || closed(f.enough) {
			return
		}
		n := f.random.IntN(len(workers))
		workers[n].kill()
		f.kills.add(1)
		workers[n] = f.worker()
	}
}

func closed(c <-chan struct{}) bool {
	select {
	case <-c:
		return true
	default:
		return false
	}
}

func (f *following) stopKilling() {
	if !closed(f.enough) {
		close(f.enough)
	}
}

// client speaks to the knowledge base of a source: the entries of the feed are
// not in that of the pages.
func (f *following) client(source string) *api.Client {
	if source == "pages" {
		return f.s.Client
	}
	return api.NewClient(f.s.nc, f.changes())
}

// Further knowledge bases: of the feed, and the one that is built afresh.
func (f *following) changes() string { return "c" + f.s.kb[1:] }
func (f *following) afresh() string  { return "f" + f.s.kb[1:] }

// persist does something until it succeeds; it does it again whenever a worker
// was killed, which may have been the one that was to answer.
func (f *following) persist(do func(context.Context) error) {
	f.t.Helper()
	testenv.Eventually(f.t, f.t.Context(), func() error {
		ctx, cancel := context.WithCancel(f.t.Context())
		defer cancel()
		_, killed := f.kills.now()
		go func() {
			select {
			case <-killed:
				cancel()
			case <-ctx.Done():
			}
		}()
		return do(ctx)
	})
}

// show makes the site what it is at a commit, and waits until both listings
// were read since.
func (f *following) show(n int) {
	f.t.Helper()
	f.site.Show(n)
	began := time.Now()
	for _, source := range []string{"pages", "changes"} {
		f.persist(func(ctx context.Context) error {
			st, err := f.client(source).SyncSource(ctx, tributary.SourceSyncRequest{Name: source})
			if err == nil && st.State == tributary.SourceHeld {
				_, err = f.client(source).ConfirmSource(ctx, tributary.SourceRequest{Name: source})
				err = errors.Join(errors.New(st.Reason), err)
			}
			if err == nil && st.LastSuccess.Before(began) {
				err = fmt.Errorf("source %s is %s: %s", source, st.State, st.Reason)
			}
			return err
		})
	}
}

// settle waits until everything is known to be as it is at the last commit,
// with nobody killed any more. Some of what the site says at first cannot be
// told from the truth: it is looked at again after the last lie.
func (f *following) settle() {
	f.t.Helper()
	f.stopKilling()
	testenv.Eventually(f.t, f.t.Context(), func() error {
		if n := f.site.Untrue(); n > 0 {
			return fmt.Errorf("the site never told the truth about %d pages", n)
		}
		return nil
	})
	began := time.Now()
	testenv.Eventually(f.t, f.t.Context(), func() error {
		st, err := f.s.ShowSource(f.t.Context(), tributary.SourceRequest{Name: "pages"})
		if err == nil && (st.Documents != len(f.pages()) || st.Failing > 0 || st.Verified.Before(began)) {
			err = fmt.Errorf("source is %s: %s; %d documents, want %d; %d fail; verified at %s", st.State, st.Reason, st.Documents, len(f.pages()), st.Failing, st.Verified)
		}
		return err
	})
}

// pages are the URIs of the last commit.
func (f *following) pages() []string {
	var uris []string
	for path := range f.commits[siteCommits].Pages {
		uris = append(uris, f.url+path)
	}
	slices.Sort(uris)
	return uris
}

// rebuild follows the site as it is at the end, without faults, in a knowledge
// base of its own.
func (f *following) rebuild() *treeState {
	f.t.Helper()
	f.site.Heal()
	c := api.NewClient(f.s.nc, f.afresh())
	_, err := c.AddSource(f.t.Context(), tributary.SourceAddRequest{Source: tributary.Source{Name: "pages", Kind: tributary.SourceSitemap, Location: f.url}})
	fatal(f.t, err)
	_, err = c.SyncSource(f.t.Context(), tributary.SourceSyncRequest{Name: "pages"})
	fatal(f.t, err)
	f.s.idle()
	return readTree(f.t, f.s, f.afresh())
}

// hasEveryEntry checks that each commit is there as an entry of the feed,
// which never shows more than the last twenty.
func (f *following) hasEveryEntry(entries *treeState) {
	f.t.Helper()
	for n, c := range f.commits {
		if _, ok := entries.documents[f.url+"/changes/"+c.ID[:12]]; !ok {
			f.t.Errorf("the entry of commit %d is missing", n)
		}
	}
}

// A siteCost is what following a site took, and the least that it could have
// taken.
type siteCost struct {
	requests               map[string]int
	total, failed, bytes   int
	leastTotal, leastBytes int
	pages, versions, seen  int // bodies of pages that were sent well, and versions that there were
	calls, texts           int // of the embedding server
	leastCalls, leastTexts int
}

// cost sums up; the entries of the feed have so many passages.
func (f *following) cost(entries int) siteCost {
	f.t.Helper()
	count := f.site.Count()
	c := siteCost{requests: count.Requests, total: count.Sum(), bytes: count.Bytes, pages: count.Requests["page 200"], seen: len(count.Pages)}
	c.leastTotal, c.leastBytes = f.site.Least(f.url)
	for what, n := range count.Requests {
		if strings.Contains(what, "fault") {
			c.failed += n
		}
	}
	for _, commit := range f.commits {
		c.versions += len(commit.Changed)
	}
	c.calls, c.texts = f.vectors.asked()
	c.leastCalls, c.leastTexts = f.leastEmbedding()
	c.leastCalls, c.leastTexts = c.leastCalls+len(f.commits), c.leastTexts+entries
	return c
}

// leastEmbedding counts the passages that no version of the page before had,
// and the commits that have some: with one request for each of those every
// version could be embedded.
func (f *following) leastEmbedding() (calls, texts int) {
	f.t.Helper()
	before := map[string][]string{} // hashes by path
	for _, c := range f.commits {
		fresh := 0
		for _, path := range c.Changed {
			hashes := f.chunks(c.Pages[path])
			fresh += len(added(before[path], hashes))
			before[path] = hashes
		}
		for _, path := range c.Gone {
			delete(before, path)
		}
		if texts += fresh; fresh > 0 {
			calls++
		}
	}
	return calls, texts
}

// chunks returns the hashes of the chunks of a page.
func (f *following) chunks(p *website.Page) (hashes []string) {
	f.t.Helper()
	parse, split := ingest.Ingester{Config: f.s.cfg.Ingest}, chunker.Chunker{Config: f.s.cfg.Chunker}
	req := tributary.Request{
		Head: tributary.Head{KB: f.s.kb, URI: f.url + p.Path, Document: "d", Version: 1}, Op: tributary.OpPut,
		Content: p.Content, Attributes: tributary.Attributes{ContentType: "text/markdown; charset=utf-8"},
	}
	err := parse.Ingest(f.t.Context(), req, func(d tributary.Document) error {
		return split.Chunk(f.t.Context(), d, func(c tributary.Chunked) error {
			for _, chunk := range c.Chunks {
				hashes = append(hashes, chunk.Hash)
			}
			return nil
		})
	})
	if outcome, _ := tributary.OutcomeOf(err); err != nil && outcome != tributary.Rejected {
		f.t.Fatal(err)
	}
	return hashes
}

// added returns what now has and before had not, or not as often.
func added(before, now []string) (more []string) {
	had := map[string]int{}
	for _, h := range before {
		had[h]++
	}
	for _, h := range now {
		if had[h]--; had[h] < 0 {
			more = append(more, h)
		}
	}
	return more
}

// String is a table in Markdown.
func (c siteCost) String() string {
	var b strings.Builder
	row := func(what string, is, least int) {
		fmt.Fprintf(&b, "| %s | %d | %d | %.2f |\n", what, is, least, float64(is)/float64(max(least, 1)))
	}
	b.WriteString("| | | least | ratio |\n| --- | ---: | ---: | ---: |\n")
	row("requests", c.total, c.leastTotal)
	row("of these: pages sent whole", c.pages, c.versions)
	row("bytes", c.bytes, c.leastBytes)
	row("passages embedded", c.texts, c.leastTexts)
	row("requests for embeddings", c.calls, c.leastCalls)
	b.WriteString("\n")
	for _, what := range slices.Sorted(maps.Keys(c.requests)) {
		fmt.Fprintf(&b, "%s: %d\n", what, c.requests[what])
	}
	return b.String()
}

// A vectorServer is an embedding server of OpenAI's form that counts. Equal
// texts have equal vectors.
type vectorServer struct {
	*httptest.Server
	mu           sync.Mutex
	calls, texts int
}

func newVectorServer(t *testing.T) *vectorServer {
	v := &vectorServer{}
	v.Server = httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		var req struct{ Input []string }
		if err := json.NewDecoder(r.Body).Decode(&req); err != nil {
			return // the worker was killed
		}
		v.mu.Lock()
		v.calls, v.texts = v.calls+1, v.texts+len(req.Input)
		v.mu.Unlock()
		data := make([]map[string]any, len(req.Input))
		for i, text := range req.Input {
			data[i] = map[string]any{"index": i, "embedding": vectorOf(text)}
		}
		_ = json.NewEncoder(w).Encode(map[string]any{"data": data}) // nor if it was killed now
	}))
	t.Cleanup(v.Close)
	return v
}

func (v *vectorServer) asked() (calls, texts int) {
	v.mu.Lock()
	defer v.mu.Unlock()
	return v.calls, v.texts
}

func vectorOf(text string) []float64 {
	sum := fnv.New64a()
	sum.Write([]byte(text))
	random := rand.New(rand.NewPCG(sum.Sum64(), 0))
	vector := make([]float64, 64)
	for i := range vector {
		vector[i] = random.NormFloat64()
	}
	return vector
}
