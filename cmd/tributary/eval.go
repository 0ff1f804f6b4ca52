package main

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/tributary-kb/tributary"
	"github.com/tributary-kb/tributary/internal/config"
	"github.com/tributary-kb/tributary/internal/eval"
	"github.com/tributary-kb/tributary/queryworker"
)

// evalDepth is how many passages a measured search asks for: recall@100 needs
// as many.
const evalDepth = 100

type evalFlags struct {
	search, against string // SearchRequest as JSON
	baseline        string // an earlier report
	html            string
	judge           string // a configuration file
	answers, purge  bool
	limit           int
}

func newEval(a *app) *cobra.Command {
	var f evalFlags
	cmd := &cobra.Command{
		Use:     "eval DIR",
		GroupID: groupLook,
		Short:   "Measure what is found and answered on a test collection",
		Long: `Eval publishes a test collection to the knowledge base that --kb names, waits
until it can be searched, asks every query, and reports nDCG@10, recall, MRR,
MAP and latency with 95 % bootstrap intervals. A collection is a folder in the
layout of BEIR: corpus.jsonl ({"_id", "title", "text"}), queries.jsonl ({"_id",
"text"}), qrels.tsv (query, document, grade), and for --answers answers.jsonl
({"_id", "answers": [...]}). A query without a relevant document and with an
empty list there is one that nothing answers: it is asked too, and the share of
them for which the answer is that there is none is a metric of its own.

Two ways of searching are compared query by query: --search and --against hold
fields of a search request as JSON; --baseline compares with the report that an
earlier ` + "`tributary eval --json`" + ` printed, of another embedder for example.
Answers are made with the fields of --search too.

--judge lets a model say what it thinks of the answers that have a reference:
the one that the section generator of a configuration file names, preferably
another than the one that writes. Its opinion is reported apart, with how often
it agrees with what was counted.

Use a knowledge base of its own. The collection stays in it, so that the next
eval starts at once; --purge removes it at the end.`,
		Example: `  tributary eval --kb eval-cranfield ./cranfield
  tributary eval --kb eval-cranfield --search '{"alpha":0}' --against '{}' --html report.html ./cranfield
  tributary eval --kb eval-company --answers --judge judge.yaml ./company`,
		Args: usage(cobra.ExactArgs(1)),
		RunE: func(cmd *cobra.Command, args []string) error { return a.eval(cmd.Context(), args[0], f) },
	}
	flags := cmd.Flags()
	flags.SortFlags = false
	flags.StringVar(&f.search, "search", "{}", "fields of the search request, as `JSON`")
	flags.StringVar(&f.against, "against", "", "fields of a second search request to compare with the first, as `JSON`")
	flags.StringVar(&f.baseline, "baseline", "", "compare with the report in this `FILE`")
	flags.StringVar(&f.html, "html", "", "write the report as a page to `FILE`, too")
	flags.BoolVar(&f.answers, "answers", false, "ask the queries too, and compare the answers with answers.jsonl")
	flags.StringVar(&f.judge, "judge", "", "with --answers: let the model judge them that the configuration `FILE` has as generator")
	flags.IntVar(&f.limit, "limit", 0, "only the first `NUMBER` of queries, 0 for all")
	flags.BoolVar(&f.purge, "purge", false, "remove the collection at the end")
	return cmd
}

func (f evalFlags) check() error {
	if f.against != "" && f.baseline != "" {
		return usagef("--against and --baseline are both set: set one")
	}
	if f.judge != "" && !f.answers {
		return usagef("--judge judges answers: set --answers too")
	}
	if f.limit < 0 {
		return usagef("--limit is %d, want 0 or more", f.limit)
	}
	return nil
}

func (a *app) eval(ctx context.Context, dir string, f evalFlags) error {
	if err := f.check(); err != nil {
		return err
	}
	e := &evaluation{a: a, flags: f, name: filepath.Base(filepath.Clean(dir))}
	if err := e.load(dir); err != nil {
		return err
	}
	return a.session(ctx, 0, func(ctx context.Context, c client) error {
		e.c = c
		report, err := e.run(ctx)
		if err != nil {
			return err
		}
		return e.show(report)
	})
}

// An evaluation measures one collection.
type evaluation struct {
	a            *app
	c            client
	flags        evalFlags
	name         string
	set          eval.Dataset
	requests     []tributary.SearchRequest
	names        []string
	baseline     *eval.Report
	answers      map[string][]string
	unanswerable []eval.Query // that nothing answers
	judge        *eval.Judge  // nil for none
}

// load reads everything that can be wrong before anything is published.
func (e *evaluation) load(dir string) (err error) {
	if e.set, err = eval.Load(dir); err != nil {
		return fmt.Errorf("collection %s: %w", dir, err)
	}
	if n := e.flags.limit; n > 0 && n < len(e.set.Queries) {
		e.set.Queries = e.set.Queries[:n]
	}
	if len(e.set.Queries) == 0 {
		return fmt.Errorf("collection %s: no query has a relevant document", dir)
	}
	for _, text := range []string{e.flags.search, e.flags.against} {
		if text == "" {
			continue
		}
		r := tributary.SearchRequest{K: evalDepth}
		decoder := json.NewDecoder(strings.NewReader(text))
		decoder.DisallowUnknownFields()
		if err := decoder.Decode(&r); err != nil {
			return usagef("%s: not the fields of a search request: %w", text, err)
		}
		e.requests, e.names = append(e.requests, r), append(e.names, text)
	}
	if e.flags.answers {
		if err := e.loadAnswers(filepath.Join(dir, "answers.jsonl")); err != nil {
			return err
		}
	}
	if e.flags.judge != "" {
		if e.judge, err = openJudge(e.flags.judge); err != nil {
			return err
		}
	}
	return e.loadBaseline()
}

// loadAnswers reads the reference answers, and finds the queries that have none.
func (e *evaluation) loadAnswers(file string) (err error) {
	e.answers, err = eval.LoadAnswers(file)
	for _, q := range e.set.Others {
		if references, named := e.answers[q.ID]; named && len(references) == 0 {
			e.unanswerable = append(e.unanswerable, q)
		}
	}
	if n := e.flags.limit; n > 0 {
		e.unanswerable = e.unanswerable[:min(n, len(e.unanswerable))]
	}
	return err
}

// openJudge makes a judge of the generator that a configuration file names.
func openJudge(file string) (*eval.Judge, error) {
	cfg, err := config.Load(config.Sources{File: file, Env: []string{}})
	if err != nil {
		return nil, fmt.Errorf("--judge: %w", err)
	}
	generator, err := cfg.Query.Generator.New(nil, nil)
	if err != nil {
		return nil, fmt.Errorf("--judge %s: %w", file, err)
	}
	model, ok := generator.(queryworker.Completer)
	if !ok {
		return nil, usagef("--judge %s: generator.provider is %s there, want a model", file, generator.Name())
	}
	return &eval.Judge{Name: generator.Name(), Ask: func(ctx context.Context, instruction, data string) (string, error) {
		reply, _, err := model.Complete(ctx, instruction, data)
		return reply, err
	}}, nil
}

func (e *evaluation) loadBaseline() error {
	if e.flags.baseline == "" {
		return nil
	}
	data, err := os.ReadFile(e.flags.baseline)
	if err != nil {
		return err
	}
	if err = json.Unmarshal(data, &e.baseline); err == nil && len(e.baseline.Runs) == 0 {
		err = errors.New("it has no runs")
	}
	if err != nil {
		return fmt.Errorf("--baseline %s: not a report of eval --json: %w", e.flags.baseline, err)
	}
	return nil
}

func (e *evaluation) run(ctx context.Context) (eval.Report, error) {
	if err := e.publish(ctx); err != nil {
		return eval.Report{}, err
	}
	rankers := make([]eval.Ranker, len(e.requests))
	for i, r := range e.requests {
		rankers[i] = e.ranker(r)
	}
	p := e.a.newProgress("asked", len(e.set.Queries))
	runs, err := eval.Rank(ctx, e.set, e.names, rankers, p.step)
	p.finish()
	if err != nil {
		return eval.Report{}, err
	}
	if e.flags.answers {
		if err := e.answer(ctx, &runs[0]); err != nil {
			return eval.Report{}, err
		}
	}
	if e.baseline != nil {
		before := e.baseline.Runs[len(e.baseline.Runs)-1]
		before.Name = "baseline"
		runs = append([]eval.Run{before}, runs...)
	}
	if e.flags.purge {
		if err := e.purge(ctx); err != nil {
			return eval.Report{}, err
		}
	}
	return eval.NewReport(e.name, e.set, runs, time.Now().UTC()), nil
}

// uri names a document of the collection.
func (e *evaluation) uri(id string) string {
	return "eval:" + url.PathEscape(e.name) + "/" + url.PathEscape(id)
}

func (e *evaluation) document(uri string) string {
	id, err := url.PathUnescape(strings.TrimPrefix(uri, "eval:"+url.PathEscape(e.name)+"/"))
	if err != nil {
		return uri
	}
	return id
}

// publish adds the collection and waits until it can be searched. Documents
// without text are refused; the collections have some.
func (e *evaluation) publish(ctx context.Context) error {
	return e.changes(ctx, "searchable", func(d eval.Document) func(context.Context, client) (tributary.Receipt, error) {
		return func(ctx context.Context, c client) (tributary.Receipt, error) {
			return c.Add(ctx, tributary.AddRequest{URI: e.uri(d.ID), Text: d.Text, Content: emptyContent(d.Text),
				Lane: tributary.LaneBulk, Attributes: tributary.Attributes{Title: d.Title, Source: "eval", ContentType: "text/plain"}})
		}
	})
}

// emptyContent is the content of a document without text, which a request
// cannot tell from none.
func emptyContent(text string) []byte {
	if text == "" {
		return []byte{}
	}
	return nil
}

func (e *evaluation) purge(ctx context.Context) error {
	return e.changes(ctx, "removed", func(d eval.Document) func(context.Context, client) (tributary.Receipt, error) {
		return func(ctx context.Context, c client) (tributary.Receipt, error) {
			return c.Remove(ctx, tributary.RemoveRequest{URI: e.uri(d.ID), Lane: tributary.LaneBulk})
		}
	})
}

// changes publishes a change of every document, without receipts on stdout.
func (e *evaluation) changes(ctx context.Context, what string, send func(eval.Document) func(context.Context, client) (tributary.Receipt, error)) error {
	quiet := *e.a
	quiet.out, quiet.json = newTerminal(io.Discard, nil), false
	err := quiet.publish(ctx, e.c, func(_ context.Context, emit func(job) error) error {
		for _, d := range e.set.Documents {
			if err := emit(job{uri: e.uri(d.ID), send: send(d)}); err != nil {
				return err
			}
		}
		return nil
	}, true, what)
	if refused, ok := errors.AsType[*exitError](err); ok && refused.code == exitRefused {
		e.a.warnf("%v; the collection is measured without them", err)
		return nil
	}
	return err
}

func (e *evaluation) ranker(r tributary.SearchRequest) eval.Ranker {
	return func(ctx context.Context, query string) ([]string, error) {
		r.Query = query
		reply, err := e.c.Search(ctx, r)
		ranked := make([]string, len(reply.Hits))
		for i, hit := range reply.Hits {
			ranked[i] = e.document(hit.URI)
		}
		return ranked, err
	}
}

// answer asks the queries, and adds what the answers are worth to run.
func (e *evaluation) answer(ctx context.Context, run *eval.Run) error {
	p := e.a.newProgress("answered", len(e.set.Queries)+len(e.unanswerable))
	defer p.finish()
	for i, q := range e.set.Queries {
		result, err := e.answerTo(ctx, run, q)
		if err != nil {
			return fmt.Errorf("query %s: %w", q.ID, err)
		}
		run.Results[i].Answer = &result
		p.step()
	}
	for _, q := range e.unanswerable {
		result, err := e.answerTo(ctx, run, q)
		if err != nil {
			return fmt.Errorf("query %s: %w", q.ID, err)
		}
		run.Unanswerable = append(run.Unanswerable, eval.Result{ID: q.ID, Answer: &result, Unanswerable: true})
		p.step()
	}
	return nil
}

// answerTo asks one query and says what the answer is worth.
func (e *evaluation) answerTo(ctx context.Context, run *eval.Run, q eval.Query) (eval.AnswerResult, error) {
	var whole tributary.Answer
	how := e.requests[0]
	err := e.c.Ask(ctx, tributary.AskRequest{
		Question: q.Text, Filter: how.Filter, Alpha: how.Alpha, SearchOptions: how.SearchOptions,
	}, func(event tributary.AskEvent) error {
		if event.Answer != nil {
			whole = *event.Answer
		}
		return nil
	})
	if err != nil {
		return eval.AnswerResult{}, err
	}
	cited := make([]string, len(whole.Citations))
	for i, c := range whole.Citations {
		cited[i] = e.document(c.URI)
	}
	result := eval.JudgeAnswer(whole.Answer, e.answers[q.ID], cited, q.Relevant)
	result.Abstained = whole.NoAnswer
	if err := e.opine(ctx, run, &result, q, whole); err != nil {
		return result, fmt.Errorf("judge the answer: %w", err)
	}
	return result, nil
}

// opine asks the judge about an answer that was given and has a reference. A
// reply that is no opinion is counted.
func (e *evaluation) opine(ctx context.Context, run *eval.Run, result *eval.AnswerResult, q eval.Query, whole tributary.Answer) error {
	if e.judge == nil || result.Abstained || !result.Reference {
		return nil
	}
	run.Judge = e.judge.Name
	c := eval.Case{Question: q.Text, Answer: whole.Answer, References: e.answers[q.ID]}
	for _, cited := range whole.Citations {
		c.Passages = append(c.Passages, cited.Text)
	}
	opinion, err := e.judge.Judge(ctx, c)
	switch {
	case errors.Is(err, eval.ErrNoOpinion):
		run.Unread++
	case err != nil:
		return err
	default:
		result.Opinion = &opinion
	}
	return nil
}

func (e *evaluation) show(r eval.Report) error {
	if e.flags.html != "" {
		var page bytes.Buffer
		if err := r.WriteHTML(&page); err != nil {
			return err
		}
		if err := os.WriteFile(e.flags.html, page.Bytes(), 0o644); err != nil { //nolint:gosec // a report for others to read
			return err
		}
	}
	if e.a.json {
		return e.a.printJSON(r)
	}
	return r.WriteTable(e.a.out)
}
