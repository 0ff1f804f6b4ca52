//go:build !linux

package source

import (
	"fmt"
	"io/fs"
)

// fileTag changes when the content of a file does.
func fileTag(info fs.FileInfo) string {
	return fmt.Sprintf("%x-%x", info.Size(), info.ModTime().UnixNano())
}
