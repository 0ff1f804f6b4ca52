package ingest

import (
	"context"
	"fmt"
	"mime"
	"runtime/debug"
	"strings"
	"unicode"

	"github.com/tributary-kb/tributary"
)

// ParserName is the name and version that parsed documents carry. It changes
// when the same bytes give different text or blocks.
const ParserName = "ingest/2"

// Input is one document as it came in.
type Input struct {
	// URI places the document. Its path's extension is a hint to the format,
	// its last element the title of last resort, and it resolves relative
	// links. It may be empty.
	URI string `json:"uri"`
	// ContentType is what the publisher declared, with parameters such as
	// charset; "" if nothing. Content wins where the two clash.
	ContentType string `json:"content_type"`
	// Content is the document, undecoded.
	Content []byte `json:"-"`
}

// Parsed is the text of a document with its structure and what the document
// says about itself.
type Parsed struct {
	tributary.Attributes
	// Text is valid UTF-8 in normal form C, with "\n" line ends and no other
	// control characters than tabs. It holds at least one letter, digit or
	// symbol.
	Text   string            `json:"text"`
	Blocks []tributary.Block `json:"blocks"`
	// Links are the absolute http(s) links of an HTML page, each once, in
	// page order; nil for other formats.
	Links []string `json:"links,omitempty"`
}

// A ParseFunc parses the content of one format. It may panic on a hostile
// document: the caller turns that into a refusal. Its Parsed needs only what
// the format knows; normalisation of attributes happens after it.
type ParseFunc func(ctx context.Context, cfg *Config, in Input) (Parsed, error)

// A Format is one entry of the parser registry.
type Format struct {
	// Name is what errors call the format, e.g. "PDF".
	Name string
	// Types are the media types that select the format.
	Types []string
	// IsolateFrom is the size in bytes from which a document of the format is
	// parsed in a child process; 0 for always, negative for never.
	IsolateFrom int64
	// MaxBytes returns the format's own size limit and the setting that moves
	// it; nil if only Config.MaxBytes applies.
	MaxBytes func(*Config) (limit int64, setting string)
	Parse    ParseFunc
}

// isolateHTMLFrom is the size at which a page may cost noticeable time or
// memory; the milliseconds a child process costs are then small beside it.
const isolateHTMLFrom = 256 << 10

// formats is the registry. A new format is one more entry here and, unless
// its name or a declared type gives it away, a line in sniff.go.
var formats = []Format{
	{
		Name: "HTML", Types: []string{typeHTML, "application/xhtml+xml"}, IsolateFrom: isolateHTMLFrom, Parse: parseHTML,
		MaxBytes: func(c *Config) (int64, string) { return c.MaxHTMLBytes, "ingest.max_html_bytes" },
	},
	{
		Name: "Markdown", Types: []string{typeMarkdown, "text/x-markdown"}, IsolateFrom: -1, Parse: parseMarkdown,
		MaxBytes: func(c *Config) (int64, string) { return c.MaxMarkdownBytes, "ingest.max_markdown_bytes" },
	},
	{Name: "PDF", Types: []string{typePDF}, IsolateFrom: 0, Parse: parsePDF},
	{Name: "plain text", Types: []string{typePlain}, IsolateFrom: -1, Parse: parsePlain},
}

// formatOf finds the format that parses a media type; ok is false if none
// does. Any text/* type without a format of its own is plain text, and so are
// the textual application/* types.
func formatOf(mediaType string) (f Format, ok bool) {
	for _, f := range formats {
		for _, t := range f.Types {
			if t == mediaType {
				return f, true
			}
		}
	}
	if mediaType != typePlain && isTextual(mediaType) {
		return formatOf(typePlain)
	}
	return Format{}, false
}

// supportedFormats lists the formats for error texts.
func supportedFormats() string {
	names := make([]string, len(formats))
	for i, f := range formats {
		names[i] = f.Name
	}
	return strings.Join(names, ", ")
}

// A Parser parses documents of every supported format. It is safe for
// concurrent use.
type Parser struct {
	cfg Config
}

// NewParser returns a Parser with cfg's limits; zero fields mean defaults.
func NewParser(cfg Config) *Parser {
	cfg.SetDefaults()
	return &Parser{cfg: cfg}
}

// Parse parses in with the default limits and inside this process. It suits
// tools and tests that trust their input; a worker uses a Parser, which keeps
// hostile documents at arm's length.
func Parse(ctx context.Context, in Input) (Parsed, error) {
	return NewParser(Config{NoIsolation: true}).Parse(ctx, in)
}

// Parse returns the text and structure of in. Documents that are empty, too
// large, of an unsupported format, unreadable or without text are refused
// with an error marked by tributary.Reject. Other errors, a cancelled context
// among them, say nothing about the document.
func (p *Parser) Parse(ctx context.Context, in Input) (Parsed, error) {
	if err := ctx.Err(); err != nil {
		return Parsed{}, fmt.Errorf("parse %q: %w", in.URI, err)
	}
	format, mediaType, err := p.accept(in)
	if err != nil {
		return Parsed{}, err
	}
	in.ContentType = withMediaType(in.ContentType, mediaType)
	var parsed Parsed
	if p.isolates(format, in) {
		parsed, err = parseInChild(ctx, &p.cfg, format, in)
	} else {
		parsed, err = parseHere(ctx, &p.cfg, format, in)
	}
	if err != nil {
		return Parsed{}, err
	}
	return parsed, nil
}

// accept decides which format in has and refuses what has none.
func (p *Parser) accept(in Input) (Format, string, error) {
	if len(in.Content) == 0 {
		return Format{}, "", tributary.Rejectf("%s is empty: 0 bytes", nameOf(in))
	}
	if err := checkSize(in, p.cfg.MaxBytes, "ingest.max_bytes"); err != nil {
		return Format{}, "", err
	}
	mediaType := Sniff(in)
	format, ok := formatOf(mediaType)
	if !ok {
		return Format{}, "", tributary.Rejectf("%s is %s, which is not supported; supported are %s",
			nameOf(in), describeType(mediaType), supportedFormats())
	}
	if format.MaxBytes != nil {
		limit, setting := format.MaxBytes(&p.cfg)
		if err := checkSize(in, limit, setting); err != nil {
			return Format{}, "", err
		}
	}
	return format, mediaType, nil
}

func checkSize(in Input, limit int64, setting string) error {
	if size := int64(len(in.Content)); size > limit {
		return tributary.Rejectf("%s has %d bytes, the limit is %d (%s)", nameOf(in), size, limit, setting)
	}
	return nil
}

func (p *Parser) isolates(f Format, in Input) bool {
	return !p.cfg.NoIsolation && f.IsolateFrom >= 0 && int64(len(in.Content)) >= f.IsolateFrom
}

// parseHere runs the format's parser in this process. A panic is a refusal.
func parseHere(ctx context.Context, cfg *Config, f Format, in Input) (parsed Parsed, err error) {
	defer func() {
		if x := recover(); x != nil {
			parsed = Parsed{}
			err = tributary.Reject(&panicError{parser: f.Name, name: nameOf(in), value: x, stack: debug.Stack()})
		}
	}()
	parsed, err = f.Parse(ctx, cfg, in)
	if err != nil {
		return Parsed{}, err
	}
	return finish(cfg, in, parsed)
}

// panicError is the error of a parser that panicked. The stack is for logs
// that look for it, not for the text that users see.
type panicError struct {
	parser, name string
	value        any
	stack        []byte
}

// Error implements error.
func (e *panicError) Error() string {
	return fmt.Sprintf("%s: the %s parser gave up on it: %.200v", e.name, e.parser, e.value)
}

// Stack returns the stack of the panic.
func (e *panicError) Stack() []byte { return e.stack }

// finish checks the text of a parsed document and completes its attributes.
func finish(cfg *Config, in Input, p Parsed) (Parsed, error) {
	if size := int64(len(p.Text)); size > cfg.MaxTextBytes {
		return Parsed{}, tributary.Rejectf("%s yields %d bytes of text, the limit is %d (ingest.max_text_bytes)",
			nameOf(in), size, cfg.MaxTextBytes)
	}
	if !strings.ContainsFunc(p.Text, isGraphic) {
		return Parsed{}, tributary.Rejectf("%s has no text in it", nameOf(in))
	}
	mediaType, _, _ := mime.ParseMediaType(in.ContentType)
	p.ContentType = mediaType
	p.Title = oneLine(p.Title, maxTitleRunes)
	if p.Title == "" {
		p.Title = firstHeading(p.Blocks)
	}
	if p.Title == "" {
		p.Title = oneLine(cleanText(baseName(in.URI)), maxTitleRunes)
	}
	if p.Language = languageCode(p.Language); p.Language == "" {
		p.Language = detectLanguage(p.Text)
	}
	p.Metadata = cleanMetadata(p.Metadata)
	return p, nil
}

func isGraphic(r rune) bool { return !unicode.IsSpace(r) && unicode.IsGraphic(r) }

func firstHeading(blocks []tributary.Block) string {
	for _, b := range blocks {
		if b.Kind == tributary.BlockHeading && b.Title != "" {
			return oneLine(b.Title, maxTitleRunes)
		}
	}
	return ""
}

// withMediaType replaces the media type of a declared content type and keeps
// its charset, which belongs to the bytes whatever they turn out to be.
func withMediaType(declared, mediaType string) string {
	_, params, err := mime.ParseMediaType(declared)
	if charset := params["charset"]; err == nil && charset != "" {
		if s := mime.FormatMediaType(mediaType, map[string]string{"charset": charset}); s != "" {
			return s
		}
	}
	return mediaType
}

// nameOf is what errors call the document.
func nameOf(in Input) string {
	if in.URI == "" {
		return "the document"
	}
	return fmt.Sprintf("%.200q", in.URI)
}
