package main

import (
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"time"
)

// runFileName is the file in the data folder by which clients find the `up`
// that runs there.
const runFileName = "run.json"

// A RunFile says what runs on a data folder.
type RunFile struct {
	PID          int    `json:"pid"`
	NATS         string `json:"nats"`                    // URL for clients
	Weaviate     string `json:"weaviate,omitempty"`      // URL
	WeaviateGRPC string `json:"weaviate_grpc,omitempty"` // host:port
	// WeaviateKeyFile is the file with the API key, "" if none is needed.
	WeaviateKeyFile string    `json:"weaviate_key_file,omitempty"`
	Metrics         string    `json:"metrics,omitempty"` // URL, "" if none are served
	Gateway         string    `json:"gateway,omitempty"` // URL of HTTP, "" if none is served
	Started         time.Time `json:"started"`
}

// errNotRunning says that no process serves the data folder. ReadRunFile
// wraps it.
var errNotRunning = errors.New("nothing is running")

// WriteRunFile puts r into the data folder, whole or not at all. Only the
// user may read it.
func WriteRunFile(data string, r RunFile) error {
	body, err := json.MarshalIndent(r, "", "  ")
	if err != nil {
		return fmt.Errorf("encode %s: %w", runFileName, err)
	}
	tmp, err := os.CreateTemp(data, runFileName+".*")
	if err != nil {
		return fmt.Errorf("write %s: %w", runFileName, err)
	}
	defer func() { _ = os.Remove(tmp.Name()) }() // gone already when the rename has worked
	_, err = tmp.Write(append(body, '\n'))
	if err = errors.Join(err, tmp.Close()); err != nil {
		return fmt.Errorf("write %s: %w", runFileName, err)
	}
	if err := os.Rename(tmp.Name(), filepath.Join(data, runFileName)); err != nil {
		return fmt.Errorf("write %s: %w", runFileName, err)
	}
	return nil
}

// ReadRunFile returns what runs on the data folder. If nothing does, because
// there is no file or its process is gone, the error wraps errNotRunning and
// tells how to start it.
func ReadRunFile(data string) (RunFile, error) {
	name := filepath.Join(data, runFileName)
	body, err := os.ReadFile(name)
	if errors.Is(err, fs.ErrNotExist) {
		return RunFile{}, notRunning(data)
	}
	if err != nil {
		return RunFile{}, fmt.Errorf("find what is running: %w", err)
	}
	var r RunFile
	if err := json.Unmarshal(body, &r); err != nil {
		return RunFile{}, fmt.Errorf("find what is running: %s: %w", name, err)
	}
	if !processAlive(r.PID) {
		return RunFile{}, notRunning(data)
	}
	return r, nil
}

// RemoveRunFile takes the file away if it is this process's own.
func RemoveRunFile(data string) error {
	r, err := ReadRunFile(data)
	if errors.Is(err, errNotRunning) || err == nil && r.PID != os.Getpid() {
		return nil
	}
	if err != nil {
		return err
	}
	if err := os.Remove(filepath.Join(data, runFileName)); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return fmt.Errorf("remove %s: %w", runFileName, err)
	}
	return nil
}

func notRunning(data string) error {
	return &exitError{exitUnreachable, fmt.Errorf("%w on %s; start it with `tributary up --data %s`",
		errNotRunning, data, shellQuote(data))}
}
