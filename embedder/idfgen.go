//go:build ignore

// This program writes idf.txt.gz: how many of the passages of some permissively
// licensed text contain each term. See idf.md for the texts that the committed
// table was made from.
//
//	go run idfgen.go [-out idf.txt.gz] path...
//
// A path is a Go source tree (its comments are read), or a tree with .md
// files, or a .jsonl file with a "text" in every line.
package main

import (
	"bufio"
	"bytes"
	"cmp"
	"compress/gzip"
	"encoding/json"
	"flag"
	"fmt"
	"go/parser"
	"go/token"
	"io/fs"
	"log"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"github.com/tributary-kb/tributary/internal/analysis"
)

const (
	passageWords = 150  // about the size of a chunk
	maxTerms     = 8000 // the rarer ones weigh as much as unknown ones
	minPassages  = 4    // a term in fewer tells nothing
)

func main() {
	out := flag.String("out", "idf.txt.gz", "file to write")
	flag.Parse()
	t := table{frequency: map[string]int{}}
	for _, path := range flag.Args() {
		if err := t.read(path); err != nil {
			log.Fatalf("read %s: %v", path, err)
		}
	}
	if err := t.write(*out); err != nil {
		log.Fatalf("write %s: %v", *out, err)
	}
}

// A table counts the passages in which a term occurs.
type table struct {
	passages  int
	frequency map[string]int
}

// read adds every text below root.
func (t *table) read(root string) error {
	return filepath.WalkDir(root, func(path string, d fs.DirEntry, err error) error {
		if err != nil || d.IsDir() {
			return err
		}
		switch {
		case skipped(path):
			return nil
		case strings.HasSuffix(path, ".go"):
			return t.comments(path)
		case strings.HasSuffix(path, ".md"):
			text, err := os.ReadFile(path)
			t.add(string(text))
			return err
		case strings.HasSuffix(path, ".jsonl"):
			return t.lines(path)
		}
		return nil
	})
}

// skipped reports whether path is a test, or in a folder of repetitive or
// foreign text.
func skipped(path string) bool {
	if strings.HasSuffix(path, "_test.go") {
		return true
	}
	return slices.ContainsFunc(strings.Split(path, string(filepath.Separator)), func(folder string) bool {
		return slices.Contains([]string{"testdata", "vendor", "cmd", "syscall", "zh-cn"}, folder)
	})
}

// comments adds the comments of a Go file. The one at the top, which is the
// licence, is left out.
func (t *table) comments(path string) error {
	file, err := parser.ParseFile(token.NewFileSet(), path, nil, parser.ParseComments|parser.SkipObjectResolution)
	if err != nil {
		return err
	}
	var text strings.Builder
	for i, group := range file.Comments {
		if i > 0 {
			text.WriteString(group.Text())
		}
	}
	t.add(text.String())
	return nil
}

// lines adds the texts of a JSON Lines file.
func (t *table) lines(path string) error {
	f, err := os.Open(path)
	if err != nil {
		return err
	}
	defer f.Close()
	in := bufio.NewScanner(f)
	in.Buffer(nil, 1<<26)
	for in.Scan() {
		var doc struct{ Text string }
		if err := json.Unmarshal(in.Bytes(), &doc); err != nil {
			return err
		}
		t.add(doc.Text)
	}
	return in.Err()
}

// add counts the passages of a text.
func (t *table) add(text string) {
	for words := range slices.Chunk(strings.Fields(text), passageWords) {
		seen := map[string]bool{}
		for _, term := range analysis.Terms(strings.Join(words, " "), "") {
			if !seen[term] {
				t.frequency[term]++
			}
			seen[term] = true
		}
		t.passages++
	}
}

// plain reports whether term is a word or a short number, not a code.
func plain(term string) bool {
	if strings.Trim(term, "0123456789") == "" {
		return len(term) <= 4
	}
	return len(term) <= 24 && strings.Trim(term, "abcdefghijklmnopqrstuvwxyz") == ""
}

// write writes the number of passages and then the terms with theirs, by
// falling frequency.
func (t *table) write(path string) error {
	terms := make([]string, 0, len(t.frequency))
	for term, n := range t.frequency {
		if n >= minPassages && plain(term) {
			terms = append(terms, term)
		}
	}
	slices.SortFunc(terms, func(a, b string) int {
		return cmp.Or(t.frequency[b]-t.frequency[a], strings.Compare(a, b))
	})
	var buf bytes.Buffer
	zip, err := gzip.NewWriterLevel(&buf, gzip.BestCompression)
	if err != nil {
		return err
	}
	fmt.Fprintln(zip, t.passages)
	for _, term := range terms[:min(len(terms), maxTerms)] {
		fmt.Fprintln(zip, term, t.frequency[term])
	}
	if err := zip.Close(); err != nil {
		return err
	}
	return os.WriteFile(path, buf.Bytes(), 0o644)
}
