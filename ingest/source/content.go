package source

import (
	"io"
	"time"

	"github.com/tributary-kb/tributary"
)

// readAtMost reads all of r. More than limit bytes are an error marked by
// tributary.Reject.
func readAtMost(r io.Reader, limit int64) ([]byte, error) {
	content, err := io.ReadAll(io.LimitReader(r, limit+1))
	if err != nil {
		return nil, err
	}
	if int64(len(content)) > limit {
		return nil, tooManyBytes(limit)
	}
	return content, nil
}

func tooManyBytes(limit int64) error {
	return tributary.Rejectf("more bytes than the limit of %d (ingest.max_bytes)", limit)
}

// loaded is what loading content comes to: nothing new if it is the content
// that is known.
func loaded(content []byte, tag string, known Known, modified time.Time) Loaded {
	now := Known{Tag: tag, Hash: tributary.Hash(content)}
	if now.Hash == known.Hash {
		return Loaded{Verdict: Unchanged, Known: now, Modified: modified}
	}
	return Loaded{Verdict: Changed, Content: content, Known: now, Modified: modified}
}
