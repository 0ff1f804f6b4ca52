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

// Functions take 8 numbers at a time. What is left over, the caller computes.
const vector = 8

// expVector replaces each x of a part of v by exp((x-shift)*scale), which is at
// most 1, and returns how many those are.
func expVector(v []float32, shift, scale float32) int {
	n := len(v) / vector * vector
	if !hasAVX2 || n == 0 {
		return 0
	}
	expAVX2(&v[0], n, shift, scale)
	return n
}

// geluVector is GELU of a part of v, and returns how many numbers that are.
func geluVector(v []float32) int {
	n := len(v) / vector * vector
	if !hasAVX2 || n == 0 {
		return 0
	}
	geluAVX2(&v[0], n)
	return n
}

//go:noescape
func expAVX2(v *float32, n int, shift, scale float32)

//go:noescape
func geluAVX2(v *float32, n int)
