package ingest

import (
	"regexp"
	"strings"
)

// ignoreRule is one line of a .gitignore file.
type ignoreRule struct {
	pattern *regexp.Regexp // of slash-separated paths below the file's directory
	negated bool
	dirOnly bool
}

func (r ignoreRule) matches(rel string, isDir bool) bool {
	return (isDir || !r.dirOnly) && r.pattern.MatchString(rel)
}

// parseIgnoreRules reads the lines of a .gitignore file. Patterns that are
// malformed match nothing, as with git.
func parseIgnoreRules(text string) []ignoreRule {
	var rules []ignoreRule
	for line := range strings.Lines(text) {
		if rule, ok := parseIgnoreRule(strings.TrimRight(line, "\r\n")); ok {
			rules = append(rules, rule)
		}
	}
	return rules
}

func parseIgnoreRule(line string) (rule ignoreRule, ok bool) {
	for strings.HasSuffix(line, " ") && !strings.HasSuffix(line, `\ `) {
		line = line[:len(line)-1]
	}
	if line == "" || line[0] == '#' {
		return ignoreRule{}, false
	}
	if line[0] == '!' {
		rule.negated, line = true, line[1:]
	}
	line, rule.dirOnly = strings.CutSuffix(line, "/")
	anchored := strings.Contains(line, "/")
	line = strings.TrimPrefix(line, "/")
	if line == "" {
		return ignoreRule{}, false
	}
	expr := ignoreExpr(line)
	if !anchored {
		expr = "(?:.*/)?" + expr
	}
	pattern, err := regexp.Compile("^" + expr + "$")
	if err != nil {
		return ignoreRule{}, false
	}
	rule.pattern = pattern
	return rule, true
}

// ignoreExpr translates a pattern to a regular expression.
func ignoreExpr(p string) string {
	var b strings.Builder
	for i := 0; i < len(p); {
		atStart := i == 0 || p[i-1] == '/'
		switch c := p[i]; {
		case atStart && strings.HasPrefix(p[i:], "**/"):
			b.WriteString("(?:.*/)?")
			i += 3
		case atStart && p[i:] == "**":
			b.WriteString(".*")
			i += 2
		case c == '*':
			b.WriteString("[^/]*")
			i++
		case c == '?':
			b.WriteString("[^/]")
			i++
		case c == '[':
			class, n := ignoreClass(p[i:])
			b.WriteString(class)
			i += n
		case c == '\\' && i+1 < len(p):
			b.WriteString(regexp.QuoteMeta(p[i+1 : i+2]))
			i += 2
		default:
			n := 1
			for i+n < len(p) && !strings.ContainsRune(`*?[\/`, rune(p[i+n])) {
				n++
			}
			b.WriteString(regexp.QuoteMeta(p[i : i+n]))
			i += n
		}
	}
	return b.String()
}

// ignoreClass translates a bracket expression and returns how many bytes of p
// it takes; a bracket that is not closed stands for itself.
func ignoreClass(p string) (expr string, n int) {
	i := 1
	negated := i < len(p) && (p[i] == '!' || p[i] == '^')
	if negated {
		i++
	}
	end := strings.IndexByte(p[min(i+1, len(p)):], ']')
	if end < 0 {
		return `\[`, 1
	}
	body := p[i : i+1+end]
	body = strings.NewReplacer(`\`, `\\`, `[`, `\[`, `]`, `\]`, `^`, `\^`, `&`, `\&`, `~`, `\~`).Replace(body)
	if negated {
		return "[^/" + body + "]", i + 2 + end
	}
	return "[" + body + "]", i + 2 + end
}
