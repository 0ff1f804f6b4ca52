package testenv

import (
	"fmt"
	"io"
	"strings"
)

// Progress returns a function for ObtainConfig.Progress that writes lines to
// w: one when a stage begins and one for every tenth of it.
func Progress(w io.Writer) func(stage string, done, total int64) {
	var last string
	return func(stage string, done, total int64) {
		line := "weaviate: " + strings.ReplaceAll(stage, "\n", "\n    ")
		if total > 0 {
			line += fmt.Sprintf(": %d%%", done*100/total/10*10)
		}
		if line != last {
			fmt.Fprintln(w, line)
			last = line
		}
	}
}
