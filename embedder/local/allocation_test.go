//go:build !race

package local_test

import "testing"

// The race detector makes pools forget at random, so this is tested without it.
func TestStaticAllocatesNothing(t *testing.T) {
	m := openStatic(t, map[string]tensor{"embeddings": rows()})
	v := make([]float32, m.Dimension())
	if n := testing.AllocsPerRun(100, func() { m.Vector(v, "red green, and blue") }); n > 0 {
		t.Errorf("%v allocations, want none", n)
	}
}
