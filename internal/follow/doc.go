// Package follow keeps knowledge bases in step with their sources. It decides
// when to look, compares what a source.Follower finds with what is remembered,
// publishes requests on the stream, and remembers after the receipts. In come
// the orders of an operator (Sources), out go requests and a SourceStatus.
//
// # One owner
//
// A source is followed by one worker at a time. A lease with a time to live
// says which; it is renewed while the worker lives and runs out when it does
// not, so no lock can be left behind. A lease is a hint and no proof: a worker
// that stalls wakes up believing that it still holds it. What makes a stalled
// owner harmless is a fence.
//
// On taking a source over the new owner publishes a fence message into each of
// the two streams that it writes: the requests, and the bucket of what is
// remembered. Every message that it publishes afterwards demands that its own
// fence is still the last one on the fence's subject (the headers
// Nats-Expected-Last-Subject-Sequence and -Subject). The server checks that
// and stores the message in one step. Hence:
//
//  1. In the order of the stream, no message of an owner stands after the
//     fence of a later one. Old content cannot come after new content.
//  2. An owner reads what is remembered after both fences are stored. Nothing
//     that a former owner remembers can change after that.
//  3. What is remembered of an item is written only after JetStream has
//     acknowledged its request. What a new owner reads is therefore never
//     ahead of the stream. It may be behind: then the request is repeated,
//     which costs a comparison of hashes.
//  4. Under what name an item is published is remembered before its first
//     request, so that a new owner can delete what a former one published.
//
// The cursor of a listing moves last, after every request that the listing
// led to; see docs/adr/0007-fenced-sources.md. A listing of many pages moves it
// page by page; see docs/adr/0008-listings-in-pages.md.
package follow
