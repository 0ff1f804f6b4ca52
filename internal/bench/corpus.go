package main

import (
	"bufio"
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"os/exec"
	"path"
	"path/filepath"
	"slices"
	"strings"

	"github.com/tributary-kb/tributary"
)

// Where the corpora are, beside the project's folder.
var (
	natsDocs    = filepath.Join("..", "shared", "data", "kb-nats-docs", "nats-docs-md-2019-2022.bundle")
	companyDocs = filepath.Join("..", "shared", "data", "qa-company-docs")
)

// natsDocsBranch is the newest state in the bundle.
const natsDocsBranch = "upto2022"

// maxDocument leaves out the few long pages that do not fit a request.
const maxDocument = 200 << 10

// A document is Markdown that was published somewhere.
type document struct{ uri, text string }

func (d document) request(lane tributary.Lane) tributary.AddRequest {
	return tributary.AddRequest{
		URI: d.uri, Lane: lane, Content: []byte(d.text),
		Attributes: tributary.Attributes{ContentType: "text/markdown"},
	}
}

// A corpus is what is loaded and asked.
type corpus struct {
	name      string
	documents []document
	questions []string
	bytes     int
}

// readCorpus collects n documents: the real ones, and then editions of them
// that differ in every section. Without the corpora beside the project, it
// takes the project's own pages.
func readCorpus(ctx context.Context, dir string, n int) (corpus, error) {
	c := corpus{name: "NATS documentation and company documents"}
	originals, questions, err := readShared(ctx, dir)
	if errors.Is(err, fs.ErrNotExist) {
		c.name = "the project's own pages"
		originals, questions, err = readProject()
	}
	if err != nil {
		return c, fmt.Errorf("collect documents: %w", err)
	}
	c.questions = questions
	for i := range n {
		d := edition(originals[i%len(originals)], i/len(originals))
		c.bytes += len(d.text)
		c.documents = append(c.documents, d)
	}
	return c, nil
}

func readShared(ctx context.Context, dir string) (originals []document, questions []string, err error) {
	if questions, err = readQuestions(filepath.Join(companyDocs, "queries.jsonl")); err != nil {
		return nil, nil, err
	}
	companies, err := markdownIn(filepath.Join(companyDocs, "files"), "company/")
	if err != nil {
		return nil, nil, err
	}
	if _, err := os.Stat(natsDocs); err != nil {
		return nil, nil, err
	}
	tree := filepath.Join(dir, "nats-docs")
	out, err := exec.CommandContext(ctx, "git", "clone", "-q", "-b", natsDocsBranch, natsDocs, tree).CombinedOutput()
	if err != nil {
		return nil, nil, fmt.Errorf("git clone %s: %w\n%s", natsDocs, err, out)
	}
	manual, err := markdownIn(tree, "nats/")
	return append(companies, manual...), questions, err
}

// readProject takes the headings of the pages for questions.
func readProject() (originals []document, questions []string, err error) {
	if originals, err = markdownIn(".", "project/"); err != nil {
		return nil, nil, err
	}
	for _, d := range originals {
		for line := range strings.Lines(d.text) {
			if text, ok := heading(line); ok {
				questions = append(questions, text)
			}
		}
	}
	if len(questions) == 0 {
		return nil, nil, errors.New("no headings in the Markdown below this folder")
	}
	return originals, questions, nil
}

// readQuestions reads lines of JSON with a text.
func readQuestions(name string) ([]string, error) {
	data, err := os.ReadFile(name)
	if err != nil {
		return nil, err
	}
	var questions []string
	lines := bufio.NewScanner(bytes.NewReader(data))
	for lines.Scan() {
		var q struct{ Text string }
		if err := json.Unmarshal(lines.Bytes(), &q); err != nil {
			return nil, fmt.Errorf("%s: %w", name, err)
		}
		questions = append(questions, q.Text)
	}
	return questions, lines.Err()
}

// markdownIn reads the Markdown files below root, in alphabetical order, under
// URIs that begin with prefix. Hidden folders and empty files are left out.
func markdownIn(root, prefix string) (all []document, err error) {
	tree := os.DirFS(root)
	err = fs.WalkDir(tree, ".", func(name string, entry fs.DirEntry, err error) error {
		switch {
		case err != nil:
			return err
		case entry.IsDir() && name != "." && strings.HasPrefix(entry.Name(), "."):
			return fs.SkipDir
		case entry.IsDir() || path.Ext(name) != ".md":
			return nil
		}
		data, err := fs.ReadFile(tree, name)
		if text := strings.TrimSpace(string(data)); text != "" && len(text) <= maxDocument {
			all = append(all, document{uri: prefix + name, text: text + "\n"})
		}
		return err
	})
	slices.SortFunc(all, func(a, b document) int { return strings.Compare(a.uri, b.uri) })
	return all, err
}

// edition returns d with a line of its own in every section, so that no chunk
// of it is one of another edition. Edition 0 is d as it is.
func edition(d document, n int) document {
	if n == 0 {
		return d
	}
	var text strings.Builder
	fmt.Fprintf(&text, "Edition %d of %s.\n\n", n, d.uri)
	section, code := 0, false
	for line := range strings.Lines(d.text) {
		text.WriteString(line)
		code = code != strings.HasPrefix(strings.TrimSpace(line), "```")
		if _, ok := heading(line); ok && !code {
			section++
			fmt.Fprintf(&text, "\nSection %d of edition %d of %s.\n", section, n, d.uri)
		}
	}
	return document{uri: fmt.Sprintf("edition-%d/%s", n, d.uri), text: text.String()}
}

// heading returns the text of a Markdown heading.
func heading(line string) (string, bool) {
	text := strings.TrimLeft(line, "#")
	if level := len(line) - len(text); level < 1 || level > 6 || !strings.HasPrefix(text, " ") {
		return "", false
	}
	text = strings.TrimSpace(text)
	return text, text != ""
}
