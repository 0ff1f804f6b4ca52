//go:build onnxruntime && cgo && unix

package local_test

import (
	"os"
	"testing"
)

// BenchmarkOnnxruntime is BenchmarkEncoder with the same weights as a graph.
func BenchmarkOnnxruntime(b *testing.B) {
	dir := os.Getenv(modelOfBenchmarks)
	if dir == "" {
		b.Skip(modelOfBenchmarks + " names no folder")
	}
	benchmark(b, dir, onnxruntime(b))
}
