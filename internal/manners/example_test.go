package manners_test

import (
	"context"
	"fmt"
	"os"
	"time"

	"github.com/nats-io/nats.go/jetstream"

	"github.com/tributary-kb/tributary/internal/embedded"
	"github.com/tributary-kb/tributary/internal/manners"
)

func ExampleGate() {
	ctx := context.Background()
	dir, _ := os.MkdirTemp("", "manners")
	defer func() { _ = os.RemoveAll(dir) }()
	server, _ := embedded.StartNATS(ctx, embedded.NATSConfig{Dir: dir, Port: -1, NoSync: true})
	defer func() { _ = server.Shutdown(ctx) }()
	nc, _ := server.Connect()
	defer nc.Close()
	js, _ := jetstream.New(nc)

	gate, _ := manners.Open(ctx, js, manners.Config{Interval: time.Millisecond})
	leave, err := gate.Enter(ctx, "docs.example.com:443", 0)
	fmt.Println("may ask:", err == nil)
	leave(time.Minute) // it answered 429 with Retry-After: 60
	_, err = gate.Enter(ctx, "docs.example.com:443", 0)
	fmt.Println(err)
	// Output:
	// may ask: true
	// docs.example.com:443 asks to be left alone for another 1m0s
}
