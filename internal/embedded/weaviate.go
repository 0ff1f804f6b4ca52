package embedded

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"net"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/tributary-kb/tributary/internal/flock"
)

// WeaviateVersion is the version of Weaviate that Tributary is tested with,
// obtains and runs. The module in deploy/weaviate pins the same one.
const WeaviateVersion = "1.35.2"

// errStopped is the health of a server that was shut down.
var errStopped = errors.New("stopped")

// WeaviateConfig says how a managed Weaviate runs. Binary and Dir are
// required; the rest has useful zeros.
type WeaviateConfig struct {
	// Binary is the path of the server, as ObtainWeaviate returns it.
	Binary string
	// Version is that of Binary; empty means WeaviateVersion. A server that
	// reports another version is refused.
	Version string
	// Dir is the data folder, created when absent. It also holds the log, the
	// API key and the record of the running process.
	Dir string
	// LogFile is where the server's log goes; empty means weaviate.log in Dir.
	// It is bounded to 10 MiB, with one older file beside it.
	LogFile string
	// HTTPPort and GRPCPort fix the ports; 0 picks free ones, those of the
	// former run if possible.
	HTTPPort, GRPCPort int
	// Anonymous lets callers in without the API key. Weaviate listens for
	// gRPC on all interfaces and cannot be told otherwise, so this opens the
	// data to the network: it is for tests.
	Anonymous bool
	// MemoryLimit, in bytes, is the size at which the server's garbage
	// collector starts to work harder (GOMEMLIMIT); 0 means none.
	MemoryLimit int64
	// StartTimeout bounds each start until the server is ready; 0 means two
	// minutes, as a large index takes time to load.
	StartTimeout time.Duration
	// StopTimeout is how long the server may take to end in order before it
	// is killed; 0 means 30 seconds.
	StopTimeout time.Duration
	// Env holds further settings of Weaviate as NAME=value; they go last and
	// win. Nothing else is taken from this process's environment but PATH,
	// HOME and the like.
	Env []string
	// OnChange, if set, is called when health changes: with the cause when
	// the server is gone, with nil when it is back. It must not block.
	OnChange func(error)
	// Logger receives starts, deaths and restarts; nil means slog.Default.
	Logger *slog.Logger
}

func (c *WeaviateConfig) setDefaults() {
	if c.Version == "" {
		c.Version = WeaviateVersion
	}
	if c.LogFile == "" {
		c.LogFile = filepath.Join(c.Dir, "weaviate.log")
	}
	if c.StartTimeout == 0 {
		c.StartTimeout = 2 * time.Minute
	}
	if c.StopTimeout == 0 {
		c.StopTimeout = 30 * time.Second
	}
	if c.OnChange == nil {
		c.OnChange = func(error) {}
	}
	if c.Logger == nil {
		c.Logger = slog.Default()
	}
}

func (c *WeaviateConfig) validate() error {
	switch {
	case c.Binary == "":
		return errors.New("weaviate: no server binary given (Binary)")
	case c.Dir == "":
		return errors.New("weaviate: no data folder given (Dir)")
	case c.MemoryLimit < 0:
		return fmt.Errorf("weaviate: memory limit %d is below zero (MemoryLimit)", c.MemoryLimit)
	}
	_, err := parseVersion(c.Version)
	return err
}

// A Weaviate is a server that runs as a child of this process. It is started
// again when it dies, on the same ports, until Shutdown.
type Weaviate struct {
	cfg WeaviateConfig
	dir string
	key string

	unclean bool // how the former run ended
	lock    *flock.Lock
	log     *logFile
	ports   ports

	quit     chan struct{} // closed by Shutdown
	quitOnce sync.Once
	hurry    chan struct{} // closed when Shutdown must not wait for an orderly end
	done     chan struct{} // closed when nothing runs any more

	mu     sync.Mutex
	pid    int
	health error
}

// StartWeaviate starts a server on the data folder and returns when it is
// ready. A child of a former run that still works on the folder is ended
// first. It returns an *InUseError when another process holds the folder and a
// *NewerDataError when the data come from a newer Weaviate. When ctx ends
// first, the child is ended; afterwards ctx has no influence.
func StartWeaviate(ctx context.Context, cfg WeaviateConfig) (*Weaviate, error) {
	cfg.setDefaults()
	if err := cfg.validate(); err != nil {
		return nil, err
	}
	dir, err := filepath.Abs(cfg.Dir)
	if err != nil {
		return nil, fmt.Errorf("weaviate: find data folder: %w", err)
	}
	lock, err := claimFolder(dir)
	if err != nil {
		return nil, fmt.Errorf("weaviate: %w", err)
	}
	w := &Weaviate{
		cfg: cfg, dir: dir, lock: lock,
		quit: make(chan struct{}), hurry: make(chan struct{}), done: make(chan struct{}),
	}
	c, err := w.open(ctx)
	if err != nil {
		w.close()
		return nil, fmt.Errorf("start weaviate: %w", err)
	}
	go w.supervise(c)
	return w, nil
}

// open prepares the folder and starts the first child.
func (w *Weaviate) open(ctx context.Context) (*child, error) {
	if err := refuseNewerData(w.dir, w.cfg.Version); err != nil {
		return nil, err
	}
	former, err := readProcessRecord(w.recordPath())
	if err != nil {
		return nil, err
	}
	w.unclean = former.PID > 0
	found, err := former.endOrphan(ctx, w.cfg.StopTimeout)
	if err != nil {
		return nil, err
	}
	if found {
		w.cfg.Logger.WarnContext(ctx, "ended the weaviate of a former run", "pid", former.PID, "dir", w.dir)
	}
	if w.key, err = loadKey(w.APIKeyFile()); err != nil {
		return nil, err
	}
	if w.log, err = openLog(w.cfg.LogFile); err != nil {
		return nil, err
	}
	// Before the start: the server may change the data and die on it.
	if err := writeDataVersion(w.dir, w.cfg.Version); err != nil {
		return nil, err
	}
	return w.firstStart(ctx, former.Ports)
}

// firstStart starts the child and picks other ports when some were taken
// between the choice and the use.
func (w *Weaviate) firstStart(ctx context.Context, former ports) (*child, error) {
	const tries = 5
	fixed := ports{HTTP: w.cfg.HTTPPort, GRPC: w.cfg.GRPCPort}
	for try := 1; ; try++ {
		var err error
		if w.ports, err = pickPorts(ctx, former, fixed); err != nil {
			return nil, err
		}
		c, err := w.launch(ctx)
		if err == nil {
			return c, nil
		}
		if try == tries || ctx.Err() != nil || !portTaken(w.log.Tail(50)) {
			return nil, err
		}
		former = ports{}
	}
}

// portTaken recognises a server that ended because a port was in use.
func portTaken(log string) bool {
	return strings.Contains(log, "address already in use") ||
		strings.Contains(log, "Only one usage of each socket address")
}

// HTTPAddr returns the address of the REST and GraphQL interface, host:port.
func (w *Weaviate) HTTPAddr() string { return loopback(w.ports.HTTP) }

// GRPCAddr returns the address of the gRPC interface, host:port.
func (w *Weaviate) GRPCAddr() string { return loopback(w.ports.GRPC) }

// APIKey returns the key that callers must send as a bearer token. It stays
// the same for a data folder. With Anonymous set it may be left out.
func (w *Weaviate) APIKey() string { return w.key }

// APIKeyFile returns the path of the file that holds APIKey, readable by this
// user only.
func (w *Weaviate) APIKeyFile() string { return filepath.Join(w.dir, "api-key") }

// Unclean reports whether the former run on the data folder did not end in
// order. Its indexes may then lack entries of objects that are stored.
func (w *Weaviate) Unclean() bool { return w.unclean }

// Version returns the version of the running server.
func (w *Weaviate) Version() string { return w.cfg.Version }

// LogFile returns the path of the server's log.
func (w *Weaviate) LogFile() string { return w.cfg.LogFile }

// Pid returns the process id of the server, or 0 while none runs.
func (w *Weaviate) Pid() int {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.pid
}

// Healthy returns nil while the server is up, and otherwise why it is not.
func (w *Weaviate) Healthy() error {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.health
}

// Shutdown ends the server in order and waits for it. The server is killed
// after StopTimeout or when ctx ends, which is then an error; its data are
// safe either way. Further calls wait for the same end and return nil.
func (w *Weaviate) Shutdown(ctx context.Context) error {
	first := false
	w.quitOnce.Do(func() {
		first = true
		close(w.quit)
	})
	if !first {
		<-w.done
		return nil
	}
	select {
	case <-w.done:
	case <-ctx.Done():
		close(w.hurry)
		<-w.done
	}
	if err := w.Healthy(); !errors.Is(err, errStopped) {
		return err
	}
	return nil
}

// close gives back what open took.
func (w *Weaviate) close() {
	if w.log != nil {
		w.log.Close()
	}
	w.lock.Close()
}

func (w *Weaviate) recordPath() string { return filepath.Join(w.dir, "process.json") }

func loopback(port int) string {
	return net.JoinHostPort("127.0.0.1", strconv.Itoa(port))
}

// loadKey returns the API key in the file at path, and makes one when there is
// none.
func loadKey(path string) (string, error) {
	text, err := os.ReadFile(path)
	if key := strings.TrimSpace(string(text)); err == nil && key != "" {
		return key, nil
	}
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return "", fmt.Errorf("read API key: %w", err)
	}
	key := rand.Text()
	return key, writeFile(path, []byte(key+"\n"))
}
