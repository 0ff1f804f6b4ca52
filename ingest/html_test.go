package ingest

import (
	"reflect"
	"strings"
	"testing"
)

func TestHTMLKeepsStructure(t *testing.T) {
	p := mustParse(t, Input{URI: "https://x.example/docs/page", Content: []byte(`<!doctype html><html lang="en"><head><title>Page</title></head><body>
<h1>Setup &amp; use</h1><p>Run <code>make</code> or see <a href="../guide">the <b>guide</b></a>.</p>
<pre><code class="language-sh">a | b
  c</code></pre>
<ul><li>one<ul><li>nested</li></ul></li><li>two</li></ul>
<table><tr><th>Key</th><th>Value</th></tr><tr><td>max_bytes</td><td>1 | 2</td></tr></table>
<blockquote><p>said</p></blockquote><img src="data:image/png;base64,AAAA" alt="a diagram">
<a href="javascript:x()">plain</a></body></html>`)})
	want := []string{
		"h1: Setup & use",
		"paragraph: Run `make` or see [the **guide**](https://x.example/guide).",
		"code: ```sh\na | b\n  c\n```",
		"list: - one\n  \n  - nested\n- two",
		"table: | Key | Value |\n|---|---|\n| max_bytes | 1 \\| 2 |",
		"quote: > said",
		"paragraph: a diagram plain",
	}
	if got := outline(p.Text, p.Blocks); !reflect.DeepEqual(got, want) {
		t.Errorf("got  %q\nwant %q", got, want)
	}
	if want := []string{"https://x.example/guide"}; !reflect.DeepEqual(p.Links, want) {
		t.Errorf("links %q, want %q", p.Links, want)
	}
	checkParsed(t, p)
}

func TestHTMLLeavesFurnitureOut(t *testing.T) {
	story := strings.Repeat("<p>The story goes on for a while, with commas, and with enough words to be one.</p>", 8)
	p := mustParse(t, Input{URI: "https://x.example/", Content: []byte(`<html><head><title>T</title></head><body>
<nav><ul><li><a href="/a">Products</a></li></ul></nav><header>Banner</header>
<div class="content"><h1>Headline</h1>` + story + `</div>
<aside>Related</aside><footer>Imprint</footer><script>var tracked</script></body></html>`)})
	for _, word := range []string{"Products", "Banner", "Related", "Imprint", "tracked"} {
		if strings.Contains(p.Text, word) {
			t.Errorf("the text has %q of the furniture", word)
		}
	}
	if !strings.HasPrefix(p.Text, "# Headline\n") || strings.Count(p.Text, "The story") != 8 {
		t.Errorf("the text is %q", p.Text)
	}
}

func TestShortPageIsNotLost(t *testing.T) {
	p := mustParse(t, Input{Content: []byte(`<html><body><nav>Menu</nav><div><p>Closed on Mondays.</p></div></body></html>`)})
	if p.Text != "Closed on Mondays.\n" {
		t.Errorf("text %q", p.Text)
	}
}

func TestAngleBracketsOfAPageAreText(t *testing.T) {
	page := `<html><body><p>Choose Settings &gt; Account, if x &lt; y.</p><pre><code>if a &lt; b &amp;&amp; c &gt; d</code></pre></body></html>`
	parsed, err := Parse(t.Context(), Input{URI: "https://example.com/a.html", ContentType: "text/html", Content: []byte(page)})
	if err != nil {
		t.Fatal(err)
	}
	for _, want := range []string{"Settings > Account, if x < y.", "if a < b && c > d"} {
		if !strings.Contains(parsed.Text, want) {
			t.Errorf("the text does not hold %q:\n%s", want, parsed.Text)
		}
	}
}
