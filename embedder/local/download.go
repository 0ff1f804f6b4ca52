package local

import (
	"context"
	"crypto/sha1" //nolint:gosec // it is how git names small files
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"hash"
	"io"
	"net/http"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"time"
)

const (
	maxModelFile    = 8 << 30 // bytes
	downloadTries   = 3
	partialSuffix   = ".part"
	linkedChecksum  = "X-Linked-Etag" // of a file that the server redirects elsewhere for
	linkedSize      = "X-Linked-Size"
	sha256HexLength = 64
	// stalledAfter is how long a server may send nothing of a file.
	stalledAfter = 30 * time.Second
)

var errStalled = fmt.Errorf("nothing came for %s", stalledAfter)

// A download is one file on its way.
type download struct {
	*ObtainConfig
	name, url, path string
}

// run downloads the file and returns its SHA-256. A download that breaks off
// goes on where it was, up to downloadTries times.
func (d *download) run(ctx context.Context) (sum string, err error) {
	if err := os.MkdirAll(filepath.Dir(d.path), 0o750); err != nil {
		return "", err
	}
	for range downloadTries {
		var want expected
		want, err = d.fetch(ctx)
		if err == nil {
			if sum, err = want.check(d.path + partialSuffix); err != nil {
				return "", errors.Join(err, os.Remove(d.path+partialSuffix))
			}
			return sum, os.Rename(d.path+partialSuffix, d.path)
		}
		if ctx.Err() != nil {
			return "", err
		}
	}
	return "", err
}

// fetch appends to the partial file what it lacks.
func (d *download) fetch(ctx context.Context) (expected, error) {
	f, err := os.OpenFile(d.path+partialSuffix, os.O_CREATE|os.O_RDWR, 0o600)
	if err != nil {
		return expected{}, err
	}
	defer f.Close()
	have, err := f.Seek(0, io.SeekEnd)
	if err != nil {
		return expected{}, err
	}
	var want expected
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	resp, err := d.get(ctx, d.url, have, want.watch(d.Client))
	if err != nil {
		return want, err
	}
	defer resp.Body.Close()
	if resp.StatusCode != http.StatusOK && !strings.HasPrefix(resp.Header.Get("Content-Range"), fmt.Sprintf("bytes %d-", have)) {
		return want, errors.Join(errors.New("the server sends another part than was asked for"), f.Truncate(0))
	}
	if resp.StatusCode == http.StatusOK {
		have = 0
		if _, err := f.Seek(0, io.SeekStart); err != nil {
			return want, err
		}
		if err := f.Truncate(0); err != nil {
			return want, err
		}
	}
	if err := want.read(resp, have); err != nil {
		return want, err
	}
	body := &liveReader{resp.Body, time.AfterFunc(stalledAfter, func() { cancel(errStalled) })}
	defer body.timer.Stop()
	err = d.copy(f, body, have, want.size)
	if err != nil && errors.Is(context.Cause(ctx), errStalled) {
		err = fmt.Errorf("%w: %w", errStalled, err)
	}
	return want, err
}

// A liveReader puts off its timer whenever something comes.
type liveReader struct {
	io.Reader
	timer *time.Timer
}

// Read implements io.Reader.
func (r *liveReader) Read(p []byte) (int, error) {
	n, err := r.Reader.Read(p)
	r.timer.Reset(stalledAfter)
	return n, err
}

// copy copies until the file has size bytes.
func (d *download) copy(to io.Writer, from io.Reader, have, size int64) error {
	stage := "downloading " + d.Name + " " + d.name
	for have < size {
		n, err := io.CopyN(to, from, min(1<<20, size-have))
		have += n
		d.Progress(stage, have, size)
		if err != nil {
			return fmt.Errorf("broke off after %d of %d bytes: %w", have, size, err)
		}
	}
	return nil
}

// expected is what the server says of a file.
type expected struct {
	checksum string // SHA-256, or git's SHA-1
	size     int64
}

// watch returns a client that notes what answers on the way say of the file
// they redirect to.
func (e *expected) watch(client *http.Client) *http.Client {
	watching := *client
	watching.CheckRedirect = func(req *http.Request, via []*http.Request) error {
		if len(via) >= 10 {
			return errors.New("more than 10 redirects")
		}
		e.note(req.Response)
		return nil
	}
	return &watching
}

func (e *expected) note(resp *http.Response) {
	if sum := resp.Header.Get(linkedChecksum); sum != "" && e.checksum == "" {
		e.checksum = strings.Trim(sum, `"`)
		e.size, _ = strconv.ParseInt(resp.Header.Get(linkedSize), 10, 64) // 0 where it is not said
	}
}

// read completes what is expected by the last answer, which begins after have
// bytes.
func (e *expected) read(resp *http.Response, have int64) error {
	e.note(resp)
	if e.checksum == "" {
		e.checksum = strings.Trim(strings.TrimPrefix(resp.Header.Get("ETag"), "W/"), `"`)
	}
	if e.size == 0 && resp.ContentLength >= 0 {
		e.size = have + resp.ContentLength
	}
	if e.size <= 0 || e.size > maxModelFile {
		return fmt.Errorf("the server says it has %d bytes, want 1 to %d", e.size, int64(maxModelFile))
	}
	return nil
}

// check compares the file with what is expected and returns its SHA-256.
func (e *expected) check(path string) (string, error) {
	f, err := os.Open(path)
	if err != nil {
		return "", err
	}
	defer f.Close()
	sum, blob := sha256.New(), sha1.New() //nolint:gosec // as above
	fmt.Fprintf(blob, "blob %d\x00", e.size)
	n, err := io.Copy(io.MultiWriter(sum, blob), f)
	if err != nil {
		return "", err
	}
	digest := func(h hash.Hash) string { return hex.EncodeToString(h.Sum(nil)) }
	got := digest(blob)
	if len(e.checksum) == sha256HexLength {
		got = digest(sum)
	}
	if n != e.size || got != e.checksum {
		return "", fmt.Errorf("%d bytes with checksum %s, the server says %d bytes with %q", n, got, e.size, e.checksum)
	}
	return digest(sum), nil
}
