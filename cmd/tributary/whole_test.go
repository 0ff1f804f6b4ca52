package main

import (
	"fmt"
	"slices"
	"strings"
	"testing"

	"github.com/prometheus/client_golang/prometheus/testutil"
	"go.opentelemetry.io/otel"
	sdktrace "go.opentelemetry.io/otel/sdk/trace"
	"go.opentelemetry.io/otel/sdk/trace/tracetest"

	"github.com/tributary-kb/tributary"
	"github.com/tributary-kb/tributary/internal/testenv"
)

// One trace leads from the request that published a document to its commit.
func TestATracePassesThroughAllStages(t *testing.T) {
	spans := tracetest.NewInMemoryExporter()
	provider := sdktrace.NewTracerProvider(sdktrace.WithSyncer(spans))
	otel.SetTracerProvider(provider)
	s := newSystem(t)
	ctx, root := provider.Tracer("test").Start(t.Context(), "publish")
	r, err := s.Add(ctx, tributary.AddRequest{URI: "test:traced", Text: "Follow me."})
	fatal(t, err)
	root.End()
	s.settled(r)
	s.idle()
	var got []string
	for _, span := range spans.GetSpans() {
		if span.SpanContext.TraceID() == root.SpanContext().TraceID() && strings.HasPrefix(span.Name, "tributary.") {
			got = append(got, span.Name)
		}
	}
	slices.Sort(got)
	want := []string{"tributary.chunk", "tributary.embed", "tributary.index", "tributary.ingest"}
	if !slices.Equal(got, want) {
		t.Errorf("the trace holds %v, want %v", got, want)
	}
}

// After a change of embedder nothing is compared with vectors of the old one;
// reindex makes the knowledge base whole again, and nothing is parsed again.
func TestReindexIsTheWayToAnotherEmbedder(t *testing.T) {
	s := newSystem(t)
	var receipts []tributary.Receipt
	for i := range 20 {
		receipts = append(receipts, s.put(fmt.Sprint("test:", i), fmt.Sprintf("# Number %d\n\nThe answer of document %d is here.", i, i)))
	}
	s.settled(receipts...)
	s.idle()
	s.stop()

	set("embedder.language", "de")(s)
	s.start(stageNames()...)
	_, err := s.Search(t.Context(), tributary.SearchRequest{Query: "answer"})
	if tributary.CodeOf(err) != tributary.CodeUnavailable || !strings.Contains(fmt.Sprint(err), "tributary reindex --kb "+s.kb) {
		t.Errorf("search with another embedder: %v, want a refusal that names the remedy", err)
	}
	status, err := s.Status(t.Context())
	fatal(t, err)
	if !slices.ContainsFunc(status.Problems, func(p tributary.Problem) bool { return strings.Contains(p.Do, "reindex") }) {
		t.Errorf("status does not tell: %+v", status.Problems)
	}

	remedy := "tributary reindex --kb " + s.kb
	s.log.await(t, "another embedder", remedy) // at the start
	waits := s.put("test:0", "# Number 0\n\nThe answer is another one.")
	s.log.await(t, "stage=index", "waiting", remedy)

	receipts = nil
	fatal(t, s.Reindex(t.Context(), func(r tributary.Receipt) error {
		receipts = append(receipts, r)
		return nil
	}))
	if len(receipts) != 20 {
		t.Errorf("%d documents were published again, want 20", len(receipts))
	}
	for uri, st := range s.settled(append(receipts, waits)...) {
		if st.State != tributary.StateLive {
			t.Errorf("%s is %s: %s", uri, st.State, st.Reason)
		}
	}
	s.idle()
	if got := len(s.contents()); got != 20 {
		t.Errorf("%d documents can be read, want 20", got)
	}
	found, err := s.Search(t.Context(), tributary.SearchRequest{Query: "answer", K: 20})
	fatal(t, err)
	if len(found.Hits) != 20 {
		t.Errorf("%d hits, want 20", len(found.Hits))
	}
}

// What verify finds it can mend: objects that are gone, and objects that
// nobody knows.
func TestVerifyMendsWhatItFinds(t *testing.T) {
	s := newSystem(t)
	s.settled(s.put("test:hurt", "# Hurt\n\nThis passage will be lost."), s.put("test:well", "# Well\n\nThis one stays."))
	s.idle()
	hurt, err := s.Show(t.Context(), tributary.ShowRequest{URI: "test:hurt"})
	fatal(t, err)
	lost := hurt.Passages[0].ID
	_, err = s.plant.index.Remove(t.Context(), s.kb, []string{lost})
	fatal(t, err)
	orphan := tributary.Object{
		ID: tributary.ChunkID(hurt.Document, 1, "an attempt that died", "h", 0), Document: hurt.Document, URI: "test:hurt",
		Birth: 1, Text: "left behind", Hash: "h", Vector: make(tributary.Vector, 1024),
	}
	orphan.Vector[0] = 1
	fatal(t, s.plant.index.Insert(t.Context(), s.kb, []tributary.Object{orphan}))

	found := func(repair bool) map[string]tributary.FindingKind {
		out := map[string]tributary.FindingKind{}
		fatal(t, s.Verify(t.Context(), tributary.VerifyRequest{Repair: repair}, func(f tributary.Finding) error {
			if f.Kind != tributary.FindingSummary {
				out[f.Chunk] = f.Kind
			}
			return nil
		}))
		return out
	}
	got := found(true)
	if len(got) != 2 || got[lost] != tributary.FindingMissing || got[orphan.ID] != tributary.FindingOrphan {
		t.Errorf("found %v, want %s missing and %s an orphan", got, lost, orphan.ID)
	}
	testenv.Eventually(t, t.Context(), func() error {
		rep, err := s.Show(t.Context(), tributary.ShowRequest{URI: "test:hurt"})
		if err == nil && len(rep.Missing) > 0 {
			err = fmt.Errorf("still missing: %v", rep.Missing)
		}
		return err
	})
	s.idle()
	if left := found(false); len(left) > 0 {
		t.Errorf("after the repair: %v", left)
	}
}

// A document that is refused keeps its last good version in answers, and says
// so wherever it is looked for.
func TestARefusedUpdateLeavesTheVersionBefore(t *testing.T) {
	s := newSystem(t)
	s.settled(s.put("test:doc", "# Good\n\nThe good version speaks of elephants."))
	bad, err := s.Add(t.Context(), tributary.AddRequest{URI: "test:doc", Content: []byte{}})
	fatal(t, err)
	if st := s.settled(bad)["test:doc"]; st.State != tributary.StateRejected || st.Stage != "ingest" || st.Chunks != 1 {
		t.Errorf("settled as %+v", st)
	}
	found, err := s.Search(t.Context(), tributary.SearchRequest{Query: "elephants"})
	fatal(t, err)
	if len(found.Hits) != 1 || found.Hits[0].Version >= bad.Version {
		t.Errorf("hits %+v, want the version before", found.Hits)
	}
	_, err = s.Search(t.Context(), tributary.SearchRequest{Query: "elephants", AtLeast: []tributary.At{{URI: "test:doc", Version: bad.Version}}})
	if err == nil || !strings.Contains(err.Error(), "empty") {
		t.Errorf("a search that demands the refused version: %v, want the reason", err)
	}
	status, err := s.Status(t.Context())
	fatal(t, err)
	if len(status.KBs) != 1 || status.KBs[0].Rejected != 1 || len(status.KBs[0].Refused) != 1 || status.Dead != 1 {
		t.Errorf("status %+v, %d dead letters", status.KBs, status.Dead)
	}
	s.settled(s.put("test:doc", "# Better\n\nNow it speaks of giraffes."))
	rep, err := s.Show(t.Context(), tributary.ShowRequest{URI: "test:doc"})
	fatal(t, err)
	if rep.State != tributary.StateLive || rep.Reason != "" {
		t.Errorf("after a good version: %+v", rep.Item)
	}
}

func TestMetricsTellWhatTheStagesDid(t *testing.T) {
	s := newSystem(t)
	s.settled(s.put("test:doc", "# Counted\n\nOnce."))
	s.idle()
	for _, name := range []string{
		"tributary_stage_in_total", "tributary_stage_out_total", "tributary_stage_outcomes_total", "tributary_stage_seconds",
		"tributary_stage_lag", "tributary_stage_in_flight", "tributary_change_to_searchable_seconds", "tributary_request_seconds",
		"tributary_embedded_texts_total",
	} {
		if n, err := testutil.GatherAndCount(s.metrics, name); err != nil || n == 0 {
			t.Errorf("metric %s: %d series, %v", name, n, err)
		}
	}
}
