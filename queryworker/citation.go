package queryworker

import (
	"regexp"
	"slices"
	"strconv"
	"strings"

	"github.com/tributary-kb/tributary"
)

// mark is a citation as a generator writes it: [2], or [2, 3].
var mark = regexp.MustCompile(`\[[0-9]{1,6}(?:[ \t]*,[ \t]*[0-9]{1,6})*\]`)

// Models write citations in other forms too, whatever they were told: those
// that were trained to browse 【2】 or 【2†L1-L4】, others [1-3] or [1; 2].
var (
	lenticular = regexp.MustCompile(`【([0-9]{1,6}(?:[ \t]*[,;–-][ \t]*[0-9]{1,6})*)(?:†[^【】\n]{0,100})?】`)
	manyMarks  = regexp.MustCompile(`\[[0-9]{1,6}(?:[ \t]*[,;–-][ \t]*[0-9]{1,6})+\]`)
)

// plainMarks writes citations of other forms as marks. A list with a number
// that is not known may be something else, such as a span of years, and stays.
func plainMarks(text string, known func(n int) bool) string {
	return outsideCode(text, func(part string) string {
		part = lenticular.ReplaceAllString(part, "[$1]")
		return manyMarks.ReplaceAllStringFunc(part, func(m string) string {
			if numbers := listed(m[1:len(m)-1], known); numbers != nil {
				return "[" + strings.Join(numbers, ", ") + "]"
			}
			return m
		})
	})
}

// listed returns the known numbers of "1, 3-5"; nil if one that stands there is
// not known.
func listed(list string, known func(n int) bool) []string {
	var numbers []string
	for item := range strings.SplitSeq(strings.NewReplacer(";", ",", "–", "-").Replace(list), ",") {
		first, last, isRange := strings.Cut(item, "-")
		from, err := strconv.Atoi(strings.TrimSpace(first))
		to := from
		if err == nil && isRange {
			to, err = strconv.Atoi(strings.TrimSpace(last))
		}
		if err != nil || from > to || !known(from) || !known(to) {
			return nil
		}
		for n := from; n <= to; n++ {
			if known(n) {
				numbers = append(numbers, strconv.Itoa(n))
			}
		}
	}
	return numbers
}

// check takes out of text the links that lead to no document it cites, and the
// citations of passages that do not exist. Either can join what stands around
// it into the other, so both are repeated until nothing changes.
func check(text string, passages []Passage) tributary.Answer {
	var removed []string
	answer := cite(plainMarks(text, func(n int) bool { return len(named(passages, []int{n})) > 0 }), passages)
	for range maxUnlink {
		allowed := make([]string, len(answer.Citations))
		for i, c := range answer.Citations {
			allowed[i] = c.URI
		}
		next, links := unlink(answer.Answer, allowed)
		removed = append(removed, links...)
		if next == answer.Answer {
			break
		}
		answer = cite(next, passages)
	}
	slices.Sort(removed)
	answer.RemovedLinks = slices.Compact(removed)
	return answer
}

// cite checks the citations of text against the passages: a number that names
// none of them is taken out of the text, the others are listed. Brackets in
// code are code.
func cite(text string, passages []Passage) tributary.Answer {
	byN := make(map[int]Passage, len(passages))
	for _, p := range passages {
		byN[p.N] = p
	}
	var cited []int
	checked := replaceMarks(text, func(n int) bool {
		_, ok := byN[n]
		if ok {
			cited = append(cited, n)
		}
		return ok
	})
	slices.Sort(cited)
	answer := tributary.Answer{Answer: strings.TrimSpace(checked), Citations: []tributary.Citation{}}
	for _, n := range slices.Compact(cited) {
		answer.Citations = append(answer.Citations, citation(byN[n]))
	}
	return answer
}

func citation(p Passage) tributary.Citation {
	return tributary.Citation{
		N:        p.N,
		URI:      p.URI,
		Title:    p.Title,
		Text:     p.Text,
		Version:  p.Version,
		Document: p.Document,
		Location: p.Location,
		KB:       p.KB,
		Verified: p.Verified,
	}
}

// replaceMarks writes each mark outside code as [n] for each of its numbers
// that is known. A mark of which nothing remains goes with the blanks before it.
func replaceMarks(text string, known func(n int) bool) string {
	var out strings.Builder
	code := codeSpans(text)
	done := 0
	for _, at := range mark.FindAllStringIndex(text, -1) {
		if inside(code, at[0]) {
			continue
		}
		var kept strings.Builder
		for number := range strings.SplitSeq(text[at[0]+1:at[1]-1], ",") {
			n, err := strconv.Atoi(strings.TrimSpace(number))
			if err == nil && known(n) {
				kept.WriteString("[" + strconv.Itoa(n) + "]")
			}
		}
		before := text[done:at[0]]
		if kept.Len() == 0 {
			before = strings.TrimRight(before, " \t")
		}
		out.WriteString(before)
		out.WriteString(kept.String())
		if kept.Len() == 0 && joins(out.String(), text[at[1]:]) {
			out.WriteString("[]")
		}
		done = at[1]
	}
	out.WriteString(text[done:])
	return out.String()
}

// joins reports whether before and after, put together, could make a mark or
// code that neither has by itself.
func joins(before, after string) bool {
	if strings.HasSuffix(before, "\\") || strings.HasSuffix(before, "`") && strings.HasPrefix(after, "`") {
		return true
	}
	return strings.HasSuffix(strings.TrimRight(before, "0123456789, \t"), "[")
}

// codeSpans returns the byte ranges of text, in order, that are code: from a
// run of backticks to the next run of the same length. A run of one or two
// does not reach over a blank line, and an escaped one opens nothing.
func codeSpans(text string) [][2]int {
	var spans [][2]int
	for i := 0; i < len(text); {
		switch text[i] {
		case '\\':
			i += 2
		case '`':
			n := runOf(text[i:], '`')
			if end := closing(text, i+n, n); end > 0 {
				spans = append(spans, [2]int{i, end})
				i = end
			} else {
				i += n
			}
		default:
			i++
		}
	}
	return spans
}

// closing returns where the code that starts at i ends, 0 if it does not.
func closing(text string, i, n int) int {
	for i < len(text) {
		switch {
		case text[i] == '`':
			run := runOf(text[i:], '`')
			i += run
			if run == n {
				return i
			}
		case n < 3 && text[i] == '\n' && strings.HasPrefix(strings.TrimLeft(text[i+1:], " \t\r"), "\n"):
			return 0
		default:
			i++
		}
	}
	return 0
}

// runOf counts how often c stands at the start of s.
func runOf(s string, c byte) int {
	n := 0
	for n < len(s) && s[n] == c {
		n++
	}
	return n
}

// inside reports whether byte i lies in one of spans, which are in order.
func inside(spans [][2]int, i int) bool {
	_, found := slices.BinarySearchFunc(spans, i, func(s [2]int, i int) int {
		switch {
		case s[1] <= i:
			return -1
		case s[0] > i:
			return 1
		}
		return 0
	})
	return found
}
