package main

import (
	"errors"
	"fmt"
	"os"
	"runtime"
	"slices"
	"strings"
	"time"
)

// The lines between which -o replaces what a page holds.
const (
	blockBegin = "<!-- bench:begin -->"
	blockEnd   = "<!-- bench:end -->"
)

// replaceBlock puts text between the marks of a file.
func replaceBlock(path, text string) error {
	page, err := os.ReadFile(path)
	if err != nil {
		return err
	}
	replaced, err := spliceBlock(string(page), text)
	if err != nil {
		return fmt.Errorf("%s: %w", path, err)
	}
	return os.WriteFile(path, []byte(replaced), 0o644) //nolint:gosec // a page of the documentation
}

func spliceBlock(page, text string) (string, error) {
	before, rest, begins := strings.Cut(page, blockBegin)
	_, after, ends := strings.Cut(rest, blockEnd)
	if !begins || !ends {
		return "", errors.New("it has no line " + blockBegin + " followed by " + blockEnd)
	}
	return before + blockBegin + "\n\n" + strings.TrimSpace(text) + "\n\n" + blockEnd + after, nil
}

// page writes the chosen sections.
func (b *bench) page() string {
	var text strings.Builder
	text.WriteString(b.environmentText())
	for _, s := range sections {
		if b.wants(s.name) {
			fmt.Fprintf(&text, "\n## %s\n\n    go run ./internal/bench -section %s\n\n%s", s.title, s.name, s.text(&b.results))
		}
	}
	return text.String()
}

func (b *bench) environmentText() string {
	e, load := b.results.environment, b.results.load
	rows := [][]string{
		{"date", e.date},
		{"machine", e.machine},
		{"load average at the start", e.load},
		{"Go, NATS server, Weaviate", strings.Join([]string{runtime.Version(), e.nats, e.server}, ", ")},
		{"embedder", "`" + b.model.Fingerprint() + "`"},
	}
	if load.documents > 0 {
		rows = append(rows, []string{"corpus", fmt.Sprintf("%s: %s documents, %s bytes, %s chunks", b.corpus.name,
			count(load.documents), count(b.corpus.bytes), count(load.chunks))})
	}
	return table([]string{"", ""}, rows)
}

func throughputText(r *results) string {
	return table([]string{"", "chunks", "seconds", "chunks/s"}, [][]string{
		{"from the first publication to the last commit", count(r.load.chunks), seconds(r.load.committed), decimal(r.load.rate())},
		{"Weaviate alone, the same objects", count(r.bare.objects), seconds(r.bare.took), decimal(r.bare.rate())},
		{"ratio", "", "", fmt.Sprintf("%.2f", r.load.rate()/r.bare.rate())},
	}) + fmt.Sprintf("\nThe client had its last receipt after %s s: %s documents/s were accepted, %s documents/s committed.\n",
		seconds(r.load.accepted), decimal(perSecond(r.load.documents, r.load.accepted)), decimal(perSecond(r.load.documents, r.load.committed)))
}

func cpuText(r *results) string {
	per := func(d time.Duration, n int) string { return fmt.Sprintf("%.2f", d.Seconds()*1000/float64(max(n, 1))) }
	load, bare := r.load, r.bare
	return table([]string{"CPU seconds per 1,000 chunks", "tributary, NATS included", "Weaviate", "client"}, [][]string{
		{"pipeline, until the last commit", per(load.spent.tributary, load.chunks), per(load.spent.weaviate, load.chunks), "not counted"},
		{"pipeline, what follows until all is quiet", per(load.later.tributary, load.chunks), per(load.later.weaviate, load.chunks), ""},
		{"import alone, until the last reply", per(bare.spent.tributary, bare.objects), per(bare.spent.weaviate, bare.objects), per(bare.client, bare.objects)},
		{"import alone, what follows", per(bare.later.tributary, bare.objects), per(bare.later.weaviate, bare.objects), ""},
	})
}

func freshnessText(r *results) string {
	row := func(name string, f freshnessResult) []string {
		return []string{
			name, count(len(f.times)), fmt.Sprintf("%d of %d", f.found, len(f.times)),
			millis(percentile(f.receipt, 50)), millis(percentile(f.times, 50)), millis(percentile(f.times, 99)), millis(percentile(f.times, 100)),
		}
	}
	return table([]string{"ms from add to hit", "n", "first hit is the change", "receipt p50", "p50", "p99", "max"}, [][]string{
		row("edit of a document", r.edits),
		row("new document", r.added),
	})
}

func queryText(r *results) string {
	row := func(name string, times []time.Duration) []string {
		return []string{name, count(len(times)), millis(percentile(times, 50)), millis(percentile(times, 99)), millis(percentile(times, 100))}
	}
	q := r.query
	n := max(len(q.search), 1)
	return table([]string{"ms per query", "n", "p50", "p99", "max"}, [][]string{
		row(fmt.Sprintf("`search` through NATS, k = %d", queryK), q.search),
		row(fmt.Sprintf("Weaviate alone, the same text and vector, limit %d", queryK), q.bare),
		row(fmt.Sprintf("Weaviate alone, limit %d, as the query worker asks", queryCandidates), q.wide),
	}) + fmt.Sprintf("\nA search returned %.1f hits on average and took %.1f ms of CPU time in tributary and %.1f ms in Weaviate.\n",
		float64(q.hits)/float64(n), q.cpu.tributary.Seconds()*1000/float64(n), q.cpu.weaviate.Seconds()*1000/float64(n))
}

func memoryText(r *results) string {
	mib := func(bytes int64) string { return fmt.Sprintf("%d", bytes>>20) }
	row := func(name string, m memoryResult) []string {
		return []string{name, mib(m.tributary.now), mib(m.tributary.peak), mib(m.weaviate.now), mib(m.weaviate.peak)}
	}
	return table([]string{"MiB", "tributary now", "peak", "Weaviate now", "peak"}, [][]string{
		row("idle after the start", r.idle),
		row("idle after the load", r.loaded),
	})
}

func readdText(r *results) string {
	a := r.again
	return table([]string{"", ""}, [][]string{
		{"documents", count(a.load.documents)},
		{"documents/s", decimal(perSecond(a.load.documents, a.load.committed))},
		{"texts embedded", count(a.embedded)},
		{"objects before", count(a.objects)},
		{"objects written", count(a.written)},
		{"objects removed", count(a.removed)},
		{"CPU seconds per 1,000 documents: tributary, Weaviate", fmt.Sprintf("%.2f, %.2f",
			a.load.spent.tributary.Seconds()*1000/float64(max(a.load.documents, 1)),
			a.load.spent.weaviate.Seconds()*1000/float64(max(a.load.documents, 1)))},
	})
}

func lanesText(r *results) string {
	both := func(times []time.Duration) string {
		return millis(percentile(times, 50)) + ", " + millis(percentile(times, 99))
	}
	row := func(name string, e editTimes) []string {
		return []string{name, count(len(e.hit)), both(e.accepted), both(e.committed), both(e.hit), millis(percentile(e.hit, 100))}
	}
	return table([]string{"ms from write, p50 and p99", "n", "accepted", "committed", "found", "max"}, [][]string{
		row("idle", r.lanes.idle),
		row(fmt.Sprintf("while %s documents are loaded", count(r.lanes.documents)), r.lanes.loading),
	}) + fmt.Sprintf("\nLoading took %s s, %s documents/s.\n", seconds(r.lanes.took), decimal(perSecond(r.lanes.documents, r.lanes.took)))
}

// table writes a Markdown table; columns but the first are figures.
func table(head []string, rows [][]string) string {
	var text strings.Builder
	line := func(cells []string) { fmt.Fprintf(&text, "| %s |\n", strings.Join(cells, " | ")) }
	line(head)
	align := slices.Repeat([]string{"---:"}, len(head))
	align[0] = "---"
	if len(head) == 2 {
		align[1] = "---"
	}
	line(align)
	for _, row := range rows {
		line(row)
	}
	return text.String()
}

// percentile returns the smallest time that p of 100 do not exceed, 0 for
// none.
func percentile(times []time.Duration, p int) time.Duration {
	if len(times) == 0 {
		return 0
	}
	sorted := slices.Sorted(slices.Values(times))
	return sorted[max((len(sorted)*p+99)/100, 1)-1]
}

func millis(d time.Duration) string { return fmt.Sprintf("%.1f", d.Seconds()*1000) }

func seconds(d time.Duration) string { return fmt.Sprintf("%.1f", d.Seconds()) }

func decimal(x float64) string { return count(int(x + 0.5)) }

// count writes n with a comma at the thousands.
func count(n int) string {
	if n < 1000 {
		return fmt.Sprint(n)
	}
	return fmt.Sprintf("%s,%03d", count(n/1000), n%1000)
}
