package main

import (
	"fmt"

	"github.com/spf13/cobra"
)

func newConfig(a *app) *cobra.Command {
	return &cobra.Command{
		Use:     "config",
		GroupID: groupLook,
		Short:   "Print the settings that hold, without secrets",
		Long: `Config prints the settings that hold, after the file, the environment and the
flags, as a configuration file. Beside each value that is not a default stands
where it came from. A secret shows as (set).

Every setting can be given as an environment variable: its key in upper case
with _ for the dots, after TRIBUTARY_. TRIBUTARY_NATS and TRIBUTARY_WEAVIATE are
short for the two URLs.

With --json each setting is one object: key, value, from.`,
		Example: `  tributary config
  TRIBUTARY_LOG_LEVEL=debug tributary config --json`,
		Args:              usage(cobra.NoArgs),
		ValidArgsFunction: noFiles,
		RunE:              func(*cobra.Command, []string) error { return a.printConfig() },
	}
}

func (a *app) printConfig() error {
	if a.json {
		for _, v := range a.cfg.Effective() {
			if err := a.printJSON(v); err != nil {
				return err
			}
		}
		return nil
	}
	text, err := a.cfg.YAML()
	if err != nil {
		return fmt.Errorf("print the settings: %w", err)
	}
	if a.cfg.File == "" {
		a.printf("# No configuration file was read.\n")
	} else {
		a.printf("# Configuration file: %s\n", cleanLine(a.cfg.File))
	}
	a.printf("%s", clean(string(text)))
	return nil
}
