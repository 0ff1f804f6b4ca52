package ingest

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/url"
	"strings"

	readability "codeberg.org/readeck/go-readability/v2"
	"github.com/JohannesKaufmann/html-to-markdown/v2/converter"
	"github.com/JohannesKaufmann/html-to-markdown/v2/plugin/base"
	"github.com/JohannesKaufmann/html-to-markdown/v2/plugin/commonmark"
	"github.com/JohannesKaufmann/html-to-markdown/v2/plugin/strikethrough"
	"github.com/JohannesKaufmann/html-to-markdown/v2/plugin/table"
	"github.com/PuerkitoBio/goquery"
	"golang.org/x/net/html"
	"golang.org/x/net/html/atom"
)

// parseHTML renders the main content of a page as Markdown and splits that.
// The page's own description of itself is read from the tree as it came;
// extraction works on clones, which it mutilates.
func parseHTML(_ context.Context, _ *Config, in Input) (Parsed, error) {
	source := decode(in.Content, in.ContentType, true)
	root, err := html.Parse(strings.NewReader(source))
	if err != nil {
		// The parser refuses trees deeper than its limit. The tokens are
		// still there.
		return plainPage(source), nil //nolint:nilerr // see above
	}
	page := goquery.NewDocumentFromNode(root)
	at := baseURL(page, in.URI)
	p := describePage(page, at)
	article := readArticle(page, at)
	if title := article.title; title != "" && !hasOwnTitle(page) {
		p.Title = title
	}
	if p.Text, err = renderMarkdown(mainContent(page, article.node), at); err == nil && wordCount(p.Text) > 0 {
		p.Blocks = splitMarkdown(p.Text)
		return p, nil
	}
	plain := plainPage(source)
	p.Text, p.Blocks = plain.Text, plain.Blocks
	return p, nil
}

// article is what readability makes of a page; node is nil if nothing.
type article struct {
	node  *html.Node
	title string
}

// readArticle runs readability on a clone of the page. A page that it fails
// or panics on has no article; the heuristics then have their turn.
func readArticle(page *goquery.Document, at *url.URL) (a article) {
	defer func() {
		if recover() != nil {
			a = article{}
		}
	}()
	clone := goquery.CloneDocument(page)
	found, err := readability.FromDocument(clone.Nodes[0], at)
	if err != nil || found.Node == nil {
		return article{}
	}
	return article{node: found.Node, title: found.Title()}
}

// Readability is for articles with furniture around them. What it returns is
// not used if it has fewer than fewArticleWords and the page without its
// furniture has muchMore times as many, or fewer still: then readability has
// taken the furniture in.
const (
	fewArticleWords = 60
	muchMore        = 3
)

// mainContent chooses between readability's article and the page without its
// furniture. A page that has no furniture at all, such as one rendered from
// Markdown, is taken whole: everything on it is content.
func mainContent(page *goquery.Document, articleNode *html.Node) *html.Node {
	if isBare(page) {
		return stripPage(page)
	}
	if articleNode == nil {
		return stripPage(page)
	}
	text := strings.TrimSpace(goquery.NewDocumentFromNode(articleNode).Text())
	if words := wordCount(text); words < fewArticleWords {
		stripped := stripPage(page)
		rest := strings.TrimSpace(goquery.NewDocumentFromNode(stripped).Text())
		if rest != "" && (len(rest) < len(text) || wordCount(rest) > muchMore*words) {
			return stripped
		}
	}
	restoreHeading(page, articleNode)
	return articleNode
}

// isBare reports whether nothing on the page frames its content.
func isBare(page *goquery.Document) bool {
	body := page.Find("body")
	return body.Find("nav, header, footer, aside, form, script, iframe, button, div, section, [role]").Length() == 0
}

// restoreHeading puts back the page's main heading, which readability makes a
// lesser one, or takes out because it shows the title elsewhere.
func restoreHeading(page *goquery.Document, articleNode *html.Node) {
	headings := page.Find("h1")
	text := strings.Join(strings.Fields(headings.First().Text()), " ")
	if headings.Length() != 1 || text == "" {
		return
	}
	for _, h := range goquery.NewDocumentFromNode(articleNode).Find("h1, h2").EachIter() {
		if strings.Join(strings.Fields(h.Text()), " ") == text {
			h.Nodes[0].Data, h.Nodes[0].DataAtom = "h1", atom.H1
			return
		}
	}
	heading := &html.Node{Type: html.ElementNode, Data: "h1", DataAtom: atom.H1}
	heading.AppendChild(&html.Node{Type: html.TextNode, Data: text})
	articleNode.InsertBefore(heading, articleNode.FirstChild)
}

// Elements that are never content, and those that frame it.
const (
	invisible = "script, style, noscript, template, iframe, object, svg, canvas, select, button, input, textarea, [hidden], [aria-hidden=true], " +
		`[style*="display:none"], [style*="display: none"]`
	furniture = "nav, footer, aside, [role=navigation], [role=banner], [role=contentinfo], [role=search], [role=complementary], " +
		"[role=dialog], .cookie, .cookies, .breadcrumb, .breadcrumbs, .sidebar, .advertisement"
)

// stripPage returns a clone of the page's body, or of the element that says
// it is the main content, without scripts, navigation and lists of links.
func stripPage(page *goquery.Document) *html.Node {
	body := goquery.CloneDocument(page).Find("body")
	if body.Length() == 0 {
		return &html.Node{Type: html.ElementNode, Data: "body", DataAtom: atom.Body}
	}
	body.Find(invisible).Remove()
	body.Find(furniture).Remove()
	body.Find("header").FilterFunction(func(_ int, s *goquery.Selection) bool { return s.Find("h1").Length() == 0 }).Remove()
	body.Find("ul, ol").FilterFunction(func(_ int, s *goquery.Selection) bool { return isLinkList(s) }).Remove()
	total := len(body.Text())
	for _, selector := range []string{"main", "[role=main]", "article", "#content", ".content"} {
		if s := body.Find(selector); s.Length() == 1 && len(s.Text())*4 > total {
			return s.Nodes[0]
		}
	}
	return body.Nodes[0]
}

// isLinkList reports whether nearly all text of a longer list is links: a
// menu rather than content.
func isLinkList(list *goquery.Selection) bool {
	links := list.Find("a")
	return links.Length() > 5 && len(links.Text())*10 > len(strings.TrimSpace(list.Text()))*9
}

// plainBrackets undoes the escaping of text by the renderer.
var plainBrackets = strings.NewReplacer("&lt;", "<", "&gt;", ">")

// renderMarkdown returns node as Markdown.
func renderMarkdown(node *html.Node, at *url.URL) (string, error) {
	tidy(goquery.NewDocumentFromNode(node), at)
	mergeText(node)
	conv := converter.NewConverter(
		// The text is for reading and search, where "max\_bytes" is a mistake.
		converter.WithEscapeMode(converter.EscapeModeDisabled),
		converter.WithPlugins(
			base.NewBasePlugin(),
			commonmark.NewCommonmarkPlugin(commonmark.WithListEndComment(false)),
			strikethrough.NewStrikethroughPlugin(),
			table.NewTablePlugin(
				table.WithNewlineBehavior(table.NewlineBehaviorPreserve),
				table.WithSpanCellBehavior(table.SpanBehaviorMirror),
				table.WithHeaderPromotion(true),
				table.WithSkipEmptyRows(true),
				table.WithCellPaddingBehavior(table.CellPaddingBehaviorMinimal),
			),
		),
	)
	// The base plugin writes "&gt;" for ">" in text, for the sake of a renderer
	// that nobody runs here.
	conv.Register.TextTransformer(func(_ converter.Context, text string) string {
		return plainBrackets.Replace(text)
	}, converter.PriorityLate)
	markdown, err := conv.ConvertNode(node)
	if err != nil {
		return "", fmt.Errorf("render as Markdown: %w", err)
	}
	return strings.TrimSpace(cleanText(string(markdown))) + "\n", nil
}

// maxLinkBytes is the longest link target that is kept; longer ones are
// tracking, and would outweigh the text around them.
const maxLinkBytes = 300

// maxSpan bounds rowspan and colspan: the renderer repeats a cell's text in
// every cell it spans.
const maxSpan = 20

// tidy prepares a tree for rendering: links become absolute or plain text,
// images their descriptions, and tables what the renderer can stand.
func tidy(doc *goquery.Document, at *url.URL) {
	doc.Find("a").Each(func(_ int, a *goquery.Selection) {
		href := absolute(at, a.AttrOr("href", ""))
		if href == "" || len(href) > maxLinkBytes || strings.TrimSpace(a.Text()) == "" {
			a.Contents().Unwrap()
			return
		}
		a.SetAttr("href", href)
		a.RemoveAttr("title")
	})
	doc.Find("img").Each(func(_ int, img *goquery.Selection) {
		alt := strings.Join(strings.Fields(img.AttrOr("alt", "")), " ")
		img.ReplaceWithNodes(&html.Node{Type: html.TextNode, Data: alt})
	})
	doc.Find("td, th").Contents().Each(func(_ int, s *goquery.Selection) {
		if n := s.Nodes[0]; n.Type == html.TextNode {
			n.Data = strings.ReplaceAll(n.Data, "|", `\|`)
		}
	})
	for _, attr := range []string{"rowspan", "colspan"} {
		doc.Find("[" + attr + "]").Each(func(_ int, cell *goquery.Selection) {
			if n := cell.AttrOr(attr, ""); len(n) > 2 || len(n) == 2 && n > fmt.Sprint(maxSpan) {
				cell.RemoveAttr(attr)
			}
		})
	}
}

// mergeText joins adjacent text nodes below node. The renderer does so too, in
// time that grows with the square of their number.
func mergeText(node *html.Node) {
	for c := node.FirstChild; c != nil; c = c.NextSibling {
		if c.Type != html.TextNode {
			mergeText(c)
			continue
		}
		if c.NextSibling == nil || c.NextSibling.Type != html.TextNode {
			continue
		}
		var b strings.Builder
		b.WriteString(c.Data)
		for next := c.NextSibling; next != nil && next.Type == html.TextNode; next = c.NextSibling {
			b.WriteString(next.Data)
			node.RemoveChild(next)
		}
		c.Data = b.String()
	}
}

// plainPage is the last resort: the text between the tags, with breaks where
// block elements start and end.
func plainPage(source string) Parsed {
	text := cleanText(tokenText(source))
	return Parsed{Text: text, Blocks: splitParagraphs(text)}
}

// tokenText returns the text of a page token by token. It needs no tree, so
// no nesting is too deep for it.
func tokenText(source string) string {
	var b strings.Builder
	z := html.NewTokenizer(strings.NewReader(source))
	skipped := atom.Atom(0) // the element whose text is being skipped
	for {
		switch kind := z.Next(); kind {
		case html.ErrorToken:
			if !errors.Is(z.Err(), io.EOF) {
				b.WriteString("\n")
			}
			return b.String()
		case html.TextToken:
			if skipped == 0 {
				b.Write(z.Text())
			}
		case html.StartTagToken, html.EndTagToken, html.SelfClosingTagToken:
			name, _ := z.TagName()
			tag := atom.Lookup(name)
			if breaksLine(tag) {
				breakLine(&b)
			}
			switch {
			case kind == html.StartTagToken && skipped == 0 && hidesText(tag):
				skipped = tag
			case kind == html.EndTagToken && tag == skipped:
				skipped = 0
			}
		}
	}
}

// breakLine ends the paragraph that b holds, once.
func breakLine(b *strings.Builder) {
	if s := b.String(); s != "" && !strings.HasSuffix(s, "\n\n") {
		b.WriteString("\n\n")
	}
}

func hidesText(tag atom.Atom) bool {
	switch tag {
	case atom.Script, atom.Style, atom.Noscript, atom.Template, atom.Svg, atom.Title:
		return true
	}
	return false
}

func breaksLine(tag atom.Atom) bool {
	switch tag {
	case atom.P, atom.Div, atom.Br, atom.Li, atom.Ul, atom.Ol, atom.Tr, atom.Table, atom.Pre, atom.Blockquote,
		atom.H1, atom.H2, atom.H3, atom.H4, atom.H5, atom.H6, atom.Section, atom.Article, atom.Hr, atom.Dt, atom.Dd:
		return true
	}
	return false
}

func wordCount(s string) int {
	n := 0
	for range strings.FieldsSeq(s) {
		n++
	}
	return n
}
