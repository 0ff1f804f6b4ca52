package source

import (
	"bytes"
	"crypto/ed25519"
	"encoding/pem"
	"io"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"golang.org/x/crypto/ssh"

	"github.com/tributary-kb/tributary"
)

type sshServer struct {
	net.Listener
	*repo
	host   ssh.Signer
	client ssh.Signer
	pem    []byte // of the client's private key
}

func newKey(t *testing.T, seed byte) (ssh.Signer, []byte) {
	t.Helper()
	key := ed25519.NewKeyFromSeed(bytes.Repeat([]byte{seed}, ed25519.SeedSize))
	signer, err := ssh.NewSignerFromKey(key)
	fatal(t, err)
	block, err := ssh.MarshalPrivateKey(key, "")
	fatal(t, err)
	return signer, pem.EncodeToMemory(block)
}

func newSSHServer(t *testing.T) *sshServer {
	t.Helper()
	needGit(t)
	s := &sshServer{repo: newRepo(t)}
	s.host, _ = newKey(t, 1)
	s.client, s.pem = newKey(t, 2)
	config := &ssh.ServerConfig{PublicKeyCallback: func(meta ssh.ConnMetadata, key ssh.PublicKey) (*ssh.Permissions, error) {
		if meta.User() != "git" || !bytes.Equal(key.Marshal(), s.client.PublicKey().Marshal()) {
			return nil, ssh.ErrNoAuth
		}
		return nil, nil
	}}
	config.AddHostKey(s.host)
	var err error
	s.Listener, err = net.Listen("tcp", "127.0.0.1:0")
	fatal(t, err)
	var wg sync.WaitGroup
	wg.Go(func() {
		for {
			conn, err := s.Accept()
			if err != nil {
				return
			}
			wg.Go(func() { s.serve(conn, config) })
		}
	})
	t.Cleanup(func() { _ = s.Close(); wg.Wait() })
	return s
}

func (s *sshServer) serve(conn net.Conn, config *ssh.ServerConfig) {
	defer func() { _ = conn.Close() }()
	_, channels, requests, err := ssh.NewServerConn(conn, config)
	if err != nil {
		return
	}
	go ssh.DiscardRequests(requests)
	for next := range channels {
		channel, requests, err := next.Accept()
		if err != nil {
			return
		}
		for r := range requests {
			_ = r.Reply(true, nil)
			cmd := exec.Command("sh", "-c", "git "+strings.TrimPrefix(string(r.Payload[4:]), "git-"))
			cmd.Stdout, cmd.Stderr = channel, channel.Stderr()
			in, err := cmd.StdinPipe()
			if err != nil {
				return
			}
			go func() { _, _ = io.Copy(in, channel); _ = in.Close() }()
			status := []byte{0, 0, 0, 0}
			if cmd.Run() != nil {
				status[3] = 1
			}
			_, _ = channel.SendRequest("exit-status", false, status)
			_ = channel.Close()
		}
	}
}

func (s *sshServer) options(t *testing.T, host ssh.Signer) tributary.SourceOptions {
	t.Helper()
	dir := t.TempDir()
	addr := strings.Replace(s.Addr().String(), "127.0.0.1", "[127.0.0.1]", 1)
	write(t, dir, map[string]string{"key": string(s.pem), "known": addr + " " + string(ssh.MarshalAuthorizedKey(host.PublicKey()))})
	return tributary.SourceOptions{SecretFile: filepath.Join(dir, "key"), KnownHosts: filepath.Join(dir, "known")}
}

func TestGitIsFetchedOverSSH(t *testing.T) {
	s := newSSHServer(t)
	s.commit(t, map[string]string{"it's.md": "one"})
	location := "ssh://git@" + s.Addr().String() + s.dir
	f := follow(t, tributary.SourceGit, location, s.options(t, s.host), near(t))
	items, listing := list(t, f, nil)
	if got := contents(t, f, items); got["it%27s.md"] != "one" && got["it's.md"] != "one" {
		t.Errorf("got %v", got)
	}
	s.commit(t, map[string]string{"b.md": "two"})
	items, listing = list(t, f, listing.Cursor)
	if got := contents(t, f, items); got["b.md"] != "two" || len(got) != 2 {
		t.Errorf("got %v", got)
	}
	if _, l := list(t, f, listing.Cursor); !l.Unchanged {
		t.Errorf("listing %+v", l)
	}

	other, otherPEM := newKey(t, 3)
	unknown := s.options(t, s.host)
	fatal(t, os.WriteFile(unknown.KnownHosts, nil, 0o600))
	stranger := s.options(t, s.host)
	fatal(t, os.WriteFile(stranger.SecretFile, otherPEM, 0o600))
	noKey := s.options(t, s.host)
	fatal(t, os.WriteFile(noKey.SecretFile, []byte("hush"), 0o600))
	for _, tt := range []struct {
		name, location string
		options        tributary.SourceOptions
		env            Env
		want           string
		outcome        tributary.Outcome
	}{
		{"another host", location, s.options(t, other), near(t), "another one", tributary.Rejected},
		{"an unknown host", location, unknown, near(t), "is not in", tributary.Rejected},
		{"another key", location, stranger, near(t), "log in as git", tributary.Retry},
		{"no key", location, noKey, near(t), "no private key", tributary.Rejected},
		{"no repository", location + "/none", s.options(t, s.host), near(t), "the server says", tributary.Rejected},
		{"a private address", location, s.options(t, s.host), Env{Dir: t.TempDir()}, "ingest.fetch.allow_hosts", tributary.Rejected},
	} {
		err := listFails(t, follow(t, tributary.SourceGit, tt.location, tt.options, tt.env))
		if outcome(err) != tt.outcome || !strings.Contains(err.Error(), tt.want) || strings.Contains(err.Error(), "hush") {
			t.Errorf("%s: error %v", tt.name, err)
		}
	}
}

func TestGitOverSSHGivesUpOnSilence(t *testing.T) {
	s := newSSHServer(t)
	silent, err := net.Listen("tcp", "127.0.0.1:0")
	fatal(t, err)
	t.Cleanup(func() { _ = silent.Close() })
	env := near(t)
	env.Ingest.Fetch.Timeout = time.Millisecond
	location := "ssh://git@" + silent.Addr().String() + "/r"
	if err := listFails(t, follow(t, tributary.SourceGit, location, s.options(t, s.host), env)); !strings.Contains(err.Error(), "1ms (ingest.fetch.timeout)") {
		t.Errorf("error %v", err)
	}
	env.Ingest.Fetch.Timeout, env.RepositoryTimeout = time.Hour, time.Millisecond
	if err := listFails(t, follow(t, tributary.SourceGit, location, s.options(t, s.host), env)); !strings.Contains(err.Error(), "1ms (sources.repository_timeout)") {
		t.Errorf("error %v", err)
	}
}
