package source

import (
	"net/url"
	"path"
	"strings"

	"github.com/tributary-kb/tributary"
)

// A reach is which URLs a source of the web may follow: those on its hosts
// that its patterns hold, and of a site without Include only what is below the
// folder of its start page.
type reach struct {
	scope  scope
	hosts  map[string]bool
	home   string // the location's host
	folder string // on home, "" or with a slash at the end
}

func newReach(v *visitor, o tributary.SourceOptions, below bool) (reach, error) {
	s, err := newScope(o)
	if err != nil {
		return reach{}, err
	}
	r := reach{scope: s, hosts: v.hosts(o.Hosts), home: hostOf(v.location)}
	if below && len(o.Include) == 0 {
		r.folder = strings.TrimSuffix(path.Dir("/"+strings.TrimPrefix(v.location.Path, "/")+"x"), "/") + "/"
	}
	return r, nil
}

// holds says whether the canonical URL u is in reach, and if not, why.
func (r reach) holds(u *url.URL) (why string, ok bool) {
	switch {
	case !r.hosts[u.Host]:
		return "on other hosts (hosts)", false
	case u.Host == r.home && !strings.HasPrefix(u.Path, r.folder):
		return "outside the start page's folder (include)", false
	case !r.scope.holds(strings.TrimPrefix(u.Path, "/")):
		return "left out by include and exclude", false
	}
	return "", true
}
