package tensor

import (
	"fmt"
	"math"
	"math/rand/v2"
	"testing"
)

func random(r *rand.Rand, n int) []float32 {
	v := make([]float32, n)
	for i := range v {
		v[i] = float32(r.NormFloat64())
	}
	return v
}

// The product is what the definition says, whatever the sizes, and nothing
// beside it is touched.
func TestProductsAreThoseOfTheDefinition(t *testing.T) {
	r := rand.New(rand.NewPCG(1, 2))
	sizes := [][3]int{{1, 1, 1}, {4, 16, 8}, {5, 17, 3}, {3, 31, 513}, {9, 33, 1025}, {64, 64, 64}}
	for range 40 {
		sizes = append(sizes, [3]int{1 + r.IntN(20), 1 + r.IntN(70), 1 + r.IntN(90)})
	}
	for _, s := range sizes {
		m, n, k := s[0], s[1], s[2]
		strideA, strideC, strideB := k+r.IntN(3), n+r.IntN(3), n+r.IntN(3)
		a, b, c := random(r, m*strideA), random(r, k*strideB), random(r, m*strideC)
		want := append([]float32(nil), c...)
		transposed := make([]float32, n*k)
		for i := range m {
			for j := range n {
				sum := float64(c[i*strideC+j])
				for p := range k {
					sum += float64(a[i*strideA+p]) * float64(b[p*strideB+j])
					transposed[j*k+p] = b[p*strideB+j]
				}
				want[i*strideC+j] = float32(sum)
			}
		}
		again := append([]float32(nil), c...)
		var packed Packed
		packed.Pack(b, k, n, strideB)
		MulAdd(c, strideC, a, strideA, m, &packed)
		compare(t, fmt.Sprint(s), c, want, 1e-4)
		packed.PackTransposed(transposed, k, n, k)
		MulAdd(again, strideC, a, strideA, m, &packed)
		compare(t, fmt.Sprint(s, " transposed"), again, want, 1e-4)
	}
}

func compare(t *testing.T, name string, got, want []float32, tolerance float64) {
	t.Helper()
	for i := range want {
		if !(math.Abs(float64(got[i]-want[i])) <= tolerance*(1+math.Abs(float64(want[i])))) {
			t.Fatalf("%s: element %d is %v, want %v", name, i, got[i], want[i])
		}
	}
}

// Where there is a faster kernel it computes what the one in Go does.
func TestKernelsAgree(t *testing.T) {
	r := rand.New(rand.NewPCG(3, 4))
	for _, k := range []int{1, 2, 7, 64, 511} {
		var a, fast, slow [tileRows][]float32
		for i := range a {
			a[i], fast[i] = random(r, k), random(r, tileCols)
			slow[i] = append([]float32(nil), fast[i]...)
		}
		panel := random(r, k*tileCols)
		kernel(k, &a, &fast, panel)
		kernelGo(k, &a, &slow, panel)
		for i := range fast {
			compare(t, fmt.Sprint(k, " products, row ", i), fast[i], slow[i], 1e-4)
		}
	}
}

func TestFunctionsAreThoseOfMath(t *testing.T) {
	for x := -100.0; x < 88; x += 0.0137 {
		if got, want := exp(float32(x)), math.Exp(float64(float32(x))); math.Abs(float64(got)-want) > 3e-7*want+1e-37 {
			t.Fatalf("exp(%v) is %v, want %v", x, got, want)
		}
	}
	for _, c := range []struct {
		name string
		f    func([]float32)
		want func(float64) float64
	}{
		{"GELU", GELU, func(x float64) float64 { return x * (1 + math.Erf(x/math.Sqrt2)) / 2 }},
		{"GELUTanh", GELUTanh, func(x float64) float64 {
			return x * (1 + math.Tanh(math.Sqrt(2/math.Pi)*(x+0.044715*x*x*x))) / 2
		}},
		{"ReLU", ReLU, func(x float64) float64 { return max(x, 0) }},
	} {
		for x := -12.0; x < 12; x += 0.0113 {
			v := make([]float32, 9) // more than are computed at a time
			for i := range v {
				v[i] = float32(x)
			}
			c.f(v)
			for i, got := range v {
				if want := c.want(float64(float32(x))); !(math.Abs(float64(got)-want) <= 1e-6) {
					t.Fatalf("%s(%v) is %v at %d, want %v", c.name, x, got, i, want)
				}
			}
		}
	}
}

// Whatever the length, each number is computed once, and nothing beside them.
func TestFunctionsOfAnyLength(t *testing.T) {
	r := rand.New(rand.NewPCG(5, 6))
	for n := range 35 {
		v := random(r, n+1)
		want, beside := append([]float32(nil), v[:n]...), v[n]
		for i, x := range want {
			want[i] = float32(float64(x) * (1 + math.Erf(float64(x)/math.Sqrt2)) / 2)
		}
		GELU(v[:n])
		compare(t, fmt.Sprint("GELU of ", n), v[:n], want, 1e-6)
		top, sum := math.Inf(-1), 0.0
		for _, x := range v[:n] {
			top = max(top, float64(x))
		}
		for i, x := range v[:n] {
			want[i] = float32(math.Exp((float64(x) - top) * 3))
			sum += float64(want[i])
		}
		for i := range want {
			want[i] /= float32(sum)
		}
		Softmax(v[:n], 3)
		compare(t, fmt.Sprint("softmax of ", n), v[:n], want, 1e-6)
		if v[n] != beside {
			t.Fatalf("of %d numbers, the one behind them was changed", n)
		}
	}
}

// Where exp says 0 and what it says just above is the same for all lengths.
func TestExponentialsOfLargeNegativeNumbers(t *testing.T) {
	for _, x := range []float32{0, -1e-7, -1, -86.9, -87, -88, -1000, float32(math.Inf(-1))} {
		v := make([]float32, 16)
		for i := range v {
			v[i] = x
		}
		for i := expVector(v, 0, 1); i > 0; i-- {
			if got, want := v[i-1], exp(x); math.Abs(float64(got-want)) > 3e-7*float64(want) {
				t.Errorf("exp(%v) is %v, want %v", x, got, want)
			}
		}
	}
}

func TestSoftmaxSurvivesLargeNumbers(t *testing.T) {
	v := []float32{1000, 1000, -1000, 998}
	Softmax(v, 0.5)
	e := float32(math.Exp(-1))
	compare(t, "softmax", v, []float32{1 / (2 + e), 1 / (2 + e), 0, e / (2 + e)}, 1e-6)
}

func TestNormGivesMeanAndVariance(t *testing.T) {
	v := []float32{1, 3}
	Norm{Weight: []float32{2, 2}, Bias: []float32{1, 1}}.Apply(v)
	compare(t, "norm", v, []float32{-1, 3}, 1e-6)
}

// BenchmarkMulAdd is the widest product of a 6x384 encoder, for 128 tokens.
func BenchmarkMulAdd(b *testing.B) {
	r := rand.New(rand.NewPCG(1, 2))
	const m, n, k = 128, 1536, 384
	var w Packed
	w.PackTransposed(random(r, n*k), k, n, k)
	a, c := random(r, m*k), make([]float32, m*n)
	for b.Loop() {
		MulAdd(c, n, a, k, m, &w)
	}
	b.ReportMetric(2*m*n*k*float64(b.N)/b.Elapsed().Seconds()/1e9, "GFLOP/s")
}

func BenchmarkGELU(b *testing.B) {
	v := random(rand.New(rand.NewPCG(1, 2)), 4096)
	w := make([]float32, len(v))
	for b.Loop() {
		copy(w, v)
		GELU(w)
	}
}
