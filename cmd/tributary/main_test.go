package main

import (
	"context"
	"encoding/json"
	"errors"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"testing"

	"github.com/rogpeppe/go-internal/testscript"

	"github.com/tributary-kb/tributary/ingest"
	"github.com/tributary-kb/tributary/internal/config"
)

// TestMain lets scripts run the real program as "tributary". Where FAKE names
// a folder, a fake system stands there instead of a running one.
func TestMain(m *testing.M) {
	ingest.ServeParser()
	testscript.Main(m, map[string]func(){
		"tributary": func() {
			a := newApp()
			if dir := os.Getenv("FAKE"); dir != "" {
				a.dial = func(_ context.Context, cfg *config.Loaded) (client, func(), error) {
					return &fakeSystem{dir: dir, kb: cfg.KB}, func() {}, nil
				}
			}
			mainWith(a)
		},
	})
}

// TestScripts runs testdata/*.txtar. The commands of their own:
//
//	exits CODE COMMAND...   runs a command, which must end with this code
//	running PID             writes run.json of a system with this process id,
//	                        "self" for one that lives, into $WORK/data
//	manyfiles DIR N         makes a folder with N files
func TestScripts(t *testing.T) {
	testscript.Run(t, testscript.Params{
		Dir: "testdata",
		Setup: func(env *testscript.Env) error {
			env.Setenv("HOME", env.WorkDir)
			env.Setenv("FAKE", filepath.Join(env.WorkDir, "fake"))
			env.Setenv("COLUMNS", "72")
			env.Setenv("TZ", "UTC")
			return nil
		},
		Cmds: map[string]func(*testscript.TestScript, bool, []string){
			"exits": exits, "running": running, "manyfiles": manyFiles,
		},
	})
}

func exits(ts *testscript.TestScript, _ bool, args []string) {
	want, err := strconv.Atoi(args[0])
	ts.Check(err)
	got := 0
	if err := ts.Exec(args[1], args[2:]...); err != nil {
		failed, ok := errors.AsType[*exec.ExitError](err)
		if !ok {
			ts.Fatalf("%v", err)
		}
		got = failed.ExitCode()
	}
	if got != want {
		ts.Fatalf("exit code %d, want %d", got, want)
	}
}

func running(ts *testscript.TestScript, _ bool, args []string) {
	pid := os.Getpid()
	if args[0] != "self" {
		var err error
		pid, err = strconv.Atoi(args[0])
		ts.Check(err)
	}
	dir := ts.MkAbs("data")
	ts.Check(os.MkdirAll(dir, 0o755))
	// Nothing listens on port 1 of this machine.
	body, err := json.Marshal(RunFile{PID: pid, NATS: "nats://127.0.0.1:1"})
	ts.Check(err)
	ts.Check(os.WriteFile(filepath.Join(dir, runFileName), body, 0o600))
}

func manyFiles(ts *testscript.TestScript, _ bool, args []string) {
	n, err := strconv.Atoi(args[1])
	ts.Check(err)
	dir := ts.MkAbs(args[0])
	ts.Check(os.MkdirAll(dir, 0o755))
	for i := range n {
		ts.Check(os.WriteFile(filepath.Join(dir, strconv.Itoa(i)+".md"), []byte("text"), 0o644))
	}
}
