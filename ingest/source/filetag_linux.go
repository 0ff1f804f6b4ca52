package source

import (
	"fmt"
	"io/fs"
	"syscall"
)

// fileTag changes when the content of a file does: size, modification time,
// and, as tools exist that set the time back, inode and change time.
func fileTag(info fs.FileInfo) string {
	tag := fmt.Sprintf("%x-%x", info.Size(), info.ModTime().UnixNano())
	if s, ok := info.Sys().(*syscall.Stat_t); ok {
		tag += fmt.Sprintf("-%x-%x", s.Ino, s.Ctim.Nano())
	}
	return tag
}
