package embedded

import (
	"context"
	"fmt"

	"github.com/nats-io/nats.go/jetstream"
)

// minStore is what the store must be able to take at least.
const minStore = 64 << 20

// StreamShare is the part of MaxStore that streams with a limit of their own
// should reserve together; the rest is for those without one.
const StreamShare = 0.5

// makeRoom lowers the limits of streams that have reserved more than the store
// may take, as they have when the disk has filled up since. JetStream refuses
// every change of a stream in that state, this one too; so it is made in a
// server of its own that may take more and that nobody else reaches. Nothing
// that is stored is lost: a stream above its limit takes nothing new.
func (n *NATS) makeRoom(ctx context.Context) error {
	_, reserved, err := n.srv.JetStreamReservedResources()
	if err != nil || reserved <= n.cfg.MaxStore {
		return err
	}
	n.cfg.Logger.WarnContext(ctx, "the disk has little room: streams are limited to less",
		"folder", n.cfg.Dir, "reserved", reserved, "max_store", n.cfg.MaxStore)
	alone := &NATS{cfg: n.cfg}
	alone.cfg.MaxStore, alone.cfg.NoListen = n.cfg.MaxStore+reserved, true
	n.stop()
	if err := alone.start(ctx); err != nil {
		return err
	}
	err = alone.shrinkStreams(ctx, StreamShare*float64(n.cfg.MaxStore)/float64(reserved))
	alone.stop()
	if err != nil {
		return err
	}
	return n.start(ctx)
}

func (n *NATS) stop() {
	n.srv.Shutdown()
	n.srv.WaitForShutdown()
}

func (n *NATS) shrinkStreams(ctx context.Context, factor float64) error {
	nc, err := n.Connect()
	if err != nil {
		return err
	}
	defer nc.Close()
	js, err := jetstream.New(nc)
	if err != nil {
		return err
	}
	streams := js.ListStreams(ctx)
	for info := range streams.Info() {
		c := info.Config
		if c.MaxBytes <= 0 || c.Discard != jetstream.DiscardNew {
			continue
		}
		c.MaxBytes = max(1, int64(factor*float64(c.MaxBytes)))
		if _, err := js.UpdateStream(ctx, c); err != nil {
			return fmt.Errorf("limit stream %s to %d bytes: %w", c.Name, c.MaxBytes, err)
		}
	}
	return streams.Err()
}
