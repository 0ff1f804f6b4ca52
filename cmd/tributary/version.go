package main

import (
	"runtime"
	"runtime/debug"

	"github.com/spf13/cobra"
)

// A versionLine says what this binary was built from.
type versionLine struct {
	Version  string `json:"version"`
	Revision string `json:"revision,omitempty"` // of the source, with -dirty if it was changed
	Go       string `json:"go"`
	Platform string `json:"platform"`
}

func newVersion(a *app) *cobra.Command {
	return &cobra.Command{
		Use:     "version",
		GroupID: groupLook,
		Short:   "Print the version of this program",
		Long: `Version prints the version of this program, the source revision it was built
from, and the Go version. ` + "`tributary status`" + ` has the versions of what runs.`,
		Example:           `  tributary version`,
		Args:              usage(cobra.NoArgs),
		ValidArgsFunction: noFiles,
		RunE: func(*cobra.Command, []string) error {
			v := buildVersion()
			if a.json {
				return a.printJSON(v)
			}
			line := "tributary " + v.Version
			if v.Revision != "" {
				line += " (" + v.Revision + ")"
			}
			a.printf("%s %s %s\n", line, v.Go, v.Platform)
			return nil
		},
	}
}

// buildVersion reads what the Go toolchain wrote into the binary.
func buildVersion() versionLine {
	v := versionLine{Version: "(devel)", Go: runtime.Version(), Platform: runtime.GOOS + "/" + runtime.GOARCH}
	info, ok := debug.ReadBuildInfo()
	if !ok {
		return v
	}
	if info.Main.Version != "" {
		v.Version = info.Main.Version
	}
	for _, s := range info.Settings {
		switch {
		case s.Key == "vcs.revision":
			v.Revision = s.Value[:min(12, len(s.Value))] + v.Revision
		case s.Key == "vcs.modified" && s.Value == "true":
			v.Revision += "-dirty"
		}
	}
	return v
}
