package embedder

import (
	"crypto/sha256"
	"sync"

	"github.com/hashicorp/golang-lru/v2/simplelru"

	"github.com/tributary-kb/tributary"
)

// entryBytes is what an entry of the cache takes beside its numbers: key, list
// element, map slot.
const entryBytes = 256

// paid keeps the vectors of one model that a server has been paid for, those
// used last within a bound of memory. Work that is tried again because a later
// batch failed finds them here. It does not outlive the process.
type paid struct {
	bytes int

	mu      sync.Mutex
	vectors *simplelru.LRU[[sha256.Size]byte, tributary.Vector] // nil until the first
}

func paidKey(text string, role Role) [sha256.Size]byte {
	return sha256.Sum256([]byte(string(role) + "\x00" + text))
}

// get returns the vector of a text, nil if there is none. It is not to be
// changed.
func (p *paid) get(text string, role Role) tributary.Vector {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.vectors == nil {
		return nil
	}
	v, _ := p.vectors.Get(paidKey(text, role))
	return v
}

// put keeps the vector of a text.
func (p *paid) put(text string, role Role, v tributary.Vector) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.vectors == nil {
		size := p.bytes / (4*len(v) + entryBytes) // all vectors are as long as the first
		lru, err := simplelru.NewLRU[[sha256.Size]byte, tributary.Vector](size, nil)
		if err != nil { // not even one has room
			return
		}
		p.vectors = lru
	}
	p.vectors.Add(paidKey(text, role), v)
}
