package source

import (
	"encoding/base64"
	"errors"
	"net/url"
	"strings"

	"github.com/tributary-kb/tributary"
	"github.com/tributary-kb/tributary/ingest"
)

// An authorization is what a source shows to its location's own scheme, host
// and port, and to nobody else.
type authorization struct {
	scheme, host string
	options      tributary.SourceOptions
}

func newAuthorization(o tributary.SourceOptions, location *url.URL) (authorization, error) {
	if o.User != "" && o.SecretFile == "" && o.SecretEnv == "" {
		return authorization{}, errors.New("user is set without secret_file or secret_env")
	}
	return authorization{scheme: location.Scheme, host: ingest.HostPort(location), options: o}, nil
}

// header returns the Authorization header of a request for u, "" for none. The
// secret is read anew each time, so that it may be exchanged.
func (a authorization) header(u *url.URL) (string, error) {
	if u.Scheme != a.scheme || ingest.HostPort(u) != a.host {
		return "", nil
	}
	value, err := secret(a.options)
	switch {
	case err != nil:
		return "", err
	case value == "":
		return "", nil
	case strings.ContainsAny(value, "\r\n\x00"):
		return "", errors.New("the secret of the source has more than one line")
	case a.options.User == "":
		return "Bearer " + value, nil
	}
	return "Basic " + base64.StdEncoding.EncodeToString([]byte(a.options.User+":"+value)), nil
}
