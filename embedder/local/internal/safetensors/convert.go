package safetensors

import (
	"encoding/binary"
	"math"
)

// converters append the elements in b to out, by type. b holds whole elements.
var converters = map[string]func(out []float32, b []byte) []float32{
	"F64": func(out []float32, b []byte) []float32 {
		for ; len(b) >= 8; b = b[8:] {
			out = append(out, float32(math.Float64frombits(binary.LittleEndian.Uint64(b))))
		}
		return out
	},
	"F32": func(out []float32, b []byte) []float32 {
		for ; len(b) >= 4; b = b[4:] {
			out = append(out, math.Float32frombits(binary.LittleEndian.Uint32(b)))
		}
		return out
	},
	"F16": func(out []float32, b []byte) []float32 {
		for ; len(b) >= 2; b = b[2:] {
			out = append(out, half(binary.LittleEndian.Uint16(b)))
		}
		return out
	},
	"BF16": func(out []float32, b []byte) []float32 {
		for ; len(b) >= 2; b = b[2:] {
			out = append(out, math.Float32frombits(uint32(binary.LittleEndian.Uint16(b))<<16))
		}
		return out
	},
	"I64": func(out []float32, b []byte) []float32 {
		for ; len(b) >= 8; b = b[8:] {
			out = append(out, float32(int64(binary.LittleEndian.Uint64(b))))
		}
		return out
	},
	"I32": func(out []float32, b []byte) []float32 {
		for ; len(b) >= 4; b = b[4:] {
			out = append(out, float32(int32(binary.LittleEndian.Uint32(b))))
		}
		return out
	},
	"I8": func(out []float32, b []byte) []float32 {
		for _, x := range b {
			out = append(out, float32(int8(x)))
		}
		return out
	},
}

// half converts an IEEE 754 binary16: a sign, 5 bits of exponent with bias 15,
// 10 of fraction.
func half(h uint16) float32 {
	sign := uint32(h>>15) << 31
	exponent, fraction := uint32(h>>10)&31, uint32(h)&1023
	switch exponent {
	case 0: // zero and subnormal: fraction * 2^-24
		return math.Float32frombits(sign | math.Float32bits(float32(fraction)/(1<<24)))
	case 31: // infinity and NaN
		return math.Float32frombits(sign | 255<<23 | fraction<<13)
	}
	return math.Float32frombits(sign | (exponent+127-15)<<23 | fraction<<13)
}
