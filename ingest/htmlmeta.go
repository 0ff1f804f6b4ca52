package ingest

import (
	"encoding/json"
	"net/url"
	"strings"

	"github.com/PuerkitoBio/goquery"

	"github.com/tributary-kb/tributary"
)

// describePage reads what a page says about itself in its head, its JSON-LD
// and its links. It does not change the tree.
func describePage(page *goquery.Document, at *url.URL) Parsed {
	ld, meta := readJSONLD(page), readMeta(page)
	p := Parsed{Links: pageLinks(page, at)}
	p.Attributes = tributary.Attributes{
		Title:    cleanText(pageTitle(page, meta, ld)),
		Language: pageLanguage(page, meta),
		Metadata: map[string]string{
			"author":      first(meta.first("author", "article:author", "dc.creator"), ld["author"]),
			"description": meta.first("description", "og:description", "twitter:description"),
			"published":   first(meta.first("article:published_time", "date", "dc.date"), ld["datePublished"]),
			"site":        meta.first("og:site_name", "application-name"),
			"canonical":   absolute(at, page.Find("link[rel~=canonical]").First().AttrOr("href", "")),
		},
	}
	return p
}

// hasOwnTitle reports whether the page names its title apart from the title
// element, which most sites decorate with their own name.
func hasOwnTitle(page *goquery.Document) bool {
	return readMeta(page).first("og:title", "twitter:title") != ""
}

func pageTitle(page *goquery.Document, meta metaNames, ld map[string]string) string {
	return first(
		meta.first("og:title", "twitter:title"),
		ld["headline"],
		page.Find("head > title").First().Text(),
		page.Find("h1").First().Text(),
	)
}

func pageLanguage(page *goquery.Document, meta metaNames) string {
	return first(
		page.Find("html").First().AttrOr("lang", ""),
		page.Find("html").First().AttrOr("xml:lang", ""),
		page.Find("meta[http-equiv=content-language i]").First().AttrOr("content", ""),
		meta.first("og:locale"),
	)
}

// metaNames holds the contents of a page's meta elements by their names in
// lower case; of several with one name, the first.
type metaNames map[string]string

func readMeta(page *goquery.Document) metaNames {
	names := make(metaNames)
	for _, m := range page.Find("meta[content]").EachIter() {
		for _, attr := range []string{"name", "property", "itemprop"} {
			if name := strings.ToLower(strings.TrimSpace(m.AttrOr(attr, ""))); name != "" && names[name] == "" {
				names[name] = strings.TrimSpace(m.AttrOr("content", ""))
			}
		}
	}
	return names
}

// first returns the content of the first of names that the page has.
func (m metaNames) first(names ...string) string {
	for _, name := range names {
		if m[name] != "" {
			return m[name]
		}
	}
	return ""
}

// maxJSONLDBytes bounds what is decoded of a page's JSON-LD.
const maxJSONLDBytes = 512 << 10

// readJSONLD returns headline, datePublished and author of the first JSON-LD
// object that has a headline; empty if there is none.
func readJSONLD(page *goquery.Document) map[string]string {
	out := map[string]string{}
	for _, script := range page.Find(`script[type="application/ld+json"]`).EachIter() {
		raw := script.Text()
		var v any
		if len(raw) > maxJSONLDBytes || json.Unmarshal([]byte(raw), &v) != nil {
			continue
		}
		if o := findHeadline(v, 4); o != nil {
			out["headline"] = ldText(o["headline"])
			out["datePublished"] = ldText(o["datePublished"])
			out["author"] = ldText(o["author"])
			return out
		}
	}
	return out
}

// findHeadline looks for an object with a headline, at most depth deep.
func findHeadline(v any, depth int) map[string]any {
	if depth == 0 {
		return nil
	}
	switch v := v.(type) {
	case map[string]any:
		if _, ok := v["headline"].(string); ok {
			return v
		}
		return findHeadline(v["@graph"], depth-1)
	case []any:
		for _, item := range v {
			if o := findHeadline(item, depth-1); o != nil {
				return o
			}
		}
	}
	return nil
}

// ldText returns a JSON-LD value as text: a string, the name of an object,
// or the first of a list.
func ldText(v any) string {
	switch v := v.(type) {
	case string:
		return v
	case map[string]any:
		name, _ := v["name"].(string)
		return name
	case []any:
		if len(v) > 0 {
			if _, nested := v[0].([]any); !nested {
				return ldText(v[0])
			}
		}
	}
	return ""
}

// maxLinks bounds how many links of one page are kept.
const maxLinks = 10_000

// pageLinks returns the http(s) links of the page that it does not ask
// robots to ignore, absolute, without fragments, each once, in page order.
func pageLinks(page *goquery.Document, at *url.URL) []string {
	var links []string
	seen := make(map[string]bool)
	for _, a := range page.Find("a[href], link[rel~=next][href], link[rel~=alternate][href]").EachIter() {
		if strings.Contains(strings.ToLower(a.AttrOr("rel", "")), "nofollow") {
			continue
		}
		link, _, _ := strings.Cut(absolute(at, a.AttrOr("href", "")), "#")
		if !strings.HasPrefix(link, "http") || len(link) > tributary.MaxURIBytes || seen[link] {
			continue
		}
		seen[link] = true
		if links = append(links, link); len(links) == maxLinks {
			break
		}
	}
	return links
}

// baseURL is what the page's relative links are relative to: its base
// element, else its URI. It is never nil.
func baseURL(page *goquery.Document, uri string) *url.URL {
	at, err := url.Parse(uri)
	if err != nil {
		at = &url.URL{}
	}
	if href := page.Find("base[href]").First().AttrOr("href", ""); href != "" {
		if u, err := at.Parse(strings.TrimSpace(href)); err == nil {
			return u
		}
	}
	return at
}

// absolute resolves a link. It returns "" for links that lead nowhere outside
// the page: fragments, scripts, inline data, and relative links on a page
// whose own address is unknown.
func absolute(at *url.URL, href string) string {
	href = strings.TrimSpace(href)
	if href == "" || href[0] == '#' {
		return ""
	}
	u, err := at.Parse(href)
	if err != nil {
		return ""
	}
	switch u.Scheme {
	case "http", "https", "mailto", "ftp", "tel":
		return u.String()
	}
	return ""
}

// first returns the first of values that is more than white space.
func first(values ...string) string {
	for _, v := range values {
		if strings.TrimSpace(v) != "" {
			return v
		}
	}
	return ""
}
