// Package tensor is the arithmetic of transformer encoders on float32:
// matrices are multiplied in tiles of 4 by 16, by AVX2 and FMA where the
// processor has them, by NEON on arm64.
package tensor

// The tile that the kernel computes, and how many products it sums at once:
// 512 rows of a panel are 32 KB, which stays in the first cache.
const (
	tileRows = 4
	tileCols = 16
	depth    = 512
)

// Packed is the right-hand matrix of a product, in panels of tileCols columns:
// what the kernel reads next lies beside what it has read. The zero value is
// ready to be filled, and may be filled again.
type Packed struct {
	k, n int
	data []float32 // ceil(n/16) panels of k rows of 16
}

func (p *Packed) resize(k, n int) {
	p.k, p.n = k, n
	size := (n + tileCols - 1) / tileCols * tileCols * k
	if cap(p.data) < size {
		p.data = make([]float32, size)
	}
	p.data = p.data[:size]
	if n%tileCols != 0 {
		clear(p.data[n/tileCols*tileCols*k:])
	}
}

// Pack holds the k by n matrix whose rows lie stride apart in w.
func (p *Packed) Pack(w []float32, k, n, stride int) {
	p.resize(k, n)
	for row := range k {
		from := w[row*stride:][:n]
		for at := row * tileCols; len(from) > 0; at += k * tileCols {
			from = from[copy(p.data[at:][:tileCols], from):]
		}
	}
}

// PackTransposed holds the k by n matrix whose columns lie stride apart in w:
// the weights of a linear layer as PyTorch keeps them.
func (p *Packed) PackTransposed(w []float32, k, n, stride int) {
	p.resize(k, n)
	for col := range n {
		to := p.data[col/tileCols*tileCols*k+col%tileCols:]
		for row, x := range w[col*stride:][:k] {
			to[row*tileCols] = x
		}
	}
}

// MulAdd adds the product of a, of m rows that lie strideA apart, and b to c,
// whose rows lie strideC apart.
func MulAdd(c []float32, strideC int, a []float32, strideA, m int, b *Packed) {
	for from := 0; from < b.k; from += depth {
		k := min(depth, b.k-from)
		for col := 0; col < b.n; col += tileCols {
			panel := b.data[col*b.k+from*tileCols:][:k*tileCols]
			for row := 0; row < m; row += tileRows {
				left, right := a[row*strideA+from:], c[row*strideC+col:]
				mulTile(right, strideC, left, strideA, min(tileRows, m-row), min(tileCols, b.n-col), k, panel)
			}
		}
	}
}

// mulTile adds one tile, of fewer rows or columns at the edges: the kernel
// then works on a copy.
func mulTile(c []float32, strideC int, a []float32, strideA, rows, cols, k int, panel []float32) {
	var left, right [tileRows][]float32
	for i := range left {
		at := min(i, rows-1)
		left[i] = a[at*strideA:][:k]
	}
	if rows == tileRows && cols == tileCols {
		for i := range right {
			right[i] = c[i*strideC:][:tileCols]
		}
		kernel(k, &left, &right, panel)
		return
	}
	var edge [tileRows * tileCols]float32
	for i := range right {
		right[i] = edge[i*tileCols:][:tileCols]
		if i < rows {
			copy(right[i], c[i*strideC:][:cols])
		}
	}
	kernel(k, &left, &right, panel)
	for i := range rows {
		copy(c[i*strideC:][:cols], right[i])
	}
}

// kernelGo adds to the 16 elements of each row of c the products of k elements
// of the same row of a with the k rows of the panel.
func kernelGo(k int, a, c *[tileRows][]float32, panel []float32) {
	for r := range tileRows {
		sum := (*[tileCols]float32)(c[r])
		for i, x := range a[r][:k] {
			for j, y := range (*[tileCols]float32)(panel[i*tileCols:]) {
				sum[j] += x * y
			}
		}
	}
}
