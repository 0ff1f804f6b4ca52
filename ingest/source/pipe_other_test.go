//go:build !unix

package source

import "testing"

// pipe makes nothing where files cannot be pipes.
func pipe(t *testing.T, _ string) { t.Helper() }
