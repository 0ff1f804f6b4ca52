package config

import (
	"slices"
	"strings"
)

// nearest returns the name that word was most likely meant to be: fewest
// edits, at most a third of the word and at most 3. "" if none is that near.
func nearest(word string, names []string) string {
	slices.Sort(names)
	best, limit := "", min(3, max(1, len(lastPart(word))/3))
	for _, name := range names {
		if d := distance(strings.ToLower(word), strings.ToLower(name)); d <= limit {
			best, limit = name, d-1
		}
	}
	return best
}

// distance counts the insertions, deletions, replacements and swaps of
// neighbours that turn a into b (optimal string alignment).
func distance(a, b string) int {
	before, last := []int(nil), make([]int, len(b)+1)
	for j := range last {
		last[j] = j
	}
	for i := range len(a) {
		row := make([]int, len(b)+1)
		row[0] = i + 1
		for j := range len(b) {
			cost := 1
			if a[i] == b[j] {
				cost = 0
			}
			row[j+1] = min(last[j]+cost, last[j+1]+1, row[j]+1)
			if i > 0 && j > 0 && a[i] == b[j-1] && a[i-1] == b[j] {
				row[j+1] = min(row[j+1], before[j-1]+1)
			}
		}
		before, last = last, row
	}
	return last[len(b)]
}

func lastPart(key string) string { return key[strings.LastIndexByte(key, '.')+1:] }

func filter(names []string, keep func(string) bool) []string {
	return slices.DeleteFunc(names, func(s string) bool { return !keep(s) })
}
