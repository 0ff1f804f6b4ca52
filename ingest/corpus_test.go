package ingest

import (
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"unicode"
)

// corpus returns a folder of the shared test corpora, which live beside the
// checkout and are not part of it.
func corpus(t testing.TB, name string) string {
	t.Helper()
	dir, err := os.Getwd()
	if err != nil {
		t.Fatal(err)
	}
	for ; dir != filepath.Dir(dir); dir = filepath.Dir(dir) {
		path := filepath.Join(dir, "..", "shared", "data", name)
		if _, err := os.Stat(path); err == nil {
			return path
		}
	}
	t.Skipf("the corpus %s is not on this machine", name)
	return ""
}

func glob(t testing.TB, pattern string) []string {
	t.Helper()
	paths, err := filepath.Glob(pattern)
	if err != nil {
		t.Fatal(err)
	}
	if len(paths) == 0 {
		t.Fatalf("no files match %s", pattern)
	}
	return paths
}

func parseFile(t testing.TB, path string) (Parsed, error) {
	t.Helper()
	content, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	return Parse(t.Context(), Input{URI: FileURI(path), Content: content})
}

// mustParse parses content and fails the test if it is refused.
func mustParse(t testing.TB, in Input) Parsed {
	t.Helper()
	p, err := Parse(t.Context(), in)
	if err != nil {
		t.Fatalf("parse %q: %v", in.URI, err)
	}
	return p
}

var linkTargets = regexp.MustCompile(`\]\([^)]*\)`)

// words returns the words of text, folded, without markup and punctuation.
func words(text string) map[string]int {
	text = linkTargets.ReplaceAllString(text, "]")
	count := make(map[string]int)
	for _, w := range strings.FieldsFunc(strings.ToLower(text), func(r rune) bool {
		return !unicode.IsLetter(r) && !unicode.IsDigit(r)
	}) {
		count[w]++
	}
	return count
}

// wordF1 is the harmonic mean of precision and recall over the two texts'
// multisets of words, from 0 to 1.
func wordF1(got, want string) float64 {
	g, w := words(got), words(want)
	common, total := 0, 0
	for word, n := range g {
		common += min(n, w[word])
		total += n
	}
	for _, n := range w {
		total += n
	}
	if total == 0 {
		return 1
	}
	return 2 * float64(common) / float64(total)
}
