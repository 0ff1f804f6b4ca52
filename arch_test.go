package tributary_test

import (
	"fmt"
	"go/ast"
	"go/parser"
	"go/token"
	"io/fs"
	"os"
	"path"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"
)

const module = "github.com/tributary-kb/tributary"

// Modules that only some packages may know. Everything else from outside
// (parsers, model clients, telemetry) is free to all but the root package.
const (
	natsClient     = "github.com/nats-io/nats.go"
	natsServer     = "github.com/nats-io/nats-server"
	weaviateClient = "github.com/weaviate/weaviate-go-client"
	weaviateServer = "github.com/weaviate/weaviate"
)

var guarded = map[string]string{
	natsClient:     "acks, naks, headers and streams are the business of the runtime; the rest is tested without a broker",
	natsServer:     "the server lives in this process only through internal/embedded, so that a worker binary is one import away from being without it",
	weaviateClient: "the client's traps (dropped property types, batches that end outside the vector index) are dealt with in one place",
	weaviateServer: "the server is a child process, pinned in deploy/weaviate; its models are wanted only by those who talk to its client",
}

// A rule says what one package may import. It covers the package at path and
// all below it, unless a longer path has a rule of its own.
type rule struct {
	path    string
	module  []string // packages of this module; "*" for all but test helpers
	outside []string // of the guarded modules
	why     string
}

var five = []string{"ingest", "chunker", "embedder", "indexer", "queryworker"}

const stageWhy = "a stage is values in, values out: it knows no broker, no index client and no other stage"

// The table of ARCHITECTURE.md, which TestArchitecturePage compares with it.
var rules = []rule{
	{"", nil, nil, "the vocabulary is what all others share, so it depends on the standard library alone"},
	{"ingest", []string{"", "internal/analysis"}, nil, stageWhy},
	{"chunker", []string{"", "internal/analysis"}, nil, stageWhy},
	{"embedder", []string{"", "internal/analysis", "internal/flock"}, nil, stageWhy},
	{"indexer", []string{"", "internal/analysis"}, nil, stageWhy},
	{"queryworker", []string{"", "internal/analysis"}, nil, stageWhy},
	{"internal/analysis", nil, nil, "text analysis is shared by stages and therefore below all of them"},
	{"internal/eval", nil, nil, "metrics compare lists of names, whatever made them"},
	{"internal/stage", []string{""}, []string{natsClient}, "the runtime drives any handler and knows none of them"},
	{"internal/bucket", nil, []string{natsClient}, "a bucket is read whole whatever it holds"},
	{"internal/registry", []string{"", "internal/bucket"}, []string{natsClient}, "manifests and their compare-and-set do not depend on who writes them"},
	{"internal/budget", []string{"", "embedder"}, []string{natsClient}, "it is one implementation of the budget that embedder declares"},
	{"internal/conversation", []string{""}, []string{natsClient}, "what was said is kept without knowing who answers"},
	{"internal/manners", []string{""}, []string{natsClient}, "how a host is treated does not depend on who asks it, and for what"},
	{"internal/api", []string{"", "internal/stage"}, []string{natsClient}, "the public protocol is served for whatever implements it; a request becomes a stage message"},
	{"internal/weaviate", []string{"", "internal/analysis"}, []string{weaviateClient, weaviateServer}, "the index is one implementation of what indexer and queryworker declare"},
	{"internal/flock", nil, nil, "a lock between processes knows nothing of what it guards"},
	{"internal/embedded", []string{"internal/flock"}, []string{natsServer, natsClient}, "servers are started and stopped without knowing what they are for"},
	{"internal/config", append([]string{"", "internal/follow"}, five...), nil, "it gathers each part's own Config and nothing else of it"},
	{"internal/pipeline", []string{"", "internal/stage", "internal/registry"}, []string{natsClient}, "it lists stages and streams and joins functions it is given; which they are is the program's business"},
	{"internal/gateway", []string{""}, nil, "HTTP is one more client of the protocol: it decides nothing by itself and knows no broker"},
	{"internal/follow", []string{"", "ingest", "ingest/source", "internal/bucket", "internal/push", "internal/stage"}, []string{natsClient}, "it schedules and remembers; what looking at a source means is the business of ingest/source"},
	{"internal/push", []string{""}, nil, "what a message asks for does not depend on how it came, nor on what is done about it"},
	{"internal/testenv", []string{"*"}, []string{natsClient, natsServer}, "it starts the real servers for tests"},
	{"internal/bench", []string{"*"}, []string{natsClient}, "it measures the whole from outside, and the index alone beside it"},
	{"cmd/tributary", []string{"*"}, []string{natsClient}, "the program wires the parts together"},
}

// testHelpers may be imported by tests and by each other only.
const testHelpers = "internal/testenv"

func TestImports(t *testing.T) {
	for _, f := range sources(t) {
		r, ok := ruleFor(f.dir)
		if !ok {
			t.Errorf("package %s has no rule: say in arch_test.go and ARCHITECTURE.md what it may import and why", f.dir)
			continue
		}
		for _, imported := range f.imports {
			if reason := r.refuses(f, imported); reason != "" {
				t.Errorf("%s imports %q: %s\n\trule of %s: %s", f.path, imported, reason, describe(r.path), r.why)
			}
		}
	}
}

// The rules are only worth something if they refuse what they should.
func TestImportRulesRefuse(t *testing.T) {
	tests := []struct {
		file     string
		imported string
		refused  bool
	}{
		{"message.go", "encoding/json", false},
		{"message.go", "github.com/google/uuid", true},
		{"message.go", module + "/ingest", true},
		{"id_test.go", module, false},
		{"ingest/html.go", module, false},
		{"ingest/html.go", "github.com/PuerkitoBio/goquery", false},
		{"ingest/html.go", natsClient + "/jetstream", true},
		{"ingest/html.go", module + "/chunker", true},
		{"ingest/html.go", module + "/internal/registry", true},
		{"ingest/pdf/page.go", module + "/ingest", false},
		{"ingest/html_test.go", module + "/" + testHelpers, true},
		{"indexer/index.go", weaviateClient + "/v4/weaviate", true},
		{"internal/stage/run.go", natsClient, false},
		{"internal/stage/run.go", natsServer + "/v2/server", true},
		{"internal/stage/run.go", module + "/indexer", true},
		{"internal/stage/run_test.go", module + "/" + testHelpers, false},
		{"internal/stage/run.go", module + "/" + testHelpers, true},
		{"internal/embedded/nats.go", natsServer + "/v2/server", false},
		{"internal/embedded/nats.go", module, true},
		{"internal/pipeline/pipeline.go", module + "/indexer", true},
		{"internal/pipeline/pipeline.go", natsServer + "/v2/server", true},
		{"cmd/tributary/up.go", module + "/internal/embedded", false},
		{"cmd/tributary/up.go", natsServer + "/v2/server", true},
		{"cmd/tributary/up.go", module + "/" + testHelpers, true},
		{"cmd/tributary/up_test.go", module + "/" + testHelpers, false},
		{"internal/weaviate/index.go", weaviateServer + "/entities/models", false},
		{"internal/weaviate/index.go", module + "/indexer", true},
		{"internal/embedded/weaviate.go", weaviateServer + "/entities/models", true},
	}
	for _, tt := range tests {
		t.Run(tt.file+" imports "+tt.imported, func(t *testing.T) {
			f := source{path: tt.file, dir: dirOf(tt.file), test: strings.HasSuffix(tt.file, "_test.go")}
			r, ok := ruleFor(f.dir)
			if !ok {
				t.Fatalf("no rule for %s", f.dir)
			}
			if got := r.refuses(f, tt.imported); (got != "") != tt.refused {
				t.Errorf("reason %q, want refused: %t", got, tt.refused)
			}
		})
	}
}

// The page shows every row of the table, so that it stays true.
func TestArchitecturePage(t *testing.T) {
	page := read(t, "ARCHITECTURE.md")
	for _, r := range rules {
		if row := "| " + describe(r.path) + " |"; !strings.Contains(page, row) {
			t.Errorf("the import table of ARCHITECTURE.md has no row %q", row)
		}
	}
}

// A link of the documentation leads somewhere.
func TestLinks(t *testing.T) {
	link := regexp.MustCompile(`\]\(([^)#:\s]+)(#[^)]*)?\)`)
	walk(t, func(name string) {
		if path.Ext(name) != ".md" {
			return
		}
		for _, m := range link.FindAllStringSubmatch(read(t, name), -1) {
			target := filepath.FromSlash(path.Join(path.Dir(name), m[1]))
			if _, err := os.Stat(target); err != nil {
				t.Errorf("%s links to %s: %v", name, m[1], err)
			}
		}
	})
}

func TestTopLevelLayout(t *testing.T) {
	for _, name := range append([]string{"cmd", "deploy", "docs", "examples", "internal"}, five...) {
		if info, err := os.Stat(name); err != nil || !info.IsDir() {
			t.Errorf("the layout has a folder %s at the top, and it is missing", name)
		}
	}
	allowed := append([]string{".", "cmd", "internal", "scripts"}, five...)
	for _, f := range sources(t) {
		if top, _, _ := strings.Cut(f.path, "/"); strings.Contains(f.path, "/") && !slices.Contains(allowed, top) {
			t.Errorf("%s: the top level is given; new packages go below internal", f.path)
		}
	}
}

func TestPackagesHaveOneComment(t *testing.T) {
	comments := map[string][]string{}
	for _, f := range sources(t) {
		if f.test || f.alone() {
			continue
		}
		comments[f.dir] = append(comments[f.dir], "")
		if f.file.Doc != nil {
			comments[f.dir] = append(comments[f.dir], f.file.Doc.Text())
		}
	}
	for dir, all := range comments {
		all = slices.DeleteFunc(all, func(s string) bool { return s == "" })
		if len(all) != 1 {
			t.Errorf("package %s has %d package comments, want one that says what comes in and goes out", describe(dir), len(all))
			continue
		}
		if !strings.HasPrefix(all[0], "Package ") && !strings.HasPrefix(all[0], "Command ") {
			t.Errorf("comment of %s begins %.40q, want \"Package ...\" or \"Command ...\"", describe(dir), all[0])
		}
	}
}

// A test that sleeps is slow on a fast machine and wrong on a slow one.
func TestTestsWaitForEvents(t *testing.T) {
	for _, f := range sources(t) {
		if !f.test {
			continue
		}
		ast.Inspect(f.file, func(n ast.Node) bool {
			sel, ok := n.(*ast.SelectorExpr)
			if !ok || sel.Sel.Name != "Sleep" {
				return true
			}
			if pkg, ok := sel.X.(*ast.Ident); ok && pkg.Name == "time" {
				t.Errorf("%s: time.Sleep in a test; wait for what it waits for", f.fset.Position(n.Pos()))
			}
			return true
		})
	}
}

// What is written here must hold on any machine.
func TestNoPathsOfOneMachine(t *testing.T) {
	local := regexp.MustCompile("(^|[\\s\"'`(=:,])/(" + strings.Join([]string{"work", "tmp", "farm"}, "|") + ")(/|\\b)")
	walk(t, func(name string) {
		switch path.Ext(name) {
		case ".go", ".md", ".yml", ".yaml", ".sh", "":
		default:
			return
		}
		if name == "arch_test.go" || name == "LICENSE" {
			return
		}
		for i, line := range strings.Split(read(t, name), "\n") {
			if local.MatchString(line) {
				t.Errorf("%s:%d names a path of one machine: %s", name, i+1, strings.TrimSpace(line))
			}
		}
	})
}

// refuses says why f may not import the path, "" if it may.
func (r rule) refuses(f source, imported string) string {
	if imported == module || strings.HasPrefix(imported, module+"/") {
		return r.refusesOurs(f, strings.TrimPrefix(strings.TrimPrefix(imported, module), "/"))
	}
	for mod, why := range guarded {
		if within(imported, mod) && !slices.Contains(r.outside, mod) {
			return why
		}
	}
	if r.path == "" && !f.test && strings.Contains(strings.Split(imported, "/")[0], ".") {
		return "it is not in the standard library"
	}
	return ""
}

func (r rule) refusesOurs(f source, imported string) string {
	switch {
	case within(imported, testHelpers):
		if within(f.dir, testHelpers) || f.test && !slices.Contains(five, r.path) {
			return ""
		}
		return "the helpers that start servers are for tests outside the stage packages"
	case within(f.dir, "scripts"), slices.Contains(r.module, "*"):
		return ""
	case imported == r.path, r.path != "" && within(imported, r.path), f.test && imported == "":
		return ""
	case slices.Contains(r.module, imported):
		return ""
	}
	return fmt.Sprintf("of this module it may import %s", list(r.module))
}

// within reports whether the path is dir or below it.
func within(p, dir string) bool { return p == dir || strings.HasPrefix(p, dir+"/") }

// ruleFor returns the rule with the longest path that covers dir.
func ruleFor(dir string) (rule, bool) {
	if within(dir, "scripts") {
		return rule{path: "scripts", why: "the scripts check the module from outside"}, true
	}
	var found rule
	ok := dir == ""
	for _, r := range rules {
		if r.path != "" && within(dir, r.path) && len(r.path) > len(found.path) {
			found, ok = r, true
		}
	}
	if dir == "" {
		found = rules[0]
	}
	return found, ok
}

// describe names a package as ARCHITECTURE.md does.
func describe(dir string) string {
	if dir == "" {
		return "root"
	}
	return dir
}

func list(dirs []string) string {
	if len(dirs) == 0 {
		return "nothing"
	}
	names := make([]string, len(dirs))
	for i, d := range dirs {
		names[i] = describe(d)
	}
	return strings.Join(names, ", ")
}

// A source is one Go file of the module, whatever its build constraints.
type source struct {
	path    string // slash-separated, below the root
	dir     string // "" for the root
	test    bool
	imports []string
	fset    *token.FileSet
	file    *ast.File
}

// alone reports whether the file is a program of its own, such as a generator,
// that no build of its package includes.
func (s source) alone() bool {
	return slices.ContainsFunc(s.file.Comments, func(c *ast.CommentGroup) bool {
		return slices.ContainsFunc(c.List, func(line *ast.Comment) bool { return line.Text == "//go:build ignore" })
	})
}

func sources(t *testing.T) []source {
	t.Helper()
	var all []source
	walk(t, func(name string) {
		if path.Ext(name) == ".go" {
			all = append(all, parse(t, name))
		}
	})
	return all
}

func parse(t *testing.T, name string) source {
	t.Helper()
	fset := token.NewFileSet()
	file, err := parser.ParseFile(fset, filepath.FromSlash(name), nil, parser.ParseComments)
	if err != nil {
		t.Fatal(err)
	}
	s := source{path: name, dir: dirOf(name), test: strings.HasSuffix(name, "_test.go"), fset: fset, file: file}
	for _, spec := range file.Imports {
		imported, err := strconv.Unquote(spec.Path.Value)
		if err != nil {
			t.Fatalf("%s: import %s: %v", name, spec.Path.Value, err)
		}
		s.imports = append(s.imports, imported)
	}
	return s
}

func dirOf(name string) string {
	if dir := path.Dir(name); dir != "." {
		return dir
	}
	return ""
}

// walk calls visit for every file of the module, with its slash-separated
// path: not for test data, what git or an editor keeps, binaries, or modules
// of their own.
func walk(t *testing.T, visit func(name string)) {
	t.Helper()
	err := filepath.WalkDir(".", func(p string, d fs.DirEntry, err error) error {
		switch {
		case err != nil:
			return err
		case d.IsDir() && p != "." && skipDir(p, d.Name()):
			return filepath.SkipDir
		case d.Type().IsRegular():
			visit(filepath.ToSlash(p))
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
}

func skipDir(p, name string) bool {
	switch name {
	case "testdata", "bin", "company-docs", "node_modules":
		return true
	case ".ci":
		return false
	}
	_, err := os.Stat(filepath.Join(p, "go.mod"))
	return strings.HasPrefix(name, ".") || err == nil
}

func read(t *testing.T, name string) string {
	t.Helper()
	data, err := os.ReadFile(filepath.FromSlash(name))
	if err != nil {
		t.Fatal(err)
	}
	return string(data)
}
