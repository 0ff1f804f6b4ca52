package source

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"net/url"
	"strings"
	"time"

	"github.com/go-git/go-git/v5"
	"github.com/go-git/go-git/v5/plumbing"
	"github.com/go-git/go-git/v5/plumbing/protocol/packp"
	"github.com/go-git/go-git/v5/plumbing/transport"

	"github.com/tributary-kb/tributary"
	"github.com/tributary-kb/tributary/ingest"
)

// remote is the origin of a repository on another machine. The commit at the
// head of the branch, with its files and without those before it, is kept in a
// clone. The clone is made again whenever it is missing, damaged or too large:
// what is remembered of a source does not depend on it.
type remote struct {
	clone   clone
	wire    wire
	branch  string
	timeout time.Duration
	// seen is the head when it was last asked for, zero if it never was.
	seen plumbing.Hash
}

// A wire leads to a git server.
type wire interface {
	// open begins a conversation, which ctx ends if the caller does not.
	open(ctx context.Context) (conversation, error)
	// explain finds the reason in an error of a conversation.
	explain(err error) error
}

// A conversation is one with git-upload-pack (gitprotocol-pack(5)).
type conversation interface {
	AdvertisedReferencesContext(ctx context.Context) (*packp.AdvRefs, error)
	UploadPack(ctx context.Context, req *packp.UploadPackRequest) (*packp.UploadPackResponse, error)
	Close() error
}

// The defaults of what a repository on another machine may cost.
const (
	repositoryMaxBytes = 512 << 20
	repositoryTimeout  = 10 * time.Minute
)

func cloneLimit(env Env) int64 { return cmp.Or(env.RepositoryMaxBytes, repositoryMaxBytes) }

// newRemote returns the origin at a location, and how URIs name it.
func newRemote(s tributary.Source, env Env) (_ *remote, location string, _ error) {
	u, err := remoteURL(s.Location)
	if err != nil {
		return nil, "", err
	}
	if env.Dir == "" {
		return nil, "", errors.New("a repository on another machine needs a directory for its clone")
	}
	fetcher, err := ingest.NewFetcher(env.Ingest)
	if err != nil {
		return nil, "", err
	}
	r := &remote{
		clone:  newClone(env.Dir, u.String(), cloneLimit(env)),
		branch: s.Options.Branch, timeout: cmp.Or(env.RepositoryTimeout, repositoryTimeout),
	}
	if u.Scheme == "ssh" {
		r.wire, err = newSSHWire(u, s.Options, fetcher, env)
	} else {
		r.wire, err = newHTTPWire(u, s.Options, fetcher, env)
	}
	return r, u.String(), err
}

// remoteURL reads where a repository is: a URL, or user@host:path as git has it.
func remoteURL(location string) (*url.URL, error) {
	if scpLike.MatchString(location) {
		host, path, _ := strings.Cut(location, ":")
		location = "ssh://" + host + "/" + path
	}
	u, err := url.Parse(location)
	if err != nil || u.Host == "" {
		return nil, tributary.Rejectf("location %q is neither an absolute path nor a URL", redacted(location))
	}
	_, password := u.User.Password()
	switch {
	case u.Scheme != "http" && u.Scheme != "https" && u.Scheme != "ssh":
		return nil, tributary.Rejectf("location %q: repositories are fetched by https, http and ssh only", u.Redacted())
	case password || u.User != nil && u.Scheme != "ssh":
		return nil, tributary.Rejectf("location %q carries credentials, which would end up in messages: set user, and secret_file or secret_env", u.Redacted())
	case u.RawQuery != "" || u.Fragment != "":
		return nil, tributary.Rejectf("location %q has a query or a fragment, which repositories have not", u.Redacted())
	}
	u.Path, u.RawPath = strings.TrimRight(u.Path, "/"), ""
	return u, nil
}

var errRepositorySlow = errors.New("no end in time")

// errStartOver says that the clone has to be made anew.
var errStartOver = errors.New("the clone has to be made anew")

func (r *remote) newest(ctx context.Context, last plumbing.Hash) (*git.Repository, plumbing.Hash, error) {
	ctx, cancel := context.WithTimeoutCause(ctx, r.timeout, errRepositorySlow)
	defer cancel()
	repo, err := r.fetch(ctx, last)
	if errors.Is(err, errStartOver) {
		r.clone.discard()
		repo, err = r.fetch(ctx, last)
	}
	if err != nil {
		return nil, plumbing.ZeroHash, r.explain(ctx, err)
	}
	return repo, r.seen, nil
}

func (r *remote) explain(ctx context.Context, err error) error {
	if errors.Is(context.Cause(ctx), errRepositorySlow) {
		return fmt.Errorf("not fetched within the limit of %v (sources.repository_timeout)", r.timeout)
	}
	return r.wire.explain(err)
}

// fetch asks for the head of the branch, and gets it unless it is the last one
// or in the clone already.
func (r *remote) fetch(ctx context.Context, last plumbing.Hash) (*git.Repository, error) {
	talk, err := r.wire.open(ctx)
	if err != nil {
		return nil, err
	}
	defer func() { _ = talk.Close() }()
	refs, err := talk.AdvertisedReferencesContext(ctx)
	if errors.Is(err, transport.ErrEmptyRemoteRepository) {
		return nil, errors.New("it has no commit yet")
	}
	if err != nil {
		return nil, err
	}
	head, err := headOf(refs, r.branch)
	if err != nil {
		return nil, err
	}
	r.seen = head
	if head == last {
		return nil, nil
	}
	return r.clone.take(ctx, talk, refs, head)
}

// headOf is the commit that a branch names.
func headOf(refs *packp.AdvRefs, branch string) (plumbing.Hash, error) {
	name := branchRef(branch)
	if hash, ok := refs.References[name.String()]; ok {
		return hash, nil
	}
	if branch == "" && refs.Head != nil {
		return *refs.Head, nil
	}
	return plumbing.ZeroHash, fmt.Errorf("branch %q: %w", name.Short(), plumbing.ErrReferenceNotFound)
}

func (r *remote) listed(ctx context.Context) (*git.Repository, plumbing.Hash, error) {
	if repo, ok := r.clone.at(r.seen); ok {
		return repo, r.seen, nil
	}
	return r.newest(ctx, plumbing.ZeroHash)
}

func (r *remote) renew() bool {
	r.clone.discard()
	return true
}

// maxRefsBytes is how many bytes of references a server may name.
const maxRefsBytes = 64 << 20

var errTooManyRefs = tributary.Rejectf("its references have more bytes than the limit of %d (fixed)", maxRefsBytes)

// wireLimit is how many bytes a server may send for a pack of limit bytes, with
// what it says besides.
func wireLimit(limit int64) int64 { return 2*limit + 1<<20 }

// bounded reads no more than some bytes.
type bounded struct {
	io.Reader
	left int64
	over error // what is returned beyond them
}

// Read implements io.Reader.
func (b *bounded) Read(p []byte) (int, error) {
	n, err := b.Reader.Read(p)
	if b.left -= int64(n); b.left < 0 {
		return 0, b.over
	}
	return n, err
}
