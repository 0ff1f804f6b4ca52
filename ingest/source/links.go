package source

import (
	"bytes"
	"mime"
	"net/http"
	"net/url"
	"strings"
	"unicode/utf8"

	"golang.org/x/net/html"
	"golang.org/x/net/html/charset"

	"github.com/tributary-kb/tributary"
)

// maxPageLinks bounds how many links of one page are kept.
const maxPageLinks = 10_000

// pageLinks is what a page says about itself and where it leads. It is read
// from the tokens of the page, in one pass and without a tree, so that no
// nesting can make it expensive; the parser of documents comes later and may
// refuse what a crawl has to get through.
type pageLinks struct {
	base      *url.URL
	based     bool
	canonical *url.URL // nil if the page names none
	links     []*url.URL
	seen      map[string]bool
	noindex   bool
	nofollow  bool
}

// readLinks reads the page at u. product is the name by which the page may
// address the program.
func readLinks(u *url.URL, content []byte, contentType string, header http.Header, product string) *pageLinks {
	p := &pageLinks{base: u, seen: make(map[string]bool)}
	for _, tag := range header.Values("X-Robots-Tag") {
		p.obeyTag(tag, product)
	}
	if !isHTML(content, contentType) {
		return p
	}
	z := html.NewTokenizer(bytes.NewReader(decode(content, contentType)))
	for len(p.links) < maxPageLinks {
		switch z.Next() {
		case html.ErrorToken:
			return p
		case html.StartTagToken, html.SelfClosingTagToken:
			name, has := z.TagName()
			p.element(string(name), attributes(z, has), product)
		}
	}
	return p
}

func attributes(z *html.Tokenizer, more bool) map[string]string {
	attrs := make(map[string]string)
	for more {
		var key, value []byte
		key, value, more = z.TagAttr()
		if _, ok := attrs[string(key)]; !ok {
			attrs[string(key)] = string(value)
		}
	}
	return attrs
}

func (p *pageLinks) element(name string, attrs map[string]string, product string) {
	switch name {
	case "base":
		if u := p.resolve(attrs["href"]); u != nil && !p.based {
			p.base, p.based = u, true
		}
	case "meta":
		if agent := strings.ToLower(attrs["name"]); agent == "robots" || agent == strings.ToLower(product) {
			p.obey(attrs["content"])
		}
	case "link":
		rel := " " + strings.ToLower(attrs["rel"]) + " "
		switch {
		case strings.Contains(rel, " canonical ") && p.canonical == nil:
			p.canonical = p.resolve(attrs["href"])
		case strings.Contains(rel, " next ") || strings.Contains(rel, " prev "):
			p.add(attrs)
		}
	case "a", "area":
		p.add(attrs)
	}
}

func (p *pageLinks) add(attrs map[string]string) {
	u := p.resolve(attrs["href"])
	if u == nil || strings.Contains(strings.ToLower(attrs["rel"]), "nofollow") || p.seen[u.String()] {
		return
	}
	p.seen[u.String()] = true
	p.links = append(p.links, u)
}

// resolve returns the canonical form of a link, nil if it leads to no document
// of the web.
func (p *pageLinks) resolve(href string) *url.URL {
	href = strings.Map(func(r rune) rune {
		if r == '\t' || r == '\n' || r == '\r' {
			return -1 // as browsers do
		}
		return r
	}, strings.TrimSpace(href))
	if href == "" || href[0] == '#' {
		return nil
	}
	u, err := p.base.Parse(href)
	if err != nil {
		return nil
	}
	return canonical(u)
}

// obey takes the directives of a robots meta element.
func (p *pageLinks) obey(content string) {
	for directive := range strings.SplitSeq(strings.ToLower(content), ",") {
		switch strings.TrimSpace(directive) {
		case "noindex":
			p.noindex = true
		case "nofollow":
			p.nofollow = true
		case "none":
			p.noindex, p.nofollow = true, true
		}
	}
}

// obeyTag takes the directives of an X-Robots-Tag header: of all agents, or of
// the one that is named before a colon.
func (p *pageLinks) obeyTag(tag, product string) {
	agent, rest, named := strings.Cut(tag, ":")
	agent = strings.TrimSpace(agent)
	if !named || strings.ContainsAny(agent, ", ") || strings.EqualFold(agent, "unavailable_after") || strings.HasPrefix(strings.ToLower(agent), "max-") {
		p.obey(tag)
	} else if strings.EqualFold(agent, product) {
		p.obey(rest)
	}
}

// isHTML reports whether a page is HTML as its server says, or by its look
// where the server says nothing.
func isHTML(content []byte, contentType string) bool {
	media, _, err := mime.ParseMediaType(contentType)
	if err != nil || media == "" {
		media, _, _ = mime.ParseMediaType(http.DetectContentType(content))
	}
	return media == "text/html" || media == "application/xhtml+xml"
}

// decode returns the page as UTF-8. A page that is valid UTF-8 is it.
func decode(content []byte, contentType string) []byte {
	if utf8.Valid(content) {
		return content
	}
	encoding, _, _ := charset.DetermineEncoding(content[:min(len(content), 1024)], contentType)
	if decoded, err := encoding.NewDecoder().Bytes(content); err == nil {
		return decoded
	}
	return content
}

// trap says why a crawl that follows u would not end, "" if it would.
func trap(u *url.URL) string {
	segments := strings.Split(strings.Trim(u.Path, "/"), "/")
	count := make(map[string]int)
	for _, s := range segments {
		count[s]++
		if s != "" && count[s] > maxRepeats {
			return "whose path repeats itself (trap)"
		}
	}
	switch {
	case len(u.String()) > tributary.MaxURIBytes:
		return "longer than 2048 bytes (trap)"
	case len(segments) > maxPathDepth:
		return "whose path is deeper than 16 (trap)"
	}
	return ""
}

const (
	maxRepeats   = 3  // of one segment in a path
	maxPathDepth = 16 // segments
)
