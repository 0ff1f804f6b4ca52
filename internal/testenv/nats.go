package testenv

import (
	"context"
	"log/slog"
	"testing"

	"github.com/nats-io/nats.go"

	"github.com/tributary-kb/tributary/internal/embedded"
)

// NATS returns a connection to a real server with JetStream that belongs to
// this test alone and ends with it. It does not wait for the disk at each
// write, as the product does: tests here end by returning, not by power cuts.
func NATS(tb testing.TB) *nats.Conn {
	tb.Helper()
	return Connect(tb, NATSServer(tb))
}

// NATSServer returns a server like that of NATS that also listens on a random
// loopback port, for tests with several connections or processes.
func NATSServer(tb testing.TB) *embedded.NATS {
	tb.Helper()
	n, err := embedded.StartNATS(tb.Context(), embedded.NATSConfig{
		Dir:    tb.TempDir(),
		Port:   -1,
		NoSync: true,
		Logger: slog.New(slog.DiscardHandler),
	})
	if err != nil {
		tb.Fatal(err)
	}
	tb.Cleanup(func() {
		// The test's own context is over by now.
		if err := n.Shutdown(context.WithoutCancel(tb.Context())); err != nil {
			tb.Error(err)
		}
	})
	return n
}

// Connect returns one more connection to n, closed with the test.
func Connect(tb testing.TB, n *embedded.NATS, opts ...nats.Option) *nats.Conn {
	tb.Helper()
	nc, err := n.Connect(opts...)
	if err != nil {
		tb.Fatal(err)
	}
	tb.Cleanup(nc.Close)
	return nc
}
