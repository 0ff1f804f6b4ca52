package ingest

import (
	"context"
	"fmt"
	"strings"
	"time"

	"go.yaml.in/yaml/v3"
)

// parseMarkdown keeps the text as it is, without its front matter.
func parseMarkdown(_ context.Context, _ *Config, in Input) (Parsed, error) {
	text := cleanText(decode(in.Content, in.ContentType, false))
	head, text := cutFrontMatter(text)
	p := Parsed{Text: text, Blocks: splitMarkdown(text)}
	head.describe(&p)
	return p, nil
}

// maxFrontMatterBytes bounds what is handed to the YAML parser.
const maxFrontMatterBytes = 64 << 10

// frontMatter is the YAML block that many tools put in front of Markdown.
type frontMatter map[string]any

// cutFrontMatter splits text into its front matter and the rest. Text whose
// first lines only look like it, and are no YAML mapping, is left alone.
func cutFrontMatter(text string) (frontMatter, string) {
	rest, ok := strings.CutPrefix(text, "---\n")
	if !ok {
		return nil, text
	}
	for pos := 0; pos < len(rest) && pos < maxFrontMatterBytes; {
		end := strings.IndexByte(rest[pos:], '\n')
		next := pos + end + 1
		if end < 0 {
			end, next = len(rest)-pos, len(rest)
		}
		switch strings.TrimRight(rest[pos:pos+end], " \t") {
		case "---", "...":
			var head frontMatter
			if err := yaml.Unmarshal([]byte(rest[:pos]), &head); err != nil || len(head) == 0 {
				return nil, text
			}
			return head, rest[next:]
		}
		pos = next
	}
	return nil, text
}

// describe copies what the front matter says to the attributes of p.
func (f frontMatter) describe(p *Parsed) {
	p.Title = cleanText(f.text("title"))
	p.Language = f.text("lang", "language", "locale")
	p.Metadata = map[string]string{
		"author":      f.text("author", "authors"),
		"description": f.text("description", "summary"),
		"published":   f.text("date", "published"),
		"tags":        f.text("tags", "keywords"),
	}
}

// text returns the first of keys that is set, as text; lists are joined with
// commas, and what is neither a scalar nor a list of scalars is left out.
func (f frontMatter) text(keys ...string) string {
	for _, k := range keys {
		if s := scalarText(f[k]); s != "" {
			return s
		}
	}
	return ""
}

func scalarText(v any) string {
	switch v := v.(type) {
	case string:
		return v
	case bool, int, int64, uint64, float64:
		return fmt.Sprint(v)
	case time.Time:
		return strings.TrimSuffix(v.Format(time.RFC3339), "T00:00:00Z")
	case []any:
		var parts []string
		for _, item := range v {
			if _, nested := item.([]any); nested {
				continue
			}
			if s := scalarText(item); s != "" {
				parts = append(parts, s)
			}
		}
		return strings.Join(parts, ", ")
	}
	return ""
}
