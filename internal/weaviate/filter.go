package weaviate

import (
	"maps"
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
// It may let a little too much through; tributary.Filter.Match has the last
// word.
func filter(f tributary.Filter) *filters.WhereBuilder { return all(conditions(f)) }

func conditions(f tributary.Filter) []*filters.WhereBuilder {
	out := prefix(f.URIPrefix)
	for _, list := range []struct {
		property string
		values   []string
	}{{"uri", f.URIs}, {"source", f.Sources}, {"content_type", f.ContentTypes}, {"language", f.Languages}} {
		if len(list.values) > 0 {
			out = append(out, anyOf(list.property, list.values))
		}
	}
	if !f.ChangedAfter.IsZero() {
		out = append(out, where(filters.GreaterThanEqual, "changed").WithValueDate(date(f.ChangedAfter)))
	}
	if !f.ChangedUntil.IsZero() {
		out = append(out, where(filters.LessThan, "changed").WithValueDate(date(f.ChangedUntil)))
	}
	for _, key := range slices.Sorted(maps.Keys(f.Metadata)) {
		var values []string
		for _, value := range f.Metadata[key] {
			values = append(values, label(key, value))
		}
		if len(values) > 0 { // without a value the key has to be there, which Match sees to
			out = append(out, anyOf("labels", values))
		}
	}
	if w := either(f.Any); w != nil {
		out = append(out, w)
	}
	if w := neither(f.Not); w != nil {
		out = append(out, w)
	}
	return out
}

// either lets through what one of the filters does, nil if that is everything.
func either(several []tributary.PlainFilter) *filters.WhereBuilder {
	var operands []*filters.WhereBuilder
	for _, f := range several {
		w := filter(f.Filter())
		if w == nil {
			return nil
		}
		operands = append(operands, w)
	}
	if len(operands) < 2 {
		return all(operands)
	}
	return filters.Where().WithOperator(filters.Or).WithOperands(operands)
}

// neither keeps out what f lets through, nil if the server cannot tell that
// exactly: where it lets too much through, its opposite keeps too much out.
func neither(f *tributary.PlainFilter) *filters.WhereBuilder {
	if f == nil || !exact(*f) {
		return nil
	}
	w := filter(f.Filter())
	if w == nil {
		return nil
	}
	return filters.Where().WithOperator(filters.Not).WithOperands([]*filters.WhereBuilder{w})
}

// exact says whether the server's terms mean just what f means. The server
// drops white space at the end of values.
func exact(f tributary.PlainFilter) bool {
	values := slices.Concat([]string{f.URIPrefix}, f.URIs, f.Sources, f.ContentTypes, f.Languages)
	for _, list := range f.Metadata {
		if len(list) == 0 {
			return false
		}
		values = append(values, list...)
	}
	return !slices.ContainsFunc(values, func(v string) bool { return strings.TrimSpace(v) != v })
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
