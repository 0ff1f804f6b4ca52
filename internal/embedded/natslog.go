package embedded

import (
	"context"
	"fmt"
	"log/slog"
)

// serverLog passes the log of the NATS server to slog. What the server calls
// fatal does not end the process: it is kept for whoever starts it.
type serverLog struct {
	log   *slog.Logger
	fatal chan error // the first fatal error
}

func newServerLog(log *slog.Logger) *serverLog {
	return &serverLog{log: log, fatal: make(chan error, 1)}
}

func (l *serverLog) write(level slog.Level, format string, v []any) {
	if l.log.Enabled(context.Background(), level) {
		l.log.Log(context.Background(), level, fmt.Sprintf(format, v...)) //nolint:sloglint // the server formats its lines itself
	}
}

// Noticef logs at debug level: most notices are a banner of the start.
func (l *serverLog) Noticef(format string, v ...any) { l.write(slog.LevelDebug, format, v) }

// Warnf logs a warning.
func (l *serverLog) Warnf(format string, v ...any) { l.write(slog.LevelWarn, format, v) }

// Errorf logs an error.
func (l *serverLog) Errorf(format string, v ...any) { l.write(slog.LevelError, format, v) }

// Fatalf keeps the error for the start, which returns it.
func (l *serverLog) Fatalf(format string, v ...any) {
	select {
	case l.fatal <- fmt.Errorf(format, v...):
	default:
		l.write(slog.LevelError, format, v)
	}
}

// Debugf logs at debug level.
func (l *serverLog) Debugf(format string, v ...any) { l.write(slog.LevelDebug, format, v) }

// Tracef logs below debug level.
func (l *serverLog) Tracef(format string, v ...any) { l.write(slog.LevelDebug-4, format, v) }
