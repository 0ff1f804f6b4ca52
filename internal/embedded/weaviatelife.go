package embedded

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"math/rand/v2"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"time"
)

const (
	// readyPoll is how often a starting server is asked whether it is ready.
	readyPoll = 50 * time.Millisecond
	// A server that died is started again after this, doubled each time up
	// to the maximum; a start that succeeds begins anew.
	firstBackoff = 250 * time.Millisecond
	maxBackoff   = 30 * time.Second
	// tailLines is how much of the log goes into an error.
	tailLines = 12
)

// supervise keeps a child running until Shutdown.
func (w *Weaviate) supervise(c *child) {
	defer close(w.done)
	defer w.close()
	for c != nil {
		select {
		case <-w.quit:
			w.finish(c)
			return
		case <-c.done:
		}
		w.setPid(0)
		w.report(w.deathOf(c))
		c = w.restart()
	}
	w.setHealth(errStopped)
}

// finish ends the child for good.
func (w *Weaviate) finish(c *child) {
	orderly := c.stop(w.hurry, w.cfg.StopTimeout)
	w.setPid(0)
	if !orderly { // the record stays: the next run is to know
		w.setHealth(fmt.Errorf("stop weaviate: killed, it did not end in time (StopTimeout %s)", w.cfg.StopTimeout))
		return
	}
	_ = os.Remove(w.recordPath())
	w.rememberPorts()
	w.setHealth(errStopped)
}

// rememberPorts keeps the ports for the next run, so that addresses stay the
// same where they can. It matters little when it does not work.
func (w *Weaviate) rememberPorts() {
	_ = processRecord{Ports: w.ports}.write(w.recordPath())
}

// restart starts a new child in place of one that died. It returns nil when
// Shutdown came first.
func (w *Weaviate) restart() *child {
	ctx, cancel := context.WithCancel(context.Background())
	defer cancel()
	go func() {
		select {
		case <-w.quit:
			cancel()
		case <-ctx.Done():
		}
	}()
	for pause := firstBackoff; ; pause = min(2*pause, maxBackoff) {
		timer := time.NewTimer(pause + rand.N(pause/4))
		select {
		case <-w.quit:
			timer.Stop()
			return nil
		case <-timer.C:
		}
		c, err := w.launch(ctx)
		if err == nil {
			w.cfg.Logger.Info("weaviate is back", "pid", w.Pid(), "http", w.HTTPAddr())
			w.report(nil)
			return c
		}
		if ctx.Err() != nil {
			return nil
		}
		w.report(fmt.Errorf("restart weaviate: %w", err))
	}
}

// report takes over a change of health and tells it.
func (w *Weaviate) report(health error) {
	w.setHealth(health)
	if health != nil {
		w.cfg.Logger.Error("weaviate is down, starting it again", "error", health)
	}
	w.cfg.OnChange(health)
}

func (w *Weaviate) setHealth(err error) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.health = err
}

func (w *Weaviate) setPid(pid int) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.pid = pid
}

// launch starts a child and waits until it is ready. A child that does not get
// there is ended.
func (w *Weaviate) launch(ctx context.Context) (*child, error) {
	w.log.resetTail()
	c, err := startChild(w.command())
	if err != nil {
		return nil, err
	}
	if err := w.settle(ctx, c); err != nil {
		c.kill()
		return nil, err
	}
	w.setPid(c.proc.Pid)
	return c, nil
}

// settle records the child and waits until it is ready.
func (w *Weaviate) settle(ctx context.Context, c *child) error {
	if err := w.record(c); err != nil {
		return err
	}
	ctx, cancel := context.WithTimeoutCause(ctx, w.cfg.StartTimeout,
		fmt.Errorf("not ready within %s (StartTimeout)", w.cfg.StartTimeout))
	defer cancel()
	return w.awaitReady(ctx, c)
}

// record writes down which process works on the folder.
func (w *Weaviate) record(c *child) error {
	r := processRecord{PID: c.proc.Pid, Ports: w.ports}
	id, err := processIdentity(r.PID)
	switch {
	case err == nil:
		r.Identity = id
	case c.ended(), errors.Is(err, os.ErrProcessDone), errors.Is(err, errors.ErrUnsupported):
		// awaitReady tells how it ended; where identities are unknown, an
		// orphan cannot be found again.
	default:
		return err
	}
	return r.write(w.recordPath())
}

// command is the server with all its settings.
func (w *Weaviate) command() *exec.Cmd {
	// No context ends the child: stop does, in order.
	cmd := exec.CommandContext(context.Background(), w.cfg.Binary,
		"--scheme", "http", "--host", "127.0.0.1", "--port", strconv.Itoa(w.ports.HTTP))
	cmd.Dir = w.dir
	cmd.Env = w.environment()
	cmd.Stdout, cmd.Stderr = w.log, w.log
	// The log is a pipe: do not wait for ever for a grandchild that holds it.
	cmd.WaitDelay = 5 * time.Second
	return cmd
}

// environment lists all settings; what the user has set for another Weaviate
// does not leak in.
func (w *Weaviate) environment() []string {
	env := inherited("PATH", "HOME", "TMPDIR", "TZ", "SystemRoot", "TEMP", "TMP", "USERPROFILE")
	set := func(name, value string) { env = append(env, name+"="+value) }
	port := func(name string, p int) { set(name, strconv.Itoa(p)) }

	set("PERSISTENCE_DATA_PATH", filepath.Join(w.dir, "data"))
	set("AUTHENTICATION_ANONYMOUS_ACCESS_ENABLED", strconv.FormatBool(w.cfg.Anonymous))
	set("AUTHENTICATION_APIKEY_ENABLED", "true")
	set("AUTHENTICATION_APIKEY_ALLOWED_KEYS", w.key)
	set("AUTHENTICATION_APIKEY_USERS", "tributary")
	set("DEFAULT_VECTORIZER_MODULE", "none")
	set("API_BASED_MODULES_DISABLED", "true")
	set("DISABLE_TELEMETRY", "true")
	set("GO_PROFILING_DISABLE", "true") // it listens on all interfaces
	set("LOG_LEVEL", "info")
	// An insert that meets no collection fails; it does not make up a schema.
	set("AUTOSCHEMA_ENABLED", "false")
	// The newer layout of the keyword index misses the best hits among what
	// was written in the last minute (docs/adr/0004-keyword-index-layout.md).
	set("USE_INVERTED_SEARCHABLE", "false")

	// The node's name is part of the data: it must never change.
	set("CLUSTER_HOSTNAME", "node1")
	set("CLUSTER_BIND_ADDR", "127.0.0.1")
	set("CLUSTER_ADVERTISE_ADDR", "127.0.0.1")
	// The interface between nodes listens everywhere and knows no API key.
	set("CLUSTER_BASIC_AUTH_USERNAME", "tributary")
	set("CLUSTER_BASIC_AUTH_PASSWORD", w.key)
	set("RAFT_BOOTSTRAP_EXPECT", "1")
	// One node waits for no other's heartbeat: without this each start takes
	// seconds until it votes for itself.
	set("RAFT_TIMEOUTS_MULTIPLIER", "1")

	port("GRPC_PORT", w.ports.GRPC)
	port("CLUSTER_GOSSIP_BIND_PORT", w.ports.Gossip)
	port("CLUSTER_DATA_BIND_PORT", w.ports.Data)
	port("RAFT_PORT", w.ports.Raft)
	port("RAFT_INTERNAL_RPC_PORT", w.ports.RaftRPC)
	if w.cfg.MemoryLimit > 0 {
		set("GOMEMLIMIT", strconv.FormatInt(w.cfg.MemoryLimit, 10))
	}
	return append(env, w.cfg.Env...)
}

// inherited returns those of the named variables that are set here.
func inherited(names ...string) []string {
	var env []string
	for _, name := range names {
		if value, ok := os.LookupEnv(name); ok {
			env = append(env, name+"="+value)
		}
	}
	return env
}

// deathOf says how a child ended and what it wrote last.
func (w *Weaviate) deathOf(c *child) error {
	how := "ended without an error"
	if c.err != nil {
		how = c.err.Error()
	}
	return fmt.Errorf("process %d ended: %s; its last lines (%s):\n%s",
		c.proc.Pid, how, w.cfg.LogFile, w.log.Tail(tailLines))
}

// awaitReady asks until the server answers as ours, in our version, on both
// interfaces.
func (w *Weaviate) awaitReady(ctx context.Context, c *child) error {
	tick := time.NewTicker(readyPoll)
	defer tick.Stop()
	asked := errors.New("not asked yet")
	for {
		select {
		case <-c.done:
			return w.deathOf(c)
		case <-ctx.Done():
			return fmt.Errorf("%w; last answer: %w; log: %s", context.Cause(ctx), asked, w.cfg.LogFile)
		case <-tick.C:
		}
		var version string
		if version, asked = w.ask(ctx); asked != nil {
			continue
		}
		if version != w.cfg.Version {
			return fmt.Errorf("%s is version %q, want %q", w.cfg.Binary, version, w.cfg.Version)
		}
		return nil
	}
}

// ask returns the version of the server once it is ready. The API key, which
// only our server knows, keeps us from taking another server on the same port
// for ours.
func (w *Weaviate) ask(ctx context.Context) (version string, err error) {
	ctx, cancel := context.WithTimeout(ctx, 5*time.Second)
	defer cancel()
	if err := w.get(ctx, "/v1/.well-known/ready", nil); err != nil {
		return "", err
	}
	var meta struct {
		Version string `json:"version"`
	}
	if err := w.get(ctx, "/v1/meta", &meta); err != nil {
		return "", err
	}
	conn, err := new(net.Dialer).DialContext(ctx, "tcp", w.GRPCAddr())
	if err != nil {
		return "", err
	}
	return meta.Version, conn.Close()
}

// get asks for a path and decodes the answer into answer unless it is nil.
func (w *Weaviate) get(ctx context.Context, path string, answer any) error {
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, "http://"+w.HTTPAddr()+path, nil)
	if err != nil {
		return err
	}
	req.Header.Set("Authorization", "Bearer "+w.key)
	resp, err := localClient.Do(req)
	if err != nil {
		return err
	}
	defer resp.Body.Close()
	if resp.StatusCode != http.StatusOK {
		return fmt.Errorf("GET %s: status %s", path, resp.Status)
	}
	if answer == nil {
		return nil
	}
	return json.NewDecoder(resp.Body).Decode(answer)
}

// localClient speaks to the child only, so no proxy stands between, and keeps
// no connection open to a server that is about to change.
var localClient = &http.Client{Transport: &http.Transport{DisableKeepAlives: true}}
