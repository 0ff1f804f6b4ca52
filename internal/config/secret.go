package config

import (
	"fmt"
	"net/url"
	"os"
	"strings"
)

// A Secret is a value that must not be seen: it prints as "(set)", or as
// nothing when it is empty. Reveal gives the value itself.
type Secret string

// String implements fmt.Stringer without the value.
func (s Secret) String() string {
	if s == "" {
		return ""
	}
	return "(set)"
}

// GoString implements fmt.GoStringer without the value.
func (s Secret) GoString() string { return fmt.Sprintf("config.Secret(%q)", s.String()) }

// MarshalText implements encoding.TextMarshaler without the value, which
// keeps it out of JSON, YAML and structured logs.
func (s Secret) MarshalText() ([]byte, error) { return []byte(s.String()), nil }

// Reveal returns the value.
func (s Secret) Reveal() string { return string(s) }

// Credentials returns user and password for NATS, "" where none are set. The
// password of the environment goes before that of the file.
func (n NATS) Credentials() (user, password string, err error) {
	password, err = secret("nats.password_file", n.Password, n.PasswordFile)
	return n.User, password, err
}

// Key returns the API key for Weaviate, "" if none is set. The key of the
// environment goes before that of the file.
func (w Weaviate) Key() (string, error) {
	return secret("weaviate.api_key_file", w.APIKey, w.APIKeyFile)
}

// BearerToken returns the token that clients need, "" if none is set. The token
// of the environment goes before that of the file.
func (g Gateway) BearerToken() (string, error) {
	return secret("gateway.token_file", g.Token, g.TokenFile)
}

// secret returns the value given directly, or else the content of file
// without the white space around it.
func secret(key string, direct Secret, file string) (string, error) {
	if direct != "" || file == "" {
		return direct.Reveal(), nil
	}
	data, err := os.ReadFile(file)
	if err != nil {
		return "", fmt.Errorf("%s: %w", key, err)
	}
	value := strings.TrimSpace(string(data))
	if value == "" {
		return "", fmt.Errorf("%s: %s is empty", key, file)
	}
	return value, nil
}

// Redact replaces passwords in a comma separated list of URLs, so that it may
// be shown. Text that holds none comes back as it was.
func Redact(list string) string {
	if !strings.Contains(list, "@") {
		return list
	}
	parts := strings.Split(list, ",")
	for i, part := range parts {
		parts[i] = redactURL(part)
	}
	return strings.Join(parts, ",")
}

func redactURL(raw string) string {
	scheme, rest, ok := strings.Cut(raw, "://")
	if !ok {
		return raw
	}
	end := strings.IndexAny(rest, "/?#")
	if end < 0 {
		end = len(rest)
	}
	at := strings.LastIndexByte(rest[:end], '@')
	if at < 0 {
		return raw
	}
	// A user without a password is a token in NATS, so the whole is hidden.
	user, _, hasPassword := strings.Cut(rest[:at], ":")
	if !hasPassword {
		return scheme + "://(set)" + rest[at:]
	}
	return scheme + "://" + user + ":(set)" + rest[at:]
}

// holdsPassword reports whether one of the URLs in list has a user part.
func holdsPassword(list string) bool {
	for raw := range strings.SplitSeq(list, ",") {
		if u, err := url.Parse(strings.TrimSpace(raw)); err == nil && u.User != nil {
			return true
		}
	}
	return false
}
