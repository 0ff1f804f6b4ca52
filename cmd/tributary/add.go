package main

import (
	"context"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"time"

	"github.com/spf13/cobra"

	"github.com/tributary-kb/tributary"
	"github.com/tributary-kb/tributary/ingest"
)

// bulkFiles is the size of a folder up to which somebody is assumed to wait
// for it: larger ones go to the bulk lane.
const bulkFiles = 100

type addFlags struct {
	wait       bool
	uri        string
	attributes tributary.Attributes
	meta       map[string]string
	laneName   string
	lane       tributary.Lane
	timeout    time.Duration
}

func newAdd(a *app) *cobra.Command {
	var f addFlags
	cmd := &cobra.Command{
		Use:     "add PATH or URL...",
		GroupID: groupUse,
		Short:   "Publish files, folders, web pages or standard input",
		Long: `Add publishes documents: files, folders with everything below them, http and
https URLs, and - for standard input, which needs --uri. A document that is
there already gets a new version; what has not changed costs next to nothing.

In folders, hidden files, symbolic links, and what .gitignore and
.tributaryignore name are left out. Folders of more than 100 files go to the
bulk lane, which never delays other changes; everything else goes to the live
lane. --lane overrides this.

It prints a receipt per document, in order: URI, document, version. --wait
returns when the documents can be searched, and lists those that were refused.
With --json a receipt is one object: uri, document, version, and after --wait
also state, chunks, reason.

A document that cannot be read or is refused does not stop the others. The exit
code is then 1 (unreadable) or 3 (refused).`,
		Example: `  tributary add --wait ~/notes README.md https://go.dev/doc/effective_go
  date | tributary add --uri note:today --title Today -`,
		Args: usage(cobra.MinimumNArgs(1)),
		RunE: func(cmd *cobra.Command, args []string) error { return a.add(cmd.Context(), args, f) },
	}
	flags := cmd.Flags()
	flags.SortFlags = false
	flags.BoolVar(&f.wait, "wait", false, "return when the documents can be searched")
	flags.StringVar(&f.uri, "uri", "", "`URI` of what comes from standard input")
	flags.StringVar(&f.attributes.Title, "title", "", "`TITLE` of a single document (default: the document's own)")
	flags.StringVar(&f.attributes.Source, "source", "", "`SOURCE` to filter by: who publishes the documents")
	flags.StringVar(&f.attributes.ContentType, "content-type", "", "media `TYPE`, e.g. text/markdown (default: detected)")
	flags.StringVar(&f.attributes.Language, "language", "", "language `CODE`, e.g. en (default: detected)")
	flags.StringToStringVar(&f.meta, "meta", nil, "metadata `KEY=VALUE`; may be given several times")
	flags.Lookup("meta").DefValue = "" // else the help shows an empty list
	laneFlag(cmd, &f.laneName, "live, for large folders bulk")
	timeoutFlag(flags, &f.timeout, 0)
	return cmd
}

func (a *app) add(ctx context.Context, args []string, f addFlags) error {
	if err := f.check(args); err != nil {
		return err
	}
	return a.session(ctx, f.timeout, func(ctx context.Context, c client) error {
		return a.publish(ctx, c, a.addJobs(args, f), f.wait, "searchable")
	})
}

// check reads and checks what does not need the running system.
func (f *addFlags) check(args []string) error {
	var err error
	if f.lane, err = parseLane(f.laneName); err != nil {
		return err
	}
	f.attributes.Metadata = f.meta
	stdin := 0
	for _, arg := range args {
		switch arg {
		case "":
			return usagef("an argument is empty; name a file, a folder or a URL, . for this folder")
		case "-":
			stdin++
		}
	}
	switch {
	case stdin > 1:
		return usagef("- stands for standard input, which can be read once only")
	case stdin == 1 && f.uri == "":
		return usagef("standard input has no URI of its own; name one with --uri")
	case stdin == 0 && f.uri != "":
		return usagef("--uri goes with - (standard input); files and pages have their own URI")
	case f.attributes.Title != "" && len(args) > 1:
		return usagef("--title names one document, got %d arguments", len(args))
	case f.uri != "":
		if err := tributary.CheckURI(f.uri); err != nil {
			return &exitError{exitUsage, err}
		}
	}
	return nil
}

// addJobs lists the documents that the arguments name.
func (a *app) addJobs(args []string, f addFlags) jobList {
	return func(ctx context.Context, emit func(job) error) error {
		for _, arg := range args {
			if err := a.addJob(ctx, arg, f, emit); err != nil {
				return err
			}
		}
		return nil
	}
}

func (a *app) addJob(ctx context.Context, arg string, f addFlags, emit func(job) error) error {
	switch {
	case arg == "-":
		return a.stdinJob(ctx, f, emit)
	case isWeb(arg):
		request := f.request(arg)
		request.Fetch = true
		return emit(addJob(request))
	}
	path, err := filePath(arg)
	if err != nil {
		return err
	}
	if path, err = filepath.Abs(path); err != nil {
		return fmt.Errorf("add %s: %w", arg, err)
	}
	info, err := os.Stat(path)
	switch {
	case err != nil && uriScheme.MatchString(arg):
		return usagef("%s: only files, http and https can be added", arg)
	case err != nil:
		return emit(failedJob(arg, unreadable{err}))
	case !info.IsDir():
		return emit(a.fileJob(ingest.File{Path: path, URI: fileURI(path), Size: info.Size()}, f))
	case f.attributes.Title != "":
		return usagef("--title names one document, and %s is a folder", arg)
	}
	return a.folderJobs(ctx, path, f, emit)
}

// request is the request that the flags make for the document at uri.
func (f addFlags) request(uri string) tributary.AddRequest {
	return tributary.AddRequest{URI: uri, Attributes: f.attributes, Lane: f.lane}
}

func addJob(r tributary.AddRequest) job {
	return job{uri: r.URI, send: func(ctx context.Context, c client) (tributary.Receipt, error) { return c.Add(ctx, r) }}
}

// failedJob stands for a document that cannot be published because of err.
func failedJob(uri string, err error) job {
	return job{uri: uri, send: func(context.Context, client) (tributary.Receipt, error) {
		return tributary.Receipt{}, err
	}}
}

// stdinJob reads standard input now, for it can be read once only.
func (a *app) stdinJob(ctx context.Context, f addFlags, emit func(job) error) error {
	content, err := a.readContent(ctx, func() (io.ReadCloser, error) { return io.NopCloser(a.in), nil })
	switch {
	case isRefusal(err):
		return emit(failedJob(f.uri, err))
	case err != nil:
		return fmt.Errorf("read standard input: %w", err)
	}
	request := f.request(f.uri)
	request.Content = content
	return emit(addJob(request))
}

// readContent reads what open opens, as far as it may be long. What it reads
// may be a pipe or a device, which has no size and may never say anything:
// when ctx ends it is left to itself.
func (a *app) readContent(ctx context.Context, open func() (io.ReadCloser, error)) ([]byte, error) {
	limit := a.cfg.Ingest.MaxBytes
	type result struct {
		content []byte
		err     error
	}
	read := make(chan result, 1)
	go func() {
		in, err := open()
		if err != nil {
			read <- result{err: err}
			return
		}
		content, err := io.ReadAll(io.LimitReader(in, limit+1))
		_ = in.Close()
		read <- result{content, err}
	}()
	select {
	case <-ctx.Done():
		return nil, ctx.Err()
	case r := <-read:
		if r.err == nil && int64(len(r.content)) > limit {
			return nil, a.tooLarge(fmt.Sprintf("more than %d", limit))
		}
		return r.content, r.err
	}
}

// tooLarge refuses content of the given size, in words.
func (a *app) tooLarge(size string) error {
	limit := a.cfg.Ingest.MaxBytes
	return tributary.Errorf(tributary.CodeTooLarge, "the document has %s bytes, the limit is %d (ingest.max_bytes)", size, limit)
}

// fileJob publishes a file, which is read when its turn comes.
func (a *app) fileJob(file ingest.File, f addFlags) job {
	switch {
	case file.Size > a.cfg.Ingest.MaxBytes:
		return failedJob(file.URI, a.tooLarge(fmt.Sprint(file.Size)))
	case file.Err != nil:
		return failedJob(file.URI, unreadable{file.Err})
	}
	request := f.request(file.URI)
	return job{uri: file.URI, send: func(ctx context.Context, c client) (tributary.Receipt, error) {
		content, err := a.readContent(ctx, func() (io.ReadCloser, error) { return os.Open(file.Path) })
		switch {
		case ctx.Err() != nil:
			return tributary.Receipt{}, ctx.Err()
		case isRefusal(err):
			return tributary.Receipt{}, err
		case err != nil:
			return tributary.Receipt{}, unreadable{err}
		}
		r := request
		r.Content = content
		return c.Add(ctx, r)
	}}
}

// folderJobs publishes the files below root, in the bulk lane if they are
// many. It holds back as many as it takes to know.
func (a *app) folderJobs(ctx context.Context, root string, f addFlags, emit func(job) error) error {
	var held []ingest.File
	flush := func() error {
		for _, file := range held {
			if err := emit(a.fileJob(file, f)); err != nil {
				return err
			}
		}
		held = nil
		return nil
	}
	count := 0
	err := ingest.Walk(ctx, root, ingest.WalkOptions{MaxBytes: a.cfg.Ingest.MaxBytes}, func(file ingest.File) error {
		held = append(held, file)
		if count++; count <= bulkFiles {
			return nil
		}
		if f.lane == "" {
			f.lane = tributary.LaneBulk
		}
		return flush()
	})
	if err != nil {
		return fmt.Errorf("add %s: %w", root, err)
	}
	if count == 0 {
		a.warnf("%s holds no files to add", root)
	}
	return flush()
}
