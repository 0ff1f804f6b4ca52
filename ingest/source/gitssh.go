package source

import (
	"bytes"
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/url"
	"strings"

	"github.com/go-git/go-git/v5/plumbing/format/pktline"
	"github.com/go-git/go-git/v5/plumbing/protocol/packp"
	"github.com/go-git/go-git/v5/plumbing/transport"
	"github.com/skeema/knownhosts"
	"golang.org/x/crypto/ssh"

	"github.com/tributary-kb/tributary"
	"github.com/tributary-kb/tributary/ingest"
)

// sshWire leads to a git server over ssh. The library's own client neither
// dials under a guard nor leaves the user's ssh configuration alone.
type sshWire struct {
	fetcher    *ingest.Fetcher
	gate       Gate
	addr, user string
	path       string
	options    tributary.SourceOptions
	limit      int64 // of the clone, in bytes
}

func newSSHWire(u *url.URL, o tributary.SourceOptions, fetcher *ingest.Fetcher, env Env) (*sshWire, error) {
	switch {
	case o.SecretFile == "" && o.SecretEnv == "":
		return nil, tributary.Rejectf("a repository over ssh needs a private key, from secret_file or secret_env")
	case o.KnownHosts == "":
		return nil, tributary.Rejectf("a repository over ssh needs known_hosts, a file with the key of %s: without it anybody could pretend to be that host", u.Hostname())
	}
	return &sshWire{
		fetcher: fetcher, gate: env.Gate, options: o, limit: cloneLimit(env),
		addr: net.JoinHostPort(u.Hostname(), cmp.Or(u.Port(), "22")),
		user: cmp.Or(o.User, u.User.Username(), "git"), path: u.Path,
	}, nil
}

func (w *sshWire) explain(err error) error { return err }

// open logs in. The key and the known hosts are read anew each time, so that
// they may be exchanged.
func (w *sshWire) open(ctx context.Context) (conversation, error) {
	config, err := w.config()
	if err != nil {
		return nil, err
	}
	if w.gate != nil {
		leave, err := w.gate.Enter(ctx, strings.ToLower(w.addr), 0)
		if err != nil {
			return nil, err
		}
		defer leave(0)
	}
	conn, err := w.fetcher.DialContext(ctx, "tcp", w.addr)
	if err != nil {
		return nil, err
	}
	stop := context.AfterFunc(ctx, func() { _ = conn.Close() })
	talk, err := w.begin(conn, config)
	if err != nil {
		stop()
		_ = conn.Close()
		return nil, err
	}
	talk.stop = stop
	return talk, nil
}

func (w *sshWire) config() (*ssh.ClientConfig, error) {
	key, err := secret(w.options)
	if err != nil {
		return nil, err
	}
	signer, err := ssh.ParsePrivateKey([]byte(key))
	if _, encrypted := errors.AsType[*ssh.PassphraseMissingError](err); encrypted {
		return nil, tributary.Rejectf("the private key has a passphrase, which nobody could enter: use one without")
	}
	if err != nil {
		return nil, tributary.Rejectf("the secret is no private key of ssh")
	}
	hosts, err := knownhosts.NewDB(w.options.KnownHosts)
	if err != nil {
		return nil, fmt.Errorf("known_hosts: %w", err)
	}
	return &ssh.ClientConfig{
		User: w.user, Auth: []ssh.AuthMethod{ssh.PublicKeys(signer)},
		HostKeyCallback: hosts.HostKeyCallback(), HostKeyAlgorithms: hosts.HostKeyAlgorithms(w.addr),
	}, nil
}

// begin starts upload-pack at the other end.
func (w *sshWire) begin(conn net.Conn, config *ssh.ClientConfig) (*sshTalk, error) {
	c, channels, requests, err := ssh.NewClientConn(conn, w.addr, config)
	switch {
	case knownhosts.IsHostUnknown(err):
		return nil, tributary.Rejectf("the key of %s is not in %s (known_hosts)", w.addr, w.options.KnownHosts)
	case knownhosts.IsHostKeyChanged(err):
		return nil, tributary.Rejectf("the key of %s is another one than in %s (known_hosts): somebody may pretend to be that host", w.addr, w.options.KnownHosts)
	case err != nil:
		return nil, fmt.Errorf("log in as %s at %s: %w", w.user, w.addr, err)
	}
	t := &sshTalk{client: ssh.NewClient(c, channels, requests), limit: w.limit}
	if t.session, err = t.client.NewSession(); err != nil {
		return nil, err
	}
	t.session.Stderr = &t.said
	if t.in, err = t.session.StdinPipe(); err != nil {
		return nil, err
	}
	out, err := t.session.StdoutPipe()
	if err != nil {
		return nil, err
	}
	t.out = &bounded{Reader: out, left: maxRefsBytes, over: errTooManyRefs}
	return t, t.session.Start("git-upload-pack " + quoted(w.path))
}

// quoted is a word for the shell at the other end.
func quoted(word string) string {
	return "'" + strings.NewReplacer("'", `'\''`, "!", `'\!'`).Replace(word) + "'"
}

// sshTalk is a conversation over ssh.
type sshTalk struct {
	client  *ssh.Client
	session *ssh.Session
	in      io.WriteCloser
	out     *bounded
	said    complaint
	limit   int64
	stop    func() bool
}

// complaint keeps the beginning of what the other end writes for people.
type complaint struct{ bytes.Buffer }

// Write implements io.Writer.
func (c *complaint) Write(p []byte) (int, error) {
	const enough = 500
	c.Buffer.Write(p[:min(len(p), max(0, enough-c.Len()))])
	return len(p), nil
}

// AdvertisedReferencesContext implements conversation.
func (t *sshTalk) AdvertisedReferencesContext(context.Context) (*packp.AdvRefs, error) {
	refs := packp.NewAdvRefs()
	err := refs.Decode(t.out)
	if errors.Is(err, packp.ErrEmptyAdvRefs) || err == nil && refs.IsEmpty() {
		return nil, transport.ErrEmptyRemoteRepository
	}
	if err != nil {
		return nil, t.because(err)
	}
	transport.FilterUnsupportedCapabilities(refs.Capabilities)
	return refs, nil
}

// because is what the other end said before it hung up.
func (t *sshTalk) because(err error) error {
	if !errors.Is(err, packp.ErrEmptyInput) && !errors.Is(err, io.EOF) && !errors.Is(err, io.ErrUnexpectedEOF) {
		return err
	}
	if _, refused := errors.AsType[*ssh.ExitError](t.session.Wait()); refused && t.said.Len() > 0 {
		return tributary.Rejectf("the server says: %q", strings.TrimSpace(t.said.String()))
	}
	return err
}

// UploadPack implements conversation.
func (t *sshTalk) UploadPack(_ context.Context, req *packp.UploadPackRequest) (*packp.UploadPackResponse, error) {
	if err := req.Validate(); err != nil {
		return nil, err
	}
	t.out.left, t.out.over = wireLimit(t.limit), tooLargeRepository(t.limit)
	err := req.UploadRequest.Encode(t.in)
	if err == nil {
		err = req.UploadHaves.Encode(t.in, false)
	}
	if err == nil {
		err = pktline.NewEncoder(t.in).EncodeString("done\n")
	}
	if err != nil {
		return nil, err
	}
	reply := packp.NewUploadPackResponse(req)
	return reply, reply.Decode(io.NopCloser(t.out))
}

// Close implements conversation. A flush says that nothing is wanted, or is
// not heard any more.
func (t *sshTalk) Close() error {
	t.stop()
	_ = pktline.NewEncoder(t.in).Flush()
	_ = t.session.Close()
	return t.client.Close()
}
