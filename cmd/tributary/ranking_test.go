package main

import (
	"bytes"
	"encoding/json"
	"flag"
	"fmt"
	"io"
	"math"
	"net/http"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
	"unicode"

	"github.com/google/go-cmp/cmp"
	"golang.org/x/sync/errgroup"

	"github.com/tributary-kb/tributary"
	"github.com/tributary-kb/tributary/embedder"
	"github.com/tributary-kb/tributary/internal/eval"
	"github.com/tributary-kb/tributary/internal/testenv"
)

var (
	update  = flag.Bool("update", false, "rewrite the golden files of the ranking")
	measure = flag.Bool("measure", false, "measure what no test holds too, for docs/benchmarks.md")
)

// rankingQueries are asked of examples/company-docs; each names the document
// that answers it.
var rankingQueries = []struct{ query, answer string }{
	{"how many bags may I check in", "baggage-allowance.md"},
	{"weight limit of carry-on luggage", "baggage-allowance.md"},
	{"excess baggage fee", "baggage-allowance.md"},
	{"refund for a cancelled booking", "cancel-your-booking.html"},
	{"how do I cancel my flight", "cancel-your-booking.html"},
	{"my suitcase arrived broken", "damaged-baggage-policy.html"},
	{"report damage to a bag", "damaged-baggage-policy.html"},
	{"my bag did not arrive", "delayed-baggage.md"},
	{"track delayed luggage", "delayed-baggage.md"},
	{"can a child travel alone", "flying-with-children.md"},
	{"stroller for an infant", "flying-with-children.md"},
	{"flat tyre", "how-to-change-a-tyre.pdf"},
	{"loosen the lug nuts", "how-to-change-a-tyre.pdf"},
	{"tow a car with a rope", "how-to-tow-your-car.pdf"},
	{"who may enter the lounge", "lounge-access.md"},
	{"wheelchair at the airport", "special-assistance.pdf"},
	{"travel with a musical instrument", "special-baggage-policy.pdf"},
	{"sports equipment", "special-baggage-policy.pdf"},
	{"take my dog on board", "travelling-with-pets.html"},
	{"anti-lock braking", "what-is-abs.html"},
}

// TestRankingIsAsReviewed compares the hits of each query with a golden file,
// and their summary with rank_stats.txt: a change of the ranking arrives as a
// diff to review. Rewrite them with
//
//	go test ./cmd/tributary -run TestRankingIsAsReviewed -update
func TestRankingIsAsReviewed(t *testing.T) {
	s := newSystem(t)
	docs := filepath.Join(testenv.ProjectRoot(t), "examples", "company-docs")
	fatal(t, s.command(s.kb).add(t.Context(), []string{docs}, addFlags{wait: true}))
	first, five, mrr := 0.0, 0.0, 0.0
	n := float64(len(rankingQueries))
	files := []string{"rank_stats.txt"}
	for _, q := range rankingQueries {
		reply, err := s.Search(t.Context(), tributary.SearchRequest{Query: q.query, K: 5})
		fatal(t, err)
		var ranked []string
		var out strings.Builder
		fmt.Fprintf(&out, "%s\nwant %s\n\n", q.query, q.answer)
		for _, h := range reply.Hits {
			name := h.URI[strings.LastIndex(h.URI, "/")+1:]
			ranked = append(ranked, name)
			text, _, _ := strings.Cut(strings.TrimSpace(h.Text), "\n")
			fmt.Fprintf(&out, "%d %.2f %s #%d  %s\n", h.Rank, h.Score, name, h.Location.Chunk, text[:min(len(text), 60)])
		}
		judged := eval.Judgements{q.answer: 1}
		first += eval.Recall(ranked, judged, 1) / n
		five += eval.Recall(ranked, judged, 5) / n
		mrr += eval.ReciprocalRank(ranked, judged, 5) / n
		files = append(files, notInName.ReplaceAllString(q.query, "-")+".txt")
		golden(t, files[len(files)-1], out.String())
	}
	golden(t, "rank_stats.txt", fmt.Sprintf("queries %d\nrecall@1 %.3f\nrecall@5 %.3f\nMRR@5 %.3f\n", len(rankingQueries), first, five, mrr))
	goldenOnly(t, files)
}

// goldenOnly reports files of testdata/ranking that no query has any more, or
// removes them.
func goldenOnly(t *testing.T, files []string) {
	t.Helper()
	there, err := os.ReadDir(filepath.Join("testdata", "ranking"))
	fatal(t, err)
	for _, f := range there {
		switch {
		case slices.Contains(files, f.Name()):
		case *update:
			fatal(t, os.Remove(filepath.Join("testdata", "ranking", f.Name())))
		default:
			t.Errorf("%s belongs to no query (-update removes it)", f.Name())
		}
	}
}

var notInName = regexp.MustCompile(`[^a-z0-9]+`)

// golden compares got with a file of testdata/ranking, or writes it.
func golden(t *testing.T, name, got string) {
	t.Helper()
	path := filepath.Join("testdata", "ranking", name)
	if *update {
		fatal(t, os.MkdirAll(filepath.Dir(path), 0o755))
		fatal(t, os.WriteFile(path, []byte(got), 0o644))
		return
	}
	want, err := os.ReadFile(path)
	fatal(t, err)
	if diff := cmp.Diff(string(want), got); diff != "" {
		t.Errorf("%s (-reviewed +got; -update rewrites it):\n%s", name, diff)
	}
}

// collections are measured as documents, through the whole system. lucene is
// what a BM25 of Lucene's quality gives (k1 0.9, b 0.4, title and text), plain
// what plainBM25 does.
var collections = []struct {
	name, contentType string
	lucene, plain     float64
}{
	{"ir-adi", "text/plain", .474, .444},
	{"qa-company-docs", "text/markdown", .83, .880},
	{"qa-anthropic-docs", "text/plain", .628, .620},
	{"ir-med", "text/plain", .671, .671},
	{"ir-cranfield", "text/plain", .493, .496},
	{"ir-cacm", "text/plain", .461, .444},
}

// TestRankingReachesLucene holds the default configuration at or above a
// Lucene-quality BM25 and Weaviate's own. With -measure it logs keywords alone
// beside it.
func TestRankingReachesLucene(t *testing.T) {
	for _, c := range collections {
		t.Run(c.name, func(t *testing.T) {
			if testing.Short() && !strings.HasPrefix(c.name, "qa") && c.name != "ir-adi" {
				t.Skip("thousands of documents")
			}
			set, err := eval.Load(testenv.SharedData(t, c.name))
			fatal(t, err)
			s := newSystem(t)
			s.fill(set.Documents, c.contentType)
			hybrid := s.ndcg(set.Queries, nil, tributary.SearchOptions{})
			t.Logf("%s nDCG@10: Lucene %.3f, default %.4f", c.name, c.lucene, eval.Mean(hybrid))
			if *measure {
				keywords := s.ndcg(set.Queries, new(float64), tributary.SearchOptions{})
				byRank := s.ndcg(set.Queries, nil, tributary.SearchOptions{Fusion: tributary.FusionRanked})
				s.measureDocumentWeights(set)
				d := eval.Difference(keywords, hybrid)
				t.Logf("keywords %.4f, by rank %.4f; default - keywords %+.4f [%+.4f, %+.4f]",
					eval.Mean(keywords), eval.Mean(byRank), d.Mean, d.Low, d.High)
				vectors := 1.0
				t.Logf("vectors alone %.4f, plain BM25 %.4f", eval.Mean(s.ndcg(set.Queries, &vectors, tributary.SearchOptions{})),
					eval.Mean(plainBM25(t, set)))
				m := newSystem(t, generatedModel)
				m.fill(set.Documents, c.contentType)
				t.Logf("with the generated encoder: vectors alone %.4f, default %.4f", eval.Mean(m.ndcg(set.Queries, &vectors, tributary.SearchOptions{})),
					eval.Mean(m.ndcg(set.Queries, nil, tributary.SearchOptions{})))
			}
			if got, floor := eval.Mean(hybrid), max(c.lucene, c.plain); got < floor {
				t.Errorf("nDCG@10 %.4f, want at least %.3f", got, floor)
			}
		})
	}
}

// measureDocumentWeights logs what weights of the document give against none:
// several under the default, and the default weight under other ways to rank.
func (s *system) measureDocumentWeights(set eval.Dataset) {
	s.t.Helper()
	none, half := 0.0, 0.5
	for _, how := range []struct {
		name    string
		alpha   *float64
		fusion  tributary.Fusion
		weights []float64
	}{
		{"default", nil, "", []float64{.1, .2, .3, .4, .5, 1}},
		{"keywords", &none, "", []float64{.2}},
		{"alpha 0.5", &half, "", []float64{.2}},
		{"by rank", nil, tributary.FusionRanked, []float64{.2}},
	} {
		ask := func(weight float64) []float64 {
			return s.ndcg(set.Queries, how.alpha, tributary.SearchOptions{Fusion: how.fusion, DocumentWeight: &weight})
		}
		without := ask(0)
		for _, weight := range how.weights {
			d := eval.Difference(without, ask(weight))
			s.t.Logf("%s, document weight %.1f: %+.4f [%+.4f, %+.4f] against %.4f without", how.name, weight, d.Mean, d.Low, d.High, eval.Mean(without))
		}
	}
}

// TestLongDocumentsAreFoundByAllTheirPassages joins the sections of each page
// of anthropic-docs to one document, and holds the default at or above the
// ranking by the best passage alone.
func TestLongDocumentsAreFoundByAllTheirPassages(t *testing.T) {
	sections, err := eval.Load(testenv.SharedData(t, "qa-anthropic-docs"))
	fatal(t, err)
	pages := pagesOf(sections)
	s := newSystem(t)
	s.fill(pages.Documents, "text/plain")
	byPassage, byDocument := s.ndcg(pages.Queries, nil, tributary.SearchOptions{DocumentWeight: new(float64)}), s.ndcg(pages.Queries, nil, tributary.SearchOptions{})
	t.Logf("%d pages nDCG@10: by the best passage %.4f, default %.4f", len(pages.Documents), eval.Mean(byPassage), eval.Mean(byDocument))
	if *measure {
		s.measureDocumentWeights(pages)
	}
	if eval.Mean(byDocument) < eval.Mean(byPassage) {
		t.Error("the score of the document makes the ranking worse")
	}
}

// pagesOf joins the sections of a page, whose ids are its address and a
// fragment.
func pagesOf(sections eval.Dataset) eval.Dataset {
	page := func(section string) string {
		address, _, _ := strings.Cut(section, "#")
		return address
	}
	var pages eval.Dataset
	at := map[string]int{}
	for _, d := range sections.Documents {
		id := page(d.ID)
		i, known := at[id]
		if !known {
			i = len(pages.Documents)
			at[id] = i
			pages.Documents = append(pages.Documents, eval.Document{ID: id, Title: id[strings.LastIndex(strings.TrimRight(id, "/"), "/")+1:]})
		}
		pages.Documents[i].Text += d.Text + "\n\n"
	}
	for _, q := range sections.Queries {
		relevant := eval.Judgements{}
		for section, grade := range q.Relevant {
			relevant[page(section)] = max(relevant[page(section)], grade)
		}
		pages.Queries = append(pages.Queries, eval.Query{ID: q.ID, Text: q.Text, Relevant: relevant})
	}
	return pages
}

func TestWeightOfDocumentsReachesTheRanking(t *testing.T) {
	s := newSystem(t, set("search.document_weight", "0"))
	filler := strings.Repeat("Everything else is told elsewhere, at some length. ", 12)
	about := func(heading, text string) string { return "# " + heading + "\n\n" + text + " " + filler + "\n\n" }
	var receipts []tributary.Receipt
	for uri, text := range map[string]string{
		"note:one":  about("Apples", "Apples are apples. Apples!") + about("Rain", "It rained.") + about("Wind", "It blew."),
		"note:all":  about("Apples", "Apples are apples.") + about("Apples, too", "Apples are red apples.") + about("Apples again", "Apples are green apples."),
		"note:rest": about("Snow", "It fell on apples."),
	} {
		r, err := s.Add(t.Context(), tributary.AddRequest{URI: uri, Text: text, Attributes: tributary.Attributes{ContentType: "text/markdown"}})
		fatal(t, err)
		receipts = append(receipts, r)
	}
	s.settled(receipts...)
	search := func(weight *float64) tributary.SearchReply {
		reply, err := s.Search(t.Context(), tributary.SearchRequest{Query: "apples", SearchOptions: tributary.SearchOptions{DocumentWeight: weight, Explain: true}})
		fatal(t, err)
		return reply
	}
	for _, tt := range []struct {
		weight *float64
		first  string
		want   float64
	}{{nil, "note:one", 0}, {new(1.0), "note:all", 1}} {
		reply := search(tt.weight)
		if len(reply.Hits) == 0 {
			t.Fatal("nothing was found")
		}
		best := reply.Hits[0]
		if best.URI != tt.first || reply.Explain.DocumentWeight != tt.want || (best.Explain.Document != nil) != (tt.want > 0) {
			t.Errorf("weight %v: %s first, %+v, %+v", tt.want, best.URI, *best.Explain, reply.Explain.Mix)
		}
	}
}

// fill publishes the documents under their ids and waits for them.
func (s *system) fill(documents []eval.Document, contentType string) {
	s.t.Helper()
	var receipts []tributary.Receipt
	for _, d := range documents {
		text := d.Text
		if strings.TrimSpace(text) == "" {
			text = d.Title
		}
		if strings.TrimSpace(text) == "" {
			continue
		}
		r, err := s.Add(s.t.Context(), tributary.AddRequest{URI: "doc:" + d.ID, Text: text, Lane: tributary.LaneBulk,
			Attributes: tributary.Attributes{Title: d.Title, ContentType: contentType}})
		fatal(s.t, err)
		receipts = append(receipts, r)
	}
	for some := range slices.Chunk(receipts, 500) {
		s.settled(some...)
	}
}

// ndcg returns nDCG@10 of every query, at the level of documents.
func (s *system) ndcg(queries []eval.Query, alpha *float64, options tributary.SearchOptions) []float64 {
	s.t.Helper()
	out := make([]float64, len(queries))
	s.askAll(len(queries), func(i int) error {
		q := queries[i]
		reply, err := s.Search(s.t.Context(), tributary.SearchRequest{Query: q.Text, K: 40, Alpha: alpha, SearchOptions: options})
		var ranked []string
		for _, h := range reply.Hits {
			ranked = append(ranked, strings.TrimPrefix(h.URI, "doc:"))
		}
		out[i] = eval.NDCG(ranked, q.Relevant, 10)
		return err
	})
	return out
}

// generatedModel is a system with an encoder of random weights, whose numbers
// are held against onnxruntime: it stands for a model in this process, not for
// what a trained one finds.
func generatedModel(s *system) {
	s.cfg.Embedder.Provider = embedder.ProviderEncoder
	s.cfg.Embedder.ModelDir = filepath.Join(testenv.ProjectRoot(s.t), "embedder", "local", "testdata", "encoder")
}

// plainBM25 returns nDCG@10 of Weaviate alone: whole documents, its own words
// and BM25 (k1 1.2, b 0.75), without stemming.
func plainBM25(t *testing.T, set eval.Dataset) []float64 {
	t.Helper()
	type object = map[string]any
	class := "Plain" + strings.NewReplacer("_", "", "-", "").Replace(testenv.KB(t))
	askWeaviate(t, http.MethodPost, "schema", object{"class": class, "vectorizer": "none", "properties": []object{
		{"name": "text", "dataType": []string{"text"}, "tokenization": "word"},
		{"name": "document", "dataType": []string{"text"}, "tokenization": "field"},
	}}, nil)
	defer askWeaviate(t, http.MethodDelete, "schema/"+class, nil, nil)
	for some := range slices.Chunk(set.Documents, 500) {
		var batch []object
		for _, d := range some {
			batch = append(batch, object{"class": class, "properties": object{"document": d.ID, "text": d.Title + "\n" + d.Text}})
		}
		askWeaviate(t, http.MethodPost, "batch/objects", object{"objects": batch}, nil)
	}
	out := make([]float64, len(set.Queries))
	for i, q := range set.Queries {
		text := strings.Join(strings.FieldsFunc(q.Text, func(r rune) bool { return !unicode.IsLetter(r) && !unicode.IsDigit(r) }), " ")
		var reply struct {
			Data struct {
				Get map[string][]struct{ Document string }
			}
		}
		askWeaviate(t, http.MethodPost, "graphql", object{"query": fmt.Sprintf(
			"{Get{%s(limit:10,bm25:{query:%q,properties:[\"text\"]}){document}}}", class, text)}, &reply)
		var ranked []string
		for _, h := range reply.Data.Get[class] {
			ranked = append(ranked, h.Document)
		}
		if len(ranked) == 0 {
			t.Logf("nothing found for %q", q.Text)
		}
		out[i] = eval.NDCG(ranked, q.Relevant, 10)
	}
	return out
}

// askWeaviate sends a request to the test's Weaviate itself.
func askWeaviate(t *testing.T, method, path string, body, reply any) {
	t.Helper()
	data, err := json.Marshal(body)
	fatal(t, err)
	req, err := http.NewRequestWithContext(t.Context(), method, "http://"+testenv.Weaviate(t).HTTP+"/v1/"+path, bytes.NewReader(data))
	fatal(t, err)
	req.Header.Set("Content-Type", "application/json")
	resp, err := http.DefaultClient.Do(req)
	fatal(t, err)
	defer func() { fatal(t, resp.Body.Close()) }()
	data, err = io.ReadAll(resp.Body)
	fatal(t, err)
	if resp.StatusCode != http.StatusOK {
		t.Fatalf("%s %s: %s: %s", method, path, resp.Status, data)
	}
	if reply != nil {
		fatal(t, json.Unmarshal(data, reply))
	}
}

// askAll calls ask for each of n questions, several at once: this process and
// Weaviate take turns otherwise.
func (s *system) askAll(n int, ask func(i int) error) {
	s.t.Helper()
	var g errgroup.Group
	g.SetLimit(4)
	for i := range n {
		g.Go(func() error { return ask(i) })
	}
	fatal(s.t, g.Wait())
}

// TestConfidenceTellsForeignQuestions asks the documents of each company the
// questions about the other's, and both those about a third subject. What is
// answered is held against the facts that make the answers. The floors are a
// little below what was measured.
func TestConfidenceTellsForeignQuestions(t *testing.T) {
	company, err := eval.Load(testenv.SharedData(t, "qa-company-docs"))
	fatal(t, err)
	other, err := eval.Load(testenv.SharedData(t, "qa-anthropic-docs"))
	fatal(t, err)
	facts := companyFacts(t)
	orgs := map[string][]eval.Document{}
	for _, d := range company.Documents {
		org, _, _ := strings.Cut(d.ID, "/")
		orgs[org] = append(orgs[org], d)
	}
	if len(orgs) != 2 {
		t.Fatalf("%d companies, want 2", len(orgs))
	}
	for org, documents := range orgs {
		t.Run(org, func(t *testing.T) {
			s := newSystem(t)
			s.fill(documents, "text/markdown")
			var own, foreign []float64
			wrong, right := 0.0, 0.0 // questions that were not answered
			var f1, precision, recall []float64
			queries := slices.Concat(company.Queries, other.Queries)
			replies := make([]tributary.Answer, len(queries))
			s.askAll(len(queries), func(i int) error {
				return s.Ask(t.Context(), tributary.AskRequest{Question: queries[i].Text}, func(e tributary.AskEvent) error {
					if e.Answer != nil {
						replies[i] = *e.Answer
					}
					return nil
				})
			})
			for i, q := range queries {
				reply := replies[i]
				answerable := false
				for document := range q.Relevant {
					answerable = answerable || strings.HasPrefix(document, org+"/")
				}
				silent := 0.0
				if reply.NoAnswer {
					silent = 1
				}
				if answerable {
					r := eval.JudgeAnswer(reply.Answer, facts[q.ID], citedDocuments(reply), q.Relevant)
					f1, precision, recall = append(f1, r.F1), append(precision, r.CitationPrecision), append(recall, r.CitationRecall)
					own, wrong = append(own, reply.Confidence), wrong+silent
				} else {
					foreign, right = append(foreign, reply.Confidence), right+silent
				}
			}
			auc := eval.AUC(own, foreign)
			kept, refused := 1-wrong/float64(len(own)), right/float64(len(foreign))
			rightly := right / math.Max(right+wrong, 1)
			t.Logf("%s: token F1 %.3f, citation precision %.3f, recall %.3f", org, eval.Mean(f1), eval.Mean(precision), eval.Mean(recall))
			if eval.Mean(f1) < .40 || eval.Mean(precision) < .70 || eval.Mean(recall) < .88 {
				t.Error("the answers are worse than .40 token F1, .70 citation precision, .88 citation recall")
			}
			t.Logf("%s: %d own questions, %d foreign; AUC %.3f; abstention recall %.3f, precision %.3f; own refused %.3f",
				org, len(own), len(foreign), auc, refused, rightly, 1-kept)
			for _, threshold := range []float64{.1, .3, .5, .7, .9} {
				t.Logf("  threshold %.1f: foreign refused %.3f, own refused %.3f", threshold,
					share(foreign, func(c float64) bool { return c < threshold }), share(own, func(c float64) bool { return c < threshold }))
			}
			if auc < .98 || refused < .9 || kept < .97 {
				t.Errorf("AUC %.3f, foreign refused %.3f, own kept %.3f; want at least .98, .90, .97", auc, refused, kept)
			}
		})
	}
}

// companyFacts are the texts that answer a question about the companies, by its
// id, as one reference.
func companyFacts(t *testing.T) map[string][]string {
	t.Helper()
	data, err := os.ReadFile(filepath.Join(testenv.SharedData(t, "qa-company-docs"), "answers.jsonl"))
	fatal(t, err)
	references := map[string][]string{}
	for line := range strings.Lines(string(data)) {
		var answer struct {
			ID    string `json:"_id"`
			Facts []struct{ Text string }
		}
		fatal(t, json.Unmarshal([]byte(line), &answer))
		var all []string
		for _, f := range answer.Facts {
			all = append(all, f.Text)
		}
		references[answer.ID] = []string{strings.Join(all, " ")}
	}
	return references
}

func citedDocuments(a tributary.Answer) []string {
	var cited []string
	for _, c := range a.Citations {
		cited = append(cited, strings.TrimPrefix(c.URI, "doc:"))
	}
	return cited
}

func share(values []float64, holds func(float64) bool) float64 {
	n := 0.0
	for _, v := range values {
		if holds(v) {
			n++
		}
	}
	return n / float64(len(values))
}
