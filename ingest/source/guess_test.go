package source

import (
	"path/filepath"
	"testing"

	"github.com/tributary-kb/tributary"
)

func TestGuess(t *testing.T) {
	abs, err := filepath.Abs("docs")
	fatal(t, err)
	for location, want := range map[string]tributary.Source{
		"docs":                                {Name: "docs", Kind: tributary.SourceFolder, Location: abs},
		"/srv/My Docs/":                       {Name: "my-docs", Kind: tributary.SourceFolder, Location: "/srv/My Docs"},
		"file:///srv/my%20docs":               {Name: "my-docs", Kind: tributary.SourceFolder, Location: "/srv/my docs"},
		"/srv/2024":                           {Name: "source-2024", Kind: tributary.SourceFolder, Location: "/srv/2024"},
		"/":                                   {Name: "source", Kind: tributary.SourceFolder, Location: "/"},
		"/srv/repo.git":                       {Name: "repo", Kind: tributary.SourceGit},
		"https://git.example/a/docs.git":      {Name: "git-example-a-docs", Kind: tributary.SourceGit},
		"git@git.example:a/docs.git":          {Name: "docs", Kind: tributary.SourceGit},
		"git@git.example:docs":                {Name: "docs", Kind: tributary.SourceGit},
		"ssh://git@git.example/a/docs":        {Name: "docs", Kind: tributary.SourceGit},
		"s3://bucket/a/kb/":                   {Name: "kb", Kind: tributary.SourceS3},
		"s3://bucket":                         {Name: "bucket", Kind: tributary.SourceS3},
		"https://x.example/sitemap.xml":       {Name: "x-example-sitemap-xml", Kind: tributary.SourceSitemap},
		"https://x.example/sitemap-1.xml.gz":  {Name: "x-example-sitemap-1-xml-gz", Kind: tributary.SourceSitemap},
		"https://x.example/robots.txt":        {Name: "x-example-robots-txt", Kind: tributary.SourceSitemap},
		"https://x.example/blog/feed/":        {Name: "x-example-blog-feed", Kind: tributary.SourceFeed},
		"https://x.example/index.xml":         {Name: "x-example-index-xml", Kind: tributary.SourceFeed},
		"https://x.example/Atom.xml?page=1":   {Name: "x-example-atom-xml", Kind: tributary.SourceFeed},
		"https://x.example/docs/feeding-cats": {Name: "x-example-docs-feeding-cats", Kind: tributary.SourcePage},
		"http://x.example":                    {Name: "x-example", Kind: tributary.SourcePage},
	} {
		if want.Location == "" {
			want.Location = location
		}
		kind, got := Guess(location)
		if kind != want.Kind || got.Name != want.Name || got.Kind != want.Kind || got.Location != want.Location {
			t.Errorf("%s: got %s %+v, want %+v", location, kind, got, want)
		}
		if err := got.Check(); err != nil {
			t.Errorf("%s: %v", location, err)
		}
	}
}

func FuzzGuess(f *testing.F) {
	f.Add("git@x:y")
	f.Fuzz(func(t *testing.T, location string) {
		if _, s := Guess(location); tributary.CheckKB(s.Name) != nil {
			t.Errorf("%q: name %q", location, s.Name)
		}
	})
}
