package stage

import (
	"context"
	"fmt"

	"github.com/nats-io/nats.go/jetstream"
)

// A doubt is about messages that a server calls new and that may have been
// handled before, in part or in full: one that was killed forgets its latest
// deliveries. Whatever was on its way then is among the first messages that
// come after the connection was made, as many as may be on their way at once,
// and stood in the stream already.
type doubt struct {
	js     jetstream.JetStream
	stream string
	most   int // messages of the consumer that may be on their way at once; 0 or less: any number

	connection uint64 // which one, counted from 0
	last       uint64 // sequence that the stream had reached when it was made
	left       int    // how many more may have been on their way
}

// newDoubt begins with the present connection.
func newDoubt(ctx context.Context, js jetstream.JetStream, stream string, most int) (*doubt, error) {
	d := &doubt{js: js, stream: stream, most: most, connection: js.Conn().Stats().Reconnects}
	return d, d.renew(ctx)
}

// renew looks how far the stream is.
func (d *doubt) renew(ctx context.Context) error {
	s, err := d.js.Stream(ctx, d.stream)
	if err != nil {
		return fmt.Errorf("look how far stream %s is: %w", d.stream, err)
	}
	d.last, d.left = s.CachedInfo().State.LastSeq, d.most
	return nil
}

// covers reports whether the message may have been handled before. It is
// asked once about each, in the order in which they come.
func (d *doubt) covers(ctx context.Context, meta *jetstream.MsgMetadata) bool {
	if meta.NumDelivered > 1 {
		return true
	}
	if now := d.js.Conn().Stats().Reconnects; now != d.connection {
		if d.renew(ctx) != nil {
			return true // asked again at the next message
		}
		d.connection = now
	}
	if meta.Sequence.Stream > d.last || d.most > 0 && d.left == 0 {
		return false
	}
	d.left--
	return true
}
