package main

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"time"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"

	"github.com/tributary-kb/tributary"
	"github.com/tributary-kb/tributary/ingest/source"
)

// syncTimeout is the usual patience with a look at a source.
const syncTimeout = 10 * time.Minute

func newSource(a *app) *cobra.Command {
	cmd := &cobra.Command{
		Use:     "source",
		GroupID: groupUse,
		Short:   "Follow folders, feeds, sites and other places that documents come from",
		Long: `A source is followed until told otherwise: what is new, changed or deleted there
is so in the knowledge base, without anybody's doing.`,
		Example: `  tributary source add ~/notes
  tributary source ls`,
		Args: usage(cobra.NoArgs),
		RunE: func(cmd *cobra.Command, _ []string) error { return cmd.Help() },
	}
	cmd.AddCommand(newSourceAdd(a), newSourceLs(a), newSourceRm(a), newSourceSync(a),
		newSourceSwitch(a, "show", "Show how a source is doing", `Show prints all that is known of a source: state, documents, age, notes.`, client.ShowSource),
		newSourceSwitch(a, "pause", "Stop looking at a source", `Pause stops looking at a source, until resume. Its documents stay as they are.`, client.PauseSource),
		newSourceSwitch(a, "resume", "Look at a paused source again", `Resume looks at a paused source again. What changed meanwhile is found.`, client.ResumeSource),
		newSourceSwitch(a, "confirm", "Let the deletions go on that a source holds",
			`A source that suddenly has far fewer documents is held: nothing is deleted before
somebody has looked. Confirm says that they are really gone.`, client.ConfirmSource))
	return cmd
}

// sourceOptions are the flags of source add.
type sourceOptions struct {
	source  tributary.Source
	kind    string
	guessed bool // the name
	every   time.Duration
	hold    float64
	wait    bool
	limit   time.Duration
}

func newSourceAdd(a *app) *cobra.Command {
	var f sourceOptions
	cmd := &cobra.Command{
		Use:   "add LOCATION",
		Short: "Follow a folder, feed, sitemap, site, page, repository or bucket",
		Long: `Add follows a location from now on. Its kind and a name are guessed from what it
looks like, --kind and --name say them. A location that is followed, or with
--name a source that exists, has its settings changed.

Kinds: folder, feed, sitemap, site, page, git, s3, subject, webhook (which has
no location). A folder is followed by workers on this machine only. To a subject
your own programs publish documents.`,
		Example: `  tributary source add ~/notes
  tributary source add --exclude '/archive/' https://docs.example.com/guide/
  tributary source add --linked --wait https://blog.example.com/feed.xml
  tributary source add --kind subject 'wiki.>'
  tributary source add --notifications bucket.events s3://docs/kb`,
		Args: usage(cobra.MaximumNArgs(1)),
		RunE: func(cmd *cobra.Command, args []string) error {
			return a.sourceAdd(cmd.Context(), args, f, cmd.Flags().Changed("hold-below"))
		},
	}
	f.flags(cmd.Flags())
	return cmd
}

func (f *sourceOptions) flags(flags *pflag.FlagSet) {
	flags.SortFlags = false
	o := &f.source.Options
	flags.StringVar(&f.source.Name, "name", "", "its `NAME`: a-z, 0-9 and '-' (default: made of the location)")
	flags.StringVar(&f.kind, "kind", "", "what it is: `KIND` (default: guessed from the location)")
	flags.StringArrayVar(&o.Include, "include", nil, "only what matches `PATTERN`, as in .gitignore; may be repeated")
	flags.StringArrayVar(&o.Exclude, "exclude", nil, "not what matches `PATTERN`, as in .gitignore; may be repeated")
	flags.DurationVar(&f.every, "every", 0, "look every `DURATION` (default: learned from how often it changes)")
	flags.Float64Var(&f.hold, "hold-below", 0.5, "hold deletions that leave less than this `SHARE` of its documents, 0 for never")
	flags.IntVar(&o.MaxDocuments, "max-documents", 0, "the most documents it may have, `NUMBER` (default: sources.max_documents)")
	flags.BoolVar(&o.Linked, "linked", false, "feed: follow the linked pages, not the text of the entries")
	flags.IntVar(&o.Depth, "depth", 0, "site: links from the start page, `NUMBER` (default 8)")
	flags.StringArrayVar(&o.Hosts, "host", nil, "site, sitemap, feed: a further `HOST` in scope; may be repeated")
	flags.StringVar(&o.Branch, "branch", "", "git: `NAME` of the branch (default: that of HEAD)")
	flags.StringVar(&o.KnownHosts, "known-hosts", "", "git over ssh: `FILE` on the worker's machine with the key of the host")
	flags.StringVar(&o.Endpoint, "endpoint", "", "s3: `URL` of the store (default: AWS)")
	flags.StringVar(&o.Region, "region", "", "s3: `NAME` of the region")
	flags.StringVar(&o.Notifications, "notifications", "", "s3: NATS `SUBJECT` where the store tells of changes")
	flags.StringVar(&o.User, "user", "", "`USER` or access key to log in with")
	flags.StringVar(&o.SecretFile, "secret-file", "", "`FILE` on the worker's machine with the password, token or key")
	flags.StringVar(&o.SecretEnv, "secret-env", "", "environment variable `NAME` of the worker with it")
	flags.StringVar(&o.Language, "language", "", "of its documents, `CODE` as in ISO 639-1")
	flags.BoolVar(&f.wait, "wait", false, "return when it has been looked at and all it has can be searched")
	timeoutFlag(flags, &f.limit, syncTimeout)
}

// complete fills in what the location tells.
func (f *sourceOptions) complete(args []string, holds bool) error {
	s := &f.source
	location := strings.Join(args, "")
	kind, guessed := source.Guess(location)
	s.Kind = tributary.SourceKind(f.kind)
	if s.Kind == "" {
		s.Kind = kind
	}
	if s.Name == "" && location != "" {
		s.Name, f.guessed = guessed.Name, true
	}
	if location == "" && s.Kind != tributary.SourceWebhook {
		return usagef("name the location to follow, or --kind webhook")
	}
	if holds {
		s.Options.HoldBelow = &f.hold
	}
	s.Options.EveryS = f.every.Seconds()
	var err error
	s.Location, s.Options.Host, err = place(s.Kind, location)
	if err == nil {
		err = s.Check()
	}
	if err != nil {
		return &exitError{exitUsage, err}
	}
	return nil
}

// collides refuses a guessed name that another location has: that would stop
// being followed, and its documents would be deleted.
func (f *sourceOptions) collides(ctx context.Context, c client) error {
	if !f.guessed {
		return nil
	}
	s := f.source
	there, err := c.ShowSource(ctx, tributary.SourceRequest{Name: s.Name})
	if tributary.CodeOf(err) == tributary.CodeNotFound {
		return nil
	}
	if err != nil || there.Location == s.Location && there.Options.Host == s.Options.Host {
		return err
	}
	at := cleanLine(there.Location)
	if there.Options.Host != s.Options.Host && there.Options.Host != "" {
		at += " on " + cleanLine(there.Options.Host)
	}
	return usagef("source %s follows %s: give this location a name of its own with --name, or say --name %[1]s to follow it instead", s.Name, at)
}

// place makes a local path absolute, and says on which machine it is.
func place(kind tributary.SourceKind, location string) (path, host string, err error) {
	local := kind == tributary.SourceFolder || kind == tributary.SourceGit && !strings.Contains(location, ":")
	if !local {
		return location, "", nil
	}
	location = strings.TrimPrefix(location, "file://")
	if path, err = filepath.Abs(location); err != nil {
		return "", "", err
	}
	if _, err = os.Stat(path); err != nil {
		return "", "", err
	}
	host, err = os.Hostname()
	return path, host, err
}

func (a *app) sourceAdd(ctx context.Context, args []string, f sourceOptions, holds bool) error {
	if err := f.complete(args, holds); err != nil {
		return err
	}
	return a.session(ctx, f.limit, func(ctx context.Context, c client) error {
		if err := f.collides(ctx, c); err != nil {
			return err
		}
		status, err := c.AddSource(ctx, tributary.SourceAddRequest{Source: f.source})
		if err == nil && f.wait {
			status, err = a.syncAndSettle(ctx, c, tributary.SourceSyncRequest{Name: f.source.Name})
		}
		if err != nil {
			return err
		}
		return a.printSource(status)
	})
}

// syncAndSettle looks at a source, and waits until nothing is on its way any
// more.
func (a *app) syncAndSettle(ctx context.Context, c client, req tributary.SourceSyncRequest) (tributary.SourceStatus, error) {
	steps := a.newSteps()
	defer steps.finish()
	steps.report("looking at "+req.Name, 0, 0)
	status, err := c.SyncSource(ctx, req)
	if err != nil {
		return status, err
	}
	tick := time.NewTicker(100 * time.Millisecond)
	defer tick.Stop()
	for most := uint64(0); ; {
		s, err := c.Status(ctx)
		if err != nil {
			return status, err
		}
		left := uint64(0)
		for _, st := range s.Stages {
			left += st.Waiting + uint64(max(st.InFlight, 0))
		}
		if left == 0 {
			return status, nil
		}
		most = max(most, left)
		steps.report("searchable", int64(most-left), int64(most))
		select {
		case <-ctx.Done():
			return status, ctx.Err()
		case <-tick.C:
		}
	}
}

func newSourceLs(a *app) *cobra.Command {
	var timeout time.Duration
	cmd := &cobra.Command{
		Use:   "ls",
		Short: "List the sources, and how current they are",
		Long: `Ls lists the sources: state, documents, the age of what is searched, when it was
looked at last and will be next, and how long a change took to be searchable
(half of them, and 99 of 100), name and location.`,
		Example:           `  tributary source ls --json`,
		Args:              usage(cobra.NoArgs),
		ValidArgsFunction: noFiles,
		RunE: func(cmd *cobra.Command, _ []string) error {
			return a.session(cmd.Context(), timeout, func(ctx context.Context, c client) error { return a.sourceLs(ctx, c) })
		},
	}
	timeoutFlag(cmd.Flags(), &timeout, requestTimeout)
	return cmd
}

func (a *app) sourceLs(ctx context.Context, c client) error {
	if a.json {
		return c.ListSources(ctx, func(s tributary.SourceStatus) error { return a.printJSON(s) })
	}
	rows := [][]string{{"NAME", "KIND", "STATE", "DOCUMENTS", "AGE", "LAST SUCCESS", "NEXT LOOK", "P50", "P99", "LOCATION"}}
	err := c.ListSources(ctx, func(s tributary.SourceStatus) error {
		rows = append(rows, []string{s.Name, string(s.Kind), string(s.State), fmt.Sprint(s.Documents), age(s.AgeS),
			when(s.LastSuccess), when(s.NextLook), latency(s.SearchableP50), latency(s.SearchableP99), cleanLine(s.Location)})
		return nil
	})
	switch {
	case err != nil:
		return err
	case len(rows) == 1:
		a.warnf("No sources. Follow one with `tributary source add LOCATION`.")
	default:
		a.table(rows)
	}
	return nil
}

func latency(seconds float64) string {
	if seconds == 0 {
		return "-"
	}
	return time.Duration(seconds * float64(time.Second)).Round(time.Millisecond).String()
}

// newSourceSwitch makes a command that names one source and shows what it is
// like afterwards.
func newSourceSwitch(a *app, use, short, long string, do func(client, context.Context, tributary.SourceRequest) (tributary.SourceStatus, error)) *cobra.Command {
	var timeout time.Duration
	cmd := &cobra.Command{
		Use: use + " NAME", Short: short, Long: long,
		Example:           "  tributary source " + use + " notes",
		Args:              usage(cobra.ExactArgs(1)),
		ValidArgsFunction: a.sourceNames,
		RunE: func(cmd *cobra.Command, args []string) error {
			return a.session(cmd.Context(), timeout, func(ctx context.Context, c client) error {
				status, err := do(c, ctx, tributary.SourceRequest{Name: args[0]})
				if err != nil {
					return err
				}
				return a.printSource(status)
			})
		},
	}
	timeoutFlag(cmd.Flags(), &timeout, requestTimeout)
	return cmd
}

// sourceNames completes the name of a source, of the system that runs.
func (a *app) sourceNames(cmd *cobra.Command, args []string, _ string) ([]string, cobra.ShellCompDirective) {
	if len(args) > 0 || a.prepare(cmd, nil) != nil {
		return nil, cobra.ShellCompDirectiveNoFileComp
	}
	var names []string
	err := a.session(cmd.Context(), connectTimeout, func(ctx context.Context, c client) error {
		return c.ListSources(ctx, func(s tributary.SourceStatus) error {
			names = append(names, s.Name)
			return nil
		})
	})
	if err != nil {
		return nil, cobra.ShellCompDirectiveError
	}
	return names, cobra.ShellCompDirectiveNoFileComp
}

func newSourceSync(a *app) *cobra.Command {
	var req tributary.SourceSyncRequest
	var wait bool
	var timeout time.Duration
	cmd := &cobra.Command{
		Use:   "sync NAME",
		Short: "Look at a source now",
		Long: `Sync looks at a source now and returns when that is done. With --full every
document is loaded again, as if nothing was known of it.`,
		Example:           `  tributary source sync --wait notes`,
		Args:              usage(cobra.ExactArgs(1)),
		ValidArgsFunction: a.sourceNames,
		RunE: func(cmd *cobra.Command, args []string) error {
			req.Name = args[0]
			return a.session(cmd.Context(), timeout, func(ctx context.Context, c client) error {
				look := c.SyncSource
				if wait {
					look = func(ctx context.Context, req tributary.SourceSyncRequest) (tributary.SourceStatus, error) {
						return a.syncAndSettle(ctx, c, req)
					}
				}
				status, err := look(ctx, req)
				if err != nil {
					return err
				}
				return a.printSource(status)
			})
		},
	}
	cmd.Flags().SortFlags = false
	cmd.Flags().BoolVar(&req.Full, "full", false, "load every document again")
	cmd.Flags().BoolVar(&wait, "wait", false, "return when what it found can be searched")
	timeoutFlag(cmd.Flags(), &timeout, syncTimeout)
	return cmd
}
