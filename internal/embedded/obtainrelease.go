package embedded

import (
	"archive/tar"
	"archive/zip"
	"compress/gzip"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"path"
	"path/filepath"
	"runtime"
	"strings"
	"time"
)

const (
	// dialLimit bounds name lookup and connection: without a network the
	// build should begin soon.
	dialLimit = 5 * time.Second
	// stallLimit is how long a download may bring nothing.
	stallLimit = 30 * time.Second
	// The archive of 1.35 has 65 to 140 MB and a binary of 130 to 180 MB.
	maxArchiveBytes = 512 << 20
	maxBinaryBytes  = 1 << 30
)

// releaseClient fails fast where there is no network.
func releaseClient() *http.Client {
	return &http.Client{Transport: &http.Transport{
		Proxy:                 http.ProxyFromEnvironment,
		DialContext:           (&net.Dialer{Timeout: dialLimit}).DialContext,
		TLSHandshakeTimeout:   dialLimit,
		ResponseHeaderTimeout: 15 * time.Second,
		ForceAttemptHTTP2:     true,
	}}
}

// releaseAsset returns the name of the archive for a system. Weaviate
// publishes one for both kinds of Mac.
func releaseAsset(goos, goarch string) (string, error) {
	name := "weaviate-v" + WeaviateVersion + "-"
	switch goos + "/" + goarch {
	case "linux/amd64", "linux/arm64":
		return name + goos + "-" + goarch + ".tar.gz", nil
	case "windows/amd64", "windows/arm64":
		return name + goos + "-" + goarch + ".zip", nil
	case "darwin/amd64", "darwin/arm64":
		return name + "darwin-all.zip", nil
	}
	return "", fmt.Errorf("Weaviate publishes none for %s/%s", goos, goarch)
}

// download puts the binary of the release archive into the cache.
func (o *obtainer) download(ctx context.Context) error {
	if o.ReleaseURL == "off" {
		return errors.New("downloads are off (ReleaseURL)")
	}
	asset, err := releaseAsset(runtime.GOOS, runtime.GOARCH)
	if err != nil {
		return err
	}
	url := strings.TrimRight(o.ReleaseURL, "/") + "/v" + WeaviateVersion + "/" + asset
	want, err := o.fetchChecksum(ctx, url+".sha256")
	if err != nil {
		return err
	}
	temp, err := os.MkdirTemp(o.dir, "download-")
	if err != nil {
		return err
	}
	defer func() { _ = os.RemoveAll(temp) }()
	archive := filepath.Join(temp, asset)
	got, err := o.fetchArchive(ctx, url, archive)
	if err != nil {
		return err
	}
	if got != want {
		return fmt.Errorf("%s has SHA-256 %s, published is %s", url, got, want)
	}
	o.Progress("unpacking", 0, 0)
	file := filepath.Join(temp, executable("weaviate"))
	if err := unpack(archive, file); err != nil {
		return fmt.Errorf("unpack %s: %w", asset, err)
	}
	return o.install(file)
}

// fetchChecksum returns the published SHA-256 in hexadecimal.
func (o *obtainer) fetchChecksum(ctx context.Context, url string) (string, error) {
	o.Progress("fetching checksum", 0, 0)
	ctx, cancel := context.WithTimeout(ctx, stallLimit)
	defer cancel()
	resp, err := o.open(ctx, url)
	if err != nil {
		return "", err
	}
	defer resp.Body.Close()
	text, err := io.ReadAll(io.LimitReader(resp.Body, 4<<10))
	if err != nil {
		return "", fmt.Errorf("fetch %s: %w", url, err)
	}
	// The file holds the sum alone, or "sum  name" as sha256sum writes it.
	sum, _, _ := strings.Cut(strings.TrimSpace(string(text)), " ")
	if raw, err := hex.DecodeString(sum); err != nil || len(raw) != sha256.Size {
		return "", fmt.Errorf("fetch %s: no SHA-256 in it", url)
	}
	return strings.ToLower(sum), nil
}

// fetchArchive writes the archive to file and returns its SHA-256.
func (o *obtainer) fetchArchive(ctx context.Context, url, file string) (string, error) {
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	stall := time.AfterFunc(stallLimit, func() {
		cancel(fmt.Errorf("nothing came for %s", stallLimit))
	})
	defer stall.Stop()
	resp, err := o.open(ctx, url)
	if err != nil {
		return "", err
	}
	defer resp.Body.Close()
	f, err := os.Create(file)
	if err != nil {
		return "", err
	}
	defer f.Close()
	sum := sha256.New()
	seen := &meter{total: max(resp.ContentLength, 0), each: func(done, total int64) {
		stall.Reset(stallLimit)
		o.Progress("downloading", done, total)
	}}
	n, err := io.Copy(io.MultiWriter(f, sum, seen), io.LimitReader(resp.Body, maxArchiveBytes+1))
	switch {
	case err != nil && context.Cause(ctx) != nil:
		return "", fmt.Errorf("fetch %s: %w", url, context.Cause(ctx))
	case err != nil:
		return "", fmt.Errorf("fetch %s: %w", url, err)
	case n > maxArchiveBytes:
		return "", fmt.Errorf("fetch %s: longer than %d bytes", url, maxArchiveBytes)
	}
	return hex.EncodeToString(sum.Sum(nil)), f.Close()
}

// open requests url and returns an answer with status 200.
func (o *obtainer) open(ctx context.Context, url string) (*http.Response, error) {
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, url, nil)
	if err != nil {
		return nil, err
	}
	resp, err := o.Client.Do(req)
	if err != nil {
		return nil, fmt.Errorf("fetch: %w", err) // the error names the URL
	}
	if resp.StatusCode != http.StatusOK {
		resp.Body.Close()
		return nil, fmt.Errorf("fetch %s: status %s", url, resp.Status)
	}
	return resp, nil
}

// meter tells how many bytes went through, once per megabyte.
type meter struct {
	done, told, total int64
	each              func(done, total int64)
}

func (m *meter) Write(p []byte) (int, error) {
	m.done += int64(len(p))
	if m.done-m.told >= 1<<20 || m.done == m.total {
		m.told = m.done
		m.each(m.done, m.total)
	}
	return len(p), nil
}

// unpack writes the server in the archive to file. Nothing else is taken from
// the archive, and no name in it becomes a path.
func unpack(archive, file string) error {
	if strings.HasSuffix(archive, ".zip") {
		return unpackZip(archive, file)
	}
	return unpackTar(archive, file)
}

func unpackTar(archive, file string) error {
	f, err := os.Open(archive)
	if err != nil {
		return err
	}
	defer f.Close()
	gz, err := gzip.NewReader(f)
	if err != nil {
		return err
	}
	for r := tar.NewReader(gz); ; {
		entry, err := r.Next()
		if errors.Is(err, io.EOF) {
			return errNoServer
		}
		if err != nil {
			return err
		}
		if entry.Typeflag == tar.TypeReg && isServer(entry.Name) {
			return writeBinary(file, r)
		}
	}
}

func unpackZip(archive, file string) error {
	z, err := zip.OpenReader(archive)
	if err != nil {
		return err
	}
	defer func() { _ = z.Close() }()
	for _, entry := range z.File {
		if !entry.Mode().IsRegular() || !isServer(entry.Name) {
			continue
		}
		r, err := entry.Open()
		if err != nil {
			return err
		}
		defer r.Close()
		return writeBinary(file, r)
	}
	return errNoServer
}

// errNoServer is returned for an archive without the server.
var errNoServer = errors.New("no file named weaviate in it")

// isServer reports whether an entry of the archive is the server.
func isServer(name string) bool {
	base := strings.TrimSuffix(path.Base(name), ".exe")
	return base == "weaviate" || base == "weaviate-server"
}

// writeBinary writes the server to file, within the limit.
func writeBinary(file string, r io.Reader) error {
	f, err := os.Create(file)
	if err != nil {
		return err
	}
	defer f.Close()
	n, err := io.Copy(f, io.LimitReader(r, maxBinaryBytes+1))
	if err != nil {
		return err
	}
	if n > maxBinaryBytes {
		return fmt.Errorf("the server is larger than %d bytes", maxBinaryBytes)
	}
	return f.Close()
}
