package eval

import (
	"fmt"
	"io"
	"text/tabwriter"
	"time"
)

// A Report is one or two runs on a Dataset. The second is compared with the
// first.
type Report struct {
	Dataset   string    `json:"dataset"`
	Documents int       `json:"documents"`
	Queries   int       `json:"queries"`
	At        time.Time `json:"at"`
	Runs      []Run     `json:"runs"`
	Lines     []Line    `json:"metrics"`
}

// A Line is one metric of the runs.
type Line struct {
	Metric string     `json:"metric"`
	Runs   []Interval `json:"runs"`
	// Difference is second minus first, over the queries of both.
	Difference *Interval `json:"difference,omitempty"`
}

// Significant reports whether the interval excludes 0.
func (i Interval) Significant() bool { return i.Low > 0 || i.High < 0 }

// NewReport sums up runs.
func NewReport(name string, set Dataset, runs []Run, at time.Time) Report {
	r := Report{Dataset: name, Documents: len(set.Documents), Queries: len(set.Queries), At: at, Runs: runs}
	for _, m := range Metrics {
		line := Line{Metric: m.Name}
		applies := false
		for _, run := range runs {
			values := run.Values(m)
			applies = applies || len(values) > 0
			line.Runs = append(line.Runs, Bootstrap(values))
		}
		if !applies {
			continue
		}
		if len(runs) == 2 {
			d := Difference(paired(runs[0], runs[1], m))
			line.Difference = &d
		}
		r.Lines = append(r.Lines, line)
	}
	return r
}

// WriteTable writes the report for people.
func (r Report) WriteTable(w io.Writer) error {
	fmt.Fprintf(w, "%s: %d documents, %d queries; 95 %% bootstrap intervals\n\n", r.Dataset, r.Documents, r.Queries)
	tw := tabwriter.NewWriter(w, 0, 4, 2, ' ', 0)
	fmt.Fprint(tw, "METRIC")
	for _, run := range r.Runs {
		fmt.Fprintf(tw, "\t%s", run.Name)
	}
	if len(r.Runs) == 2 {
		fmt.Fprint(tw, "\tDIFFERENCE")
	}
	for _, line := range r.Lines {
		fmt.Fprintf(tw, "\n%s", line.Metric)
		for _, i := range line.Runs {
			fmt.Fprintf(tw, "\t%.3f [%.3f, %.3f]", i.Mean, i.Low, i.High)
		}
		if d := line.Difference; d != nil {
			fmt.Fprintf(tw, "\t%+.3f [%+.3f, %+.3f]%s", d.Mean, d.Low, d.High, map[bool]string{true: " *"}[d.Significant()])
		}
	}
	for _, p := range []int{50, 99} {
		fmt.Fprintf(tw, "\nms, p%d", p)
		for _, run := range r.Runs {
			fmt.Fprintf(tw, "\t%.1f", 1000*run.Latency(p))
		}
	}
	fmt.Fprintln(tw)
	if err := tw.Flush(); err != nil {
		return err
	}
	if len(r.Runs) == 2 {
		fmt.Fprintln(w, "\n* the interval of the paired difference excludes 0")
	}
	return nil
}
