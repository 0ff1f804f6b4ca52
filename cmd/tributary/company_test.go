package main

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/tributary-kb/tributary"
	"github.com/tributary-kb/tributary/internal/api"
	"github.com/tributary-kb/tributary/internal/config"
	"github.com/tributary-kb/tributary/internal/testenv"
)

// companyHits is how many passages a question may take to find its document:
// as many as an answer is made from.
const companyHits = 6

// companyFloors are what the documents of two companies have to reach in each
// format, a little below what they did when the floors were set. The formats
// hold the same text, so a format far below the others has a parser that
// loses some.
var companyFloors = []struct {
	format string
	found  float64 // share of the questions whose document is among the first companyHits passages
	mrr    float64 // mean of 1/rank of that document, among the documents of these passages
}{
	{"md", 0.94, 0.85},
	{"html", 0.94, 0.85},
	{"pdf", 0.94, 0.86},
}

func TestCompanyDocumentsAreFoundInEveryFormat(t *testing.T) {
	c := readCompanies(t)
	for _, floor := range companyFloors {
		t.Run(floor.format, func(t *testing.T) {
			s := newSystem(t)
			for _, org := range c.orgs {
				fatal(t, s.command(s.kb).add(t.Context(), []string{filepath.Join(c.dir, org, floor.format)}, addFlags{wait: true}))
			}
			s.idle()
			if got, want := len(s.contents()), len(c.documents); got != want {
				t.Errorf("%d documents can be searched, want %d", got, want)
			}
			missed, mrr := c.search(t, s)
			found := len(c.questions) - len(missed)
			share := float64(found) / float64(len(c.questions))
			t.Logf("company-docs %s: %d of %d = %.3f in the first %d hits, MRR %.3f",
				floor.format, found, len(c.questions), share, companyHits, mrr)
			if share < floor.found {
				t.Errorf("%.3f of the questions find their document, want at least %.3f; not found:\n%s",
					share, floor.found, strings.Join(missed, "\n"))
			}
			if mrr < floor.mrr {
				t.Errorf("MRR %.3f, want at least %.3f", mrr, floor.mrr)
			}
		})
	}
}

func TestOfficeDocumentsAreRefusedByTheirType(t *testing.T) {
	const refused = 3 // of each format
	c := readCompanies(t)
	s := newSystem(t)
	for format, says := range map[string]string{
		"docx": "a Word document (application/vnd.openxmlformats-officedocument.wordprocessingml.document), which is not supported",
		"pptx": "a PowerPoint presentation (application/vnd.openxmlformats-officedocument.presentationml.presentation), which is not supported",
	} {
		paths, err := filepath.Glob(filepath.Join(c.dir, c.orgs[0], format, "*."+format))
		fatal(t, err)
		paths = paths[:refused]
		err = s.command(s.kb).add(t.Context(), paths, addFlags{wait: true})
		if e, ok := errors.AsType[*exitError](err); !ok || e.code != exitRefused {
			t.Errorf("add of %s files ended with %v, want exit code %d", format, err, exitRefused)
		}
		for _, path := range paths {
			show, err := s.Show(t.Context(), tributary.ShowRequest{URI: fileURI(path)})
			fatal(t, err)
			if show.State != tributary.StateRejected || !strings.Contains(show.Reason, says) {
				t.Errorf("%s is %s: %q, want it rejected as %q", path, show.State, show.Reason, says)
			}
			if show.Stage != "ingest" || len(show.Passages) > 0 {
				t.Errorf("%s was refused in %s and has %d passages, want ingest and none", path, show.Stage, len(show.Passages))
			}
		}
	}
}

// command is the command line, connected to the system and working on kb.
func (s *system) command(kb string) *app {
	a, _ := testApp()
	a.cfg = s.cfg
	a.dial = func(context.Context, *config.Loaded) (client, func(), error) {
		return api.NewClient(s.nc, kb), func() {}, nil
	}
	return a
}

// companies are the documents of two companies with questions about them.
type companies struct {
	dir       string          // of a folder per company, with one per format
	orgs      []string        // in alphabetical order
	documents map[string]bool // as "company/name"
	questions []companyQuestion
}

type companyQuestion struct {
	text, document string // the document that holds the answer
}

func readCompanies(t *testing.T) companies {
	t.Helper()
	root := testenv.SharedData(t, "qa-company-docs")
	c := companies{dir: filepath.Join(root, "files"), documents: map[string]bool{}}
	answers := map[string]string{}
	for _, line := range lines(t, filepath.Join(root, "qrels.tsv"))[1:] {
		f := strings.Split(line, "\t")
		answers[f[0]] = f[1]
		c.documents[f[1]] = true
	}
	for _, line := range lines(t, filepath.Join(root, "queries.jsonl")) {
		var q struct {
			ID   string `json:"_id"`
			Text string `json:"text"`
		}
		fatal(t, json.Unmarshal([]byte(line), &q))
		if answers[q.ID] == "" {
			t.Fatalf("question %s has no document", q.ID)
		}
		c.questions = append(c.questions, companyQuestion{q.Text, answers[q.ID]})
	}
	orgs := map[string]bool{}
	for name := range c.documents {
		org, _, _ := strings.Cut(name, "/")
		orgs[org] = true
	}
	c.orgs = slices.Sorted(maps.Keys(orgs))
	return c
}

// search asks all questions and returns those that do not find their document,
// and the mean reciprocal rank.
func (c companies) search(t *testing.T, s *system) (missed []string, mrr float64) {
	t.Helper()
	replies := make([]tributary.SearchReply, len(c.questions))
	s.askAll(len(replies), func(i int) (err error) {
		replies[i], err = s.Search(t.Context(), tributary.SearchRequest{Query: c.questions[i].text, K: companyHits})
		return err
	})
	for n, q := range c.questions {
		var documents []string
		for _, h := range replies[n].Hits {
			if name := c.name(t, h.URI); !slices.Contains(documents, name) {
				documents = append(documents, name)
			}
		}
		if i := slices.Index(documents, q.document); i >= 0 {
			mrr += 1 / float64(i+1)
		} else {
			missed = append(missed, fmt.Sprintf("%s (in %s)", q.text, q.document))
		}
	}
	return missed, mrr / float64(len(c.questions))
}

// name is the document as the judgements name it.
func (c companies) name(t *testing.T, uri string) string {
	t.Helper()
	path, err := filePath(uri)
	fatal(t, err)
	path, err = filepath.Rel(c.dir, path)
	fatal(t, err)
	parts := strings.Split(filepath.ToSlash(path), "/")
	if len(parts) != 3 {
		t.Fatalf("%s is not in a folder of a company and a format", uri)
	}
	return parts[0] + "/" + strings.TrimSuffix(parts[2], filepath.Ext(parts[2]))
}

func lines(t *testing.T, path string) []string {
	t.Helper()
	f, err := os.Open(path)
	fatal(t, err)
	defer f.Close()
	var out []string
	scanner := bufio.NewScanner(f)
	for scanner.Scan() {
		out = append(out, scanner.Text())
	}
	fatal(t, scanner.Err())
	return out
}
