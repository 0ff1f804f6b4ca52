package weaviate

import (
	"slices"
	"strings"
	"time"
	"unicode"
	"unicode/utf8"

	"github.com/weaviate/weaviate-go-client/v4/weaviate/filters"

	tributary "github.com/tributary-kb/tributary"
)

func where(operator filters.WhereOperator, property string) *filters.WhereBuilder {
	return filters.Where().WithOperator(operator).WithPath([]string{property})
}

func equal(property, value string) *filters.WhereBuilder {
	return where(filters.Equal, property).WithValueText(value)
}

func anyOf(property string, values []string) *filters.WhereBuilder {
	return where(filters.ContainsAny, property).WithValueText(values...)
}

// all joins conditions of which each must hold; nil if there is none.
func all(conditions []*filters.WhereBuilder) *filters.WhereBuilder {
	switch len(conditions) {
	case 0:
		return nil
	case 1:
		return conditions[0]
	}
	return filters.Where().WithOperator(filters.And).WithOperands(conditions)
}

// filter turns f into the server's terms, nil if it lets everything through.
// For a prefix that ends in white space that is a little too much; see inPrefix.
func filter(f tributary.Filter) *filters.WhereBuilder {
	conditions := prefix(f.URIPrefix)
	for _, list := range []struct {
		property string
		values   []string
	}{{"source", f.Sources}, {"content_type", f.ContentTypes}, {"language", f.Languages}} {
		if len(list.values) > 0 {
			conditions = append(conditions, anyOf(list.property, list.values))
		}
	}
	if !f.ChangedAfter.IsZero() {
		conditions = append(conditions, where(filters.GreaterThanEqual, "changed").WithValueDate(date(f.ChangedAfter)))
	}
	if !f.ChangedUntil.IsZero() {
		conditions = append(conditions, where(filters.LessThan, "changed").WithValueDate(date(f.ChangedUntil)))
	}
	return all(conditions)
}

// The server keeps dates as nanoseconds in 64 bits, which is this range.
var (
	minDate = time.Unix(0, -1<<63).UTC()
	maxDate = time.Unix(0, 1<<63-1).UTC()
)

func date(t time.Time) time.Time {
	switch {
	case t.Before(minDate):
		return minDate
	case t.After(maxDate):
		return maxDate
	}
	return t.UTC()
}

// prefix finds the URIs that start with p. The pattern of Like has no escape
// for its own wildcards: where p has any, bounds on the order of strings keep
// out what only the pattern matches.
func prefix(p string) []*filters.WhereBuilder {
	p = strings.TrimRightFunc(p, unicode.IsSpace) // as the server's tokeniser does with values
	if p == "" {
		return nil
	}
	conditions := []*filters.WhereBuilder{where(filters.Like, "uri").WithValueText(p + "*")}
	if !strings.ContainsAny(p, "*?") {
		return conditions
	}
	conditions = append(conditions, where(filters.GreaterThanEqual, "uri").WithValueText(p))
	if next, ok := successor(p); ok {
		conditions = append(conditions, where(filters.LessThan, "uri").WithValueText(next))
	}
	return conditions
}

// successor returns a string that is greater than all that start with p, and
// if possible the smallest such that ends in no white space; false if there
// is none.
func successor(p string) (string, bool) {
	runes := []rune(p)
	for i := len(runes) - 1; i >= 0; i-- {
		for r := runes[i] + 1; r <= unicode.MaxRune; r++ {
			if utf8.ValidRune(r) && !unicode.IsSpace(r) {
				return string(append(slices.Clone(runes[:i]), r)), true
			}
		}
	}
	return "", false
}

// inPrefix is the last word on a prefix: the server ignores white space at its
// end.
func inPrefix(f tributary.Filter, uri string) bool { return strings.HasPrefix(uri, f.URIPrefix) }
