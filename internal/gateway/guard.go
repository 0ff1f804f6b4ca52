package gateway

import (
	"crypto/sha256"
	"crypto/subtle"
	"net"
	"net/http"
	"strings"

	"github.com/tributary-kb/tributary"
)

// guard asks every request for the token. Where there is none, only names of
// this machine are answered: a page elsewhere whose name was made to point here
// (DNS rebinding) sends its own.
func (h *handler) guard(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		token, err := h.cfg.Token()
		switch {
		case err != nil:
			h.cfg.Log.ErrorContext(r.Context(), "read the gateway's token", "error", err)
			h.fail(w, r, tributary.Errorf(tributary.CodeInternal, "the gateway cannot read its token; its log has more"))
		case r.URL.Path == "/healthz":
			next.ServeHTTP(w, r)
		case token == "" && !loopback(r.Host):
			writeError(w, r, http.StatusForbidden, "403", "this gateway has no token and answers only to names of its own machine, not to "+r.Host)
		case token != "" && !carries(r, token):
			w.Header().Set("WWW-Authenticate", "Bearer")
			writeError(w, r, http.StatusUnauthorized, "401", "a bearer token is needed (gateway.token_file of the server)")
		default:
			next.ServeHTTP(w, r)
		}
	})
}

// carries compares hashes, so that the time it takes tells nothing, not even
// the token's length.
func carries(r *http.Request, token string) bool {
	scheme, given, _ := strings.Cut(r.Header.Get("Authorization"), " ")
	a, b := sha256.Sum256([]byte(strings.TrimSpace(given))), sha256.Sum256([]byte(token))
	return strings.EqualFold(scheme, "bearer") && subtle.ConstantTimeCompare(a[:], b[:]) == 1
}

// loopback reports whether host, with or without a port, is this machine by a
// name that nobody else can have.
func loopback(host string) bool {
	if name, _, err := net.SplitHostPort(host); err == nil {
		host = name
	}
	host = strings.Trim(host, "[]")
	ip := net.ParseIP(host)
	return strings.EqualFold(host, "localhost") || ip != nil && ip.IsLoopback()
}
