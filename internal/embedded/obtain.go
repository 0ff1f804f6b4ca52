package embedded

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"net/http"
	"os"
	"path/filepath"
	"runtime"
	"strings"

	"github.com/tributary-kb/tributary/internal/flock"
)

// ReleaseURL is where Weaviate publishes its release archives.
const ReleaseURL = "https://github.com/weaviate/weaviate/releases/download"

// ObtainConfig says where the Weaviate binary is kept and how it is had. The
// zero value is useful.
type ObtainConfig struct {
	// CacheDir keeps the binary for all later runs; empty means
	// tributary/weaviate in the user's cache directory.
	CacheDir string
	// ReleaseURL replaces the address of the releases, for a mirror or a
	// test. Empty means ReleaseURL of this package; "off" never downloads.
	ReleaseURL string
	// Client downloads; nil means one that gives up after five seconds
	// without a connection.
	Client *http.Client
	// Progress, if set, is told what happens: a stage in words, how much of
	// it is done, and how much there is (0 where that is not known). It is
	// called from one goroutine at a time.
	Progress func(stage string, done, total int64)
}

func (c *ObtainConfig) setDefaults() error {
	if c.CacheDir == "" {
		dir, err := os.UserCacheDir()
		if err != nil {
			return fmt.Errorf("find the cache directory (CacheDir sets another): %w", err)
		}
		c.CacheDir = filepath.Join(dir, "tributary", "weaviate")
	}
	if c.ReleaseURL == "" {
		c.ReleaseURL = ReleaseURL
	}
	if c.Client == nil {
		c.Client = releaseClient()
	}
	if c.Progress == nil {
		c.Progress = func(string, int64, int64) {}
	}
	return nil
}

// ObtainWeaviate returns the path of a Weaviate server of WeaviateVersion for
// this machine: the cached one if it is intact, else the one from Weaviate's
// release archive, else one built with the Go toolchain from the pinned
// sources (about five minutes on two cores, and 1.5 GB of build cache).
//
// The archive is checked against the SHA-256 file that Weaviate publishes
// beside it, fetched over TLS; an absent or different checksum refuses the
// archive. That guards against damage and truncation and trusts the release
// page. A build trusts the checksums in deploy/weaviate/go.sum alone.
//
// Processes that obtain at the same time wait for each other, and a binary
// appears in the cache whole or not at all.
func ObtainWeaviate(ctx context.Context, cfg ObtainConfig) (path string, err error) {
	if err := cfg.setDefaults(); err != nil {
		return "", fmt.Errorf("obtain weaviate: %w", err)
	}
	o := obtainer{ObtainConfig: cfg, dir: filepath.Join(cfg.CacheDir, cacheName())}
	if err := os.MkdirAll(o.dir, 0o750); err != nil {
		return "", fmt.Errorf("obtain weaviate: %w", err)
	}
	lock, err := o.claim(ctx)
	if err != nil {
		return "", fmt.Errorf("obtain weaviate: %w", err)
	}
	defer lock.Close()
	if err := o.obtain(ctx); err != nil {
		return "", fmt.Errorf("obtain weaviate %s for %s/%s: %w", WeaviateVersion, runtime.GOOS, runtime.GOARCH, err)
	}
	return o.binary(), nil
}

// cacheName is the folder of one version for one kind of machine.
func cacheName() string {
	return fmt.Sprintf("v%s-%s-%s", WeaviateVersion, runtime.GOOS, runtime.GOARCH)
}

// obtainer works on one folder of the cache.
type obtainer struct {
	ObtainConfig
	dir string
}

func (o *obtainer) binary() string   { return filepath.Join(o.dir, executable("weaviate")) }
func (o *obtainer) checksum() string { return o.binary() + ".sha256" }

// executable adds what the system wants at the end of a program's name.
func executable(name string) string {
	if runtime.GOOS == "windows" {
		return name + ".exe"
	}
	return name
}

// claim waits for a process that is already at it.
func (o *obtainer) claim(ctx context.Context) (*flock.Lock, error) {
	path := filepath.Join(o.dir, "lock")
	lock, err := flock.TryExclusive(path)
	if !errors.Is(err, flock.ErrHeld) {
		return lock, err
	}
	o.Progress("waiting for another process that obtains it", 0, 0)
	return flock.Exclusive(ctx, path)
}

// obtain goes through the ways until one works.
func (o *obtainer) obtain(ctx context.Context) error {
	err := o.verifyCached()
	if err == nil {
		return nil
	}
	if !errors.Is(err, os.ErrNotExist) {
		o.Progress("cached binary not used: "+err.Error(), 0, 0)
	}
	downloadErr := o.download(ctx)
	if downloadErr == nil || ctx.Err() != nil {
		return downloadErr
	}
	o.Progress("release archive not used: "+downloadErr.Error(), 0, 0)
	if err := o.build(ctx); err != nil {
		return fmt.Errorf("no release archive (%w), and no build: %w", downloadErr, err)
	}
	return nil
}

// verifyCached returns nil when the cached binary is the one that was put
// there, and an error that wraps os.ErrNotExist when there is none.
func (o *obtainer) verifyCached() error {
	want, err := os.ReadFile(o.checksum())
	if err != nil {
		return err
	}
	f, err := os.Open(o.binary())
	if err != nil {
		return err
	}
	defer f.Close()
	sum := sha256.New()
	if _, err := io.Copy(sum, f); err != nil {
		return fmt.Errorf("read %s: %w", o.binary(), err)
	}
	if got := hex.EncodeToString(sum.Sum(nil)); got != strings.TrimSpace(string(want)) {
		return fmt.Errorf("%s has SHA-256 %s, want %s", o.binary(), got, strings.TrimSpace(string(want)))
	}
	return nil
}

// install moves a finished binary into the cache. The checksum comes first: a
// crash in between leaves a binary that does not match, which is replaced.
func (o *obtainer) install(file string) error {
	f, err := os.Open(file)
	if err != nil {
		return err
	}
	sum := sha256.New()
	_, err = io.Copy(sum, f)
	f.Close()
	if err != nil {
		return fmt.Errorf("read %s: %w", file, err)
	}
	if err := os.Chmod(file, 0o755); err != nil { //nolint:gosec // it is to be executed
		return err
	}
	if err := writeFile(o.checksum(), []byte(hex.EncodeToString(sum.Sum(nil))+"\n")); err != nil {
		return err
	}
	if err := os.Rename(file, o.binary()); err != nil {
		return fmt.Errorf("install: %w", err)
	}
	return nil
}
