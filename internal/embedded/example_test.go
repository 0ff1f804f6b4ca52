package embedded_test

import (
	"context"
	"fmt"
	"log/slog"
	"os"

	"github.com/nats-io/nats.go/jetstream"

	"github.com/tributary-kb/tributary/internal/embedded"
)

func ExampleStartNATS() {
	dir, err := os.MkdirTemp("", "nats-example-")
	if err != nil {
		fmt.Println(err)
		return
	}
	defer func() { _ = os.RemoveAll(dir) }()
	ctx := context.Background()
	n, err := embedded.StartNATS(ctx, embedded.NATSConfig{
		Dir:    dir,
		Port:   -1,
		Logger: slog.New(slog.DiscardHandler),
	})
	if err != nil {
		fmt.Println(err)
		return
	}
	defer func() { _ = n.Shutdown(ctx) }()

	nc, err := n.Connect()
	if err != nil {
		fmt.Println(err)
		return
	}
	defer nc.Close()
	js, err := jetstream.New(nc)
	if err != nil {
		fmt.Println(err)
		return
	}
	stream, err := js.CreateStream(ctx, jetstream.StreamConfig{Name: "DOCUMENTS", Subjects: []string{"documents.>"}})
	if err != nil {
		fmt.Println(err)
		return
	}
	if _, err := js.Publish(ctx, "documents.readme", []byte("hello")); err != nil {
		fmt.Println(err)
		return
	}
	info, err := stream.Info(ctx)
	if err != nil {
		fmt.Println(err)
		return
	}
	fmt.Println(info.State.Msgs, "message;", "healthy:", n.Healthy() == nil)
	// Output: 1 message; healthy: true
}

// A Weaviate takes minutes to obtain, so this example is compiled only.
func ExampleStartWeaviate() { //nolint:testableexamples // its ports differ from run to run
	ctx := context.Background()
	binary, err := embedded.ObtainWeaviate(ctx, embedded.ObtainConfig{
		Progress: func(stage string, done, total int64) { fmt.Fprintln(os.Stderr, stage, done, total) },
	})
	if err != nil {
		fmt.Println(err)
		return
	}
	w, err := embedded.StartWeaviate(ctx, embedded.WeaviateConfig{Binary: binary, Dir: "data/weaviate"})
	if err != nil {
		fmt.Println(err)
		return
	}
	defer func() { _ = w.Shutdown(ctx) }()
	fmt.Println("REST at", w.HTTPAddr(), "gRPC at", w.GRPCAddr())
}
