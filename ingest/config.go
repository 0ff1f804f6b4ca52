package ingest

import (
	"errors"
	"fmt"
	"net/netip"
	"strings"
	"time"
)

// Config bounds what ingesting one document may cost. The zero value means
// the defaults that each field names; SetDefaults fills them in.
type Config struct {
	// MaxBytes is the largest document that is read, in bytes. Default 32 MiB.
	MaxBytes int64 `yaml:"max_bytes"`
	// MaxHTMLBytes is the largest HTML page that is parsed. Default 10 MiB.
	MaxHTMLBytes int64 `yaml:"max_html_bytes"`
	// MaxMarkdownBytes is the largest Markdown file that is parsed. Default 2 MiB.
	MaxMarkdownBytes int64 `yaml:"max_markdown_bytes"`
	// MaxTextBytes is the most text that one document may yield. Default 16 MiB.
	MaxTextBytes int64 `yaml:"max_text_bytes"`
	// MaxPages is the most pages that a paged document may have. Default 5000.
	MaxPages int `yaml:"max_pages"`
	// NoIsolation parses every format inside this process. A hostile PDF can
	// then end or stall the process. Default false: PDF files and large HTML
	// pages are parsed in a child process, see ServeParser.
	NoIsolation bool `yaml:"no_isolation"`
	// ParseTimeout is how long an isolated parse may take. Default 20s.
	ParseTimeout time.Duration `yaml:"parse_timeout"`
	// ParseMemoryBytes is how much memory an isolated parse may use. Default
	// 512 MiB.
	ParseMemoryBytes int64 `yaml:"parse_memory_bytes"`
	// Fetch governs requests that name a URL to fetch.
	Fetch FetchConfig `yaml:"fetch"`
}

// FetchConfig governs a Fetcher. The zero value means the defaults that each
// field names.
type FetchConfig struct {
	// Timeout covers one fetch with its redirects and body. Default 30s.
	Timeout time.Duration `yaml:"timeout"`
	// MaxRedirects is how many redirects are followed. Default 5; negative
	// means none.
	MaxRedirects int `yaml:"max_redirects"`
	// MaxRetryAfter caps the delay that a server's Retry-After asks for.
	// Default 1h.
	MaxRetryAfter time.Duration `yaml:"max_retry_after"`
	// UserAgent is sent with every request. It begins with the product token
	// that robots.txt files know the program by. Default "tributary/1".
	UserAgent string `yaml:"user_agent"`
	// Contact, an address or URL where the operator can be reached, is added
	// to UserAgent. Default: the project's page.
	Contact string `yaml:"contact"`
	// AllowHosts lists hosts that may be fetched although their addresses are
	// private: "wiki.corp.example" or, for one port only,
	// "wiki.corp.example:8080". Default none.
	AllowHosts []string `yaml:"allow_hosts"`
	// AllowNetworks lists private networks in CIDR notation that may be
	// fetched from. Default none.
	AllowNetworks []string `yaml:"allow_networks"`
}

const (
	defaultMaxBytes         = 32 << 20
	defaultMaxHTMLBytes     = 10 << 20
	defaultMaxMarkdownBytes = 2 << 20
	defaultMaxTextBytes     = 16 << 20
	defaultMaxPages         = 5000
	defaultParseTimeout     = 20 * time.Second
	defaultParseMemoryBytes = 512 << 20
	defaultFetchTimeout     = 30 * time.Second
	defaultMaxRedirects     = 5
	defaultMaxRetryAfter    = time.Hour
	defaultUserAgent        = "tributary/1"
	defaultContact          = "+https://github.com/tributary-kb/tributary"
)

// SetDefaults replaces zero fields by their defaults.
func (c *Config) SetDefaults() {
	setDefault(&c.MaxBytes, defaultMaxBytes)
	setDefault(&c.MaxHTMLBytes, defaultMaxHTMLBytes)
	setDefault(&c.MaxMarkdownBytes, defaultMaxMarkdownBytes)
	setDefault(&c.MaxTextBytes, defaultMaxTextBytes)
	setDefault(&c.MaxPages, defaultMaxPages)
	setDefault(&c.ParseTimeout, defaultParseTimeout)
	setDefault(&c.ParseMemoryBytes, defaultParseMemoryBytes)
	c.Fetch.setDefaults()
}

func (c *FetchConfig) setDefaults() {
	setDefault(&c.Timeout, defaultFetchTimeout)
	setDefault(&c.MaxRedirects, defaultMaxRedirects)
	setDefault(&c.MaxRetryAfter, defaultMaxRetryAfter)
	setDefault(&c.UserAgent, defaultUserAgent)
	setDefault(&c.Contact, defaultContact)
}

func setDefault[T comparable](field *T, value T) {
	var zero T
	if *field == zero {
		*field = value
	}
}

// Validate reports every setting that cannot work, nil if all can. Call it
// after SetDefaults.
func (c *Config) Validate() error {
	var errs []error
	positive := func(setting string, value int64) {
		if value <= 0 {
			errs = append(errs, fmt.Errorf("ingest.%s is %d, it must be positive", setting, value))
		}
	}
	positive("max_bytes", c.MaxBytes)
	positive("max_html_bytes", c.MaxHTMLBytes)
	positive("max_markdown_bytes", c.MaxMarkdownBytes)
	positive("max_text_bytes", c.MaxTextBytes)
	positive("max_pages", int64(c.MaxPages))
	positive("parse_timeout", int64(c.ParseTimeout))
	positive("parse_memory_bytes", c.ParseMemoryBytes)
	positive("fetch.timeout", int64(c.Fetch.Timeout))
	positive("fetch.max_retry_after", int64(c.Fetch.MaxRetryAfter))
	if c.ParseMemoryBytes > 0 && c.ParseMemoryBytes < minParseMemoryBytes {
		errs = append(errs, fmt.Errorf("ingest.parse_memory_bytes is %d, a child process needs at least %d",
			c.ParseMemoryBytes, minParseMemoryBytes))
	}
	if c.Fetch.Product() == "" {
		errs = append(errs, fmt.Errorf("ingest.fetch.user_agent is %q, it must begin with a name of letters, '-' and '_'", c.Fetch.UserAgent))
	}
	if _, err := c.Fetch.networks(); err != nil {
		errs = append(errs, err)
	}
	return errors.Join(errs...)
}

// Product returns the product token of UserAgent (RFC 9309, section 2.2.1):
// its letters, '-' and '_' at the beginning.
func (c *FetchConfig) Product() string {
	end := strings.IndexFunc(c.UserAgent, func(r rune) bool {
		return (r < 'a' || r > 'z') && (r < 'A' || r > 'Z') && r != '-' && r != '_'
	})
	if end < 0 {
		return c.UserAgent
	}
	return c.UserAgent[:end]
}

// minParseMemoryBytes is what a child process needs before it parses anything.
const minParseMemoryBytes = 64 << 20

// networks parses AllowNetworks.
func (c *FetchConfig) networks() ([]netip.Prefix, error) {
	prefixes := make([]netip.Prefix, 0, len(c.AllowNetworks))
	for _, s := range c.AllowNetworks {
		p, err := netip.ParsePrefix(s)
		if err != nil {
			return nil, fmt.Errorf("ingest.fetch.allow_networks: %q is not a network such as 10.1.0.0/16: %w", s, err)
		}
		prefixes = append(prefixes, p.Masked())
	}
	return prefixes, nil
}
