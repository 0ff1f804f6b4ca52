package eval

import (
	"math/rand/v2"
	"slices"
)

// resamples is how often a bootstrap draws. The ends of a 95 % interval then
// move by less than a fiftieth of its width from seed to seed.
const resamples = 10_000

// Interval is a mean with the bounds of its 95 % bootstrap interval.
type Interval struct {
	Mean, Low, High float64
}

// Mean is the mean of values, 0 for none.
func Mean(values []float64) float64 {
	sum := 0.0
	for _, v := range values {
		sum += v
	}
	if len(values) == 0 {
		return 0
	}
	return sum / float64(len(values))
}

// Bootstrap returns the mean of values, one per query, and the percentile
// interval over queries drawn with replacement. The same values give the same
// interval. For no value it is zero.
func Bootstrap(values []float64) Interval {
	if len(values) == 0 {
		return Interval{}
	}
	random := rand.New(rand.NewPCG(1, 2)) // repeatable on purpose
	means := make([]float64, resamples)
	for i := range means {
		sum := 0.0
		for range values {
			sum += values[random.IntN(len(values))]
		}
		means[i] = sum / float64(len(values))
	}
	slices.Sort(means)
	return Interval{Mean: Mean(values), Low: means[resamples*25/1000], High: means[resamples*975/1000]}
}

// Difference compares two systems on the same queries, in the same order:
// the interval is that of b − a. The difference is significant at the 5 %
// level where it excludes 0. It panics if the lengths differ.
func Difference(a, b []float64) Interval {
	if len(a) != len(b) {
		panic("eval: the two systems did not answer the same queries")
	}
	differences := make([]float64, len(a))
	for i := range a {
		differences[i] = b[i] - a[i]
	}
	return Bootstrap(differences)
}
