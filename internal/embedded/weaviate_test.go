package embedded

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"io"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"syscall"
	"testing"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/credentials/insecure"
	"google.golang.org/grpc/metadata"
	"google.golang.org/grpc/status"
	"google.golang.org/protobuf/types/known/emptypb"
)

// serverBinary returns the real server.
func serverBinary(t *testing.T) string {
	t.Helper()
	path, err := ObtainWeaviate(t.Context(), ObtainConfig{})
	if err != nil {
		t.Fatalf("%v\nobtain it with: go run ./internal/testenv/obtain", err)
	}
	return path
}

// startWeaviate starts a server that ends with the test.
func startWeaviate(t *testing.T, cfg WeaviateConfig) *Weaviate {
	t.Helper()
	w, err := StartWeaviate(t.Context(), weaviateDefaults(t, cfg))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { shutdown(t, w.Shutdown) })
	return w
}

func weaviateDefaults(t *testing.T, cfg WeaviateConfig) WeaviateConfig {
	t.Helper()
	if cfg.Binary == "" {
		cfg.Binary = serverBinary(t)
	}
	if cfg.Dir == "" {
		cfg.Dir = t.TempDir()
	}
	cfg.Logger = quiet
	// The machine may be busy; the test as a whole has a limit.
	cfg.StartTimeout, cfg.StopTimeout = noLimit, noLimit
	return cfg
}

const objectID = "0b1e8a3c-7a1d-4d52-9e0a-0d4c5ad4b6aa"

// putObject makes a collection and stores one object with a vector in it. The
// server does not make up schemas: without the collection it refuses.
func putObject(t *testing.T, addr, key string) {
	t.Helper()
	class := `{"class":"Kept","vectorizer":"none","properties":[{"name":"text","dataType":["text"]}]}`
	if got, text := call(t, http.MethodPost, addr, "/v1/schema", key, class); got != http.StatusOK {
		t.Fatalf("create collection: got status %d: %s", got, text)
	}
	body := `{"class":"Kept","id":"` + objectID + `","properties":{"text":"kept"},"vector":[1,0]}`
	if got, text := call(t, http.MethodPost, addr, "/v1/objects", key, body); got != http.StatusOK {
		t.Fatalf("store object: got status %d: %s", got, text)
	}
}

// wantObject asks for it by vector.
func wantObject(t *testing.T, addr, key string) {
	t.Helper()
	query, err := json.Marshal(map[string]string{
		"query": `{Get{Kept(nearVector:{vector:[1,0]}){text _additional{id}}}}`,
	})
	if err != nil {
		t.Fatal(err)
	}
	got, text := call(t, http.MethodPost, addr, "/v1/graphql", key, string(query))
	if got != http.StatusOK || !strings.Contains(text, objectID) {
		t.Errorf("search: got status %d: %s; want object %s", got, text, objectID)
	}
}

func call(t *testing.T, method, addr, path, key, body string) (int, string) {
	t.Helper()
	req, err := http.NewRequestWithContext(t.Context(), method, "http://"+addr+path, strings.NewReader(body))
	if err != nil {
		t.Fatal(err)
	}
	req.Header.Set("Content-Type", "application/json")
	if key != "" {
		req.Header.Set("Authorization", "Bearer "+key)
	}
	resp, err := localClient.Do(req)
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	text, err := io.ReadAll(resp.Body)
	if err != nil {
		t.Fatal(err)
	}
	return resp.StatusCode, string(text)
}

func TestWeaviateKeepsItsDataBetweenRuns(t *testing.T) {
	cfg := WeaviateConfig{Dir: t.TempDir()}
	w := startWeaviate(t, cfg)
	former := w.ports
	pid := w.Pid()
	putObject(t, w.HTTPAddr(), w.APIKey())
	shutdown(t, w.Shutdown)
	if _, err := processIdentity(pid); !errors.Is(err, os.ErrProcessDone) {
		t.Errorf("after Shutdown: got %v for process %d, want it gone", err, pid)
	}
	if w.Healthy() == nil || w.Pid() != 0 {
		t.Errorf("after Shutdown: got health %v and pid %d, want an error and 0", w.Healthy(), w.Pid())
	}

	w = startWeaviate(t, cfg)
	wantObject(t, w.HTTPAddr(), w.APIKey())
	if w.ports != former {
		t.Errorf("got ports %+v, want those of the former run %+v", w.ports, former)
	}
	shutdown(t, w.Shutdown)

	// Others have taken our ports meanwhile.
	for _, port := range []int{former.HTTP, former.Raft, former.RaftRPC, former.Gossip} {
		l, err := net.Listen("tcp", loopback(port))
		if err != nil {
			t.Fatal(err)
		}
		defer func() { _ = l.Close() }()
	}
	w = startWeaviate(t, cfg)
	wantObject(t, w.HTTPAddr(), w.APIKey())
	if w.ports.HTTP == former.HTTP || w.ports.Raft == former.Raft {
		t.Errorf("got ports %+v, which are taken", w.ports)
	}
}

func TestRunningWeaviate(t *testing.T) {
	w := startWeaviate(t, WeaviateConfig{})
	t.Run("reports its version", func(t *testing.T) {
		_, text := call(t, http.MethodGet, w.HTTPAddr(), "/v1/meta", w.APIKey(), "")
		if want := `"version":"` + WeaviateVersion + `"`; !strings.Contains(text, want) || w.Version() != WeaviateVersion {
			t.Errorf("got %s and %s, want %s", text, w.Version(), want)
		}
	})
	t.Run("refuses a second start on its folder", func(t *testing.T) {
		_, err := StartWeaviate(t.Context(), weaviateDefaults(t, WeaviateConfig{Dir: w.dir}))
		var inUse *InUseError
		if !errors.As(err, &inUse) || inUse.PID != os.Getpid() || inUse.Dir != w.dir {
			t.Errorf("got error %v, want an InUseError with %s and process %d", err, w.dir, os.Getpid())
		}
	})
	t.Run("refuses callers without the key", func(t *testing.T) {
		for addr, path := range map[string]string{
			w.HTTPAddr():           "/v1/schema",
			loopback(w.ports.Data): "/cluster/users/db/lastUsed", // between nodes
		} {
			if got, _ := call(t, http.MethodGet, addr, path, "", ""); got != http.StatusUnauthorized {
				t.Errorf("%s: got status %d, want 401", path, got)
			}
		}
		const refusal = "unauthorized"
		if got := grpcAnswer(t, w.GRPCAddr(), ""); !strings.Contains(got, refusal) {
			t.Errorf("gRPC without the key: got %q, want %q in it", got, refusal)
		}
		if got := grpcAnswer(t, w.GRPCAddr(), w.APIKey()); strings.Contains(got, refusal) {
			t.Errorf("gRPC with the key: got %q, want no %q in it", got, refusal)
		}
	})
	t.Run("listens on the loopback address where it can be told to", func(t *testing.T) {
		for _, ip := range otherAddresses(t) {
			for _, port := range []int{w.ports.HTTP, w.ports.Gossip, w.ports.Raft, w.ports.RaftRPC} {
				addr := (&net.TCPAddr{IP: ip, Port: port}).String()
				if conn, err := net.Dial("tcp", addr); err == nil {
					_ = conn.Close()
					t.Errorf("got a connection to %s, want none", addr)
				}
			}
		}
	})
}

// grpcAnswer is the error message for an empty search, which comes after the
// check of the key.
func grpcAnswer(t *testing.T, addr, key string) string {
	t.Helper()
	conn, err := grpc.NewClient(addr, grpc.WithTransportCredentials(insecure.NewCredentials()))
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = conn.Close() }()
	ctx := t.Context()
	if key != "" {
		ctx = metadata.AppendToOutgoingContext(ctx, "authorization", "Bearer "+key)
	}
	err = conn.Invoke(ctx, "/weaviate.v1.Weaviate/Search", &emptypb.Empty{}, &emptypb.Empty{})
	return status.Convert(err).Message()
}

// otherAddresses are those of this machine that are not loopback.
func otherAddresses(t *testing.T) []net.IP {
	t.Helper()
	addrs, err := net.InterfaceAddrs()
	if err != nil {
		t.Fatal(err)
	}
	var ips []net.IP
	for _, a := range addrs {
		if n, ok := a.(*net.IPNet); ok && n.IP.To4() != nil && !n.IP.IsLoopback() {
			ips = append(ips, n.IP)
		}
	}
	return ips
}

func TestDeadWeaviateIsStartedAgain(t *testing.T) {
	changes := make(chan error, 100)
	w := startWeaviate(t, WeaviateConfig{OnChange: func(err error) { changes <- err }})
	putObject(t, w.HTTPAddr(), w.APIKey())
	addr, first := w.HTTPAddr(), w.Pid()
	p, err := os.FindProcess(first)
	if err != nil {
		t.Fatal(err)
	}
	if err := p.Kill(); err != nil {
		t.Fatal(err)
	}
	if err := <-changes; err == nil || !strings.Contains(err.Error(), "killed") {
		t.Errorf("got change %v, want one that says it was killed", err)
	}
	for err := range changes {
		if err == nil {
			break
		}
	}
	if err := w.Healthy(); err != nil {
		t.Errorf("got health %v after the restart, want nil", err)
	}
	if w.Pid() == first || w.Pid() == 0 {
		t.Errorf("got pid %d after the restart, want another than %d", w.Pid(), first)
	}
	wantObject(t, addr, w.APIKey())
}

func TestShutdownEndsTheAttemptsToRestart(t *testing.T) {
	changes := make(chan error, 100)
	cfg := weaviateDefaults(t, WeaviateConfig{OnChange: func(err error) { changes <- err }})
	binary := filepath.Join(t.TempDir(), "server")
	if err := os.Link(cfg.Binary, binary); err != nil {
		if err := os.Symlink(cfg.Binary, binary); err != nil {
			t.Fatal(err)
		}
	}
	cfg.Binary = binary
	w := startWeaviate(t, cfg)
	if err := os.Remove(binary); err != nil {
		t.Fatal(err)
	}
	p, err := os.FindProcess(w.Pid())
	if err != nil {
		t.Fatal(err)
	}
	if err := p.Kill(); err != nil {
		t.Fatal(err)
	}
	if err := <-changes; err == nil || !strings.Contains(err.Error(), "killed") {
		t.Errorf("got change %v, want one that says it was killed", err)
	}
	if err := <-changes; err == nil || !strings.Contains(err.Error(), "restart") {
		t.Errorf("got change %v, want one about the restart", err)
	}
	shutdown(t, w.Shutdown)
}

func TestKilledParentLeavesNoOrphan(t *testing.T) {
	if runtime.GOOS != "linux" {
		t.Log("this system cannot end a child with its parent: the next start does")
	}
	binary, dir := serverBinary(t), t.TempDir()
	parent, line := startHelper(t, "parent:"+binary+":"+dir)
	var report parentReport
	if err := json.Unmarshal([]byte(line), &report); err != nil {
		t.Fatal(err)
	}
	orphan := processRecord{PID: report.PID}
	var err error
	if orphan.Identity, err = processIdentity(report.PID); err != nil {
		t.Fatal(err)
	}
	putObject(t, report.HTTP, report.Key)

	t.Run("while it lives its folder is refused", func(t *testing.T) {
		_, err := StartWeaviate(t.Context(), weaviateDefaults(t, WeaviateConfig{Dir: dir}))
		var inUse *InUseError
		if !errors.As(err, &inUse) || inUse.PID != parent.proc.Pid {
			t.Errorf("got error %v, want an InUseError with process %d", err, parent.proc.Pid)
		}
	})
	parent.kill()
	if runtime.GOOS == "linux" && !orphan.awaitEnd(t.Context(), noLimit) {
		t.Fatalf("process %d outlived its parent", orphan.PID)
	}
	w := startWeaviate(t, WeaviateConfig{Dir: dir})
	if orphan.running() {
		t.Errorf("process %d of the former run still runs", orphan.PID)
	}
	wantObject(t, w.HTTPAddr(), w.APIKey())
}

func TestWeaviateThatEndsEarlyTellsWhy(t *testing.T) {
	self, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	_, err = StartWeaviate(t.Context(), weaviateDefaults(t, WeaviateConfig{
		Binary: self,
		Env:    []string{helperEnv + "=broken"},
	}))
	if err == nil {
		t.Fatal("got a server, want an error")
	}
	for _, want := range []string{"exit status 7", "the disk is on fire", "weaviate.log"} {
		if !strings.Contains(err.Error(), want) {
			t.Errorf("got error %q, want %q in it", err, want)
		}
	}
}

func TestWeaviateOfAnotherVersionIsRefused(t *testing.T) {
	_, err := StartWeaviate(t.Context(), weaviateDefaults(t, WeaviateConfig{Version: "1.35.1"}))
	if err == nil || !strings.Contains(err.Error(), `is version "`+WeaviateVersion+`", want "1.35.1"`) {
		t.Errorf("got error %v, want one that names both versions", err)
	}
}

func TestWeaviateOnATakenPortIsRefused(t *testing.T) {
	taken, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = taken.Close() }()
	_, err = StartWeaviate(t.Context(), weaviateDefaults(t, WeaviateConfig{
		HTTPPort: taken.Addr().(*net.TCPAddr).Port,
	}))
	if err == nil || !strings.Contains(err.Error(), "HTTPPort") || !errors.Is(err, syscall.EADDRINUSE) {
		t.Errorf("got error %v, want one that names HTTPPort and %v", err, syscall.EADDRINUSE)
	}
}

func TestNewerDataAreRefused(t *testing.T) {
	tests := []struct {
		data    string
		refused bool
	}{
		{"1.35.2", false},
		{"1.35.1", false},
		{"1.9.9", false},
		{"1.35.3", true},
		{"1.36.0", true},
		{"2.0.0-rc.1", true},
	}
	for _, test := range tests {
		t.Run(test.data, func(t *testing.T) {
			dir := t.TempDir()
			if err := writeDataVersion(dir, test.data); err != nil {
				t.Fatal(err)
			}
			err := refuseNewerData(dir, "1.35.2")
			var newer *NewerDataError
			if got := errors.As(err, &newer); got != test.refused {
				t.Errorf("got error %v, want a refusal: %t", err, test.refused)
			}
		})
	}
}

func TestStartOnNewerDataTouchesNothing(t *testing.T) {
	dir := t.TempDir()
	if err := writeDataVersion(dir, "1.36.0"); err != nil {
		t.Fatal(err)
	}
	_, err := StartWeaviate(t.Context(), weaviateDefaults(t, WeaviateConfig{Dir: dir, Binary: "not needed"}))
	var newer *NewerDataError
	if !errors.As(err, &newer) || newer.Data != "1.36.0" || newer.Server != WeaviateVersion {
		t.Fatalf("got error %v, want a NewerDataError with both versions", err)
	}
	if text, _ := os.ReadFile(dataVersionPath(dir)); !bytes.Equal(text, []byte("1.36.0\n")) {
		t.Errorf("got version file %q, want it unchanged", text)
	}
}

func TestInterruptedStartLeavesNoServer(t *testing.T) {
	ctx, cancel := context.WithCancel(t.Context())
	cfg := weaviateDefaults(t, WeaviateConfig{})
	result := make(chan error, 1)
	go func() {
		_, err := StartWeaviate(ctx, cfg)
		result <- err
	}()
	record := awaitRecord(t, filepath.Join(cfg.Dir, "process.json"))
	cancel()
	if err := <-result; !errors.Is(err, context.Canceled) {
		t.Errorf("got error %v, want %v", err, context.Canceled)
	}
	if record.running() {
		t.Errorf("process %d still runs", record.PID)
	}
	startWeaviate(t, cfg) // the folder is free
}

// awaitRecord waits until a child is recorded.
func awaitRecord(t *testing.T, path string) processRecord {
	t.Helper()
	tick := time.NewTicker(time.Millisecond)
	defer tick.Stop()
	for {
		r, err := readProcessRecord(path)
		if err != nil {
			t.Fatal(err)
		}
		if r.PID != 0 {
			return r
		}
		select {
		case <-t.Context().Done():
			t.Fatal("no child was recorded")
		case <-tick.C:
		}
	}
}

func TestWeaviateConfigNamesWhatIsMissing(t *testing.T) {
	tests := []struct {
		cfg  WeaviateConfig
		want string
	}{
		{WeaviateConfig{Dir: "d"}, "Binary"},
		{WeaviateConfig{Binary: "b"}, "Dir"},
		{WeaviateConfig{Binary: "b", Dir: "d", MemoryLimit: -1}, "MemoryLimit"},
		{WeaviateConfig{Binary: "b", Dir: "d", Version: "new"}, `"new"`},
	}
	for _, test := range tests {
		if _, err := StartWeaviate(t.Context(), test.cfg); err == nil || !strings.Contains(err.Error(), test.want) {
			t.Errorf("got error %v, want one that names %s", err, test.want)
		}
	}
}
