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
	// Judged holds the opinions of a model, for the runs that have some.
	Judged []Judgement `json:"judged,omitempty"`
}

// A Line is one metric of the runs.
type Line struct {
	Metric string     `json:"metric"`
	Runs   []Interval `json:"runs"`
	// Difference is second minus first, over the queries of both.
	Difference *Interval `json:"difference,omitempty"`
}

// String is the mean with its bounds.
func (i Interval) String() string { return fmt.Sprintf("%.3f [%.3f, %.3f]", i.Mean, i.Low, i.High) }

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
	for _, run := range runs {
		if j, ok := judgement(run); ok {
			r.Judged = append(r.Judged, j)
		}
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
			fmt.Fprintf(tw, "\t%s", i)
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
	for _, j := range r.Judged {
		if _, err := fmt.Fprintln(w, "\n"+j.String()); err != nil {
			return err
		}
	}
	return nil
}

// String is the judgement in words.
func (j Judgement) String() string {
	s := fmt.Sprintf("%s, in the opinion of %s (%d answers): correct %s, grounded %s.\nIt agrees with token F1 ≥ %.1f on %.3f of them, kappa %.3f.",
		j.Run, j.Judge, j.Judged, j.Correct, j.Grounded, agreeF1, j.Agreement, j.Kappa)
	if j.Unread > 0 {
		s += fmt.Sprintf(" %d replies were no opinion.", j.Unread)
	}
	return s
}
