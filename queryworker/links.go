package queryworker

import (
	"regexp"
	"slices"
	"strings"
)

// removedLink stands where the address of a link was.
const removedLink = "(link removed)"

// elements are those of HTML that load or lead to something.
const elements = "a|img|image|iframe|script|svg|link|object|embed|form|video|audio|source|track|style|base|meta|input|button"

// maxUnlink bounds how often a text is gone over: taking one thing out can join
// what stands around it into another.
const maxUnlink = 10

var (
	// target is the address of a Markdown link, with its title.
	target    = `\(\s*(<[^<>\n]*>|[^\s()]*(?:\([^\s()]*\)[^\s()]*)*)(?:\s+(?:"[^"]*"|'[^']*'|\([^()]*\)))?\s*\)`
	inline    = regexp.MustCompile(`(!?)\[((?:[^\[\]\\]|\\.|\[[^\[\]]*\])*)\]` + target)
	reference = regexp.MustCompile(`(?m)^[ \t>]{0,8}\[[^\]\n]+\]:[ \t]*(\S+).*$`)
	element   = regexp.MustCompile(`(?i)</?(?:` + elements + `)\b[^<>]*>`)
	opening   = regexp.MustCompile(`(?i)</?(` + elements + `)\b`) // of one that does not end
	address   = regexp.MustCompile(`(?i)(?:[a-z][a-z0-9+.-]{0,30}://|\bwww\.)[^\s<>"` + "`" + `]+|\b(?:javascript|vbscript|mailto|data:[a-z]+/)[:a-z][^\s<>"` + "`" + `]*`)
	citing    = regexp.MustCompile(`^[0-9]{1,6}(?:[ \t]*,[ \t]*[0-9]{1,6})*$`)
)

// unlink takes links out of an answer that lead elsewhere than to allowed
// addresses, and returns what they were. Images go always: showing one calls
// its server, and tells it what the address holds. Text in code stays as it
// is, as nothing there is followed. Signs that turn text around or hide it go
// too.
func unlink(text string, allowed []string) (string, []string) {
	var removed []string
	text = strings.Map(visible, text)
	for range maxUnlink {
		next := outsideCode(text, func(part string) string { return unlinkOnce(part, allowed, &removed) })
		if next == text {
			break
		}
		text = next
	}
	slices.Sort(removed)
	return text, slices.Compact(removed)
}

func unlinkOnce(text string, allowed []string, removed *[]string) string {
	ok := func(to string) bool { return slices.Contains(allowed, to) }
	take := func(to string) { *removed = append(*removed, to) }
	text = inline.ReplaceAllStringFunc(text, func(s string) string {
		m := inline.FindStringSubmatch(s)
		to := strings.Trim(m[3], "<>")
		switch {
		case m[1] == "" && ok(to):
			return s
		case to != "":
			take(to)
		}
		if citing.MatchString(m[2]) {
			return "[" + m[2] + "]"
		}
		return m[2]
	})
	text = reference.ReplaceAllStringFunc(text, func(s string) string {
		to := reference.FindStringSubmatch(s)[1]
		if ok(strings.Trim(to, "<>")) {
			return s
		}
		take(to)
		return ""
	})
	text = element.ReplaceAllStringFunc(text, func(s string) string {
		if to := address.FindString(s); to != "" {
			take(to)
		}
		return ""
	})
	text = opening.ReplaceAllString(text, "$1")
	return address.ReplaceAllStringFunc(text, func(s string) string {
		to := strings.TrimRight(s, `.,;:!?)]}'*_"`)
		if ok(to) {
			return s
		}
		take(to)
		return removedLink + s[len(to):]
	})
}

// outsideCode replaces the parts of text that are no code.
func outsideCode(text string, replace func(string) string) string {
	var out strings.Builder
	done := 0
	for _, span := range codeSpans(text) {
		out.WriteString(replace(text[done:span[0]]))
		out.WriteString(text[span[0]:span[1]])
		done = span[1]
	}
	out.WriteString(replace(text[done:]))
	return out.String()
}

// visible drops runes that change how a text looks and say nothing: tags,
// which spell hidden words, marks that turn the direction of writing around,
// and control characters.
func visible(r rune) rune {
	switch {
	case r >= 0xE0000 && r <= 0xE007F, r >= 0x202A && r <= 0x202E, r >= 0x2066 && r <= 0x2069:
		return -1
	case r < 0x20 && r != '\n' && r != '\t' && r != '\r', r == 0x7F, r == 0x200B, r == 0xFEFF:
		return -1
	}
	return r
}

// uris are the addresses of the documents that passages are from.
func uris(passages []Passage) []string {
	var all []string
	for _, p := range passages {
		all = append(all, p.URI)
	}
	return all
}
