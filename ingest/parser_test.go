package ingest

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
	"unicode"

	"golang.org/x/text/encoding/charmap"
	"golang.org/x/text/encoding/japanese"
	"golang.org/x/text/unicode/norm"

	"github.com/tributary-kb/tributary"
)

func TestSniffBelievesContentOverNames(t *testing.T) {
	tests := []struct {
		name string
		in   Input
		want string
	}{
		{"plain text by extension", Input{URI: "file:///a.txt", Content: []byte("<html> is a tag")}, typePlain},
		{"Markdown by extension", Input{URI: "https://x.example/a.MD?x=1", Content: []byte("# Hi")}, typeMarkdown},
		{"Markdown served as text/plain", Input{URI: "https://x.example/a.md", ContentType: "text/plain", Content: []byte("# Hi")}, typeMarkdown},
		{"HTML by declared type", Input{URI: "https://x.example/", ContentType: "text/html; charset=utf-8", Content: []byte("hi")}, typeHTML},
		{"HTML by content", Input{Content: []byte("<!-- x --><!DOCTYPE html><p>hi")}, typeHTML},
		{"HTML declared as bytes", Input{ContentType: "application/octet-stream", Content: []byte("<html>")}, typeHTML},
		{"PDF whatever it is called", Input{URI: "file:///a.txt", ContentType: "text/html", Content: []byte("%PDF-1.4\n")}, typePDF},
		{"PDF behind junk", Input{URI: "file:///a.pdf", Content: []byte("junk\n%PDF-1.4\n")}, typePDF},
		{"text about PDF", Input{URI: "file:///a.md", Content: []byte("Files start with %PDF-1.4.")}, typeMarkdown},
		{"Word by its members", Input{URI: "file:///a.txt", Content: []byte("PK\x03\x04....word/document.xml")}, officeXML + "wordprocessingml.document"},
		{"a spreadsheet by its members", Input{Content: []byte("PK\x03\x04....xl/workbook.xml")}, officeXML + "spreadsheetml.sheet"},
		{"an archive", Input{URI: "file:///a.docx", Content: []byte("PK\x03\x04....readme")}, typeZip},
		{"an image", Input{URI: "file:///a.html", Content: []byte("\x89PNG\r\n\x1a\n\x00\x00")}, "image/png"},
		{"binary called text", Input{URI: "file:///a.txt", Content: []byte("ab\x00\x01\x02\x03\x00\xff")}, typeBinary},
		{"old Office", Input{URI: "file:///a.doc", Content: []byte("\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1\x00")}, "application/msword"},
		{"UTF-16 text", Input{Content: []byte("h\x00e\x00l\x00l\x00o\x00")}, typePlain},
		{"source code", Input{URI: "file:///main.go", Content: []byte("package main\n")}, typePlain},
		{"JSON", Input{URI: "file:///a.json", Content: []byte(`{"a": 1}`)}, "application/json"},
		{"no name, no type", Input{Content: []byte("hello")}, typePlain},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			if got := Sniff(tt.in); got != tt.want {
				t.Errorf("got %s, want %s", got, tt.want)
			}
		})
	}
}

func TestParseRefusesClearly(t *testing.T) {
	tests := []struct {
		name string
		in   Input
		cfg  Config
		want []string
	}{
		{"empty content", Input{URI: "file:///a.txt"}, Config{}, []string{"file:///a.txt", "empty"}},
		{"white space", Input{URI: "file:///a.txt", Content: []byte(" \n\u00a0\n")}, Config{}, []string{"no text"}},
		{"an HTML page without text", Input{Content: []byte("<html><script>x()</script></html>")}, Config{}, []string{"no text"}},
		{"Word", Input{URI: "file:///a.docx", Content: []byte("PK\x03\x04....word/document.xml")}, Config{}, []string{"Word document", "wordprocessingml", "supported are HTML, Markdown, PDF, plain text"}},
		{"PowerPoint", Input{Content: []byte("PK\x03\x04....ppt/presentation.xml")}, Config{}, []string{"PowerPoint"}},
		{"an image", Input{Content: []byte("\x89PNG\r\n\x1a\n\x00\x00")}, Config{}, []string{"an image (image/png)"}},
		{"unknown data", Input{Content: []byte{0, 1, 2, 3, 0, 255}}, Config{}, []string{"unknown binary data"}},
		{"an e-mail", Input{URI: "file:///a.eml", Content: []byte("From: a\n\nhi")}, Config{}, []string{"e-mail"}},
		{"too much of anything", Input{URI: "file:///a.txt", Content: []byte("hello")}, Config{MaxBytes: 4}, []string{"5 bytes", "limit is 4", "ingest.max_bytes"}},
		{"too much HTML", Input{Content: []byte("<html>hello")}, Config{MaxHTMLBytes: 4}, []string{"ingest.max_html_bytes"}},
		{"too much Markdown", Input{URI: "a.md", Content: []byte("# hello")}, Config{MaxMarkdownBytes: 4}, []string{"ingest.max_markdown_bytes"}},
		{"too much text", Input{Content: []byte("hello")}, Config{MaxTextBytes: 4}, []string{"ingest.max_text_bytes"}},
		{"a PDF that is none", Input{Content: []byte("%PDF-1.4\n" + strings.Repeat("junk ", 20))}, Config{}, []string{"damaged"}},
		{"too many pages", Input{Content: []byte(buildPDF("<</Type/Catalog/Pages 2 0 R>>", "<</Type/Pages/Kids[3 0 R 4 0 R]>>", "<</Type/Page>>", "<</Type/Page>>"))}, Config{MaxPages: 1}, []string{"2 pages", "limit is 1", "ingest.max_pages"}},
		{"a PDF without text", Input{Content: []byte(pdfWith("0 0 m"))}, Config{}, []string{"no text", "text recognition"}},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			tt.cfg.NoIsolation = true
			_, err := NewParser(tt.cfg).Parse(t.Context(), tt.in)
			if outcome, _ := tributary.OutcomeOf(err); outcome != tributary.Rejected {
				t.Fatalf("outcome %v of %v, want rejected", outcome, err)
			}
			for _, want := range tt.want {
				// Other tests' formats stand at the end of the list.
				if !strings.Contains(err.Error(), want) {
					t.Errorf("error %q does not say %q", err, want)
				}
			}
		})
	}
}

func TestCharsets(t *testing.T) {
	const german = "Fünf größere Äpfel kosten 3 €, sagte der Händler über den Zaun."
	const japaneseText = "これは日本語の文章です。文字コードを正しく判定できるかどうかを確認します。"
	cp1252, err := charmap.Windows1252.NewEncoder().String(german)
	if err != nil {
		t.Fatal(err)
	}
	sjis, err := japanese.ShiftJIS.NewEncoder().String(japaneseText)
	if err != nil {
		t.Fatal(err)
	}
	utf16 := "\xff\xfeh\x00\xfc\x00b\x00s\x00c\x00h\x00"
	tests := []struct {
		name string
		in   Input
		want string
	}{
		{"UTF-8", Input{Content: []byte(german)}, german},
		{"UTF-8 with a mark", Input{Content: []byte("\xef\xbb\xbf" + german)}, german},
		{"UTF-16 with a mark", Input{Content: []byte(utf16)}, "hübsch"},
		{"UTF-16 without a mark", Input{Content: []byte("h\x00e\x00l\x00l\x00o\x00!\x00")}, "hello!"},
		{"a mark wins over the declared charset", Input{ContentType: "text/plain; charset=iso-8859-1", Content: []byte("\xef\xbb\xbf" + german)}, german},
		{"declared windows-1252", Input{ContentType: "text/plain; charset=windows-1252", Content: []byte(cp1252)}, german},
		{"guessed windows-1252", Input{Content: []byte(cp1252)}, german},
		{"a false claim of UTF-8", Input{ContentType: "text/plain; charset=utf-8", Content: []byte(cp1252)}, german},
		{"a false claim of windows-1252", Input{ContentType: "text/plain; charset=windows-1252", Content: []byte(strings.Repeat(german, 2))}, strings.Repeat(german, 2)},
		{"windows-1252 that could be UTF-8", Input{ContentType: "text/plain; charset=windows-1252", Content: []byte("\xc2\xa9 is what comes of a sign")}, "Â© is what comes of a sign"},
		{"declared Shift-JIS", Input{ContentType: "text/plain; charset=shift_jis", Content: []byte(sjis)}, japaneseText},
		{"guessed Shift-JIS", Input{Content: []byte(sjis)}, japaneseText},
		{"a page's meta element", Input{Content: []byte("<html><head>" + strings.Repeat("<!-- far -->", 300) + `<meta charset="shift_jis"></head><body><p>` + sjis)}, japaneseText},
		{"UTF-8 on a page without a word about it", Input{Content: []byte("<html><head>" + strings.Repeat("<!-- far -->", 300) + "<p>" + german)}, german},
		{"UTF-8 that was cut", Input{Content: []byte(strings.Repeat(german, 3) + "\xc3")}, strings.Repeat(german, 3) + "\uFFFD"},
		{"an unknown charset", Input{ContentType: "text/plain; charset=klingon", Content: []byte(german)}, german},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			if got := strings.TrimSpace(mustParse(t, tt.in).Text); got != tt.want {
				t.Errorf("got %q, want %q", got, tt.want)
			}
		})
	}
}

func TestCleanText(t *testing.T) {
	tests := []struct{ name, in, want string }{
		{"line ends", "a\r\nb\rc\fd\u2028e", "a\nb\nc\nd\ne"},
		{"controls", "a\x00b\x1bc\u0080d\x7fe", "abcde"},
		{"tabs stay", "a\tb", "a\tb"},
		{"soft hyphens and marks", "hy\u00adphen\ufeff", "hyphen"},
		{"normal form", "e\u0301", "é"},
		{"broken UTF-8", "a\xffb", "a\uFFFDb"},
	}
	for _, tt := range tests {
		if got := cleanText(tt.in); got != tt.want {
			t.Errorf("%s: got %q, want %q", tt.name, got, tt.want)
		}
	}
}

func TestAttributesOfDocuments(t *testing.T) {
	english := strings.Repeat("This is a sentence about the weather and the people who talk about it. ", 5)
	tests := []struct {
		name            string
		in              Input
		title, language string
		metadata        map[string]string
	}{
		{"front matter", Input{URI: "a.md", Content: []byte("---\ntitle: The Title\nlang: de-AT\ntags: [a, b]\ndate: 2024-05-06\n---\n# Heading\n")},
			"The Title", "de", map[string]string{"tags": "a, b", "published": "2024-05-06"}},
		{"the first heading", Input{URI: "a.md", Content: []byte("text\n\n## Heading\n")}, "Heading", "", nil},
		{"the file name", Input{URI: "file:///x/My%20notes.txt", Content: []byte("text")}, "My notes.txt", "", nil},
		{"the host", Input{URI: "https://x.example/", Content: []byte("text")}, "x.example", "", nil},
		{"a guessed language", Input{URI: "a.txt", Content: []byte(english)}, "a.txt", "en", nil},
		{"a page", Input{URI: "https://x.example/p", Content: []byte(`<html lang="fr_CA"><head><title>T - Site</title>
<meta property="og:title" content="T"><meta name="description" content=" d "><link rel="canonical" href="/c"></head><body><p>bonjour`)},
			"T", "fr", map[string]string{"description": "d", "canonical": "https://x.example/c"}},
		{"JSON-LD", Input{Content: []byte(`<html><head><script type="application/ld+json">{"@graph":[{"headline":"H","author":[{"name":"A"}],"datePublished":"2024"}]}</script></head><p>text`)},
			"H", "", map[string]string{"author": "A", "published": "2024"}},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			p := mustParse(t, tt.in)
			if p.Title != tt.title || p.Language != tt.language {
				t.Errorf("title %q, language %q; want %q, %q", p.Title, p.Language, tt.title, tt.language)
			}
			if len(p.Metadata) != len(tt.metadata) {
				t.Errorf("metadata %v, want %v", p.Metadata, tt.metadata)
			}
			for k, want := range tt.metadata {
				if p.Metadata[k] != want {
					t.Errorf("metadata %s is %q, want %q", k, p.Metadata[k], want)
				}
			}
		})
	}
}

func TestFrontMatterIsTakenOffOnlyWhenItIsOne(t *testing.T) {
	tests := []struct{ name, in, want string }{
		{"front matter", "---\na: b\n---\ntext\n", "text\n"},
		{"closed by dots", "---\na: b\n...\ntext\n", "text\n"},
		{"two rules around prose", "---\nprose\n---\ntext\n", "---\nprose\n---\ntext\n"},
		{"never closed", "---\na: b\ntext\n", "---\na: b\ntext\n"},
		{"not at the start", "\n---\na: b\n---\n", "\n---\na: b\n---\n"},
	}
	for _, tt := range tests {
		if _, got := cutFrontMatter(tt.in); got != tt.want {
			t.Errorf("%s: got %q, want %q", tt.name, got, tt.want)
		}
	}
}

func TestNaughtyStringsComeThrough(t *testing.T) {
	root := corpus(t, "nasty-blns")
	for _, name := range []string{"blns.txt", "blns.json"} {
		content, err := os.ReadFile(filepath.Join(root, name))
		if err != nil {
			t.Fatal(err)
		}
		for _, uri := range []string{"a.txt", "a.md", "a.html"} {
			p, err := Parse(t.Context(), Input{URI: uri, ContentType: "text/plain", Content: content})
			if err != nil {
				t.Errorf("%s as %s: %v", name, uri, err)
				continue
			}
			checkParsed(t, p)
		}
	}
}

// checkParsed holds what Parsed promises.
func checkParsed(t testing.TB, p Parsed) {
	t.Helper()
	checkBlocks(t, p.Text, p.Blocks)
	if !norm.NFC.IsNormalString(p.Text) {
		t.Fatal("the text is not in normal form C")
	}
	if i := strings.IndexFunc(p.Text, func(r rune) bool { return r != '\n' && r != '\t' && unicode.IsControl(r) }); i >= 0 {
		t.Fatalf("control character %q in the text", p.Text[i])
	}
}

func FuzzParse(f *testing.F) {
	f.Add("a.html", "text/html; charset=utf-8", []byte("<html><table><tr><td>a<td>b</table><pre>x</pre>"))
	f.Add("a.md", "", []byte("---\na: b\n---\n# x\n"))
	f.Add("a.txt", "text/plain; charset=utf-16", []byte("h\x00i\x00!\x00\n\x00"))
	f.Add("", "", []byte("e\u0301\r\n\xff\x00"))
	f.Fuzz(func(t *testing.T, uri, contentType string, content []byte) {
		in := Input{URI: uri, ContentType: contentType, Content: content}
		if Sniff(in) == typePDF || strings.Contains(contentType, "x-test-") {
			return // PDF has a fuzz target of its own
		}
		p, err := Parse(t.Context(), in)
		if err != nil {
			if outcome, _ := tributary.OutcomeOf(err); outcome != tributary.Rejected {
				t.Fatalf("error %v is no refusal", err)
			}
			return
		}
		checkParsed(t, p)
	})
}
