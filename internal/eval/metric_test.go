package eval

import (
	"math"
	"strings"
	"testing"
)

func TestMetricsOfAHandMadeRanking(t *testing.T) {
	judged := Judgements{"a": 3, "b": 1, "c": 0}
	ranked := strings.Fields("x b b c a")
	for _, test := range []struct {
		name      string
		got, want float64
	}{
		{"nDCG@3: b at 2, a not reached", NDCG(ranked, judged, 3), (1 / math.Log2(3)) / (3 + 1/math.Log2(3))},
		{"nDCG@10: a at 4, for the second b does not count", NDCG(ranked, judged, 10), (1/math.Log2(3) + 3/math.Log2(5)) / (3 + 1/math.Log2(3))},
		{"nDCG of the best ranking", NDCG([]string{"a", "b"}, judged, 10), 1},
		{"nDCG of nothing", NDCG(nil, judged, 10), 0},
		{"nDCG where nothing is relevant", NDCG(ranked, Judgements{"c": 0}, 10), 0},
		{"recall@2", Recall(ranked, judged, 2), .5},
		{"recall@4", Recall(ranked, judged, 4), 1},
		{"recall where nothing is relevant", Recall(ranked, nil, 4), 0},
		{"reciprocal rank", ReciprocalRank(ranked, judged, 10), .5},
		{"reciprocal rank beyond k", ReciprocalRank(ranked, judged, 1), 0},
		{"average precision", AveragePrecision(ranked, judged), (1./2 + 2./4) / 2},
		{"average precision of half", AveragePrecision([]string{"b"}, judged), .5},
		{"AUC", AUC([]float64{1, 2}, []float64{0, 1}), (1 + 1 + .5 + 1) / 4},
	} {
		if math.Abs(test.got-test.want) > 1e-12 {
			t.Errorf("%s: %v, want %v", test.name, test.got, test.want)
		}
	}
}

func TestBootstrapTellsNoiseFromADifference(t *testing.T) {
	var a, better, same []float64
	for i := range 100 {
		x := float64(i%10) / 10
		a = append(a, x)
		better = append(better, x+.05+float64(i%3)/100)
		same = append(same, x+float64(i%2)*.1-.05)
	}
	if d := Difference(a, better); d.Low <= 0 || d.Mean < d.Low || d.Mean > d.High {
		t.Errorf("of a system that is always better: %+v, want an interval above 0 around its mean", d)
	}
	if d := Difference(a, same); d.Low > 0 || d.High < 0 {
		t.Errorf("of a system as often better as worse: %+v, want an interval around 0", d)
	}
	if Bootstrap(a) != Bootstrap(a) {
		t.Error("the same values gave two intervals")
	}
	if got := Bootstrap(nil); got != (Interval{}) {
		t.Errorf("of no value: %+v", got)
	}
}
