package main

import (
	"strings"
	"time"

	"github.com/tributary-kb/tributary"
)

// shortTypes are the names by which type: knows media types.
var shortTypes = map[string]string{
	"html": "text/html", "md": "text/markdown", "markdown": "text/markdown", "pdf": "application/pdf",
	"text": "text/plain", "txt": "text/plain",
}

// parseTerms takes the filters out of a query: source:, type:, lang:, uri: (a
// prefix), changed:>TIME, changed:<TIME and meta.KEY:VALUE, each also with a
// dash before it to keep out what fits. Several of a kind mean any of them. It
// returns the words that are left.
func parseTerms(query string, now time.Time) (string, tributary.Filter, error) {
	var only, not tributary.PlainFilter
	var words []string
	for _, word := range strings.Fields(query) {
		into, term := &only, word
		if rest, dash := strings.CutPrefix(word, "-"); dash {
			into, term = &not, rest
		}
		known, err := addTerm(into, term, now)
		if err != nil {
			return "", tributary.Filter{}, err
		}
		if !known {
			words = append(words, word)
		}
	}
	filter := only.Filter()
	if !not.Filter().IsZero() {
		filter.Not = &not
	}
	return strings.Join(words, " "), filter, nil
}

// addTerm adds one key:value to f and says whether it is one.
func addTerm(f *tributary.PlainFilter, term string, now time.Time) (bool, error) {
	key, value, found := strings.Cut(term, ":")
	if !found || value == "" {
		return false, nil
	}
	switch {
	case key == "source":
		f.Sources = append(f.Sources, value)
	case key == "lang":
		f.Languages = append(f.Languages, value)
	case key == "type":
		if long, ok := shortTypes[value]; ok {
			value = long
		}
		f.ContentTypes = append(f.ContentTypes, value)
	case key == "uri":
		f.URIPrefix = value
	case key == "changed" && value[0] == '>':
		t, err := parseTime("changed:>", value[1:], now)
		f.ChangedAfter = t
		return true, err
	case key == "changed" && value[0] == '<':
		t, err := parseTime("changed:<", value[1:], now)
		f.ChangedUntil = t
		return true, err
	case key == "changed":
		return true, usagef("%s: want changed:>TIME or changed:<TIME", term)
	case strings.HasPrefix(key, "meta.") && key != "meta.":
		if f.Metadata == nil {
			f.Metadata = map[string][]string{}
		}
		name := strings.TrimPrefix(key, "meta.")
		f.Metadata[name] = append(f.Metadata[name], value)
	default:
		return false, nil
	}
	return true, nil
}
