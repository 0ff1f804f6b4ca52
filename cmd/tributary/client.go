package main

import (
	"context"

	"github.com/tributary-kb/tributary"
	"github.com/tributary-kb/tributary/internal/gateway"
)

// client is what the commands need of the running system. Every call ends
// when its context does.
type client interface {
	changer
	asker
	inspector
	gateway.Follower
}

// A changer publishes changes. A receipt means that one is stored durably.
type changer interface {
	Add(context.Context, tributary.AddRequest) (tributary.Receipt, error)
	Remove(context.Context, tributary.RemoveRequest) (tributary.Receipt, error)
	// Wait calls settled once for each version, as they settle.
	Wait(ctx context.Context, versions []tributary.At, settled func(tributary.Settled) error) error
}

// An asker answers from the documents.
type asker interface {
	Search(context.Context, tributary.SearchRequest) (tributary.SearchReply, error)
	// Ask calls event with the parts of the answer and last with the whole.
	Ask(ctx context.Context, r tributary.AskRequest, event func(tributary.AskEvent) error) error
	// Forget deletes a conversation.
	Forget(context.Context, tributary.ForgetRequest) (tributary.ForgetReply, error)
}

// An inspector tells what is there.
type inspector interface {
	List(ctx context.Context, r tributary.ListRequest, item func(tributary.Item) error) error
	Show(context.Context, tributary.ShowRequest) (tributary.ShowReply, error)
	Status(context.Context) (tributary.StatusReply, error)
	// Reindex calls receipt for each document that is published again.
	Reindex(ctx context.Context, receipt func(tributary.Receipt) error) error
	// Verify calls finding with each disagreement and last with a summary.
	Verify(ctx context.Context, r tributary.VerifyRequest, finding func(tributary.Finding) error) error
}
