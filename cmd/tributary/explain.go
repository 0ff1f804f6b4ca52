package main

import (
	"fmt"
	"maps"
	"slices"
	"strings"

	"github.com/tributary-kb/tributary"
)

// printExplain tells how a reply came about.
func (a *app) printExplain(e *tributary.SearchExplain) {
	a.printf("\n%s\n", a.out.paint(dim, fmt.Sprintf("%s; candidates: %d by words, %d by vector; %d not current, %d below the score, %d not relevant",
		mixed(e.Mix), e.Keywords, e.Vectors, e.Dropped, e.Below, e.Irrelevant)))
	for _, kb := range slices.Sorted(maps.Keys(e.KBs)) {
		a.printf("%s\n", a.out.paint(dim, cleanLine(kb)+": "+mixed(e.KBs[kb])))
	}
	for _, old := range e.TooOld {
		a.printf("%s\n", a.out.paint(dim, fmt.Sprintf("too old (%s): %s", age(old.AgeS), cleanLine(old.URI))))
	}
	for _, field := range slices.Sorted(maps.Keys(e.Filtered)) {
		a.printf("%s\n", a.out.paint(dim, fmt.Sprintf("the filter %s kept out %d", field, e.Filtered[field])))
	}
	for _, s := range e.Steps {
		line := fmt.Sprintf("%-20s %8.1f ms", s.Step, s.MS)
		if s.Tokens > 0 {
			line += fmt.Sprintf(" %d tokens", s.Tokens)
		}
		a.printf("%s\n", a.out.paint(dim, line))
	}
}

func mixed(m tributary.Mix) string {
	return fmt.Sprintf("alpha %.2f, %s fusion, document weight %.2f", m.Alpha, m.Fusion, m.DocumentWeight)
}

// reasons is how a hit came to its rank, in one line.
func reasons(e *tributary.HitExplain) string {
	parts := []string{}
	if e.Keyword != nil {
		parts = append(parts, fmt.Sprintf("words %.2f (#%d)", *e.Keyword, e.KeywordRank))
	}
	if e.Vector != nil {
		parts = append(parts, fmt.Sprintf("vector %.3f (#%d)", *e.Vector, e.VectorRank))
	}
	parts = append(parts, fmt.Sprintf("fused %.3f", e.Fused))
	if e.Document != nil {
		parts = append(parts, fmt.Sprintf("document %.3f", *e.Document))
	}
	if e.Rerank != nil {
		parts = append(parts, fmt.Sprintf("reranked %.3f", *e.Rerank))
	}
	if e.Recency != nil {
		parts = append(parts, fmt.Sprintf("× recency %.2f", *e.Recency))
	}
	parts = append(parts, fmt.Sprintf("relevance %.2f", e.Relevance))
	parts = append(parts, fmt.Sprintf("written by version %d", e.Birth))
	if len(e.Merged) > 0 {
		parts = append(parts, fmt.Sprintf("%d merged", len(e.Merged)))
	}
	return strings.Join(parts, " · ")
}
