package source

import (
	"bytes"
	"compress/zlib"
	"context"
	"strings"
	"testing"

	"github.com/go-git/go-git/v5/plumbing"
)

func pack(kind plumbing.ObjectType, size int, before, content []byte) []byte {
	var b bytes.Buffer
	b.WriteString("PACK\x00\x00\x00\x02\x00\x00\x00\x01")
	first := byte(kind)<<4 | byte(size&15)
	for size >>= 4; size > 0; size >>= 7 {
		b.WriteByte(first | 0x80)
		first = byte(size & 127)
	}
	b.WriteByte(first)
	b.Write(before)
	z := zlib.NewWriter(&b)
	_, _ = z.Write(content)
	_ = z.Close()
	b.Write(make([]byte, 20))
	return b.Bytes()
}

func TestPacksThatCostMoreThanTheyLookLikeAreRefused(t *testing.T) {
	zeros := make([]byte, 1<<20)
	delta := append([]byte{10}, 0xff, 0xff, 0xff, 0xff, 0x7f) // from 10 bytes to 34 GB
	for _, tt := range []struct {
		name string
		pack []byte
		want string // "" for a pack that is fine
	}{
		{"a file", pack(plumbing.BlobObject, 100, nil, zeros[:100]), ""},
		{"a large file", pack(plumbing.BlobObject, len(zeros), nil, zeros), "limit of 1000 (sources.repository_max_bytes)"},
		{"a file larger than it says", pack(plumbing.BlobObject, 10, nil, zeros), "inflated"},
		{"a delta that makes a large file", pack(plumbing.REFDeltaObject, len(delta), make([]byte, 20), delta), "limit of 1000"},
		{"a delta of nothing", pack(plumbing.REFDeltaObject, 0, make([]byte, 20), nil), "limit of 1000"},
		{"many objects", append([]byte("PACK\x00\x00\x00\x02\x7f\x00\x00\x00"), zeros[:30]...), "objects are more than"},
		{"no pack", []byte("<html>"), "pack file signature"},
	} {
		err := checkPack(t.Context(), bytes.NewReader(tt.pack), 1000)
		if tt.want == "" && err != nil || tt.want != "" && (err == nil || !strings.Contains(err.Error(), tt.want)) {
			t.Errorf("%s: error %v, want %q", tt.name, err, tt.want)
		}
	}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if err := checkPack(ctx, bytes.NewReader(pack(plumbing.BlobObject, 1, nil, zeros[:1])), 1000); err == nil {
		t.Error("it does not end with its context")
	}
}

func FuzzCheckPack(f *testing.F) {
	f.Add(pack(plumbing.BlobObject, 3, nil, []byte("abc")))
	f.Add(pack(plumbing.REFDeltaObject, 2, make([]byte, 20), []byte{1, 1}))
	f.Fuzz(func(t *testing.T, data []byte) {
		_ = checkPack(t.Context(), bytes.NewReader(data), 1<<10)
	})
}
