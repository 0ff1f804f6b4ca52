package queryworker

import (
	"regexp"
	"strings"
	"unicode/utf8"
)

// markup is what clean takes away, in order: each form, the sign without which
// it cannot occur, and what stays of it.
var markup = []struct {
	sign string
	form *regexp.Regexp
	by   string
}{
	{"\n", regexp.MustCompile(`\n[ \t>]*`), "\n"},           // marks of a quotation
	{"<!--", regexp.MustCompile(`<!--[^>]*-->`), " "},       // comments
	{"<", regexp.MustCompile(`(?i)<br[ \t]*/?>`), " "},      // line breaks
	{"[^", regexp.MustCompile(`\[\^[^\]\s]{1,40}\]:?`), ""}, // footnotes
	{"](", link, "$1"}, // links and images
	{"][", regexp.MustCompile(`!?\[([^\[\]]+)\]\[[^\[\]]*\]`), "$1"}, // references
	{"<", regexp.MustCompile(`<((?:https?://|mailto:)[^<>\s]+)>`), "$1"},
	{"**", regexp.MustCompile(`\*\*([^*\s](?:[^*]*[^*\s])?)\*\*`), "$1"},
	{"~~", regexp.MustCompile(`~~([^~\s](?:[^~]*[^~\s])?)~~`), "$1"},
	{"*", regexp.MustCompile(`(^|[^\pL\pN*])\*([^*\s](?:[^*]*[^*\s])?)\*`), "$1$2"},
	{"_", regexp.MustCompile(`(^|[^\pL\pN_])__?([^_\s](?:[^_]*[^_\s])?)__?($|[^\pL\pN_])`), "$1$2$3"},
	{"\\", regexp.MustCompile("\\\\([!-/:-@\\[-`{-~])"), "$1"},
}

var (
	link    = regexp.MustCompile(`!?\[([^\[\]]*)\]\([^()\s]*(?:\([^()\s]*\)[^()\s]*)?(?:[ \t]+"[^"]*")?\)`)
	numbers = regexp.MustCompile(`[\[【]([\s0-9,;.–-]*[0-9][\s0-9,;.–-]*)[\]】]`)
)

// firstSlot stands for the first piece of code while clean works on the text
// around it; it is of the private use area and means nothing in a text.
const firstSlot, lastSlot = '\uE000', '\uF8FF'

// clean makes one line of plain text of a piece of Markdown: the text of links
// and images without their addresses, no emphasis, no comments, footnote marks
// or backslashes before punctuation, runs of white space as one space. Code
// keeps its backticks and what is between them. A number in square brackets
// gets round ones: in an answer [1] is a citation. No letter or digit is added
// and none changes its place.
func clean(raw string) string {
	raw = strings.Map(func(r rune) rune {
		if r >= firstSlot && r <= lastSlot || r == utf8.RuneError {
			return -1
		}
		return r
	}, raw)
	text, kept := takeCode(raw)
	for _, m := range markup {
		if strings.Contains(text, m.sign) {
			text = m.form.ReplaceAllString(text, m.by)
		}
	}
	text = strings.ReplaceAll(text, "`", "")
	if strings.ContainsAny(text, "[【") {
		text = numbers.ReplaceAllString(text, "($1)")
	}
	text = strings.Join(strings.Fields(text), " ")
	for _, mark := range []string{"**", "__"} { // emphasis that another sentence opens or closes
		text = strings.TrimSuffix(strings.TrimPrefix(text, mark), mark)
	}
	return strings.Join(strings.Fields(putBack(text, kept)), " ")
}

// takeCode replaces each piece of code by a slot of its own.
func takeCode(raw string) (string, []string) {
	var text strings.Builder
	var kept []string
	done := 0
	for _, span := range codeSpans(raw) {
		if len(kept) > int(lastSlot-firstSlot) {
			break
		}
		text.WriteString(raw[done:span[0]])
		text.WriteRune(firstSlot + rune(len(kept)))
		kept = append(kept, raw[span[0]:span[1]])
		done = span[1]
	}
	text.WriteString(raw[done:])
	return text.String(), kept
}

// putBack replaces the slots by the code they stand for. A space keeps code
// from running into what would change where it starts: other code, a backslash.
func putBack(text string, kept []string) string {
	if len(kept) == 0 {
		return text
	}
	var out strings.Builder
	before := ' '
	for _, r := range text {
		slot := int(r - firstSlot)
		if slot < 0 || slot >= len(kept) {
			out.WriteRune(r)
		} else {
			if before == '\\' || before >= firstSlot && before <= lastSlot {
				out.WriteByte(' ')
			}
			out.WriteString(kept[slot])
		}
		before = r
	}
	return out.String()
}

// quoteCode writes a line of code between backticks, more of them than any run
// inside.
func quoteCode(line string) string {
	longest := 0
	for i := 0; i < len(line); {
		n := runOf(line[i:], '`')
		longest = max(longest, n)
		i += max(n, 1)
	}
	fence := strings.Repeat("`", longest+1)
	line = strings.Join(strings.Fields(line), " ")
	if strings.HasPrefix(line, "`") || strings.HasSuffix(line, "`") {
		line = " " + line + " "
	}
	return fence + line + fence
}
