package eval

import (
	_ "embed"
	"fmt"
	"html/template"
	"io"
	"slices"
)

//go:embed report.html
var reportHTML string

var page = template.Must(template.New("report").Funcs(template.FuncMap{
	"bar":  func(v float64) string { return fmt.Sprintf("%.1f", barWidth*v) },
	"num":  func(v float64) string { return fmt.Sprintf("%.3f", v) },
	"sign": func(v float64) string { return fmt.Sprintf("%+.3f", v) },
	"ms":   func(v float64) string { return fmt.Sprintf("%.1f", 1000*v) },
}).Parse(reportHTML))

const (
	barWidth    = 320 // pixels of a metric that is 1
	deltaHeight = 90  // pixels of a difference of 1
	deltaWidth  = 640
)

// A delta is a bar of the plot that compares two runs query by query.
type delta struct {
	ID         string
	Value      float64 // of nDCG@10, −1 to 1
	X, Y, W, H float64
	Better     bool
}

// WriteHTML writes the report as one page that needs nothing else.
func (r Report) WriteHTML(w io.Writer) error {
	return page.Execute(w, struct {
		Report
		Deltas []delta
	}{r, r.deltas()})
}

// deltas are the differences of nDCG@10 per query, the greatest loss first.
func (r Report) deltas() []delta {
	if len(r.Runs) != 2 {
		return nil
	}
	other := map[string]float64{}
	for _, q := range r.Runs[0].Results {
		other[q.ID] = q.NDCG
	}
	var out []delta
	for _, q := range r.Runs[1].Results {
		if before, ok := other[q.ID]; ok {
			out = append(out, delta{ID: q.ID, Value: q.NDCG - before})
		}
	}
	slices.SortStableFunc(out, func(a, b delta) int {
		switch {
		case a.Value < b.Value:
			return -1
		case a.Value > b.Value:
			return 1
		}
		return 0
	})
	width := float64(deltaWidth) / float64(max(len(out), 1))
	for i := range out {
		d := &out[i]
		d.Better = d.Value > 0
		d.X, d.W = float64(i)*width, max(width-.5, .5)
		d.H = deltaHeight * max(d.Value, -d.Value)
		d.Y = deltaHeight - d.H
		if !d.Better {
			d.Y = deltaHeight
		}
	}
	return out
}
