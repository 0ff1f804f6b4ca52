package main

import (
	"context"
	"io"
	"log/slog"
	"os"
	"strings"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"

	"github.com/tributary-kb/tributary/internal/config"
)

// app is what the commands share: the streams they use, the configuration,
// and how they reach the running system.
type app struct {
	in       io.Reader
	out, err *terminal
	env      []string
	dial     func(context.Context, *config.Loaded) (client, func(), error)

	json       bool
	configFile string
	cfg        *config.Loaded // set before a command runs
	log        *slog.Logger   // likewise
}

func newApp() *app {
	return &app{
		in:   os.Stdin,
		out:  newTerminal(os.Stdout, os.Getenv),
		err:  newTerminal(os.Stderr, os.Getenv),
		env:  os.Environ(),
		dial: dialNATS,
	}
}

const rootLong = `Tributary keeps a knowledge base searchable while its documents change.

  tributary up ~/notes               runs everything here, and adds a folder
  tributary ask "who is on call?"    asks about it, in another terminal

Documents are named by URI. Every accepted change gets a version and a receipt;
--wait returns when that version can be searched.

Settings come from a file (--config), then TRIBUTARY_* environment variables,
then flags, each over the one before. ` + "`tributary config`" + ` prints what holds.

Exit codes:
  0    done
  1    failed
  2    called wrongly, or wrong settings
  3    done, but some documents were refused
  4    nothing is running, or it cannot be reached
  130  interrupted`

// newRoot returns the command line.
func newRoot(a *app) *cobra.Command {
	root := &cobra.Command{
		Use:   "tributary",
		Short: "A knowledge base that stays current by itself",
		Long:  rootLong,
		Example: `  tributary up
  tributary add --wait README.md
  tributary search "exit codes"`,
		SilenceErrors:     true,
		SilenceUsage:      true,
		Args:              rootArgs,
		RunE:              func(cmd *cobra.Command, _ []string) error { return cmd.Help() },
		PersistentPreRunE: a.prepare,
	}
	root.SetOut(a.out)
	root.SetErr(a.err)
	root.SetIn(a.in)
	root.SetFlagErrorFunc(func(_ *cobra.Command, err error) error { return &exitError{exitUsage, err} })
	root.SetUsageTemplate(usageTemplate)
	a.globalFlags(root.PersistentFlags())
	root.AddGroup(
		&cobra.Group{ID: groupRun, Title: "Run it:"},
		&cobra.Group{ID: groupUse, Title: "Use it:"},
		&cobra.Group{ID: groupLook, Title: "Look into it:"},
	)
	root.AddCommand(a.commands()...)
	return root
}

// usageTemplate ends in the example, where the eye is when the prompt returns.
const usageTemplate = `Usage:
  {{if .HasAvailableSubCommands}}{{.CommandPath}} COMMAND [flags]{{else}}{{.UseLine}}{{end}}
{{- if .HasAvailableSubCommands}}{{$commands := .Commands}}
{{- range $group := .Groups}}

{{.Title}}{{range $commands}}{{if and .IsAvailableCommand (eq .GroupID $group.ID)}}
  {{rpad .Name .NamePadding}} {{.Short}}{{end}}{{end}}{{end}}
{{- if not .AllChildCommandsHaveGroup}}

{{if .Groups}}Other:{{else}}Commands:{{end}}{{range $commands}}{{if and (eq .GroupID "") (or .IsAvailableCommand (eq .Name "help"))}}
  {{rpad .Name .NamePadding}} {{.Short}}{{end}}{{end}}{{end}}{{end}}
{{- if .HasAvailableLocalFlags}}

Flags:
{{.LocalFlags.FlagUsages | trimTrailingWhitespaces}}{{end}}
{{- if .HasAvailableInheritedFlags}}

Global flags:
{{.InheritedFlags.FlagUsages | trimTrailingWhitespaces}}{{end}}
{{- if .HasAvailableSubCommands}}

` + "`{{.CommandPath}} COMMAND --help`" + ` tells more about a command.{{end}}
{{- if .HasExample}}

Examples:
{{.Example}}{{end}}
`

// The groups of commands in the help.
const (
	groupRun  = "run"
	groupUse  = "use"
	groupLook = "look"
)

// commands lists the commands in no particular order; the help sorts them.
func (a *app) commands() []*cobra.Command {
	return []*cobra.Command{
		newUp(a), newWorker(a), newGateway(a), newMCP(a), newReindex(a),
		newAdd(a), newRm(a), newSource(a), newSearch(a), newAsk(a),
		newLs(a), newShow(a), newStatus(a), newTopology(a), newVerify(a),
		newEval(a), newConfig(a), newVersion(a),
	}
}

func (a *app) globalFlags(flags *pflag.FlagSet) {
	flags.SortFlags = false
	configFlag(flags, "data", "data", "", "folder of the running system `DIR` (default: in the user's data folder)")
	configFlag(flags, "nats", "nats.url", "", "`URL` of NATS (default: that of `up` in the data folder)")
	configFlag(flags, "kb", "kb", "", "knowledge base `NAME` (default \"default\")")
	flags.BoolVar(&a.json, "json", false, "print JSON, one object per line")
	flags.StringVar(&a.configFile, "config", "", "configuration `FILE` (default: tributary/tributary.yaml in the user's configuration folder)")
	configFlag(flags, "log-level", "log.level", "", "log `LEVEL`: debug, info, warn or error (default info)")
	configFlag(flags, "log-format", "log.format", "", "log `FORMAT`: text, json or auto (default auto)")
}

// configKey is the annotation of a flag that stands for a setting.
const configKey = "tributary-setting"

// configFlag adds a flag that stands for the setting key. Its value is read
// from the configuration, never from the flag.
func configFlag(flags *pflag.FlagSet, name, key, shorthand, usage string) { //nolint:unparam // in the form of pflag's own
	flags.StringP(name, shorthand, "", usage)
	flags.Lookup(name).Annotations = map[string][]string{configKey: {key}}
}

// prepare loads the configuration before a command runs.
func (a *app) prepare(cmd *cobra.Command, _ []string) error {
	if cmd.Name() == "help" || strings.HasPrefix(cmd.CommandPath(), "tributary completion") {
		return nil
	}
	src := config.Sources{File: a.configFile, Env: a.env}
	cmd.Flags().Visit(func(f *pflag.Flag) {
		if key := f.Annotations[configKey]; len(key) == 1 {
			src.Flags = append(src.Flags, config.Flag{Name: "--" + f.Name, Key: key[0], Value: f.Value.String()})
		}
	})
	var err error
	if a.cfg, err = config.Load(src); err != nil {
		return &exitError{exitUsage, err}
	}
	a.log = newLogger(a.cfg.Log, a.err)
	return nil
}

// rootArgs refuses a word that is no command, and suggests one.
func rootArgs(cmd *cobra.Command, args []string) error {
	if len(args) == 0 {
		return nil
	}
	cmd.SuggestionsMinimumDistance = 2
	if near := cmd.SuggestionsFor(args[0]); len(near) > 0 {
		return usagef("unknown command %q; did you mean %q?", args[0], near[0])
	}
	return usagef("unknown command %q", args[0])
}

// usage turns cobra's complaint about arguments into a usage error.
func usage(check cobra.PositionalArgs) cobra.PositionalArgs {
	return func(cmd *cobra.Command, args []string) error {
		if err := check(cmd, args); err != nil {
			return &exitError{exitUsage, err}
		}
		return nil
	}
}

// noFiles stops the shell from completing file names for an argument.
var noFiles = cobra.NoFileCompletions
