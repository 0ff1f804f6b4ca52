package queryworker

import (
	"crypto/sha256"
	"encoding/json"
	"fmt"
	"strings"

	lru "github.com/hashicorp/golang-lru/v2"

	"github.com/tributary-kb/tributary"
)

// An AnswerCache keeps what a generator wrote, under everything that it wrote
// from: the question, the conversation, and the passages in their order, each
// with its text and the version of its document.
//
// The search always runs, and only the writing is saved. A cache of whole
// replies would have to know which documents an answer depends on, and one
// that is added tomorrow may be the better source: that shows in what the
// search returns, and nowhere else. So no entry is ever stale, and none needs
// to be invalidated.
type AnswerCache struct {
	texts *lru.Cache[string, string]
}

// NewAnswerCache returns a cache of the last entries answers, at least 1.
func NewAnswerCache(entries int) (*AnswerCache, error) {
	texts, err := lru.New[string, string](entries)
	if err != nil {
		return nil, fmt.Errorf("cache of %d answers: %w", entries, err)
	}
	return &AnswerCache{texts: texts}, nil
}

// get returns what was written for the prompt, "" if nothing was.
func (c *AnswerCache) get(kb, generator string, p Prompt) string {
	if c == nil {
		return ""
	}
	text, _ := c.texts.Get(cacheKey(kb, generator, p))
	return text
}

func (c *AnswerCache) put(kb, generator string, p Prompt, text string) {
	if c != nil {
		c.texts.Add(cacheKey(kb, generator, p), text)
	}
}

// cacheKey is a hash of all that a generator is told. White space of the
// question does not count.
func cacheKey(kb, generator string, p Prompt) string {
	type passage struct {
		N           int
		ID, Doc     string
		Version     uint64
		Title, Text string
		Heading     []string
	}
	key := struct {
		KB, Generator, Question string
		Instructions            string
		History                 []tributary.Turn
		Passages                []passage
	}{kb, generator, strings.Join(strings.Fields(p.Question), " "), p.Instructions, p.History, nil}
	for _, h := range p.Passages {
		key.Passages = append(key.Passages, passage{h.N, h.ID, h.Document, h.Version, h.Title, h.Text, h.Location.Heading})
	}
	data, err := json.Marshal(key)
	if err != nil {
		panic(fmt.Sprintf("encode the key of an answer: %v", err)) // strings and numbers always encode
	}
	sum := sha256.Sum256(data)
	return string(sum[:])
}
