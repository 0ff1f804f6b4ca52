package embedded

import (
	"context"
	"errors"
	"log/slog"
	"net"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"
)

var quiet = slog.New(slog.DiscardHandler)

// startNATS starts a server that ends with the test.
func startNATS(t *testing.T, cfg NATSConfig) *NATS {
	t.Helper()
	n, err := StartNATS(t.Context(), natsDefaults(t, cfg))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { shutdown(t, n.Shutdown) })
	return n
}

// natsDefaults fills in what most tests do not care about.
func natsDefaults(t *testing.T, cfg NATSConfig) NATSConfig {
	t.Helper()
	if cfg.Dir == "" {
		cfg.Dir = t.TempDir()
	}
	if cfg.Port == 0 {
		cfg.Port = -1
	}
	cfg.Logger = quiet
	return cfg
}

// shutdown calls stop without a time limit: the test's context may be over.
func shutdown(t *testing.T, stop func(context.Context) error) {
	t.Helper()
	if err := stop(context.WithoutCancel(t.Context())); err != nil {
		t.Error(err)
	}
}

func connect(t *testing.T, n *NATS) (*nats.Conn, jetstream.JetStream) {
	t.Helper()
	nc, err := n.Connect()
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(nc.Close)
	js, err := jetstream.New(nc)
	if err != nil {
		t.Fatal(err)
	}
	return nc, js
}

func TestNATSKeepsMessagesBetweenRuns(t *testing.T) {
	cfg := NATSConfig{Dir: t.TempDir()}
	n := startNATS(t, cfg)
	nc, js := connect(t, n)
	if _, err := js.CreateStream(t.Context(), jetstream.StreamConfig{Name: "S", Subjects: []string{"s"}}); err != nil {
		t.Fatal(err)
	}
	if _, err := js.Publish(t.Context(), "s", []byte("kept")); err != nil {
		t.Fatal(err)
	}
	nc.Close()
	shutdown(t, n.Shutdown)

	_, js = connect(t, startNATS(t, cfg))
	s, err := js.Stream(t.Context(), "S")
	if err != nil {
		t.Fatal(err)
	}
	msg, err := s.GetMsg(t.Context(), 1)
	if err != nil {
		t.Fatal(err)
	}
	if got := string(msg.Data); got != "kept" {
		t.Errorf("got message %q, want %q", got, "kept")
	}
}

func TestNATSSyncsEveryWriteUnlessToldNotTo(t *testing.T) {
	for _, noSync := range []bool{false, true} {
		n := startNATS(t, NATSConfig{NoSync: noSync})
		if got := n.srv.JetStreamConfig().SyncAlways; got == noSync {
			t.Errorf("NoSync %t: got SyncAlways %t, want %t", noSync, got, !noSync)
		}
	}
}

func TestSecondNATSOnTheFolderIsRefused(t *testing.T) {
	n := startNATS(t, NATSConfig{})
	_, err := StartNATS(t.Context(), natsDefaults(t, NATSConfig{Dir: n.cfg.Dir}))
	var inUse *InUseError
	if !errors.As(err, &inUse) {
		t.Fatalf("got error %v, want an InUseError", err)
	}
	if inUse.Dir != n.cfg.Dir || inUse.PID != os.Getpid() {
		t.Errorf("got %+v, want folder %s and process %d", inUse, n.cfg.Dir, os.Getpid())
	}
}

func TestFolderIsFreeAfterShutdown(t *testing.T) {
	cfg := NATSConfig{Dir: t.TempDir()}
	shutdown(t, startNATS(t, cfg).Shutdown)
	startNATS(t, cfg)
}

func TestNATSRefusesAnOpenDoor(t *testing.T) {
	empty := filepath.Join(t.TempDir(), "empty")
	if err := os.WriteFile(empty, []byte(" \n"), 0o600); err != nil {
		t.Fatal(err)
	}
	tests := []struct {
		name string
		cfg  NATSConfig
		want []string // parts of the error
	}{
		{"all interfaces", NATSConfig{Host: "0.0.0.0"}, []string{"0.0.0.0", "PasswordFile", "TokenFile", "Host"}},
		{"all IPv6 interfaces", NATSConfig{Host: "::"}, []string{"PasswordFile"}},
		{"a name", NATSConfig{Host: "nats.example"}, []string{"nats.example", "TokenFile"}},
		{"a user without a password", NATSConfig{User: "u"}, []string{"User", "PasswordFile"}},
		{"a user and a token", NATSConfig{User: "u", Password: "p", Token: "t"}, []string{"choose one"}},
		{"two passwords", NATSConfig{User: "u", Password: "p", PasswordFile: empty}, []string{"Password and PasswordFile"}},
		{"an empty token file", NATSConfig{TokenFile: empty}, []string{"TokenFile", "is empty"}},
		{"an absent token file", NATSConfig{TokenFile: empty + "x"}, []string{"TokenFile", "no such file"}},
		{"a port too high", NATSConfig{Port: 70000}, []string{"70000", "Port"}},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			n, err := StartNATS(t.Context(), natsDefaults(t, test.cfg))
			if err == nil {
				shutdown(t, n.Shutdown)
				t.Fatal("got a server, want an error")
			}
			for _, part := range test.want {
				if !strings.Contains(err.Error(), part) {
					t.Errorf("got error %q, want %q in it", err, part)
				}
			}
		})
	}
}

func TestNATSRefusalDoesNotHoldTheFolder(t *testing.T) {
	dir := t.TempDir()
	taken, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = taken.Close() }()
	port := taken.Addr().(*net.TCPAddr).Port
	_, err = StartNATS(t.Context(), natsDefaults(t, NATSConfig{Dir: dir, Port: port}))
	if err == nil || !strings.Contains(err.Error(), "address already in use") {
		t.Fatalf("got error %v, want one about the address", err)
	}
	startNATS(t, NATSConfig{Dir: dir})
}

func TestNATSAsksForCredentials(t *testing.T) {
	file := filepath.Join(t.TempDir(), "secret")
	if err := os.WriteFile(file, []byte("s3cret\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	tests := []struct {
		name  string
		cfg   NATSConfig
		right nats.Option
	}{
		{"password", NATSConfig{User: "u", PasswordFile: file}, nats.UserInfo("u", "s3cret")},
		{"token", NATSConfig{TokenFile: file}, nats.Token("s3cret")},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			n := startNATS(t, test.cfg)
			connect(t, n) // knows the secret
			if nc, err := nats.Connect(n.ClientURL()); !errors.Is(err, nats.ErrAuthorization) {
				nc.Close()
				t.Errorf("without: got error %v, want %v", err, nats.ErrAuthorization)
			}
			nc, err := nats.Connect(n.ClientURL(), test.right)
			if err != nil {
				t.Errorf("with: got error %v, want none", err)
			}
			nc.Close()
		})
	}
}

func TestNATSWithoutListenerTakesConnectionsFromWithin(t *testing.T) {
	n := startNATS(t, NATSConfig{NoListen: true})
	if got := n.ClientURL(); got != "" {
		t.Errorf("got URL %q, want none", got)
	}
	connect(t, n)
}

func TestStoreLimitLeavesFreeSpace(t *testing.T) {
	dir := t.TempDir()
	free, err := freeBytes(dir)
	if err != nil {
		t.Fatal(err)
	}
	n := startNATS(t, NATSConfig{Dir: dir})
	if got := n.MaxStore(); got <= 0 || got >= free {
		t.Errorf("got limit %d, want one above 0 and below the %d free bytes", got, free)
	}
	if got := n.srv.JetStreamConfig().MaxStore; got != n.MaxStore() {
		t.Errorf("got %d in the server, want %d", got, n.MaxStore())
	}
}

func TestStreamSurvivesASmallerStoreLimit(t *testing.T) {
	dir := t.TempDir()
	n := startNATS(t, NATSConfig{Dir: dir, MaxStore: 64 << 20})
	nc, js := connect(t, n)
	cfg := jetstream.StreamConfig{Name: "S", Subjects: []string{"s"}, MaxBytes: 60 << 20}
	if _, err := js.CreateStream(t.Context(), cfg); err != nil {
		t.Fatal(err)
	}
	nc.Close()
	shutdown(t, n.Shutdown)

	n = startNATS(t, NATSConfig{Dir: dir, MaxStore: 8 << 20})
	_, js = connect(t, n)
	if _, err := js.Stream(t.Context(), "S"); err != nil {
		t.Errorf("got error %v, want the stream", err)
	}
	if _, err := js.Publish(t.Context(), "s", []byte("x")); err != nil {
		t.Errorf("publish: got error %v, want none", err)
	}
}

// A stream's own limit is reserved, whether it is used or not. When the disk has
// filled up since, the next start must not fail for it.
func TestStreamsThatReservedMoreThanThereIsAreLimitedToLess(t *testing.T) {
	dir := t.TempDir()
	n := startNATS(t, NATSConfig{Dir: dir, MaxStore: 64 << 20})
	_, js := connect(t, n)
	queue := jetstream.StreamConfig{Name: "queue", Subjects: []string{"queue"}, MaxBytes: 48 << 20, Discard: jetstream.DiscardNew}
	if _, err := js.CreateStream(t.Context(), queue); err != nil {
		t.Fatal(err)
	}
	if _, err := js.Publish(t.Context(), "queue", []byte("kept")); err != nil {
		t.Fatal(err)
	}
	shutdown(t, n.Shutdown)

	n = startNATS(t, NATSConfig{Dir: dir, MaxStore: 8 << 20})
	_, js = connect(t, n)
	stream, err := js.Stream(t.Context(), "queue")
	if err != nil {
		t.Fatal(err)
	}
	if info := stream.CachedInfo(); info.Config.MaxBytes != 4<<20 || info.State.Msgs != 1 {
		t.Errorf("got a limit of %d bytes and %d messages, want half of the store and the one there was", info.Config.MaxBytes, info.State.Msgs)
	}
	if _, err := js.CreateStream(t.Context(), jetstream.StreamConfig{Name: "another", Subjects: []string{"another"}}); err != nil {
		t.Errorf("make another stream: %v", err)
	}
	if got := n.MaxStore(); got != 8<<20 {
		t.Errorf("the store may take %d bytes, want the setting", got)
	}
}

func TestHealthChangeIsReported(t *testing.T) {
	changes := make(chan error, 10)
	n := startNATS(t, NATSConfig{HealthInterval: time.Millisecond, OnChange: func(err error) { changes <- err }})
	if err := n.Healthy(); err != nil {
		t.Fatalf("got health %v at the start, want nil", err)
	}
	if err := n.srv.DisableJetStream(); err != nil {
		t.Fatal(err)
	}
	if err := <-changes; err == nil || !strings.Contains(err.Error(), "JetStream") {
		t.Errorf("got change %v, want one about JetStream", err)
	}
	if n.Healthy() == nil {
		t.Error("got a healthy server, want an unhealthy one")
	}
}

func TestStoppedNATSIsNotHealthy(t *testing.T) {
	n := startNATS(t, NATSConfig{})
	shutdown(t, n.Shutdown)
	if n.Healthy() == nil {
		t.Error("got a healthy server after Shutdown, want an error")
	}
	shutdown(t, n.Shutdown) // again: waits, no error
}
