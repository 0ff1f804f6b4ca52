//go:build !race

package tokenizer

import "testing"

// The race detector makes pools forget at random, so this is tested without it.
func TestTokensOfASCIIAreFoundWithoutAllocation(t *testing.T) {
	tok := open(t, "wordpiece")
	ids := make([]int32, 0, 100)
	if n := testing.AllocsPerRun(100, func() { ids = tok.Append(ids[:0], "The time of the Children, about 12 years.") }); n > 0 {
		t.Errorf("%v allocations, want none", n)
	}
}
