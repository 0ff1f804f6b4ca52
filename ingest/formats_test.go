package ingest

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// agreements are the least agreement with the Markdown version that a format
// must reach on average and in each document.
var agreements = []struct {
	ext        string
	mean, each float64
}{
	{"html", 0.99, 0.94},
	{"pdf", 0.98, 0.90},
}

func TestFormatsOfOneDocumentAgree(t *testing.T) {
	for _, format := range agreements {
		for _, path := range glob(t, filepath.Join("testdata", "company", "*."+format.ext)) {
			markdown := strings.TrimSuffix(path, format.ext) + "md"
			if f1 := agreement(t, path, markdown); f1 < format.mean {
				t.Errorf("%s: agreement %.3f, want at least %.2f", path, f1, format.mean)
			}
		}
	}
}

func TestFormatsOfCompanyDocumentsAgree(t *testing.T) {
	root := filepath.Join(corpus(t, "qa-company-docs"), "files")
	for _, format := range agreements {
		t.Run(format.ext, func(t *testing.T) {
			var sum float64
			paths := glob(t, filepath.Join(root, "*", format.ext, "*."+format.ext))
			for _, path := range paths {
				f1 := agreement(t, path, strings.ReplaceAll(path, format.ext, "md"))
				sum += f1
				if f1 < format.each {
					t.Errorf("%s: agreement %.3f, want at least %.2f", path, f1, format.each)
				}
			}
			mean := sum / float64(len(paths))
			t.Logf("%d documents, mean agreement %.4f", len(paths), mean)
			if mean < format.mean {
				t.Errorf("mean agreement %.4f, want at least %.2f", mean, format.mean)
			}
		})
	}
}

// agreement is the word F1 between the texts of two files.
func agreement(t *testing.T, path, reference string) float64 {
	t.Helper()
	want, err := parseFile(t, reference)
	if err != nil {
		t.Fatal(err)
	}
	got, err := parseFile(t, path)
	if err != nil {
		t.Error(err)
		return 0
	}
	checkParsed(t, got)
	return wordF1(got.Text, want.Text)
}

// TestMainContentOfRealPages compares what is taken from real pages with the article
// that readability's authors expect.
func TestMainContentOfRealPages(t *testing.T) {
	root := corpus(t, "html-readability")
	var sum float64
	dirs := glob(t, filepath.Join(root, "*", "source.html"))
	for _, source := range dirs {
		name := filepath.Base(filepath.Dir(source))
		expected, err := os.ReadFile(filepath.Join(filepath.Dir(source), "expected.html"))
		if err != nil {
			t.Fatal(err)
		}
		got, err := parseFile(t, source)
		if err != nil {
			t.Errorf("%s: %v", name, err)
			continue
		}
		checkParsed(t, got)
		f1 := wordF1(got.Text, tokenText(string(expected)))
		sum += f1
		t.Logf("%-24s %.3f %q %s", name, f1, got.Title, got.Language)
	}
	mean := sum / float64(len(dirs))
	t.Logf("%d pages, mean agreement %.3f", len(dirs), mean)
	if mean < 0.96 {
		t.Errorf("mean agreement %.3f, want at least 0.96", mean)
	}
}
