package testenv

import (
	"crypto/rand"
	"regexp"
	"strings"
	"testing"
)

// maxKB is the greatest length of a knowledge base's name.
const maxKB = 63

var notInKB = regexp.MustCompile(`[^a-z0-9]+`)

// KB returns the name of a knowledge base that no other test has, on any run:
// the test's name, as far as it fits, and a random end. It matches
// ^[a-z][a-z0-9-]{0,62}$.
func KB(tb testing.TB) string {
	tb.Helper()
	end := "-" + strings.ToLower(rand.Text()[:12])
	name := notInKB.ReplaceAllString(strings.ToLower(tb.Name()), "-")
	name = strings.TrimLeft(name, "-0123456789")
	if name == "" {
		name = "test"
	}
	return name[:min(len(name), maxKB-len(end))] + end
}
