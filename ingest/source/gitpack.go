package source

import (
	"context"
	"encoding/binary"
	"io"

	"github.com/go-git/go-git/v5/plumbing/format/packfile"

	"github.com/tributary-kb/tributary"
)

const (
	// maxObjects is how many objects a pack may have: the library keeps a few
	// hundred bytes of each in memory.
	maxObjects = 2_000_000
	// maxInflation is how much larger than a repository may be its files are
	// together, once they are unpacked.
	maxInflation = 16
)

// checkPack refuses a pack that would cost more than it looks like: the library
// unpacks each object in memory.
func checkPack(ctx context.Context, pack io.ReadSeeker, limit int64) error {
	scanner := packfile.NewScanner(pack)
	_, n, err := scanner.Header()
	if err != nil {
		return err
	}
	if n > maxObjects {
		return tributary.Rejectf("%d objects are more than the limit of %d (fixed)", n, maxObjects)
	}
	left := maxInflation * limit
	for range n {
		h, err := scanner.NextObjectHeader()
		if err != nil {
			return err
		}
		if h.Length > limit {
			return tooLargeObject(limit)
		}
		var begin beginning
		if _, _, err := scanner.NextObject(&begin); err != nil {
			return err
		}
		size := h.Length
		if h.Type.IsDelta() {
			size = max(size, begin.target())
		}
		if size > limit {
			return tooLargeObject(limit)
		}
		if left -= size; left < 0 {
			return tributary.Rejectf("unpacked, it has more bytes than %d times the limit of %d (sources.repository_max_bytes)", maxInflation, limit)
		}
		if err := context.Cause(ctx); err != nil {
			return err
		}
	}
	return nil
}

func tooLargeObject(limit int64) error {
	return tributary.Rejectf("a file has more bytes than the limit of %d (sources.repository_max_bytes)", limit)
}

// beginning keeps the first bytes that are written to it.
type beginning struct {
	kept [2 * binary.MaxVarintLen64]byte
	n    int
}

// Write implements io.Writer.
func (b *beginning) Write(p []byte) (int, error) {
	b.n += copy(b.kept[b.n:], p)
	return len(p), nil
}

// target is how large the object is that a delta makes (gitformat-pack(5): the
// sizes of source and target stand first). It is huge where that is nonsense.
func (b *beginning) target() int64 {
	const nonsense = 1<<63 - 1
	_, used := binary.Uvarint(b.kept[:b.n])
	if used <= 0 {
		return nonsense
	}
	size, used := binary.Uvarint(b.kept[used:b.n])
	if used <= 0 || size > nonsense {
		return nonsense
	}
	return int64(size)
}
