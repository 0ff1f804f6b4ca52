package eval

import (
	"bufio"
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"
)

// maxLineBytes bounds one document of a corpus.
const maxLineBytes = 64 << 20

// A Dataset is a test collection.
type Dataset struct {
	Documents []Document
	Queries   []Query // those that have a relevant document, in the file's order
	Others    []Query // those that have none
}

// Document is one document of a corpus.
type Document struct {
	ID    string `json:"_id"`
	Title string `json:"title"`
	Text  string `json:"text"`
}

// Query is a question with what was judged.
type Query struct {
	ID       string     `json:"_id"`
	Text     string     `json:"text"`
	Relevant Judgements `json:"-"`
}

// Load reads a folder in the layout of BEIR: corpus.jsonl ({"_id", "title",
// "text"}), queries.jsonl ({"_id", "text"}) and qrels.tsv (query, document,
// grade, under a line of headings). Errors name the file and the line. A
// judgement of a document that the corpus lacks counts as not found.
func Load(dir string) (Dataset, error) {
	var set Dataset
	err := eachLine(filepath.Join(dir, "corpus.jsonl"), func(line string) error {
		var d Document
		if err := json.Unmarshal([]byte(line), &d); err != nil {
			return err
		}
		set.Documents = append(set.Documents, d)
		return nil
	})
	if err != nil {
		return Dataset{}, err
	}
	judged, err := loadJudgements(filepath.Join(dir, "qrels.tsv"))
	if err != nil {
		return Dataset{}, err
	}
	err = eachLine(filepath.Join(dir, "queries.jsonl"), func(line string) error {
		var q Query
		if err := json.Unmarshal([]byte(line), &q); err != nil {
			return err
		}
		if q.Relevant = judged[q.ID]; q.Relevant.Relevant() > 0 {
			set.Queries = append(set.Queries, q)
		} else {
			set.Others = append(set.Others, q)
		}
		return nil
	})
	return set, err
}

// loadJudgements reads qrels.tsv, by query.
func loadJudgements(path string) (map[string]Judgements, error) {
	all := map[string]Judgements{}
	first := true
	err := eachLine(path, func(line string) error {
		heading := first
		first = false
		fields := strings.Split(line, "\t")
		if len(fields) != 3 {
			return fmt.Errorf("%d columns, want query, document and grade", len(fields))
		}
		grade, err := strconv.ParseFloat(strings.TrimSpace(fields[2]), 64)
		if err != nil {
			if heading {
				return nil
			}
			return fmt.Errorf("grade %q is not a number", fields[2])
		}
		if all[fields[0]] == nil {
			all[fields[0]] = Judgements{}
		}
		all[fields[0]][fields[1]] = grade
		return nil
	})
	return all, err
}

// eachLine calls do with every line that is not empty.
func eachLine(path string, do func(line string) error) error {
	f, err := os.Open(path)
	if err != nil {
		return err
	}
	defer f.Close()
	in := bufio.NewScanner(f)
	in.Buffer(nil, maxLineBytes)
	for n := 1; in.Scan(); n++ {
		if strings.TrimSpace(in.Text()) == "" {
			continue
		}
		if err := do(in.Text()); err != nil {
			return fmt.Errorf("%s, line %d: %w", path, n, err)
		}
	}
	if err := in.Err(); err != nil {
		return fmt.Errorf("%s: %w", path, err)
	}
	return nil
}

// LoadAnswers reads answers.jsonl: the reference answers of each query, as
// {"_id", "answers": [...]}. A query may be absent; one with an empty list has
// no answer in the collection.
func LoadAnswers(path string) (map[string][]string, error) {
	all := map[string][]string{}
	err := eachLine(path, func(line string) error {
		var a struct {
			ID      string   `json:"_id"`
			Answers []string `json:"answers"`
		}
		if err := json.Unmarshal([]byte(line), &a); err != nil {
			return err
		}
		all[a.ID] = append(all[a.ID], a.Answers...)
		return nil
	})
	return all, err
}
