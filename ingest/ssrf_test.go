package ingest

import (
	"context"
	"fmt"
	"net"
	"net/http"
	"net/http/httptest"
	"net/netip"
	"net/url"
	"strings"
	"sync/atomic"
	"testing"

	"golang.org/x/net/dns/dnsmessage"

	"github.com/tributary-kb/tributary"
)

// Forms of address that must never be asked for anything, each with what the
// refusal says.
var forbidden = map[string][]string{
	"address is private or reserved": {
		"http://127.0.0.1/", "http://127.1.2.3:8080/", "http://0.0.0.0/", "http://0.1.2.3/", "http://10.0.0.1/",
		"http://172.16.0.1/", "http://172.31.255.255/", "http://192.168.1.1/", "http://100.64.0.1/", "http://100.100.100.200/",
		"http://169.254.169.254/latest/meta-data/", "http://169.254.170.2/", "http://168.63.129.16/metadata", "http://192.0.0.192/",
		"http://192.0.2.1/", "http://198.18.0.1/", "http://198.51.100.1/", "http://203.0.113.1/", "http://192.88.99.1/",
		"http://224.0.0.1/", "http://239.255.255.250:1900/", "http://240.0.0.1/", "http://255.255.255.255/",
		"http://[::]/", "http://[::1]/", "http://[0:0:0:0:0:0:0:1]/", "http://[::ffff:127.0.0.1]/", "http://[::ffff:7f00:1]/",
		"http://[::ffff:169.254.169.254]/", "http://[::127.0.0.1]/", "http://[::ffff:0:127.0.0.1]/", "http://[64:ff9b::7f00:1]/",
		"http://[64:ff9b::169.254.169.254]/", "http://[64:ff9b:1::a00:1]/", "http://[2002:7f00:1::]/", "http://[2002:a9fe:a9fe::1]/",
		"http://[2001::7f00:1]/", "http://[2001:db8::1]/", "http://[3fff::1]/", "http://[fc00::1]/", "http://[fd00:ec2::254]/",
		"http://[fe80::1]/", "http://[fe80::1%25lo]/", "http://[2000::1%25lo]/", "http://[fec0::1]/", "http://[ff02::1]/", "http://[100::1]/", "http://[5f00::1]/",
		"http://\uff11\uff12\uff17.0.0.1/", "http://127\u30020\u30020\u30021/", "http://\u2460\u2461\u2466.0.0.1/",
		"http://localhost/", "http://LOCALHOST:80/", "http://localhost./", "http://inside.example/", "http://inside.example./",
		"http://metadata.example/", "http://six.example/", "http://mapped.example/",
	},
	"number that resolvers read in different ways": {
		"http://2130706433/", "http://0x7f000001/", "http://0X7F.1/", "http://017700000001/", "http://0177.0.0.1/", "http://127.1/",
		"http://127.0.1/", "http://127.0.0.01/", "http://0x7f.0x0.0x0.0x1/", "http://127.0.0.1./", "http://0/", "http://0x/",
		"http://127.0.0.0x1/", "http://4294967297/", "http://127.0.0.256/", "http://0xffffffffffffffffff/", "http://\uff10x7f.1/",
	},
	"carries credentials": {
		"http://evil.example@127.0.0.1/", "http://public.example:80@10.0.0.1/", "http://user:secret@[::1]/", "http://@localhost/",
	},
	"only http and https": {
		"file:///etc/passwd", "gopher://127.0.0.1:70/_x", "ftp://127.0.0.1/", "dict://127.0.0.1:11211/", "unix:///run/docker.sock",
		"ws://127.0.0.1/", "javascript:alert(1)", "data:text/plain,x", "//127.0.0.1/", "127.0.0.1/x",
	},
	"malformed URL": {
		`http://127.0.0.1\@public.example/`, "http://127.0.0.1 .public.example/", "http://[::1/", "http://public.example:80:80/", "http://127.0.0.1\n/",
	},
	"no host": {"http:///127.0.0.1/", "http:127.0.0.1", "http://:80/"},
}

// names are those that the resolver of the test knows.
var names = map[string]string{
	"localhost.": "127.0.0.1", "inside.example.": "10.1.2.3", "metadata.example.": "169.254.169.254", "six.example.": "fd00::1",
	"mapped.example.": "::ffff:127.0.0.1",
}

func TestForbiddenAddressesAreRefused(t *testing.T) {
	f, err := newFetcher(Config{}, resolver(t, func(name string, _ int) string { return names[name] }))
	if err != nil {
		t.Fatal(err)
	}
	count := 0
	for rule, uris := range forbidden {
		for _, uri := range uris {
			count++
			refused(t, f, uri, rule)
		}
	}
	if count < 40 {
		t.Errorf("only %d forms are tried", count)
	}
}

// refused checks that uri is refused for good by the rule, that a rule with a
// setting names it, and that no secret is told.
func refused(t *testing.T, f *Fetcher, uri, rule string) {
	t.Helper()
	_, err := f.Fetch(t.Context(), uri)
	if outcome, _ := tributary.OutcomeOf(err); outcome != tributary.Rejected || !strings.Contains(err.Error(), rule) {
		t.Errorf("%s: outcome %v of %v, want a refusal that says %q", uri, outcome, err, rule)
		return
	}
	aboutAddress := strings.Contains(rule, "address") || strings.Contains(rule, "number")
	if aboutAddress && !strings.Contains(err.Error(), "ingest.fetch.allow_hosts") {
		t.Errorf("%s: error %q does not name the setting", uri, err)
	}
	if strings.Contains(err.Error(), "secret") {
		t.Errorf("%s: error %q tells the password", uri, err)
	}
}

// A host that is allowed by name may not send us on to one that is not.
func TestForbiddenAddressesAreRefusedAfterARedirect(t *testing.T) {
	s := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Location", r.URL.Query().Get("to"))
		w.WriteHeader(http.StatusFound)
	}))
	t.Cleanup(s.Close)
	f, err := newFetcher(Config{Fetch: FetchConfig{AllowHosts: []string{strings.TrimPrefix(s.URL, "http://")}}},
		resolver(t, func(name string, _ int) string { return names[name] }))
	if err != nil {
		t.Fatal(err)
	}
	for rule, uris := range forbidden {
		for _, uri := range uris {
			if rule == "malformed URL" || !strings.Contains(uri, "://") {
				continue // such a Location is refused, or relative
			}
			_, err := f.Fetch(t.Context(), s.URL+"?"+url.Values{"to": {uri}}.Encode())
			if outcome, _ := tributary.OutcomeOf(err); outcome != tributary.Rejected || !strings.Contains(err.Error(), rule) {
				t.Errorf("redirect to %s: outcome %v of %v, want a refusal that says %q", uri, outcome, err, rule)
			}
		}
	}
}

// A name that means a public address when somebody looks, and a private one
// when the connection is made. Loopback stands in for the public network.
func TestRebindingIsRefused(t *testing.T) {
	var asked atomic.Int32
	s := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		asked.Add(1)
		w.Header().Set("Connection", "close")
		fmt.Fprint(w, "public")
	}))
	t.Cleanup(s.Close)
	r := resolver(t, func(_ string, n int) string {
		if n == 0 {
			return "127.0.0.1"
		}
		return "127.0.0.2"
	})
	f, err := newFetcher(Config{Fetch: FetchConfig{AllowNetworks: []string{"127.0.0.1/32"}}}, r)
	if err != nil {
		t.Fatal(err)
	}
	uri := strings.Replace(s.URL, "127.0.0.1", "rebind.example", 1)
	if _, err := f.Fetch(t.Context(), uri); err != nil {
		t.Fatalf("while the name means the public address: %v", err)
	}
	refused(t, f, uri, "address is private or reserved")
	if n := asked.Load(); n != 1 {
		t.Errorf("the server was asked %d times, want once", n)
	}
}

// A certificate that does not hold for the host is an error.
func TestCertificatesAreVerified(t *testing.T) {
	s := httptest.NewTLSServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { fmt.Fprint(w, "x") }))
	t.Cleanup(s.Close)
	s.Config.ErrorLog = nil
	f, err := NewFetcher(Config{Fetch: FetchConfig{AllowHosts: []string{"127.0.0.1"}}})
	if err != nil {
		t.Fatal(err)
	}
	if _, err := f.Fetch(t.Context(), s.URL); err == nil || !strings.Contains(err.Error(), "certificate") {
		t.Errorf("error %v, want one about the certificate", err)
	}
}

// resolver answers questions about names by answer, which is told how many
// questions of a name came before; "" is no such name.
func resolver(t *testing.T, answer func(name string, before int) string) *net.Resolver {
	t.Helper()
	server, err := (&net.ListenConfig{}).ListenPacket(t.Context(), "udp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = server.Close() })
	go serveNames(server, answer)
	return &net.Resolver{PreferGo: true, Dial: func(ctx context.Context, _, _ string) (net.Conn, error) {
		return (&net.Dialer{}).DialContext(ctx, "udp", server.LocalAddr().String())
	}}
}

func serveNames(server net.PacketConn, answer func(string, int) string) {
	before := make(map[string]int)
	buf := make([]byte, 1500)
	for {
		n, from, err := server.ReadFrom(buf)
		if err != nil {
			return
		}
		var m dnsmessage.Message
		if m.Unpack(buf[:n]) != nil || len(m.Questions) != 1 {
			continue
		}
		reply, err := nameReply(m, before, answer).Pack()
		if err == nil {
			_, _ = server.WriteTo(reply, from)
		}
	}
}

// nameReply answers m. The questions for the two kinds of address come in
// pairs and count once.
func nameReply(m dnsmessage.Message, before map[string]int, answer func(string, int) string) *dnsmessage.Message {
	q := m.Questions[0]
	reply := &dnsmessage.Message{Header: dnsmessage.Header{ID: m.ID, Response: true, RecursionAvailable: true}, Questions: m.Questions}
	name := strings.ToLower(q.Name.String())
	kind := q.Type.String() + name
	ip, err := netip.ParseAddr(answer(name, before[kind]))
	before[kind]++
	header := dnsmessage.ResourceHeader{Name: q.Name, Type: q.Type, Class: q.Class}
	switch {
	case err != nil:
		reply.RCode = dnsmessage.RCodeNameError
	case ip.Is4() && q.Type == dnsmessage.TypeA:
		reply.Answers = []dnsmessage.Resource{{Header: header, Body: &dnsmessage.AResource{A: ip.As4()}}}
	case ip.Is6() && q.Type == dnsmessage.TypeAAAA:
		reply.Answers = []dnsmessage.Resource{{Header: header, Body: &dnsmessage.AAAAResource{AAAA: ip.As16()}}}
	}
	return reply
}
