// Package api is the public protocol of Tributary over NATS: the services
// that answer requests, and the client that the command line uses. Both are
// described, for clients in any language, in docs/protocol.md.
//
// A request goes to tributary.<kb>.<verb> with a JSON body. A plain reply is
// one JSON message; a streamed reply is a sequence of them, numbered by a
// header, closed by an empty one. Errors travel in the headers that the NATS
// service framework defines.
package api

import (
	"fmt"
	"strings"
	"time"

	"github.com/tributary-kb/tributary"
)

// The verbs, and the service that answers each.
const (
	VerbAdd     = "add"     // ingest
	VerbRemove  = "rm"      // ingest
	VerbSearch  = "search"  // query
	VerbAsk     = "ask"     // query, streamed
	VerbForget  = "forget"  // query
	VerbWait    = "wait"    // query, streamed
	VerbList    = "ls"      // query, streamed
	VerbShow    = "show"    // query
	VerbVerify  = "verify"  // query, streamed
	VerbReindex = "reindex" // query, streamed
	VerbStatus  = "status"  // query; of the whole system, kb is "_"
)

// SystemKB stands where a subject names a knowledge base and none is meant.
const SystemKB = "_"

// Headers of the protocol.
const (
	// HeaderTimeout is how long the client is going to wait, in milliseconds.
	// The service gives up at that time; 0 or absent means DefaultTimeout.
	HeaderTimeout = "Tributary-Timeout"
	// HeaderCancel is a subject on which the client says that it went away: an
	// inbox of its own that it publishes to. The service then stops.
	HeaderCancel = "Tributary-Cancel"
	// HeaderSeq numbers the messages of a streamed reply from 1.
	HeaderSeq = "Tributary-Seq"
	// HeaderFrame is "data", "idle" (still working) or "end".
	HeaderFrame = "Tributary-Frame"
)

// Frames of a streamed reply.
const (
	frameData = "data"
	frameIdle = "idle"
	frameEnd  = "end"
)

const (
	// DefaultTimeout bounds a request that names no timeout.
	DefaultTimeout = 30 * time.Second
	// MaxTimeout bounds what a request may ask for.
	MaxTimeout = time.Hour
	// idleEvery is how often a silent stream shows that it lives, and
	// stallAfter when a client takes a silent one for dead.
	idleEvery  = 5 * time.Second
	stallAfter = 4 * idleEvery
)

// Subject is where a verb of a knowledge base is asked for.
func Subject(kb, verb string) string { return "tributary." + kb + "." + verb }

// kbOf returns the knowledge base that a subject names.
func kbOf(subject string) (string, error) {
	parts := strings.Split(subject, ".")
	if len(parts) != 3 {
		return "", tributary.Errorf(tributary.CodeInvalid, "subject %q: want tributary.<kb>.<verb>", subject)
	}
	if parts[1] == SystemKB {
		return SystemKB, nil
	}
	if err := tributary.CheckKB(parts[1]); err != nil {
		return "", tributary.Errorf(tributary.CodeInvalid, "%w", err)
	}
	return parts[1], nil
}

// lane returns the lane a request asks for.
func lane(l tributary.Lane) (tributary.Lane, error) {
	switch l {
	case "":
		return tributary.LaneLive, nil
	case tributary.LaneLive, tributary.LaneBulk:
		return l, nil
	}
	return "", tributary.Errorf(tributary.CodeInvalid, "lane %q: want %q or %q", l, tributary.LaneLive, tributary.LaneBulk)
}

// remoteError is an error that a service sent.
func remoteError(code, text string) error {
	return &tributary.Error{Code: tributary.Code(code), Err: fmt.Errorf("%s", text)} //nolint:err113 // the text comes from elsewhere
}
