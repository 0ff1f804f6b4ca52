package ingest

import (
	"bytes"
	"mime"
	"net/http"
	"net/url"
	"path"
	"strings"
)

// The media types that the registry and the sniffer share.
const (
	typePlain    = "text/plain"
	typeMarkdown = "text/markdown"
	typeHTML     = "text/html"
	typePDF      = "application/pdf"
	typeBinary   = "application/octet-stream"
	typeZip      = "application/zip"
	typeOLE      = "application/x-ole-storage"
	typeRTF      = "application/rtf"
)

const officeXML = "application/vnd.openxmlformats-officedocument."

// extensionTypes maps file extensions to media types. It is our own table
// because the mime package's depends on the machine it runs on.
var extensionTypes = map[string]string{
	".txt": typePlain, ".text": typePlain, ".log": typePlain,
	".md": typeMarkdown, ".markdown": typeMarkdown, ".mdown": typeMarkdown, ".mkd": typeMarkdown, ".mdx": typeMarkdown,
	".html": typeHTML, ".htm": typeHTML, ".xhtml": typeHTML,
	".pdf":  typePDF,
	".docx": officeXML + "wordprocessingml.document",
	".pptx": officeXML + "presentationml.presentation",
	".xlsx": officeXML + "spreadsheetml.sheet",
	".doc":  "application/msword", ".ppt": "application/vnd.ms-powerpoint", ".xls": "application/vnd.ms-excel",
	".odt": "application/vnd.oasis.opendocument.text", ".epub": "application/epub+zip",
	".rtf": typeRTF, ".eml": "message/rfc822", ".msg": "application/vnd.ms-outlook",
	".ipynb": "application/x-ipynb+json", ".svg": "image/svg+xml", ".ps": "application/postscript",
	".eps": "application/postscript", ".zip": typeZip, ".csv": "text/csv", ".json": "application/json",
	".xml": "application/xml", ".yaml": "application/yaml", ".yml": "application/yaml",
}

// typeNames says in words what a type is, for refusals.
var typeNames = map[string]string{
	officeXML + "wordprocessingml.document":   "a Word document",
	officeXML + "presentationml.presentation": "a PowerPoint presentation",
	officeXML + "spreadsheetml.sheet":         "an Excel workbook",
	"application/msword":                      "an old Word document",
	"application/vnd.ms-powerpoint":           "an old PowerPoint presentation",
	"application/vnd.ms-excel":                "an old Excel workbook",
	"application/vnd.oasis.opendocument.text": "an OpenDocument text",
	"application/epub+zip":                    "an EPUB book",
	typeRTF:                                   "a rich text (RTF) document",
	typeOLE:                                   "an old or an encrypted Office document",
	typeZip:                                   "a zip archive",
	typeBinary:                                "unknown binary data",
	"message/rfc822":                          "an e-mail",
	"application/vnd.ms-outlook":              "an Outlook message",
	"application/x-ipynb+json":                "a notebook",
	"application/postscript":                  "PostScript",
}

// describeType names a media type for people: `a Word document (application/...)`.
func describeType(mediaType string) string {
	if name, ok := typeNames[mediaType]; ok {
		return name + " (" + mediaType + ")"
	}
	for prefix, name := range map[string]string{"image/": "an image", "audio/": "audio", "video/": "video"} {
		if strings.HasPrefix(mediaType, prefix) {
			return name + " (" + mediaType + ")"
		}
	}
	return mediaType
}

// Sniff returns the media type of in, without parameters. Content that gives
// itself away decides; among the kinds of text, which content cannot tell
// apart reliably, the declared type does, then the extension of the URI, then
// a look for HTML. Data that is not text and not known is
// "application/octet-stream".
func Sniff(in Input) string {
	if t := sniffMagic(in); t != "" {
		return t
	}
	if !looksLikeText(in.Content) {
		return binaryType(in)
	}
	declared, byName := declaredType(in.ContentType), extensionTypes[extension(in.URI)]
	for _, t := range []string{declared, byName} {
		if isTextual(t) && t != typePlain {
			return t
		}
	}
	if byName == typePlain || declared == typePlain && byName == "" && !startsLikeHTML(in.Content) {
		return typePlain
	}
	for _, t := range []string{declared, byName} {
		if t == "message/rfc822" || t == "application/x-ipynb+json" || t == "image/svg+xml" {
			return t
		}
	}
	if startsLikeHTML(in.Content) {
		return typeHTML
	}
	return typePlain
}

// magics are the signatures of binary formats that net/http does not know or
// would take for text.
var magics = []struct{ prefix, mediaType string }{
	{"%!PS-Adobe", "application/postscript"},
	{"{\\rtf", typeRTF},
	{"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1", typeOLE},
	{"7z\xbc\xaf\x27\x1c", "application/x-7z-compressed"},
	{"BZh", "application/x-bzip2"},
	{"\xfd7zXZ\x00", "application/x-xz"},
	{"\x28\xb5\x2f\xfd", "application/zstd"},
	{"\x7fELF", "application/x-executable"},
	{"SQLite format 3\x00", "application/vnd.sqlite3"},
}

func sniffMagic(in Input) string {
	head := in.Content[:min(len(in.Content), 1024)]
	// Readers accept junk in front of a PDF header, and real files have it.
	if i := bytes.Index(head, []byte("%PDF-")); i == 0 || i > 0 && !startsLikeHTML(head) && !isNamedText(in) {
		return typePDF
	}
	if bytes.HasPrefix(head, []byte("PK\x03\x04")) || bytes.HasPrefix(head, []byte("PK\x05\x06")) {
		return zipType(in)
	}
	for _, m := range magics {
		if bytes.HasPrefix(head, []byte(m.prefix)) {
			return refineOLE(m.mediaType, in)
		}
	}
	return ""
}

// isNamedText reports whether the name says text, so that an article about
// PDF files is not taken for one.
func isNamedText(in Input) bool {
	return isTextual(extensionTypes[extension(in.URI)]) || isTextual(declaredType(in.ContentType))
}

// zipType tells the formats that live in zip archives apart by the names of
// their members, which stand uncompressed in the local headers and, for those
// who write them late, in the directory at the end.
func zipType(in Input) string {
	const window = 64 << 10
	head := in.Content[:min(len(in.Content), window)]
	tail := in.Content[max(0, len(in.Content)-window):]
	members := []struct{ name, mediaType string }{
		{"mimetypeapplication/epub+zip", "application/epub+zip"},
		{"mimetypeapplication/vnd.oasis.opendocument.text", "application/vnd.oasis.opendocument.text"},
		{"word/", officeXML + "wordprocessingml.document"},
		{"ppt/", officeXML + "presentationml.presentation"},
		{"xl/", officeXML + "spreadsheetml.sheet"},
	}
	for _, m := range members {
		if bytes.Contains(head, []byte(m.name)) || bytes.Contains(tail, []byte(m.name)) {
			return m.mediaType
		}
	}
	return typeZip
}

// refineOLE asks the name which of the formats in an OLE container it is.
func refineOLE(mediaType string, in Input) string {
	if mediaType != typeOLE {
		return mediaType
	}
	switch t := extensionTypes[extension(in.URI)]; t {
	case "application/msword", "application/vnd.ms-powerpoint", "application/vnd.ms-excel", "application/vnd.ms-outlook":
		return t
	}
	return typeOLE
}

// binaryType names data that is known not to be text.
func binaryType(in Input) string {
	if t := declaredType(http.DetectContentType(in.Content)); t != "" && !isTextual(t) {
		return t
	}
	for _, t := range []string{declaredType(in.ContentType), extensionTypes[extension(in.URI)]} {
		if t != "" && !isTextual(t) && t != typePDF {
			return t
		}
	}
	return typeBinary
}

// looksLikeText reports whether content could be text in some charset: no
// NULs outside UTF-16 and UTF-32, and next to no control characters.
func looksLikeText(content []byte) bool {
	if bomCharset(content) != "" || utf16Charset(content) != "" {
		return true
	}
	const window = 256 << 10
	head := content[:min(len(content), window)]
	control := 0
	for _, b := range head {
		switch {
		case b == 0:
			return allowsStrayNUL(head)
		case b < ' ' && b != '\t' && b != '\n' && b != '\r' && b != '\f' && b != 0x1b && b != '\v':
			control++
		}
	}
	return control*50 <= len(head)
}

// allowsStrayNUL forgives a page with a stray NUL, which browsers do too.
func allowsStrayNUL(head []byte) bool {
	return startsLikeHTML(head) && bytes.Count(head, []byte{0})*100 < len(head)
}

var htmlStarts = []string{"<!doctype html", "<html", "<head", "<body", "<title", "<h1", "<div", "<p>", "<p ", "<table", "<script", "<meta", "<article", "<main"}

// startsLikeHTML reports whether content begins with a tag that only HTML has.
func startsLikeHTML(content []byte) bool {
	head := bytes.TrimPrefix(content[:min(len(content), 4096)], []byte("\xef\xbb\xbf"))
	for {
		head = bytes.TrimLeft(head, " \t\r\n\f\x00")
		switch {
		case bytes.HasPrefix(head, []byte("<!--")):
			end := bytes.Index(head, []byte("-->"))
			if end < 0 {
				return false
			}
			head = head[end+3:]
		case bytes.HasPrefix(head, []byte("<?xml")):
			end := bytes.IndexByte(head, '>')
			if end < 0 {
				return false
			}
			head = head[end+1:]
		default:
			lower := strings.ToLower(string(head[:min(len(head), 32)]))
			for _, s := range htmlStarts {
				if strings.HasPrefix(lower, s) {
					return true
				}
			}
			return false
		}
	}
}

// isTextual reports whether a media type promises text.
func isTextual(mediaType string) bool {
	switch mediaType {
	case "application/json", "application/xml", "application/yaml", "application/x-yaml", "application/toml",
		"application/javascript", "application/xhtml+xml", "application/x-sh", "application/sql", "application/x-ndjson":
		return true
	}
	return strings.HasPrefix(mediaType, "text/") && mediaType != "text/rtf"
}

// declaredType returns the media type of a declared content type, "" where it
// is malformed or says no more than "bytes".
func declaredType(contentType string) string {
	t, _, err := mime.ParseMediaType(contentType)
	if err != nil || t == typeBinary {
		return ""
	}
	return t
}

// extension returns the lower-case extension of the URI's path, with the dot.
func extension(uri string) string {
	return strings.ToLower(path.Ext(baseName(uri)))
}

// baseName returns the last element of the URI's path, unescaped; for a URI
// without a path, its host.
func baseName(uri string) string {
	u, err := url.Parse(uri)
	if err != nil {
		return path.Base(uri)
	}
	p := u.Path
	if p == "" {
		p = u.Opaque
	}
	if p = strings.TrimRight(p, "/"); p == "" {
		return u.Host
	}
	return path.Base(p)
}
