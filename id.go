package tributary

import (
	"crypto/sha1" //nolint:gosec // RFC 9562 defines version 5 UUIDs by SHA-1; nothing here relies on its strength
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"net/url"
	"regexp"
	"strconv"
	"strings"
)

// DefaultKB is the knowledge base that is meant when none is named.
const DefaultKB = "default"

// MaxURIBytes bounds a document's URI.
const MaxURIBytes = 2048

var kbName = regexp.MustCompile(`^[a-z][a-z0-9-]{0,62}$`)

// CheckKB reports why name cannot name a knowledge base: it is a token of
// NATS subjects and part of a Weaviate collection's name.
func CheckKB(name string) error {
	if !kbName.MatchString(name) {
		return fmt.Errorf("knowledge base %q: a name is 1 to 63 of a-z, 0-9 and '-', and starts with a letter", name)
	}
	return nil
}

// CheckURI reports why uri cannot name a document.
func CheckURI(uri string) error {
	switch {
	case uri == "":
		return fmt.Errorf("the document has no uri")
	case len(uri) > MaxURIBytes:
		return fmt.Errorf("uri %.60q...: %d bytes, the limit is %d", uri, len(uri), MaxURIBytes)
	case strings.ToValidUTF8(uri, "") != uri || strings.ContainsFunc(uri, func(r rune) bool { return r < ' ' || r == 0x7f }):
		return fmt.Errorf("uri %q: control characters or invalid UTF-8", uri)
	}
	return nil
}

// CheckFetch reports why the content of a document cannot be fetched from uri.
func CheckFetch(uri string) error {
	u, err := url.Parse(uri)
	if err != nil || u.Scheme != "http" && u.Scheme != "https" || u.Host == "" {
		return fmt.Errorf("%q: only http and https addresses can be fetched", uri)
	}
	return nil
}

// namespace is the UUID below which all of Tributary's version 5 UUIDs stand:
// uuid5(NameSpace_URL, "https://github.com/tributary-kb/tributary").
var namespace = uuid5([16]byte{0x6b, 0xa7, 0xb8, 0x11, 0x9d, 0xad, 0x11, 0xd1, 0x80, 0xb4, 0x00, 0xc0, 0x4f, 0xd4, 0x30, 0xc8},
	"https://github.com/tributary-kb/tributary")

// DocumentID identifies the document at uri in the knowledge base kb. It is a
// UUID, so it may stand in a subject, a KV key and a filter without escaping.
func DocumentID(kb, uri string) string {
	return formatUUID(uuid5(namespace, kb+"\x00"+uri))
}

// ChunkID identifies one stored object: the chunk with this hash and ordinal
// that one attempt to index one version of a document gave birth to. The
// attempt makes it unique: no two attempts ever write the same object, which
// is what makes writes and sweeps safe (docs/adr/0001-chunk-ids-per-attempt.md).
func ChunkID(document string, birth uint64, attempt string, hash string, ordinal int) string {
	name := strings.Join([]string{document, strconv.FormatUint(birth, 10), attempt, hash, strconv.Itoa(ordinal)}, "\x00")
	return formatUUID(uuid5(namespace, name))
}

// Hash is the content hash used throughout: the first 16 bytes of SHA-256, in
// hexadecimal.
func Hash(data []byte) string {
	sum := sha256.Sum256(data)
	return hex.EncodeToString(sum[:16])
}

// ChunkHash covers everything that is embedded or stored with a chunk and
// stays the same while the chunk moves about in its document: equal hashes
// mean that the stored object can be kept. Offsets, page and ordinal live in
// the manifest and are not part of it.
func ChunkHash(a Attributes, c Chunk) string {
	data, err := json.Marshal(struct {
		Attributes
		Heading []string
		Text    string
	}{a, c.Heading, c.Text})
	if err != nil {
		panic(fmt.Sprintf("tributary: hash of a chunk: %v", err)) // strings and maps of strings always marshal
	}
	return Hash(data)
}

func uuid5(space [16]byte, name string) [16]byte {
	h := sha1.New() //nolint:gosec // see the import
	h.Write(space[:])
	h.Write([]byte(name))
	var u [16]byte
	copy(u[:], h.Sum(nil))
	u[6] = u[6]&0x0f | 0x50
	u[8] = u[8]&0x3f | 0x80
	return u
}

func formatUUID(u [16]byte) string {
	return fmt.Sprintf("%x-%x-%x-%x-%x", u[0:4], u[4:6], u[6:8], u[8:10], u[10:16])
}
