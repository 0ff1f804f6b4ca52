// Package config is the one configuration of Tributary. It takes the defaults,
// a YAML file, environment variables and command line flags, each over the one
// before, and gives a validated Config together with where every value came
// from.
//
// The file holds no secret: a secret stands in a file of its own that a
// setting ending in _file names, or in the environment.
package config

import (
	"time"

	"github.com/tributary-kb/tributary"
	"github.com/tributary-kb/tributary/chunker"
	"github.com/tributary-kb/tributary/embedder"
	"github.com/tributary-kb/tributary/ingest"
	"github.com/tributary-kb/tributary/internal/follow"
	"github.com/tributary-kb/tributary/queryworker"
)

// DefaultNATSListen is where `tributary up` serves NATS unless told otherwise.
// If another process has the port and the setting is left at this value, up
// takes a free port instead.
const DefaultNATSListen = "127.0.0.1:4322"

// Config is everything that can be set. The zero value is not useful: start
// from Default or Load.
type Config struct {
	// Data is the folder that holds everything `up` stores. Load replaces ""
	// by DefaultData.
	Data string `yaml:"data"`
	// KB is the knowledge base that commands work on.
	KB       string   `yaml:"kb"`
	NATS     NATS     `yaml:"nats"`
	Weaviate Weaviate `yaml:"weaviate"`
	// The stages' own settings; each package documents its own.
	Ingest   ingest.Config   `yaml:"ingest"`
	Chunker  chunker.Config  `yaml:"chunker"`
	Embedder embedder.Config `yaml:"embedder"`
	// Query holds the sections search, ask, generator and reranker.
	Query   queryworker.Config `yaml:",inline"`
	Stages  Stages             `yaml:"stages"`
	Sources Following          `yaml:"sources"`
	Gateway Gateway            `yaml:"gateway"`
	Log     Log                `yaml:"log"`
	Metrics Metrics            `yaml:"metrics"`
}

// NATS says how to reach NATS and, for the server inside `up`, how to run it.
type NATS struct {
	// URL of the servers, comma separated. "" means the one that `up` runs.
	URL string `yaml:"url"`
	// CredsFile is a NATS credentials file (JWT and seed), "" for none.
	CredsFile string `yaml:"creds_file"`
	// User with PasswordFile, "" for none. `up` asks its clients for them when
	// they are set, and refuses to listen beyond this machine without them.
	User         string `yaml:"user"`
	PasswordFile string `yaml:"password_file"`
	Password     Secret `yaml:"-" env:"password"`
	// Listen is the host:port of the server inside `up`.
	Listen string `yaml:"listen"`
	// Replicas of every stream and bucket, 1 to 5. The server inside `up` has
	// one; a cluster may have more.
	Replicas int `yaml:"replicas"`
	// MaxStoreBytes bounds what the server inside `up` stores; 0 means 80 % of
	// the space that is free when it starts.
	MaxStoreBytes int64 `yaml:"max_store_bytes"`
	// MaxStageBytes bounds what may wait for one stage, in every lane together.
	// A stage whose successor's stream is full waits. `up` takes less where half
	// of what it may store is not enough for all stages.
	MaxStageBytes int64 `yaml:"max_stage_bytes"`
}

// Weaviate says how to reach Weaviate and, for the one that `up` manages, how
// to run it.
type Weaviate struct {
	// URL of the HTTP interface, e.g. http://localhost:8080. "" means that
	// `up` runs one itself.
	URL string `yaml:"url"`
	// GRPC is host:port of the gRPC interface; "" means port 50051 of URL's host.
	GRPC       string `yaml:"grpc"`
	APIKeyFile string `yaml:"api_key_file"`
	APIKey     Secret `yaml:"-" env:"api_key"`
	// Binary is the Weaviate server that `up` starts; "" means the pinned
	// version, obtained once and kept in the user's cache.
	Binary string `yaml:"binary"`
	// MemoryBytes is the memory that the managed server tries to stay below;
	// 0 sets no target.
	MemoryBytes int64 `yaml:"memory_bytes"`
	// Timeout of one request.
	Timeout time.Duration `yaml:"timeout"`
}

// Stages says how much work is done at once and how often it is tried.
type Stages struct {
	Concurrency Concurrency `yaml:"concurrency"`
	// Attempts before a document that keeps failing becomes a dead letter.
	Attempts int `yaml:"attempts"`
	// AckWait is how long a worker may be silent before another gets its
	// messages. Workers that live say so every third of it.
	AckWait time.Duration `yaml:"ack_wait"`
}

// Concurrency is the number of messages that one process handles at once, by
// stage, 1 to 1024.
type Concurrency struct {
	Ingest int `yaml:"ingest"`
	Chunk  int `yaml:"chunk"`
	Embed  int `yaml:"embed"`
	Index  int `yaml:"index"`
	Query  int `yaml:"query"`
}

// Following says how sources are followed, and how the hosts of others are
// treated by all workers together.
type Following struct {
	follow.Config `yaml:",inline"`
	// HostInterval is the least time between two requests to one host, where its
	// robots.txt asks for no longer one.
	HostInterval time.Duration `yaml:"host_interval"`
	// HostConcurrency is how many requests to one host may be under way, 1 to 64.
	HostConcurrency int `yaml:"host_concurrency"`
	// WebhookListen is the host:port at which documents are sent to sources of
	// kind webhook. Port 0 takes a free one, and without a host only this machine
	// is served; "" serves none.
	WebhookListen string `yaml:"webhook_listen"`
	// WebhookMaxBytes bounds the body of a request there.
	WebhookMaxBytes int64 `yaml:"webhook_max_bytes"`
}

// Gateway says where the system is served over HTTP.
type Gateway struct {
	// Listen is host:port; port 0 takes a free one, "" serves no HTTP.
	Listen string `yaml:"listen"`
	// TokenFile holds the token that every request must carry. Without one only
	// this machine is served.
	TokenFile string `yaml:"token_file"`
	Token     Secret `yaml:"-" env:"token"`
}

// Log says what is logged, and how. Logs go to standard error.
type Log struct {
	// Level is debug, info, warn or error.
	Level string `yaml:"level"`
	// Format is text, json, or auto: text on a terminal, else json.
	Format string `yaml:"format"`
}

// Metrics says where Prometheus may scrape.
type Metrics struct {
	// Listen is host:port; port 0 takes a free one, "" serves no metrics.
	Listen string `yaml:"listen"`
}

// Default returns what holds where nothing else is said. Only Data is left
// empty.
func Default() Config {
	c := base()
	c.setDefaults()
	return c
}

// base returns the defaults of this package. Those of the stages are filled in
// last, because some depend on what was set.
func base() Config {
	return Config{
		KB:       tributary.DefaultKB,
		NATS:     NATS{Listen: DefaultNATSListen, Replicas: 1, MaxStageBytes: 1 << 30},
		Weaviate: Weaviate{Timeout: time.Minute},
		Stages: Stages{
			Concurrency: Concurrency{Ingest: 8, Chunk: 2, Embed: 4, Index: 4, Query: 32},
			Attempts:    8,
			AckWait:     15 * time.Second,
		},
		Sources: Following{HostInterval: 250 * time.Millisecond, HostConcurrency: 2, WebhookMaxBytes: 8 << 20},
		Log:     Log{Level: "info", Format: "auto"},
		Metrics: Metrics{Listen: "127.0.0.1:0"},
	}
}

// setDefaults fills in what the stages' sections leave at zero.
func (c *Config) setDefaults() {
	c.Ingest.SetDefaults()
	c.Chunker.SetDefaults()
	c.Embedder.SetDefaults()
	c.Query.SetDefaults()
	c.Sources.SetDefaults()
}
