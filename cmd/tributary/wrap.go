package main

import (
	"strings"

	"github.com/rivo/uniseg"
)

// wrap breaks text into lines of at most width columns, at white space where
// it can. The text's own line breaks and the indentation of its lines stay;
// runs of empty lines become one.
func wrap(text string, width int) []string {
	var lines []string
	for line := range strings.SplitSeq(strings.TrimRight(text, " \t\n"), "\n") {
		line = strings.TrimRight(strings.ReplaceAll(line, "\t", "    "), " ")
		if line == "" && (len(lines) == 0 || lines[len(lines)-1] == "") {
			continue
		}
		lines = append(lines, wrapLine(line, width)...)
	}
	return lines
}

func wrapLine(line string, width int) []string {
	if uniseg.StringWidth(line) <= width {
		return []string{line}
	}
	indent := line[:len(line)-len(strings.TrimLeft(line, " "))]
	if len(indent) > width/2 {
		indent = ""
	}
	var lines []string
	current := indent
	for _, word := range strings.Fields(line) {
		joined := current + " " + word
		if current == indent {
			joined = indent + word
		}
		if uniseg.StringWidth(joined) <= width {
			current = joined
			continue
		}
		if current != indent {
			lines = append(lines, current)
		}
		pieces := breakWord(indent+word, width)
		lines = append(lines, pieces[:len(pieces)-1]...)
		current = pieces[len(pieces)-1]
	}
	return append(lines, current)
}

// breakWord cuts a word that is wider than a line between what is seen as
// characters. Text without spaces, such as Chinese, comes here too.
func breakWord(word string, width int) []string {
	var lines []string
	var current strings.Builder
	used := 0
	for g := uniseg.NewGraphemes(word); g.Next(); {
		if used > 0 && used+g.Width() > width {
			lines = append(lines, current.String())
			current.Reset()
			used = 0
		}
		current.WriteString(g.Str())
		used += g.Width()
	}
	return append(lines, current.String())
}

// firstLines returns at most n lines, the last one marked if some are left out.
func firstLines(lines []string, n int) []string {
	if n <= 0 || len(lines) <= n {
		return lines
	}
	lines = append([]string(nil), lines[:n]...)
	lines[n-1] += " ..."
	return lines
}
