package main

import (
	"net/url"
	"path/filepath"
	"regexp"
	"runtime"
	"strconv"
	"strings"

	"github.com/tributary-kb/tributary"
)

// uriScheme begins a URI. Two letters at least: C:\notes is a path.
var uriScheme = regexp.MustCompile(`^[A-Za-z][A-Za-z0-9+.-]+:`)

var documentID = regexp.MustCompile(`^[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}$`)

// isWeb reports whether arg is a URL that can be fetched.
func isWeb(arg string) bool {
	lower := strings.ToLower(arg)
	return strings.HasPrefix(lower, "http://") || strings.HasPrefix(lower, "https://")
}

// documentURI is the URI that arg names: itself if it has a scheme or is
// meant literally, else the file:// URI of the path.
func documentURI(arg string, literal bool) (string, error) {
	if arg == "" {
		return "", usagef("an argument is empty; name a URI or a file")
	}
	uri := arg
	if !literal && !uriScheme.MatchString(arg) {
		path, err := filepath.Abs(arg)
		if err != nil {
			return "", usagef("%s: %w", arg, err)
		}
		uri = fileURI(path)
	}
	if err := tributary.CheckURI(uri); err != nil {
		return "", &exitError{exitUsage, err}
	}
	return uri, nil
}

// fileURI is the file:// URI of an absolute path.
func fileURI(path string) string {
	path = filepath.ToSlash(path)
	if runtime.GOOS == "windows" && !strings.HasPrefix(path, "/") {
		path = "/" + path
	}
	return (&url.URL{Scheme: "file", Path: path}).String()
}

// filePath is the path that a file:// URI names, or arg if it is none.
func filePath(arg string) (string, error) {
	if !strings.HasPrefix(strings.ToLower(arg), "file:") {
		return arg, nil
	}
	u, err := url.Parse(arg)
	if err != nil || u.Path == "" || u.Host != "" && u.Host != "localhost" {
		return "", usagef("%s does not name a file of this machine, want file:///PATH", arg)
	}
	path := u.Path
	if runtime.GOOS == "windows" {
		path = strings.TrimPrefix(path, "/")
	}
	return filepath.FromSlash(path), nil
}

// parseAt reads URI@VERSION or DOCUMENT@VERSION. The last @ counts, for a URI
// may hold others.
func parseAt(text string) (tributary.At, error) {
	i := strings.LastIndexByte(text, '@')
	if i <= 0 {
		return tributary.At{}, usagef("--at-least %q: want URI@VERSION, as a receipt has them", text)
	}
	version, err := strconv.ParseUint(text[i+1:], 10, 64)
	if err != nil {
		return tributary.At{}, usagef("--at-least %q: %q is not a version, want the number of a receipt", text, text[i+1:])
	}
	if name := text[:i]; documentID.MatchString(name) {
		return tributary.At{Document: name, Version: version}, nil
	}
	return tributary.At{URI: text[:i], Version: version}, nil
}
