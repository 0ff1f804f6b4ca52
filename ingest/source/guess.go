package source

import (
	"net/url"
	"path/filepath"
	"regexp"
	"strings"

	"github.com/tributary-kb/tributary"
)

// scpLike is how git writes an address over ssh: user@host:path.
var scpLike = regexp.MustCompile(`^[\w.-]+@[\w.-]+:[^/\\]`)

// Guess returns the kind of what a user names, and a source of that kind with
// a name made of the location. It looks at nothing but the words: a page may
// well turn out to be the start of a site. A path is made absolute.
func Guess(location string) (tributary.SourceKind, tributary.Source) {
	kind := guessKind(location)
	if u, err := url.Parse(location); err == nil && u.Scheme == "file" && kind == tributary.SourceFolder {
		location = filepath.FromSlash(u.Path)
	}
	if abs, err := filepath.Abs(location); err == nil && kind == tributary.SourceFolder {
		location = abs
	}
	return kind, tributary.Source{Name: guessName(location), Kind: kind, Location: location}
}

func guessKind(location string) tributary.SourceKind {
	u, err := url.Parse(location)
	path := strings.TrimRight(location, "/")
	if err == nil && u.Host != "" {
		path = strings.TrimRight(u.Path, "/")
	}
	switch {
	case scpLike.MatchString(location), strings.HasSuffix(path, ".git"), err == nil && (u.Scheme == "ssh" || u.Scheme == "git"):
		return tributary.SourceGit
	case err == nil && u.Scheme == "s3":
		return tributary.SourceS3
	case err == nil && (u.Scheme == "http" || u.Scheme == "https"):
		return guessWeb(strings.ToLower(path))
	}
	return tributary.SourceFolder
}

var (
	sitemapPath = regexp.MustCompile(`(^|/)sitemap[^/]*\.(xml|txt)(\.gz)?$`)
	feedPath    = regexp.MustCompile(`(^|/)(feed|rss|atom|index)\.(xml|json|rdf)$|(^|/)(feed|rss|atom)$|\.(rss|atom)$`)
)

// guessWeb guesses by the path of a URL, in lower case.
func guessWeb(path string) tributary.SourceKind {
	switch {
	case sitemapPath.MatchString(path), strings.HasSuffix(path, "/robots.txt"):
		return tributary.SourceSitemap
	case feedPath.MatchString(path):
		return tributary.SourceFeed
	}
	return tributary.SourcePage
}

var notName = regexp.MustCompile(`[^a-z0-9]+`)

// guessName makes a name of the last words of a location: the folder or the
// repository, or host and path of a page.
func guessName(location string) string {
	name := filepath.ToSlash(location)
	if u, err := url.Parse(location); err == nil && u.Host != "" {
		name = u.Host + u.Path
		if u.Scheme != "http" && u.Scheme != "https" {
			name = strings.TrimRight(name, "/")
			name = name[strings.LastIndexByte(name, '/')+1:]
		}
	} else {
		name = strings.TrimRight(name, "/")
		name = name[strings.LastIndexAny(name, "/:")+1:]
	}
	name = strings.TrimSuffix(strings.TrimRight(name, "/"), ".git")
	name = strings.Trim(notName.ReplaceAllString(strings.ToLower(name), "-"), "-")
	if name == "" || name[0] < 'a' || name[0] > 'z' {
		name = strings.TrimRight("source-"+name, "-")
	}
	return strings.TrimRight(name[:min(len(name), 63)], "-")
}
