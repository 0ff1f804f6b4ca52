package source

import (
	"net/url"
	"path"
	"regexp"
	"slices"
	"strings"

	"golang.org/x/net/idna"
)

// canonical returns the one form in which URLs of the same document are known:
// host in lower case and ASCII without a trailing dot, no default port, no
// fragment, dot segments resolved, percent escapes as plainEscape writes them,
// parameters in the order of their names and without those that follow people
// about. It returns nil for what is no absolute URL of http or https, or
// carries credentials.
func canonical(u *url.URL) *url.URL {
	if u.Scheme != "http" && u.Scheme != "https" || u.Hostname() == "" || u.User != nil {
		return nil
	}
	c := &url.URL{Scheme: u.Scheme, Host: hostOf(u)}
	escaped := sessionless(u.EscapedPath())
	p := escape.ReplaceAllStringFunc(escaped, plainEscape)
	clean := path.Clean("/" + p)
	if last := p[strings.LastIndexByte(p, '/')+1:]; clean != "/" && (last == "" || last == "." || last == "..") {
		clean += "/"
	}
	plain, err := url.PathUnescape(clean)
	if err != nil {
		return nil
	}
	c.Path, c.RawPath = plain, clean
	c.RawQuery = canonicalQuery(u.RawQuery)
	return c
}

// hostOf returns the host of u as canonical writes it, with its port if that
// is not the scheme's own.
func hostOf(u *url.URL) string {
	host := strings.TrimSuffix(strings.ToLower(u.Hostname()), ".")
	if ascii, err := idna.Lookup.ToASCII(host); err == nil {
		host = ascii
	}
	if strings.Contains(host, ":") {
		host = "[" + host + "]"
	}
	port := u.Port()
	if port == "" || u.Scheme == "http" && port == "80" || u.Scheme == "https" && port == "443" {
		return host
	}
	return host + ":" + port
}

// sessionless cuts off the session that some servers write into a path.
func sessionless(p string) string {
	if at := strings.Index(strings.ToLower(p), ";jsessionid="); at >= 0 {
		return p[:at]
	}
	return p
}

// tracking are names of parameters that tell who follows a link, and change
// nothing about the document.
var tracking = map[string]bool{
	"gclid": true, "dclid": true, "gbraid": true, "wbraid": true, "fbclid": true, "msclkid": true, "yclid": true, "igshid": true,
	"mc_cid": true, "mc_eid": true, "_ga": true, "_gl": true, "_hsenc": true, "_hsmi": true, "mkt_tok": true,
	"phpsessid": true, "jsessionid": true, "sessionid": true,
}

func canonicalQuery(query string) string {
	var kept []string
	for param := range strings.SplitSeq(query, "&") {
		name, _, _ := strings.Cut(strings.ToLower(param), "=")
		if name == "" || tracking[name] || strings.HasPrefix(name, "utm_") {
			continue
		}
		kept = append(kept, queryEscape.ReplaceAllStringFunc(param, escapeQuery))
	}
	slices.SortStableFunc(kept, func(a, b string) int {
		a, _, _ = strings.Cut(a, "=")
		b, _, _ = strings.Cut(b, "=")
		return strings.Compare(a, b)
	})
	return strings.Join(kept, "&")
}

// queryEscape matches what canonicalQuery writes in another way: escapes, and
// bytes that must not stand in a query as they are (RFC 3986, section 3.4).
var queryEscape = regexp.MustCompile("%[0-9a-fA-F]{2}|[^!-~]|[\"%<>\\[\\]^`{|}]")

func escapeQuery(s string) string {
	if len(s) == 3 && s[0] == '%' {
		return plainEscape(s)
	}
	return strings.ReplaceAll(url.QueryEscape(s), "+", "%20")
}
