//go:build !amd64 && !arm64

package tensor

func kernel(k int, a, c *[tileRows][]float32, panel []float32) { kernelGo(k, a, c, panel) }
