package source

import (
	"bytes"
	"cmp"
	"encoding/xml"
	"errors"
	"fmt"
	"io"
	"net/url"
	"strings"
	"time"

	"github.com/klauspost/compress/gzip"
	"golang.org/x/net/html/charset"

	"github.com/tributary-kb/tributary"
)

// What the protocol allows of one file (sitemaps.org).
const (
	sitemapBytes = 50 << 20 // decompressed
	sitemapURLs  = 50_000
)

// A sitemapFile is what one file of a sitemap says.
type sitemapFile struct {
	index   bool           // the entries are further files
	partial bool           // there is more than the entries: the file says too much, or is a feed
	entries []sitemapEntry // in the file's order
	odd     int            // entries without a URL
}

type sitemapEntry struct {
	loc      *url.URL
	lastmod  string // as written, "" if it is not
	modified time.Time
}

// parseSitemap reads a sitemap, an index of them, a feed or a list of URLs in
// plain text, gzipped or not; at is where it was found. What is malformed, cut
// off or something else is an error, and so is a file none of whose entries
// has a URL: it must not be taken for a sitemap from which everything is gone.
func parseSitemap(at *url.URL, content []byte) (sitemapFile, error) {
	content, err := unzip(content)
	if err != nil {
		return sitemapFile{}, err
	}
	content = bytes.TrimPrefix(content, []byte("\xef\xbb\xbf"))
	var f sitemapFile
	if trimmed := bytes.TrimSpace(content); len(trimmed) > 0 && trimmed[0] != '<' && trimmed[0] < 0xfe {
		f = textSitemap(at, trimmed)
	} else if f, err = xmlSitemap(at, content); err != nil {
		return sitemapFile{}, err
	}
	if len(f.entries) == 0 && f.odd > 0 {
		return sitemapFile{}, fmt.Errorf("none of its %d entries is a URL", f.odd)
	}
	return f, nil
}

// unzip decompresses content that begins as gzip does.
func unzip(content []byte) ([]byte, error) {
	if !bytes.HasPrefix(content, []byte{0x1f, 0x8b}) {
		return content, nil
	}
	z, err := gzip.NewReader(bytes.NewReader(content))
	if err != nil {
		return nil, fmt.Errorf("decompress: %w", err)
	}
	out, err := io.ReadAll(io.LimitReader(z, sitemapBytes+1))
	switch {
	case err != nil:
		return nil, fmt.Errorf("decompress: %w", err)
	case len(out) > sitemapBytes:
		return nil, fmt.Errorf("more than %d bytes when decompressed, which a sitemap must not have", sitemapBytes)
	}
	return out, nil
}

func textSitemap(at *url.URL, content []byte) (f sitemapFile) {
	for line := range strings.Lines(string(content)) {
		if line = strings.TrimSpace(line); line != "" {
			if !strings.HasPrefix(strings.ToLower(line), "http") {
				line = "" // a relative URL would make one of any text
			}
			f.add(at, line, "")
		}
	}
	return f
}

// add keeps an entry.
func (f *sitemapFile) add(at *url.URL, loc, lastmod string) {
	u, err := at.Parse(strings.TrimSpace(loc))
	if err == nil {
		u = canonical(u)
	}
	switch {
	case strings.TrimSpace(loc) == "" || u == nil || len(u.String()) > tributary.MaxURIBytes:
		f.odd++
	case len(f.entries) == sitemapURLs:
		f.partial = true
	default:
		lastmod = strings.TrimSpace(lastmod)
		f.entries = append(f.entries, sitemapEntry{loc: u, lastmod: lastmod, modified: w3cTime(lastmod)})
	}
}

// w3cTime reads a W3C date and time, zero if it is none.
func w3cTime(s string) time.Time {
	for _, layout := range []string{time.RFC3339, "2006-01-02T15:04Z07:00", time.DateOnly, "2006-01", "2006"} {
		if t, err := time.Parse(layout, s); err == nil {
			return t
		}
	}
	return time.Time{}
}

// xmlSitemap reads the XML forms. Elements are known by their local name where
// they stand (url in urlset, loc in url), whatever their namespace, so that
// those of extensions (image:loc in image:image) are not taken for them.
func xmlSitemap(at *url.URL, content []byte) (sitemapFile, error) {
	d := xml.NewDecoder(bytes.NewReader(content))
	d.CharsetReader, d.Entity = charset.NewReaderLabel, xml.HTMLEntity
	root, err := firstElement(d)
	if err != nil {
		return sitemapFile{}, err
	}
	var f sitemapFile
	switch root.Name.Local {
	case "urlset":
		err = f.children(d, at, "url")
	case "sitemapindex":
		f.index = true
		err = f.children(d, at, "sitemap")
	case "rss", "feed", "RDF":
		return feedSitemap(at, content)
	default:
		err = fmt.Errorf("its root element is %q, want urlset or sitemapindex", root.Name.Local)
	}
	return f, err
}

func firstElement(d *xml.Decoder) (xml.StartElement, error) {
	for {
		token, err := d.Token()
		if errors.Is(err, io.EOF) {
			return xml.StartElement{}, errors.New("it is empty")
		}
		if err != nil {
			return xml.StartElement{}, err
		}
		if start, ok := token.(xml.StartElement); ok {
			return start, nil
		}
	}
}

// children reads the children of the root to its end, and nothing may follow.
func (f *sitemapFile) children(d *xml.Decoder, at *url.URL, name string) error {
	for {
		token, err := d.Token()
		if errors.Is(err, io.EOF) {
			return nil // the decoder has seen the end of the root
		}
		if err != nil {
			return err
		}
		start, ok := token.(xml.StartElement)
		if !ok {
			continue
		}
		if start.Name.Local != name {
			err = d.Skip()
		} else {
			err = f.entry(d, at, start.Name.Space)
		}
		if err != nil {
			return err
		}
	}
}

// entry reads a url or sitemap element, whose own children are of its
// namespace.
func (f *sitemapFile) entry(d *xml.Decoder, at *url.URL, space string) error {
	var loc, lastmod string
	for {
		token, err := d.Token()
		if err != nil {
			return err
		}
		switch token := token.(type) {
		case xml.EndElement:
			f.add(at, loc, lastmod)
			return nil
		case xml.StartElement:
			var text string
			if text, err = elementText(d); err != nil {
				return err
			}
			switch {
			case token.Name.Space != space:
			case token.Name.Local == "loc" && loc == "":
				loc = text
			case token.Name.Local == "lastmod":
				lastmod = text
			}
		}
	}
}

// elementText returns the text of the element that was begun, without that of
// its children.
func elementText(d *xml.Decoder) (string, error) {
	var text strings.Builder
	for depth := 1; ; {
		token, err := d.Token()
		if err != nil {
			return "", err
		}
		switch token := token.(type) {
		case xml.StartElement:
			depth++
		case xml.EndElement:
			if depth--; depth == 0 {
				return text.String(), nil
			}
		case xml.CharData:
			if depth == 1 {
				text.Write(token)
			}
		}
	}
}

// feedSitemap takes the links of a feed, which is a sitemap as well. It names
// the newest pages only.
func feedSitemap(at *url.URL, content []byte) (sitemapFile, error) {
	feed, err := parseFeed(content)
	if err != nil {
		return sitemapFile{}, err
	}
	f := sitemapFile{partial: true}
	for _, entry := range feed.Items {
		lastmod := ""
		if t := entryTime(entry); !t.IsZero() {
			lastmod = t.UTC().Format(time.RFC3339)
		}
		f.add(at, cmp.Or(entry.Link, entry.GUID), lastmod)
	}
	return f, nil
}
