package embedded

import (
	"bufio"
	"bytes"
	"context"
	"embed"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"time"
)

// weaviateModule is a copy of deploy/weaviate/go.mod and go.sum: files of a
// nested module cannot be embedded. A test keeps the two the same;
// "go generate ./internal/embedded" copies.
//
//go:generate go test -run ^TestEmbeddedModuleIsTheOneInDeploy$ . -update
//go:embed weaviatebuild/go.mod.txt weaviatebuild/go.sum.txt
var weaviateModule embed.FS

// serverPackage is the main package of the server.
const serverPackage = "github.com/weaviate/weaviate/cmd/weaviate-server"

// build compiles the server from the pinned sources into the cache. The
// server takes its version from its own sources, so none is set here.
func (o *obtainer) build(ctx context.Context) error {
	goTool, err := exec.LookPath("go")
	if err != nil {
		return errors.New("the Go toolchain is not on PATH: install Go from https://go.dev/dl, " +
			"or connect to the internet for the release archive")
	}
	temp, err := os.MkdirTemp(o.dir, "build-")
	if err != nil {
		return err
	}
	defer func() { _ = os.RemoveAll(temp) }()
	for _, name := range []string{"go.mod", "go.sum"} {
		text, err := weaviateModule.ReadFile("weaviatebuild/" + name + ".txt")
		if err != nil {
			return err
		}
		if err := os.WriteFile(filepath.Join(temp, name), text, 0o600); err != nil {
			return err
		}
	}
	b := builder{goTool: goTool, dir: temp, progress: o.Progress}
	packages, err := b.countPackages(ctx)
	if err != nil {
		return err
	}
	file := filepath.Join(temp, executable("weaviate"))
	if err := b.compile(ctx, file, packages); err != nil {
		return err
	}
	return o.install(file)
}

// builder runs the go command in a folder with go.mod and go.sum.
type builder struct {
	goTool   string
	dir      string
	progress func(stage string, done, total int64)
}

// buildFlags leave out paths, symbols and C: the result does not depend on
// what else is installed.
var buildFlags = []string{"-trimpath", "-ldflags", "-s -w"}

// countPackages returns how many packages must be compiled. It fetches the
// modules on the way.
func (b *builder) countPackages(ctx context.Context) (int64, error) {
	const stage = "fetching modules"
	b.progress(stage, 0, 0)
	var modules int64
	args := append([]string{"list", "-deps", "-f", "{{if .Stale}}{{.ImportPath}}{{end}}"}, buildFlags...)
	out, err := b.run(ctx, append(args, serverPackage), func(line string) {
		if strings.HasPrefix(line, "go: downloading ") {
			modules++
			b.progress(stage, modules, 0)
		}
	})
	if err != nil {
		return 0, err
	}
	return int64(len(bytes.Fields(out))), nil
}

// compile builds the server into file.
func (b *builder) compile(ctx context.Context, file string, packages int64) error {
	const stage = "compiling packages"
	b.progress(stage, 0, packages)
	var done int64
	args := append([]string{"build", "-v", "-o", file}, buildFlags...)
	_, err := b.run(ctx, append(args, serverPackage), func(line string) {
		if !strings.Contains(line, " ") { // a package, not a message
			done = min(done+1, packages)
			b.progress(stage, done, packages)
		}
	})
	return err
}

// run runs the go command and passes on each line of its standard error. It
// returns the standard output.
func (b *builder) run(ctx context.Context, args []string, each func(line string)) ([]byte, error) {
	cmd := exec.CommandContext(ctx, b.goTool, args...)
	cmd.Dir = b.dir
	// Settings meant for another module must not change this build.
	cmd.Env = append(os.Environ(), "GOFLAGS=-mod=readonly", "GOWORK=off", "CGO_ENABLED=0",
		"GOOS=", "GOARCH=", "PWD="+b.dir)
	cmd.Cancel = func() error { return interrupt(cmd.Process) }
	cmd.WaitDelay = 10 * time.Second
	var out bytes.Buffer
	cmd.Stdout = &out
	stderr, err := cmd.StderrPipe()
	if err != nil {
		return nil, err
	}
	if err := cmd.Start(); err != nil {
		return nil, err
	}
	var last []string // for the error
	for lines := bufio.NewScanner(stderr); lines.Scan(); {
		each(lines.Text())
		if last = append(last, lines.Text()); len(last) > tailLines {
			last = last[1:]
		}
	}
	if err := cmd.Wait(); err != nil {
		if ctx.Err() != nil {
			return nil, ctx.Err()
		}
		return nil, fmt.Errorf("go %s: %w:\n%s", args[0], err, strings.Join(last, "\n"))
	}
	return out.Bytes(), nil
}
