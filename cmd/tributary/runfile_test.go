package main

import (
	"errors"
	"os"
	"path/filepath"
	"testing"
	"time"
)

func TestRunFileIsReadBack(t *testing.T) {
	dir := t.TempDir()
	want := RunFile{
		PID: os.Getpid(), NATS: "nats://127.0.0.1:4322", Weaviate: "http://127.0.0.1:8080",
		WeaviateGRPC: "127.0.0.1:50051", Metrics: "http://127.0.0.1:9090/metrics", Started: time.Unix(1e9, 0).UTC(),
	}
	if err := WriteRunFile(dir, want); err != nil {
		t.Fatal(err)
	}
	got, err := ReadRunFile(dir)
	if err != nil {
		t.Fatal(err)
	}
	if got != want {
		t.Errorf("got %+v, want %+v", got, want)
	}
	entries, err := os.ReadDir(dir)
	if err != nil || len(entries) != 1 {
		t.Errorf("the folder holds %v (%v), want the run file alone", entries, err)
	}
	info, err := os.Stat(filepath.Join(dir, runFileName))
	if err != nil || info.Mode().Perm()&0o077 != 0 {
		t.Errorf("mode %v (%v), want one that keeps others out", info.Mode(), err)
	}
}

func TestRunFileIsRemovedByItsOwnerOnly(t *testing.T) {
	for _, test := range []struct {
		name string
		pid  int
		gone bool
	}{
		{"its own", os.Getpid(), true},
		{"the parent's", os.Getppid(), false},
	} {
		t.Run(test.name, func(t *testing.T) {
			dir := t.TempDir()
			if err := WriteRunFile(dir, RunFile{PID: test.pid}); err != nil {
				t.Fatal(err)
			}
			if err := RemoveRunFile(dir); err != nil {
				t.Fatal(err)
			}
			_, err := ReadRunFile(dir)
			if gone := errors.Is(err, errNotRunning); gone != test.gone {
				t.Errorf("removed is %v (%v), want %v", gone, err, test.gone)
			}
		})
	}
	if err := RemoveRunFile(t.TempDir()); err != nil {
		t.Errorf("no file at all: %v", err)
	}
}
