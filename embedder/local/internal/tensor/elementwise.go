package tensor

import "math"

// exp is e to the x with a relative error below 2e-7, 0 below -87: Cephes'
// expf (S. L. Moshier).
func exp(x float32) float32 {
	if !(x > -87) {
		if x != x {
			return x
		}
		return 0
	}
	if x > 88 {
		return float32(math.Inf(1))
	}
	shifted := x*math.Log2E + roundShift
	n := shifted - roundShift
	r := x - n*0.693359375 + n*2.12194440e-4
	p := float32(1.9875691500e-4)
	p = p*r + 1.3981999507e-3
	p = p*r + 8.3334519073e-3
	p = p*r + 4.1665795894e-2
	p = p*r + 1.6666665459e-1
	p = p*r + 5.0000001201e-1
	return (p*r*r + r + 1) * math.Float32frombits((math.Float32bits(shifted)+127)<<23)
}

// roundShift moves a small number to where float32 holds integers only: adding
// it rounds, and the low bits of the sum are the integer.
const roundShift = 3 << 22

// GELU replaces each x by x times the probability that a normal variable is
// below x. The error function is formula 7.1.26 of Abramowitz and Stegun, with
// an error below 2e-7.
func GELU(v []float32) {
	v = v[geluVector(v):]
	for i, x := range v {
		sign := math.Float32bits(x) & (1 << 31)
		z := math.Float32frombits(math.Float32bits(x)&^(1<<31)) * (1 / math.Sqrt2)
		t := 1 / (1 + 0.3275911*z)
		tail := ((((1.061405429*t-1.453152027)*t+1.421413741)*t-0.284496736)*t + 0.254829592) * t * exp(-z*z)
		erf := math.Float32frombits(math.Float32bits(1-tail) | sign)
		v[i] = x * 0.5 * (1 + erf)
	}
}

// GELUTanh is GELU by the formula with the hyperbolic tangent that some models
// were trained with.
func GELUTanh(v []float32) {
	for i, x := range v {
		v[i] = x / (1 + exp(-2*0.7978845608*(x+0.044715*x*x*x)))
	}
}

// ReLU replaces what is negative by 0.
func ReLU(v []float32) {
	for i, x := range v {
		v[i] = max(x, 0)
	}
}

// Softmax turns v, multiplied by scale, into probabilities.
func Softmax(v []float32, scale float32) {
	top := float32(math.Inf(-1))
	for _, x := range v {
		top = max(top, x)
	}
	for i := expVector(v, top, scale); i < len(v); i++ {
		v[i] = exp((v[i] - top) * scale)
	}
	sum := float32(0)
	for _, e := range v {
		sum += e
	}
	for i := range v {
		v[i] /= sum
	}
}

// Norm is a layer normalisation.
type Norm struct {
	Weight, Bias []float32
	Epsilon      float64
}

// Apply gives v mean 0 and variance 1, then weights and bias.
func (n Norm) Apply(v []float32) {
	var sum, squares float64
	for _, x := range v {
		sum += float64(x)
	}
	mean := sum / float64(len(v))
	for _, x := range v {
		squares += (float64(x) - mean) * (float64(x) - mean)
	}
	scale := float32(1 / math.Sqrt(squares/float64(len(v))+n.Epsilon))
	for i, x := range v {
		v[i] = (x-float32(mean))*scale*n.Weight[i] + n.Bias[i]
	}
}
