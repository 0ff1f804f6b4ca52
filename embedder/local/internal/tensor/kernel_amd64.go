package tensor

import "golang.org/x/sys/cpu"

var hasAVX2 = cpu.X86.HasAVX2 && cpu.X86.HasFMA

func kernel(k int, a, c *[tileRows][]float32, panel []float32) {
	if hasAVX2 {
		kernelAVX2(k, a, c, &panel[0])
		return
	}
	kernelGo(k, a, c, panel)
}

// kernelAVX2 is kernelGo with AVX2 and FMA. It checks no bounds.
//
//go:noescape
func kernelAVX2(k int, a, c *[tileRows][]float32, panel *float32)
