package weaviate

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/url"
	"strings"

	"github.com/weaviate/weaviate-go-client/v4/weaviate/fault"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"

	tributary "github.com/tributary-kb/tributary"
)

// passing are parts of messages by which the server refuses work for reasons
// that lie with itself and pass. They come where a status would be better: in
// a GraphQL answer with status 200, as gRPC's Unknown, or with a single object.
var passing = []string{
	"429 Too many requests",
	"store is read-only",
	"not enough memory",
	"could not find index for class", // it was created a moment ago, as below
	"non-existing index for " + classPrefix,
}

// classify wraps the error of a call to the client with what was done, and
// says by its outcome whether the server or the call is at fault.
func classify(ctx context.Context, act string, err error) error {
	err = cause(err)
	if ctx.Err() != nil || isAway(err) {
		return away(ctx, act, err)
	}
	return fmt.Errorf("%s: %w", act, err)
}

// away wraps err, which is not the fault of what was sent: the context's end
// where that is what happened, else the server's.
func away(ctx context.Context, act string, err error) error {
	if errors.Is(ctx.Err(), context.Canceled) || errors.Is(err, context.Canceled) {
		return fmt.Errorf("%s: %w", act, context.Canceled)
	}
	return tributary.Unavailable(fmt.Errorf("%s: %w", act, err), 0)
}

// A statusError is an answer with another status than the call expects.
type statusError struct {
	status  int
	message string
}

func (e *statusError) Error() string {
	if e.message == "" {
		return fmt.Sprintf("status %d", e.status)
	}
	return fmt.Sprintf("status %d: %s", e.status, e.message)
}

// cause takes the client's wrapping off, which errors.Is cannot see through.
func cause(err error) error {
	for {
		e, ok := errors.AsType[*fault.WeaviateClientError](err)
		switch {
		case !ok:
			return err
		case e.StatusCode > 0:
			return &statusError{e.StatusCode, strings.TrimSpace(e.Msg)}
		case e.DerivedFromError == nil:
			return errors.New(e.Msg)
		}
		err = e.DerivedFromError
	}
}

// statusOf returns the HTTP status that err carries, 0 if none.
func statusOf(err error) int {
	if e, ok := errors.AsType[*statusError](cause(err)); ok {
		return e.status
	}
	return 0
}

// isAway reports whether err means that the server cannot work now.
func isAway(err error) bool {
	switch statusOf(err) {
	case http.StatusTooManyRequests, http.StatusBadGateway, http.StatusServiceUnavailable, http.StatusGatewayTimeout:
		return true
	}
	if s, ok := status.FromError(err); ok {
		switch s.Code() {
		case codes.Unavailable, codes.DeadlineExceeded, codes.Canceled:
			return true
		case codes.ResourceExhausted:
			return !strings.Contains(s.Message(), "larger than max")
		}
	}
	return isNetwork(err) || isPassing(err.Error())
}

func isNetwork(err error) bool {
	_, isURL := errors.AsType[*url.Error](err) // what http.Client returns where there was no answer
	_, isNet := errors.AsType[net.Error](err)
	return isURL || isNet || errors.Is(err, context.DeadlineExceeded) || errors.Is(err, io.ErrUnexpectedEOF)
}

func isPassing(message string) bool {
	for _, p := range passing {
		if strings.Contains(message, p) {
			return true
		}
	}
	return false
}
