package tensor

func kernel(k int, a, c *[tileRows][]float32, panel []float32) {
	kernelNEON(k, a, c, &panel[0])
}

// kernelNEON is kernelGo with the vector instructions that every arm64
// processor has. It checks no bounds.
//
//go:noescape
func kernelNEON(k int, a, c *[tileRows][]float32, panel *float32)
