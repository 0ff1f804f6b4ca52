package config_test

import (
	"fmt"

	"github.com/tributary-kb/tributary/internal/config"
)

func ExampleLoad() {
	loaded, err := config.Load(config.Sources{
		File:  "testdata/notes.yaml",
		Env:   []string{"TRIBUTARY_NATS=nats://nats.example:4222"},
		Flags: []config.Flag{{Name: "--log-level", Key: "log.level", Value: "debug"}},
	})
	if err != nil {
		fmt.Println(err)
		return
	}
	for _, key := range []string{"kb", "nats.url", "log.level", "log.format"} {
		fmt.Println(key, "from", loaded.Origin(key))
	}
	// Output:
	// kb from testdata/notes.yaml:1
	// nats.url from TRIBUTARY_NATS
	// log.level from --log-level
	// log.format from default
}
