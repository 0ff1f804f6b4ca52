package main

import (
	"log/slog"

	"github.com/tributary-kb/tributary/internal/config"
)

// newLogger returns the logger that l asks for, which writes to t.
func newLogger(l config.Log, t *terminal) *slog.Logger {
	var level slog.Level
	if err := level.UnmarshalText([]byte(l.Level)); err != nil {
		level = slog.LevelInfo // Validate has refused other names already
	}
	options := &slog.HandlerOptions{Level: level}
	if l.Format == "json" || l.Format == "auto" && !t.tty {
		return slog.New(slog.NewJSONHandler(t, options))
	}
	return slog.New(slog.NewTextHandler(t, options))
}
