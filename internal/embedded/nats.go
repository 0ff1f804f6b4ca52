package embedded

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"time"

	"github.com/nats-io/nats-server/v2/server"
	"github.com/nats-io/nats.go"

	"github.com/tributary-kb/tributary/internal/flock"
)

// NATSConfig says how the embedded NATS server runs. Dir is required; the rest
// has useful zeros.
type NATSConfig struct {
	// Dir is the data folder, created when absent.
	Dir string
	// Host is the address to listen on; empty means 127.0.0.1. Any other than
	// a loopback address needs credentials.
	Host string
	// Port is the TCP port; 0 means 4222, -1 a random free one.
	Port int
	// NoListen leaves out the TCP listener: only Connect reaches the server.
	NoListen bool
	// ServerName must not change between runs on the same Dir; empty means
	// "tributary".
	ServerName string

	// User and Password, or Token, are asked of every client. PasswordFile
	// and TokenFile name files that hold them instead; surrounding white
	// space is ignored.
	User, Password, PasswordFile string
	Token, TokenFile             string

	// MaxPayload is the largest message in bytes, headers included; 0 means
	// 1 MiB.
	MaxPayload int32
	// MaxStore is how many bytes all streams may reserve and take on disk.
	// 0 means 80 % of what is free, counting what is stored already.
	MaxStore int64
	// NoSync leaves it to the system when to write to disk. It is faster, and
	// a power cut then loses messages that were acknowledged: for tests.
	NoSync bool
	// HealthInterval is how often the server is examined; 0 means 5 seconds.
	HealthInterval time.Duration
	// OnChange, if set, is called when health changes: with the cause, or
	// with nil when all is well again. It must not block.
	OnChange func(error)
	// Logger receives the server's log: its notices as debug lines, warnings
	// and errors as such. Nil means slog.Default.
	Logger *slog.Logger
}

// ErrOpen is wrapped by StartNATS's refusal to listen beyond this machine
// without asking for credentials.
var ErrOpen = errors.New("without credentials would open the data to the network")

const (
	defaultMaxPayload = 1 << 20
	// freeShare of the disk may be taken by JetStream. A full disk freezes
	// streams until a restart, so the limit must be met first.
	freeShare = 0.8
	// maxMemoryStore bounds streams in memory, which Tributary does not use.
	maxMemoryStore = 256 << 20
)

func (c *NATSConfig) setDefaults() {
	if c.Host == "" {
		c.Host = "127.0.0.1"
	}
	if c.ServerName == "" {
		c.ServerName = "tributary"
	}
	if c.MaxPayload == 0 {
		c.MaxPayload = defaultMaxPayload
	}
	if c.HealthInterval == 0 {
		c.HealthInterval = 5 * time.Second
	}
	if c.OnChange == nil {
		c.OnChange = func(error) {}
	}
	if c.Logger == nil {
		c.Logger = slog.Default()
	}
}

func (c *NATSConfig) validate() error {
	switch {
	case c.Dir == "":
		return errors.New("no data folder given (Dir)")
	case c.Port < -1 || c.Port > 65535:
		return fmt.Errorf("port %d is not between -1 and 65535 (Port)", c.Port)
	case c.MaxPayload < 0:
		return fmt.Errorf("largest message of %d bytes is below zero (MaxPayload)", c.MaxPayload)
	case c.MaxStore < 0:
		return fmt.Errorf("store limit of %d bytes is below zero (MaxStore)", c.MaxStore)
	case c.HealthInterval < 0:
		return fmt.Errorf("health interval %s is below zero (HealthInterval)", c.HealthInterval)
	}
	return nil
}

// loadSecrets reads the credentials that stand in files, and refuses
// contradictions and an open door.
func (c *NATSConfig) loadSecrets() error {
	var err error
	if c.Password, err = secret("Password", c.Password, c.PasswordFile); err != nil {
		return err
	}
	if c.Token, err = secret("Token", c.Token, c.TokenFile); err != nil {
		return err
	}
	switch {
	case (c.User == "") != (c.Password == ""):
		return errors.New("a user needs a password and a password a user (User, Password or PasswordFile)")
	case c.User != "" && c.Token != "":
		return errors.New("both a user and a token are set (User, Token or TokenFile): choose one")
	case c.User == "" && c.Token == "" && !c.NoListen && !isLoopback(c.Host):
		return fmt.Errorf("listening on %s %w: set a user and password (User, PasswordFile) or a token (TokenFile), "+
			"or listen on 127.0.0.1 (Host)", c.Host, ErrOpen)
	}
	return nil
}

// secret returns value, or the text of file when that is named.
func secret(setting, value, file string) (string, error) {
	if file == "" {
		return value, nil
	}
	if value != "" {
		return "", fmt.Errorf("both %s and %sFile are set: choose one", setting, setting)
	}
	text, err := os.ReadFile(file)
	if err != nil {
		return "", fmt.Errorf("read %sFile: %w", setting, err)
	}
	if value = strings.TrimSpace(string(text)); value == "" {
		return "", fmt.Errorf("%sFile %s is empty", setting, file)
	}
	return value, nil
}

// isLoopback reports whether only this machine reaches host. Of names it knows
// localhost only: another name may mean another address tomorrow.
func isLoopback(host string) bool {
	ip := net.ParseIP(strings.Trim(host, "[]"))
	return strings.EqualFold(host, "localhost") || ip != nil && ip.IsLoopback()
}

// A NATS is a server with JetStream on disk in this process.
type NATS struct {
	cfg  NATSConfig
	srv  *server.Server
	lock *flock.Lock

	quit     chan struct{}
	quitOnce sync.Once
	watched  sync.WaitGroup
	done     chan struct{} // closed when the server has ended

	mu     sync.Mutex
	health error
}

// StartNATS starts a server on the data folder and returns when it takes
// connections. Every write is synced to disk before it is acknowledged. It
// returns an *InUseError when another process holds the folder. When ctx ends
// first the server is stopped; afterwards ctx has no influence.
func StartNATS(ctx context.Context, cfg NATSConfig) (*NATS, error) {
	cfg.setDefaults()
	if err := errors.Join(cfg.validate(), cfg.loadSecrets()); err != nil {
		return nil, fmt.Errorf("nats: %w", err)
	}
	lock, err := claimFolder(cfg.Dir)
	if err != nil {
		return nil, fmt.Errorf("nats: %w", err)
	}
	n := &NATS{cfg: cfg, lock: lock, quit: make(chan struct{}), done: make(chan struct{})}
	if err := n.start(ctx); err != nil {
		lock.Close()
		return nil, fmt.Errorf("start nats in %s: %w", cfg.Dir, err)
	}
	if err := n.makeRoom(ctx); err != nil {
		n.stop()
		lock.Close()
		return nil, fmt.Errorf("make room for nats in %s: %w", cfg.Dir, err)
	}
	n.watched.Go(n.watch)
	return n, nil
}

func (n *NATS) start(ctx context.Context) error {
	if n.cfg.MaxStore == 0 {
		limit, err := storeLimit(n.cfg.Dir)
		if err != nil {
			return fmt.Errorf("%w (MaxStore sets the limit of the store)", err)
		}
		if limit < minStore {
			return fmt.Errorf("its disk has room for %d bytes, the least is %d: free some, or choose another data folder", limit, minStore)
		}
		n.cfg.MaxStore = limit
	}
	srv, err := server.NewServer(n.options())
	if err != nil {
		return err
	}
	log := newServerLog(n.cfg.Logger)
	srv.SetLogger(log, false, false)
	n.srv = srv
	srv.Start()
	for !srv.ReadyForConnections(50 * time.Millisecond) {
		select {
		case err = <-log.fatal:
		case <-ctx.Done():
			err = context.Cause(ctx)
		default:
			continue
		}
		srv.Shutdown()
		srv.WaitForShutdown()
		return err
	}
	return nil
}

func (n *NATS) options() *server.Options {
	return &server.Options{
		ServerName:         n.cfg.ServerName,
		Host:               n.cfg.Host,
		Port:               n.cfg.Port,
		DontListen:         n.cfg.NoListen,
		Username:           n.cfg.User,
		Password:           n.cfg.Password,
		Authorization:      n.cfg.Token,
		MaxPayload:         n.cfg.MaxPayload,
		JetStream:          true,
		StoreDir:           n.cfg.Dir,
		SyncAlways:         !n.cfg.NoSync,
		JetStreamMaxStore:  n.cfg.MaxStore,
		JetStreamMaxMemory: maxMemoryStore,
		NoSigs:             true,
	}
}

// storeLimit returns how much JetStream may take in dir: a share of what is
// free, where what it has stored already counts as free. The limit therefore
// hardly changes from run to run.
func storeLimit(dir string) (int64, error) {
	free, err := freeBytes(dir)
	if err != nil {
		return 0, fmt.Errorf("measure free disk space of %s: %w", dir, err)
	}
	used, err := folderBytes(filepath.Join(dir, "jetstream"))
	if err != nil {
		return 0, fmt.Errorf("measure the store: %w", err)
	}
	return int64(freeShare * float64(free+used)), nil
}

// folderBytes returns the size of all files under dir, 0 when it is absent.
func folderBytes(dir string) (int64, error) {
	var sum int64
	err := filepath.WalkDir(dir, func(_ string, d os.DirEntry, err error) error {
		if err != nil {
			if errors.Is(err, os.ErrNotExist) {
				return nil
			}
			return err
		}
		if info, err := d.Info(); err == nil && info.Mode().IsRegular() {
			sum += info.Size()
		}
		return nil
	})
	return sum, err
}

// watch examines the server until Shutdown.
func (n *NATS) watch() {
	tick := time.NewTicker(n.cfg.HealthInterval)
	defer tick.Stop()
	for {
		select {
		case <-n.quit:
			return
		case <-tick.C:
			n.setHealth(n.examine())
		}
	}
}

// examine returns what is wrong with the server now.
func (n *NATS) examine() error {
	if !n.srv.Running() {
		return errors.New("nats does not run")
	}
	status := n.srv.Healthz(&server.HealthzOptions{})
	if status.StatusCode == http.StatusOK {
		return nil
	}
	return fmt.Errorf("nats is unhealthy: %s", status.Error)
}

// setHealth takes over the health and tells a change.
func (n *NATS) setHealth(err error) {
	n.mu.Lock()
	changed := (err == nil) != (n.health == nil) || err != nil && err.Error() != n.health.Error()
	n.health = err
	n.mu.Unlock()
	if changed {
		n.cfg.OnChange(err)
	}
}

// Healthy returns nil while the server works, and otherwise what was wrong at
// the last examination. A stream that met a full disk stays unhealthy until
// the server is started again.
func (n *NATS) Healthy() error {
	n.mu.Lock()
	defer n.mu.Unlock()
	return n.health
}

// Connect returns a connection within the process, with the credentials it
// takes. The caller closes it before Shutdown.
func (n *NATS) Connect(opts ...nats.Option) (*nats.Conn, error) {
	all := []nats.Option{nats.InProcessServer(n.srv)}
	switch {
	case n.cfg.User != "":
		all = append(all, nats.UserInfo(n.cfg.User, n.cfg.Password))
	case n.cfg.Token != "":
		all = append(all, nats.Token(n.cfg.Token))
	}
	nc, err := nats.Connect(n.srv.ClientURL(), append(all, opts...)...)
	if err != nil {
		return nil, fmt.Errorf("connect to the embedded nats: %w", err)
	}
	return nc, nil
}

// ClientURL returns where other processes connect to, without credentials, and
// "" with NoListen.
func (n *NATS) ClientURL() string {
	if n.cfg.NoListen {
		return ""
	}
	return n.srv.ClientURL()
}

// MaxStore returns how many bytes all streams may reserve on disk.
func (n *NATS) MaxStore() int64 { return n.cfg.MaxStore }

// Version returns the version of the server.
func (n *NATS) Version() string { return server.VERSION }

// Shutdown ends the server and returns when its files are closed and the data
// folder is free, or with ctx's error when that ends first. Further calls wait
// for the same end.
func (n *NATS) Shutdown(ctx context.Context) error {
	n.quitOnce.Do(func() {
		close(n.quit)
		go func() {
			n.watched.Wait()
			n.stop()
			n.mu.Lock()
			n.health = errStopped
			n.mu.Unlock()
			n.lock.Close()
			close(n.done)
		}()
	})
	select {
	case <-n.done:
		return nil
	case <-ctx.Done():
		return fmt.Errorf("stop nats: %w", ctx.Err())
	}
}
