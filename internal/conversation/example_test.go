package conversation_test

import (
	"context"
	"fmt"
	"time"

	"github.com/nats-io/nats.go/jetstream"

	"github.com/tributary-kb/tributary"
	"github.com/tributary-kb/tributary/internal/conversation"
)

func ExampleStore() {
	last := func(ctx context.Context, js jetstream.JetStream) (string, error) {
		s, err := conversation.Open(ctx, js, conversation.Config{TTL: time.Hour, MaxTurns: 6, Replicas: 1})
		if err != nil {
			return "", err
		}
		turn := tributary.Turn{Question: "How long is the warranty?", Answer: "Three years."}
		if err := s.Append(ctx, "handbook", "c-12345678", turn); err != nil {
			return "", err
		}
		turns, err := s.Turns(ctx, "handbook", "c-12345678")
		if err != nil {
			return "", err
		}
		return turns[len(turns)-1].Answer, nil
	}
	_ = last // it needs a NATS server
	fmt.Println(conversation.Bucket)
	// Output: tributary-conversations
}
