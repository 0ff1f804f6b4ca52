package source

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"strings"

	"github.com/go-git/go-billy/v5/osfs"
	"github.com/go-git/go-git/v5"
	"github.com/go-git/go-git/v5/plumbing"
	"github.com/go-git/go-git/v5/plumbing/cache"
	"github.com/go-git/go-git/v5/plumbing/format/packfile"
	"github.com/go-git/go-git/v5/plumbing/protocol/packp"
	"github.com/go-git/go-git/v5/plumbing/protocol/packp/capability"
	"github.com/go-git/go-git/v5/plumbing/protocol/packp/sideband"
	"github.com/go-git/go-git/v5/plumbing/storer"
	"github.com/go-git/go-git/v5/storage/filesystem"

	"github.com/tributary-kb/tributary"
)

// heldRef names the commit that a clone has all files of. It is written last.
const heldRef plumbing.ReferenceName = "refs/tributary/held"

// maxFiles is how many files a clone is made of before it is made anew, in a
// few. Each object that changed is one.
const maxFiles = 20_000

// cachedObjects is how many bytes of objects are kept in memory of each clone.
const cachedObjects = 8 * cache.MiByte

// fetched begins the names of packs that are not checked yet.
const fetched = "fetched-"

// A clone is a bare repository with the files of one commit, and what is left
// of earlier ones.
type clone struct {
	parent string // belongs to the source alone
	dir    string // below parent, by location
	limit  int64  // bytes
	files  int    // maxFiles, except in tests
	repo   *git.Repository
	held   plumbing.Hash // zero while repo is nil
}

func newClone(parent, location string, limit int64) clone {
	return clone{parent: parent, dir: filepath.Join(parent, tributary.Hash([]byte(location))[:16]), limit: limit, files: maxFiles}
}

// at returns the repository if it has the files of a commit.
func (c *clone) at(hash plumbing.Hash) (*git.Repository, bool) {
	return c.repo, c.repo != nil && !hash.IsZero() && c.held == hash
}

// discard throws the clone away. A file that resists is in the way of the next
// one, which then says so.
func (c *clone) discard() {
	c.repo, c.held = nil, plumbing.ZeroHash
	_ = os.RemoveAll(c.dir)
}

// take makes the clone have the files of head. Its error is errStartOver if
// that can be done with a new clone only.
func (c *clone) take(ctx context.Context, talk conversation, refs *packp.AdvRefs, head plumbing.Hash) (*git.Repository, error) {
	if err := c.open(); err != nil {
		return nil, err
	}
	if c.held == head {
		return c.repo, nil
	}
	size, err := c.size()
	if err != nil || size > c.limit {
		return nil, errStartOver
	}
	if !c.has(head) { // a branch may go back to where it was
		if err := c.get(ctx, talk, refs, head, c.limit-size); err != nil {
			return nil, err
		}
	}
	for _, err := range []error{
		c.repo.Storer.SetShallow([]plumbing.Hash{head}), c.repo.Storer.SetReference(plumbing.NewHashReference(heldRef, head)),
	} {
		if err != nil {
			return nil, fmt.Errorf("clone %q: %w", c.dir, err)
		}
	}
	c.held = head
	return c.repo, nil
}

// open opens the clone, or makes an empty one where there is none that works.
func (c *clone) open() error {
	if c.repo != nil {
		return nil
	}
	storage := filesystem.NewStorage(osfs.New(c.dir), cache.NewObjectLRU(cachedObjects))
	if repo, err := git.Open(storage, nil); err == nil {
		if ref, err := repo.Reference(heldRef, false); err == nil {
			if _, err := repo.CommitObject(ref.Hash()); err == nil {
				c.repo, c.held = repo, ref.Hash()
				return nil
			}
		}
	}
	if err := os.RemoveAll(c.parent); err != nil { // also of other locations that the source had
		return fmt.Errorf("throw away a damaged clone: %w", err)
	}
	if err := os.MkdirAll(c.parent, 0o700); err != nil {
		return fmt.Errorf("make a clone: %w", err)
	}
	repo, err := git.Init(filesystem.NewStorage(osfs.New(c.dir), cache.NewObjectLRU(cachedObjects)), nil)
	if err != nil {
		return fmt.Errorf("make a clone: %w", err)
	}
	c.repo = repo
	return nil
}

func (c *clone) has(hash plumbing.Hash) bool {
	_, err := c.repo.CommitObject(hash)
	return err == nil
}

// size returns the bytes of the objects, more than the limit if there are too
// many files. It removes what a fetch that did not end has left.
func (c *clone) size() (bytes int64, _ error) {
	files := 0
	err := filepath.WalkDir(c.dir, func(path string, d fs.DirEntry, err error) error {
		if err != nil || d.IsDir() {
			return err
		}
		if name := d.Name(); strings.HasPrefix(name, fetched) || strings.HasPrefix(name, "tmp_") {
			return os.Remove(path) //nolint:gosec // nobody else writes below the clone
		}
		info, err := d.Info()
		if err != nil {
			return err
		}
		files++
		bytes += info.Size()
		return nil
	})
	if files > c.files {
		bytes = c.limit + 1
	}
	return bytes, err
}

// get fetches what head has and the commit that is held has not, as one pack of
// at most limit bytes.
func (c *clone) get(ctx context.Context, talk conversation, refs *packp.AdvRefs, head plumbing.Hash, limit int64) error {
	req := packp.NewUploadPackRequestFromCapabilities(refs.Capabilities)
	req.Wants = []plumbing.Hash{head}
	if refs.Capabilities.Supports(capability.Shallow) {
		if err := req.Capabilities.Set(capability.Shallow); err != nil {
			return err
		}
		req.Depth = packp.DepthCommits(1)
	}
	if !c.held.IsZero() {
		req.Haves = []plumbing.Hash{c.held}
		if !req.Depth.IsZero() {
			req.Shallows = req.Haves
		}
		// Without it a server looks for what is new in the commits between, of
		// which a clone without history has none, and sends everything.
		if err := req.Capabilities.Set(capability.ThinPack); err != nil {
			return err
		}
	}
	reply, err := talk.UploadPack(ctx, req)
	if err != nil {
		return fmt.Errorf("fetch: %w", err)
	}
	defer func() { _ = reply.Close() }()
	pack, err := os.CreateTemp(c.dir, fetched+"*")
	if err != nil {
		return fmt.Errorf("fetch: %w", err)
	}
	defer func() { _, _ = pack.Close(), os.Remove(pack.Name()) }()
	if err := c.receive(pack, packOf(req.Capabilities, reply), limit); err != nil {
		return err
	}
	return c.store(ctx, pack, head)
}

// packOf is the pack in a reply, without what the server says besides.
func packOf(said *capability.List, reply io.Reader) io.Reader {
	switch {
	case said.Supports(capability.Sideband64k):
		return sideband.NewDemuxer(sideband.Sideband64k, reply)
	case said.Supports(capability.Sideband):
		return sideband.NewDemuxer(sideband.Sideband, reply)
	}
	return reply
}

func (c *clone) receive(pack io.Writer, from io.Reader, limit int64) error {
	tooLarge := tooLargeRepository(c.limit)
	if !c.held.IsZero() {
		tooLarge = errStartOver
	}
	if _, err := io.Copy(pack, &bounded{Reader: from, left: limit, over: tooLarge}); err != nil {
		return fmt.Errorf("fetch: %w", err)
	}
	return nil
}

// store adds a pack to the clone, once it is known to be harmless.
func (c *clone) store(ctx context.Context, pack *os.File, head plumbing.Hash) error {
	if _, err := pack.Seek(0, io.SeekStart); err != nil {
		return fmt.Errorf("fetch: %w", err)
	}
	if err := checkPack(ctx, pack, c.limit); err != nil {
		return fmt.Errorf("fetch: the pack: %w", err)
	}
	_, err := pack.Seek(0, io.SeekStart)
	if err == nil {
		err = c.add(pack)
	}
	if err == nil && !c.has(head) {
		err = errors.New("the commit is not in it")
	}
	switch {
	case err == nil:
		return nil
	case !c.held.IsZero():
		return errStartOver
	}
	return fmt.Errorf("fetch: store the pack: %w", err)
}

// add keeps a pack that has everything as it is. Of another one, which may need
// objects that the clone has, it keeps the objects: the library reads no such
// pack from disk.
func (c *clone) add(pack io.Reader) error {
	if c.held.IsZero() {
		return packfile.UpdateObjectStorage(c.repo.Storer, pack)
	}
	single := struct{ storer.EncodedObjectStorer }{c.repo.Storer} // hides a writer that keeps every file open
	parser, err := packfile.NewParserWithStorage(packfile.NewScanner(pack), single)
	if err != nil {
		return err
	}
	_, err = parser.Parse()
	return err
}

func tooLargeRepository(limit int64) error {
	return tributary.Rejectf("it has more bytes than the limit of %d (sources.repository_max_bytes)", limit)
}
