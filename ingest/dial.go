package ingest

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"strconv"
	"strings"
	"time"

	"code.dny.dev/ssrf"
)

var (
	errPrivate = errors.New("the host's address is private or reserved")
	errOddHost = errors.New("the host is a number that resolvers read in different ways, want an address such as 192.0.2.1")
)

// azureWire is the address at which virtual machines of Azure find the
// metadata and secrets of their host. It belongs to no reserved network.
var azureWire = netip.MustParsePrefix("168.63.129.16/32")

// dialer returns a dial function that refuses private addresses, except for
// allowed hosts and networks. The address that is checked is the one that is
// connected to, so it does not matter what a name meant a moment ago.
func (f *Fetcher) dialer(networks []netip.Prefix, resolver *net.Resolver) func(context.Context, string, string) (net.Conn, error) {
	var v4, v6 []netip.Prefix
	for _, p := range networks {
		if p.Addr().Is4() {
			v4 = append(v4, p)
		} else {
			v6 = append(v6, p)
		}
	}
	guardian := ssrf.New(ssrf.WithAnyPort(), ssrf.WithDeniedV4Prefixes(azureWire),
		ssrf.WithAllowedV4Prefixes(v4...), ssrf.WithAllowedV6Prefixes(v6...))
	guarded := &net.Dialer{Timeout: 10 * time.Second, Resolver: resolver, Control: guardian.Safe}
	open := &net.Dialer{Timeout: 10 * time.Second, Resolver: resolver}
	return func(ctx context.Context, network, addr string) (net.Conn, error) {
		host, _, err := net.SplitHostPort(addr)
		if err != nil {
			return nil, fmt.Errorf("dial %q: %w", addr, err)
		}
		switch {
		case f.allowed[strings.ToLower(host)] || f.allowed[strings.ToLower(addr)]:
			return open.DialContext(ctx, network, addr)
		case oddHost(host):
			return nil, errOddHost
		}
		return guarded.DialContext(ctx, network, addr)
	}
}

// oddHost reports whether host ends in a number, as only addresses do (WHATWG
// URL, "ends in a number checker"), and is not one as RFC 3986 writes it.
// Some resolvers take 127.1, 0x7f000001 and 0177.0.0.1 for addresses and some
// for names.
func oddHost(host string) bool {
	if _, err := netip.ParseAddr(host); err == nil {
		return false
	}
	host = strings.TrimSuffix(host, ".")
	last := strings.ToLower(host[strings.LastIndexByte(host, '.')+1:])
	if hex, ok := strings.CutPrefix(last, "0x"); ok {
		_, err := strconv.ParseUint(hex, 16, 64)
		return err == nil || hex == "" || errors.Is(err, strconv.ErrRange)
	}
	return last != "" && strings.Trim(last, "0123456789") == ""
}
