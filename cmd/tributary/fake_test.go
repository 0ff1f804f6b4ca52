package main

import (
	"bufio"
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"

	"github.com/tributary-kb/tributary"
)

// fakeSystem is a running system made of files: it appends each request to
// "requests", and answers with what the file of the method's name holds, one
// JSON value per line.
//
// Every accepted change has version 7. "errors" holds objects
// {"uri","code","text"} of requests to refuse; for methods without a URI, the
// method's name stands for it.
type fakeSystem struct{ dir, kb string }

func (f *fakeSystem) Add(_ context.Context, r tributary.AddRequest) (tributary.Receipt, error) {
	return f.change("add", r.URI, r)
}

func (f *fakeSystem) Remove(_ context.Context, r tributary.RemoveRequest) (tributary.Receipt, error) {
	return f.change("rm", r.URI, r)
}

func (f *fakeSystem) change(method, uri string, r any) (tributary.Receipt, error) {
	if err := errors.Join(f.record(method, r), f.refuse(uri)); err != nil {
		return tributary.Receipt{}, f.refuse(uri)
	}
	return tributary.Receipt{URI: uri, Document: tributary.DocumentID(f.kb, uri), Version: 7}, nil
}

// Wait settles every version as live with 2 chunks, unless the file "wait"
// says otherwise of its URI. With an empty file "block" it waits for ever.
func (f *fakeSystem) Wait(ctx context.Context, versions []tributary.At, settled func(tributary.Settled) error) error {
	if _, err := os.Stat(filepath.Join(f.dir, "block")); err == nil {
		fmt.Fprintln(os.Stderr, "blocked")
		<-ctx.Done()
		return ctx.Err()
	}
	special := map[string]tributary.Settled{}
	err := replies(f, "wait", func(s tributary.Settled) error {
		s.Document = tributary.DocumentID(f.kb, s.URI)
		special[s.Document] = s
		return nil
	})
	if err != nil {
		return err
	}
	for _, at := range versions {
		s, ok := special[at.Document]
		if !ok {
			s = tributary.Settled{Document: at.Document, State: tributary.StateLive, Chunks: 2}
		}
		s.Version = at.Version
		if err := settled(s); err != nil {
			return err
		}
	}
	return f.refuse("wait")
}

func (f *fakeSystem) Search(_ context.Context, r tributary.SearchRequest) (tributary.SearchReply, error) {
	return one[tributary.SearchReply](f, "search", r)
}

func (f *fakeSystem) Ask(_ context.Context, r tributary.AskRequest, event func(tributary.AskEvent) error) error {
	return many(f, "ask", r, event)
}

func (f *fakeSystem) Forget(_ context.Context, r tributary.ForgetRequest) (tributary.ForgetReply, error) {
	return one[tributary.ForgetReply](f, "forget", r)
}

func (f *fakeSystem) List(_ context.Context, r tributary.ListRequest, item func(tributary.Item) error) error {
	return many(f, "ls", r, item)
}

func (f *fakeSystem) Show(_ context.Context, r tributary.ShowRequest) (tributary.ShowReply, error) {
	return one[tributary.ShowReply](f, "show", r)
}

func (f *fakeSystem) Status(context.Context) (tributary.StatusReply, error) {
	return one[tributary.StatusReply](f, "status", struct{}{})
}

func (f *fakeSystem) Reindex(_ context.Context, receipt func(tributary.Receipt) error) error {
	return many(f, "reindex", tributary.ReindexRequest{}, receipt)
}

func (f *fakeSystem) Verify(_ context.Context, r tributary.VerifyRequest, finding func(tributary.Finding) error) error {
	return many(f, "verify", r, finding)
}

// record appends a request as one line: the method, then the JSON. Each is
// one write, so that lines of concurrent requests do not mix.
func (f *fakeSystem) record(method string, r any) error {
	body, err := json.Marshal(r)
	if err != nil {
		return err
	}
	if err := os.MkdirAll(f.dir, 0o755); err != nil {
		return err
	}
	file, err := os.OpenFile(filepath.Join(f.dir, "requests"), os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o644)
	if err != nil {
		return err
	}
	_, err = fmt.Fprintf(file, "%s %s\n", method, body)
	return errors.Join(err, file.Close())
}

// refuse returns the error that the file "errors" has for uri, if any.
func (f *fakeSystem) refuse(uri string) error {
	var refusal error
	type entry struct {
		URI, Text string
		Code      tributary.Code
	}
	err := replies(f, "errors", func(e entry) error {
		if e.URI == uri {
			refusal = tributary.Errorf(e.Code, "%s", e.Text)
		}
		return nil
	})
	return errors.Join(err, refusal)
}

func one[Reply any](f *fakeSystem, method string, r any) (Reply, error) {
	var reply Reply
	err := many(f, method, r, func(got Reply) error {
		reply = got
		return nil
	})
	return reply, err
}

func many[Reply any](f *fakeSystem, method string, r any, each func(Reply) error) error {
	if err := f.record(method, r); err != nil {
		return err
	}
	if err := f.refuse(method); err != nil {
		return err
	}
	return replies(f, method, each)
}

// replies reads the values of a file, none if there is no such file.
func replies[Reply any](f *fakeSystem, name string, each func(Reply) error) error {
	data, err := os.ReadFile(filepath.Join(f.dir, name))
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	if err != nil {
		return err
	}
	for lines := bufio.NewScanner(bytes.NewReader(data)); lines.Scan(); {
		var reply Reply
		if err := json.Unmarshal(lines.Bytes(), &reply); err != nil {
			return fmt.Errorf("%s: %w", name, err)
		}
		if err := each(reply); err != nil {
			return err
		}
	}
	return nil
}

func (f *fakeSystem) source(method string, r any, name string) (tributary.SourceStatus, error) {
	if err := errors.Join(f.record(method, r), f.refuse(name)); err != nil {
		return tributary.SourceStatus{}, f.refuse(name)
	}
	var found *tributary.SourceStatus
	err := replies(f, "sources", func(s tributary.SourceStatus) error {
		if s.Name == name {
			found = &s
		}
		return nil
	})
	if err != nil || found == nil {
		return tributary.SourceStatus{}, errors.Join(err, tributary.Errorf(tributary.CodeNotFound, "source %q: no such source in knowledge base %s", name, f.kb))
	}
	return *found, nil
}

// AddSource answers with the source itself.
func (f *fakeSystem) AddSource(_ context.Context, r tributary.SourceAddRequest) (tributary.SourceStatus, error) {
	if err := errors.Join(f.record("source-add", r), f.refuse(r.Name)); err != nil {
		return tributary.SourceStatus{}, f.refuse(r.Name)
	}
	return tributary.SourceStatus{KB: f.kb, Source: r.Source, State: tributary.SourceActive, AgeS: -1}, nil
}

func (f *fakeSystem) ShowSource(_ context.Context, r tributary.SourceRequest) (tributary.SourceStatus, error) {
	return f.source("source-show", r, r.Name)
}

func (f *fakeSystem) ListSources(_ context.Context, source func(tributary.SourceStatus) error) error {
	return replies(f, "sources", source)
}

func (f *fakeSystem) PauseSource(_ context.Context, r tributary.SourceRequest) (tributary.SourceStatus, error) {
	return f.source("source-pause", r, r.Name)
}

func (f *fakeSystem) ResumeSource(_ context.Context, r tributary.SourceRequest) (tributary.SourceStatus, error) {
	return f.source("source-resume", r, r.Name)
}

func (f *fakeSystem) ConfirmSource(_ context.Context, r tributary.SourceRequest) (tributary.SourceStatus, error) {
	return f.source("source-confirm", r, r.Name)
}

func (f *fakeSystem) RemoveSource(_ context.Context, r tributary.SourceRemoveRequest) (tributary.SourceStatus, error) {
	return f.source("source-rm", r, r.Name)
}

func (f *fakeSystem) SyncSource(_ context.Context, r tributary.SourceSyncRequest) (tributary.SourceStatus, error) {
	return f.source("source-sync", r, r.Name)
}
