package weaviate

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/http"
	"os"
	"strings"
	"sync"
	"time"

	client "github.com/weaviate/weaviate-go-client/v4/weaviate"
	"github.com/weaviate/weaviate-go-client/v4/weaviate/grpc"
)

// Defaults of Config.
const (
	DefaultAddress     = "127.0.0.1:8080"
	DefaultGRPCAddress = "127.0.0.1:50051"
	DefaultScheme      = "http"
	DefaultTimeout     = 60 * time.Second
)

// batchesInFlight bounds the insert batches that one Store has under way. Two
// fill a small server; more only make each of them slower. One of at most
// smallBatch objects has a place of its own: a live edit does not wait behind
// the full batches of a backfill.
const (
	batchesInFlight = 2
	smallBatch      = 32
)

// idleConnections is how many HTTP connections are kept for the next request.
const idleConnections = 16

// Config says where the server is and how to talk to it. The zero value means
// a server on this machine, with its usual ports and without authentication.
type Config struct {
	Address     string // host:port of REST and GraphQL, "" means DefaultAddress
	GRPCAddress string // host:port of gRPC, "" means DefaultGRPCAddress
	// Scheme is "http" or "https", "" means DefaultScheme. With https, gRPC
	// uses TLS too, but the client does not verify the certificate there:
	// keep gRPC on a network that is trusted.
	Scheme string
	// APIKey is sent with every request, "" means none. It may stand in a
	// file instead: APIKeyFile, white space around it is ignored. Setting
	// both is an error.
	APIKey     string
	APIKeyFile string
	// Timeout bounds each single request, 0 means DefaultTimeout. An insert
	// that runs into it has an unknown outcome, so it is better long.
	Timeout time.Duration
}

// Store is a connection to a Weaviate server. Its methods may be called
// concurrently.
//
// All of them classify their errors: where the server cannot be reached, does
// not answer in time, or is overloaded or read-only, the error is
// tributary.Unavailable; where a knowledge base has no collection, its code is
// tributary.CodeNotFound; a cancelled context is context.Canceled. Anything
// else is a plain error.
type Store struct {
	config    Config
	client    *client.Client
	transport *http.Transport
	slots     chan struct{} // one per insert batch under way
	small     chan struct{} // the place of a small one
	usable    sync.Map      // knowledge bases whose collection has been seen at work
}

// Open connects to the server and returns as soon as it is known to be ready;
// it does not wait for one that starts. The error is tributary.Unavailable
// where another attempt makes sense.
func Open(ctx context.Context, config Config) (*Store, error) {
	config, err := config.resolve()
	if err != nil {
		return nil, err
	}
	transport := http.DefaultTransport.(*http.Transport).Clone()
	transport.MaxIdleConnsPerHost = idleConnections
	s := &Store{config: config, transport: transport, slots: make(chan struct{}, batchesInFlight), small: make(chan struct{}, 1)}
	// The client asks for the server's version when it is made, under no
	// context of ours, and remembers an empty answer badly: look first.
	if err := s.Ready(ctx); err != nil {
		transport.CloseIdleConnections()
		return nil, err
	}
	s.client, err = client.NewClient(config.client(transport))
	if err != nil {
		transport.CloseIdleConnections()
		return nil, fmt.Errorf("weaviate at %s: %w", config.Address, err)
	}
	return s, nil
}

// resolve returns c with its defaults filled in and the key read.
func (c Config) resolve() (Config, error) {
	if c.Address == "" {
		c.Address = DefaultAddress
	}
	if c.GRPCAddress == "" {
		c.GRPCAddress = DefaultGRPCAddress
	}
	if c.Scheme == "" {
		c.Scheme = DefaultScheme
	}
	if c.Timeout == 0 {
		c.Timeout = DefaultTimeout
	}
	switch {
	case c.Scheme != "http" && c.Scheme != "https":
		return c, fmt.Errorf("weaviate scheme %q: want http or https", c.Scheme)
	case c.Timeout < 0:
		return c, fmt.Errorf("weaviate timeout %v: want more than 0", c.Timeout)
	case c.APIKey != "" && c.APIKeyFile != "":
		return c, errors.New("weaviate API key: both the key and a file for it are set")
	case c.APIKeyFile == "":
		return c, nil
	}
	key, err := os.ReadFile(c.APIKeyFile)
	if err != nil {
		return c, fmt.Errorf("weaviate API key: %w", err)
	}
	if c.APIKey = strings.TrimSpace(string(key)); c.APIKey == "" {
		return c, fmt.Errorf("weaviate API key: file %q is empty", c.APIKeyFile)
	}
	return c, nil
}

// client returns the client's own configuration. Its StartupTimeout stays
// unset: the goroutine behind it may panic.
func (c Config) client(transport *http.Transport) client.Config {
	out := client.Config{
		Host:             c.Address,
		Scheme:           c.Scheme,
		ConnectionClient: &http.Client{Transport: transport, Timeout: c.Timeout},
		GrpcConfig:       &grpc.Config{Host: c.GRPCAddress, Secured: c.Scheme == "https"},
		Timeout:          c.Timeout,
	}
	if c.APIKey != "" {
		out.Headers = map[string]string{"authorization": "Bearer " + c.APIKey}
	}
	return out
}

// Ready returns nil if the server says that it is ready and its gRPC port
// accepts connections, else a tributary.Unavailable error.
func (s *Store) Ready(ctx context.Context) error {
	act := fmt.Sprintf("weaviate at %s", s.config.Address)
	ctx, cancel := context.WithTimeout(ctx, s.config.Timeout)
	defer cancel()
	url := s.config.Scheme + "://" + s.config.Address + "/v1/.well-known/ready"
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, url, nil)
	if err != nil {
		return fmt.Errorf("%s: %w", act, err)
	}
	response, err := s.transport.RoundTrip(request)
	if err != nil {
		return away(ctx, act, err)
	}
	_ = response.Body.Close() // it is empty
	if response.StatusCode != http.StatusOK {
		return away(ctx, act, fmt.Errorf("not ready: status %d", response.StatusCode))
	}
	conn, err := (&net.Dialer{}).DialContext(ctx, "tcp", s.config.GRPCAddress)
	if err != nil {
		return away(ctx, fmt.Sprintf("weaviate's gRPC at %s", s.config.GRPCAddress), err)
	}
	_ = conn.Close() // it was only opened to see whether it can be
	return nil
}

// Version returns the server's version, e.g. "1.35.2".
func (s *Store) Version(ctx context.Context) (string, error) {
	meta, err := s.client.Misc().MetaGetter().Do(ctx)
	if err != nil {
		return "", classify(ctx, "version of weaviate", err)
	}
	return meta.Version, nil
}

// Close releases the HTTP connections. The client has no way to close its
// gRPC connection, which goes idle by itself. The Store must not be used
// afterwards.
func (s *Store) Close() { s.transport.CloseIdleConnections() }
