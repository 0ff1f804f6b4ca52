package eval

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// folder writes a small collection and returns where; changes replace files.
func folder(t *testing.T, changes map[string]string) string {
	t.Helper()
	dir := t.TempDir()
	files := map[string]string{
		"corpus.jsonl":  "{\"_id\":\"d1\",\"title\":\"One\",\"text\":\"the first\"}\n\n{\"_id\":\"d2\",\"text\":\"the second\"}\n",
		"queries.jsonl": "{\"_id\":\"q1\",\"text\":\"first?\"}\n{\"_id\":\"q2\",\"text\":\"nobody judged this\"}\n",
		"qrels.tsv":     "query-id\tcorpus-id\tscore\nq1\td1\t2\nq1\td2\t0\n",
	}
	for name, content := range changes {
		files[name] = content
	}
	for name, content := range files {
		if err := os.WriteFile(filepath.Join(dir, name), []byte(content), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	return dir
}

func TestLoadTellsApartTheQueriesThatCanBeAnswered(t *testing.T) {
	set, err := Load(folder(t, nil))
	if err != nil {
		t.Fatal(err)
	}
	if len(set.Documents) != 2 || set.Documents[0].Title != "One" {
		t.Errorf("documents %+v", set.Documents)
	}
	if len(set.Queries) != 1 || set.Queries[0].Relevant["d1"] != 2 {
		t.Errorf("queries %+v, want q1 alone, with d1 at grade 2", set.Queries)
	}
	if len(set.Others) != 1 || set.Others[0].ID != "q2" {
		t.Errorf("others %+v, want q2 alone", set.Others)
	}
}

func TestLoadNamesTheLineThatIsWrong(t *testing.T) {
	for file, test := range map[string]struct{ content, want string }{
		"corpus.jsonl":  {"{\"_id\":\"d1\"}\n{", "corpus.jsonl, line 2: "},
		"queries.jsonl": {"[]", "queries.jsonl, line 1: "},
		"qrels.tsv":     {"a\tb\t1\nq1 d1 1\n", "qrels.tsv, line 2: 1 columns, want query, document and grade"},
	} {
		_, err := Load(folder(t, map[string]string{file: test.content}))
		if err == nil || !strings.Contains(err.Error(), test.want) {
			t.Errorf("%s: %v, want %q", file, err, test.want)
		}
	}
	if _, err := Load(t.TempDir()); err == nil {
		t.Error("an empty folder is no error")
	}
}
