package stage

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"

	"github.com/klauspost/compress/zstd"
	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"
	"github.com/nats-io/nuid"
)

// Headers of a stage message.
const (
	HeaderEncoding = "Content-Encoding" // "zstd" or absent
	HeaderBlob     = "Tributary-Blob"   // name of the object that holds the payload
)

const (
	compressAbove = 1 << 10   // bytes of JSON
	blobAbove     = 512 << 10 // bytes after compression; 1 MiB is the usual limit of payload and headers
	maxDecoded    = 1 << 30   // bytes; bounds what a hostile or broken frame may unpack to
)

var (
	encoder = must(zstd.NewWriter(nil, zstd.WithEncoderLevel(zstd.SpeedFastest), zstd.WithEncoderConcurrency(1)))
	decoder = must(zstd.NewReader(nil, zstd.WithDecoderConcurrency(0), zstd.WithDecoderMaxMemory(maxDecoded)))
)

func must[T any](v T, err error) T {
	if err != nil {
		panic(err) // constant options
	}
	return v
}

// Encode turns a value into a message for subject: JSON, compressed where
// that pays, and moved to the blob store where it would not fit.
func Encode(ctx context.Context, blobs jetstream.ObjectStore, subject, id string, v any) (*nats.Msg, error) {
	data, err := json.Marshal(v)
	if err != nil {
		return nil, fmt.Errorf("encode message %s: %w", id, err)
	}
	msg := nats.NewMsg(subject)
	msg.Header.Set(nats.MsgIdHdr, id)
	if len(data) > compressAbove {
		data = encoder.EncodeAll(data, nil)
		msg.Header.Set(HeaderEncoding, "zstd")
	}
	if len(data) <= blobAbove {
		msg.Data = data
		return msg, nil
	}
	// A name of its own, so that it can be removed with its message.
	name := subject + "." + nuid.Next()
	if _, err := blobs.Put(ctx, jetstream.ObjectMeta{Name: name}, bytes.NewReader(data)); err != nil {
		return nil, fmt.Errorf("store blob of message %s: %w", id, err)
	}
	msg.Header.Set(HeaderBlob, name)
	return msg, nil
}

// errCorrupt marks a payload that no attempt will ever decode.
var errCorrupt = errors.New("the message is corrupt")

// Decode reads a message that Encode made into v.
func Decode(ctx context.Context, blobs jetstream.ObjectStore, header nats.Header, data []byte, v any) error {
	if name := header.Get(HeaderBlob); name != "" {
		var err error
		if data, err = blobs.GetBytes(ctx, name); err != nil {
			if errors.Is(err, jetstream.ErrObjectNotFound) {
				return fmt.Errorf("%w: its blob %s is gone", errCorrupt, name)
			}
			return fmt.Errorf("get blob %s: %w", name, err)
		}
	}
	switch enc := header.Get(HeaderEncoding); enc {
	case "":
	case "zstd":
		var err error
		if data, err = decoder.DecodeAll(data, nil); err != nil {
			return fmt.Errorf("%w: %w", errCorrupt, err)
		}
	default:
		return fmt.Errorf("%w: unknown encoding %q", errCorrupt, enc)
	}
	if err := json.Unmarshal(data, v); err != nil {
		return fmt.Errorf("%w: %w", errCorrupt, err)
	}
	return nil
}
